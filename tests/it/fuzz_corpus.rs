//! What the fuzzers have found worth keeping, replayed: every file in `fuzz/corpus` goes through its target's
//! check.
#![allow(clippy::disallowed_methods, reason = "it reads this repository's files")]

#[path = "../../fuzz/checks/decompress.rs"]
mod decompress;
#[path = "../../fuzz/checks/frame.rs"]
mod frame;
#[path = "../../fuzz/checks/internal_record.rs"]
mod internal_record;
#[path = "../../fuzz/checks/log_directory.rs"]
mod log_directory;
#[path = "../../fuzz/checks/message.rs"]
mod message;
#[path = "../../fuzz/checks/node_files.rs"]
mod node_files;
#[path = "../../fuzz/checks/record_batch.rs"]
mod record_batch;

use std::fs;
use std::path::Path;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 10, "{} holds {} files", folder.display(), files.len());
    for file in files {
        check(&fs::read(&file).unwrap());
    }
}

#[test]
fn record_batch_corpus() {
    replay("record_batch", record_batch::check);
}

#[test]
fn decompress_corpus() {
    replay("decompress", decompress::check);
}

#[test]
fn frame_corpus() {
    replay("frame", frame::check);
}

#[test]
fn request_corpus() {
    replay("request", message::check_request);
}

#[test]
fn response_corpus() {
    replay("response", message::check_response);
}

#[test]
fn internal_record_corpus() {
    replay("internal_record", internal_record::check);
}

#[test]
fn log_directory_corpus() {
    replay("log_directory", log_directory::check);
}

#[test]
fn node_files_corpus() {
    replay("node_files", node_files::check);
}
