//! `cargo fuzz run -s none internal_record`
#![no_main]

#[path = "../checks/internal_record.rs"]
mod internal_record;

libfuzzer_sys::fuzz_target!(|data: &[u8]| internal_record::check(data));
