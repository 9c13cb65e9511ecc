//! One Kafka connection, as both of its sides use it: frames in and out, and on the client's side
//! correlation, pipelining, timeouts and the choice of versions.
//!
//! Invariant: responses are matched to requests in order and by correlation id; whatever does not match ends
//! the connection. It must not know brokers, topics, or what a request means.

mod client;
mod driver;
mod frame;
mod versions;

pub use client::{ClientConnection, ConnectionError, ConnectionSettings, InFlight};
pub use frame::{
    DEFAULT_MAX_FRAME_BYTES, FRAME_SIZE_BYTES, FrameError, FrameReader, WriteQueue, write_chunks,
};
pub use versions::{ServedVersions, VersionError};
