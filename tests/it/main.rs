//! Everything that is tested from outside the crate, in one binary: linking many costs more than running one.

mod broker;
mod broker_races;
mod command_line;
mod connection;
mod fuzz_corpus;
mod hostile_frames;
mod kafka_metadata;
mod lives;
mod log_races;
mod pipeline;
mod produce_cases;
mod record_vectors;
mod second_opinion;
mod server;
mod wire_properties;
mod wire_vectors;

// The disk in memory of the log's own tests is compiled here too, and looks for these at the root.
use vltava::{runtime, types};
