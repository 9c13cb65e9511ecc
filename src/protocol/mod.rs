//! Bytes to messages and back, without I/O: record batches with their codecs, and the messages of the wire.

pub mod records;
