//! `cargo fuzz run -s none log_directory`
#![no_main]

use vltava::{runtime, types};

#[path = "../checks/log_directory.rs"]
mod log_directory;

libfuzzer_sys::fuzz_target!(|data: &[u8]| log_directory::check(data));
