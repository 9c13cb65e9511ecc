//! `cargo fuzz run -s none node_files`
#![no_main]

#[path = "../checks/node_files.rs"]
mod node_files;

libfuzzer_sys::fuzz_target!(|data: &[u8]| node_files::check(data));
