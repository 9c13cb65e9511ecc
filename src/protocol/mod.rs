//! Bytes to messages and back: everything that Kafka 4.3 puts on a wire or into the value of an internal
//! record. No I/O, no clock, no behaviour.
//!
//! `reader.rs` and `writer.rs` are the cursors, `wire.rs` the values, `language.rs` the macros that messages
//! are declared with. Each API has a file in `api/`; record batches and their codecs are in `records/`.

#[macro_use]
mod language;

pub mod api;
pub mod consumer_protocol;
pub mod control_records;
pub mod coordinator_records;
mod error;
mod header;
mod json;
pub mod metadata_records;
pub mod principal;
mod reader;
pub mod records;
mod wire;
mod writer;

pub use api::{Api, ApiKey, Request, Response};
pub use error::{DecodeError, DecodeProblem, EncodeError, EncodeProblem};
pub use header::{RequestHeader, ResponseHeader};
pub use json::ToJson;
pub use reader::{RESERVE_PER_BYTE, Reader};
pub use wire::{Message, NEVER_FLEXIBLE, Tags, Wire};
pub use writer::{Encoded, SHARED_PAYLOAD_BYTES, Writer};
