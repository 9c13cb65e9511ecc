//! `cargo fuzz run -s none record_batch`
#![no_main]

#[path = "../checks/record_batch.rs"]
mod record_batch;

libfuzzer_sys::fuzz_target!(|data: &[u8]| record_batch::check(data));
