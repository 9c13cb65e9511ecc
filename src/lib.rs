//! Vltava: Apache Kafka 4.3, on the wire and on the disk, written so that a seeded simulator can run it.
//!
//! Rooms and who may know whom: `specs/architecture.md`; `tests/tidy.rs` holds the table.

pub mod broker;
#[cfg(feature = "real")]
pub mod cli;
pub mod client;
pub mod config;
pub mod connection;
pub mod controller;
pub mod log;
pub mod machine;
pub mod metadata;
pub mod protocol;
pub mod raft;
pub mod replication;
pub mod runtime;
pub mod types;
