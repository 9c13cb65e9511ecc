//! `cargo fuzz run -s none decompress`
#![no_main]

#[path = "../checks/decompress.rs"]
mod decompress;

libfuzzer_sys::fuzz_target!(|data: &[u8]| decompress::check(data));
