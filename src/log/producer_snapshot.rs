//! `<offset>.snapshot`: the producers of a partition as they were in front of that offset.
//!
//! Version 1, big endian: version i16, CRC-32C of everything behind it u32, count i32, then 46 bytes for each
//! producer: id i64, epoch i16, last sequence i32, last offset i64, offset delta i32, timestamp i64,
//! coordinator epoch i32, first offset of the open transaction i64 or -1. Only the last batch of each
//! producer is in it.

use super::error::{LogError, MalformedFile, OnPath};
use super::producer_state::{ProducerState, ProducerStates, SentBatch, is_expired};
use crate::runtime::{Disk, OpenOptions};
use crate::types::{Offset, ProducerEpoch, ProducerId, Timestamp, crc32c};
use std::io;
use std::path::Path;

const VERSION: [u8; 2] = [0, 1];
const CRC_START: usize = 2;
const CRC_END: usize = 6;
const HEADER_BYTES: usize = 10;
const ENTRY_BYTES: usize = 46;
/// The largest snapshot that is read, some 11 million producers.
const MAX_SNAPSHOT_BYTES: u64 = 512 << 20;

/// The bytes of a snapshot of `producers`.
pub fn to_bytes(producers: &ProducerStates) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + producers.len() * ENTRY_BYTES);
    bytes.extend_from_slice(&VERSION);
    bytes.extend_from_slice(&[0; CRC_END - CRC_START]);
    bytes.extend_from_slice(&(producers.len() as i32).to_be_bytes());
    for (id, state) in producers.iter() {
        let (sequence, offset, delta) = match state.last_batch() {
            Some(batch) => (batch.last_sequence, batch.last_offset.0, batch.offset_delta),
            None => (-1, -1, 0),
        };
        bytes.extend_from_slice(&id.0.to_be_bytes());
        bytes.extend_from_slice(&state.epoch.0.to_be_bytes());
        bytes.extend_from_slice(&sequence.to_be_bytes());
        bytes.extend_from_slice(&offset.to_be_bytes());
        bytes.extend_from_slice(&delta.to_be_bytes());
        bytes.extend_from_slice(&state.last_timestamp.0.to_be_bytes());
        bytes.extend_from_slice(&state.coordinator_epoch.to_be_bytes());
        bytes.extend_from_slice(&state.transaction_start.map_or(-1, |offset| offset.0).to_be_bytes());
    }
    let crc = crc32c(&bytes[CRC_END..]);
    bytes[CRC_START..CRC_END].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// The producers in the bytes of a snapshot, without those that would be forgotten at once; or what is wrong
/// with them.
pub fn parse(bytes: &[u8], now: Timestamp, expiration_ms: i64) -> Result<ProducerStates, &'static str> {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return Err("its header is cut short") };
    if header[..CRC_START] != VERSION {
        return Err("version 1 was expected");
    }
    if crc32c(&bytes[CRC_END..]) != u32::from_be_bytes(*header[CRC_START..].first_chunk().expect("4 of 10")) {
        return Err("its CRC does not match");
    }
    let count = i32::from_be_bytes(*header[CRC_END..].first_chunk().expect("4 of 10"));
    let entries = &bytes[HEADER_BYTES..];
    if usize::try_from(count).ok().and_then(|count| count.checked_mul(ENTRY_BYTES)) != Some(entries.len()) {
        return Err("its length does not match its count");
    }
    let mut producers = ProducerStates::default();
    for entry in entries.chunks_exact(ENTRY_BYTES) {
        let (id, state) = parse_entry(entry);
        if !is_expired(&state, now, expiration_ms) {
            producers.insert(id, state);
        }
    }
    Ok(producers)
}

fn parse_entry(entry: &[u8]) -> (ProducerId, ProducerState) {
    let long = |at: usize| i64::from_be_bytes(entry[at..at + 8].try_into().expect("8 of 46"));
    let int = |at: usize| i32::from_be_bytes(entry[at..at + 4].try_into().expect("4 of 46"));
    let mut state = ProducerState::new(ProducerEpoch(i16::from_be_bytes([entry[8], entry[9]])));
    let timestamp = Timestamp(long(26));
    let last_offset = Offset(long(14));
    if last_offset >= Offset::ZERO {
        let batch = SentBatch { last_sequence: int(10), last_offset, offset_delta: int(22), timestamp };
        state.note_batch(state.epoch, batch);
    }
    state.last_timestamp = timestamp;
    state.coordinator_epoch = int(34);
    state.transaction_start = Some(Offset(long(38))).filter(|&first| first >= Offset::ZERO);
    (ProducerId(long(0)), state)
}

/// Writes a snapshot, without syncing it: a flush does that before the recovery point passes it.
pub(super) fn write(disk: &dyn Disk, path: &Path, producers: &ProducerStates) -> Result<(), LogError> {
    let file = disk.open(path, OpenOptions::CREATE_TRUNCATED).on("create", path)?;
    let written = file.write_at(&to_bytes(producers), 0);
    if written.is_err() {
        let _ = disk.remove(path);
    }
    written.on("write to", path)
}

/// Reads a snapshot. A malformed one is an error that the caller answers by taking an older one.
pub(super) fn read(
    disk: &dyn Disk,
    path: &Path,
    now: Timestamp,
    expiration_ms: i64,
) -> Result<ProducerStates, LogError> {
    let bytes = match disk.read(path, MAX_SNAPSHOT_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(MalformedFile::new(path, 0, error.to_string()).into());
        }
        Err(error) => return Err(LogError::io("read", path, error)),
    };
    parse(&bytes, now, expiration_ms).map_err(|reason| MalformedFile::new(path, 0, reason).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NEVER: i64 = i64::MAX;

    prop_compose! {
        fn producer()(
            id in 0..i64::MAX, epoch in 0..i16::MAX, sequence in 0..i32::MAX, offset in 0..i64::MAX,
            delta in 0..1000, timestamp in 0..i64::MAX, coordinator_epoch in -1..9,
            open in prop::option::of(0..i64::MAX), sent: bool,
        ) -> (ProducerId, ProducerState) {
            let mut state = ProducerState::new(ProducerEpoch(epoch));
            if sent {
                let batch = SentBatch {
                    last_sequence: sequence,
                    last_offset: Offset(offset),
                    offset_delta: delta,
                    timestamp: Timestamp(timestamp),
                };
                state.note_batch(state.epoch, batch);
            }
            state.last_timestamp = Timestamp(timestamp);
            state.coordinator_epoch = coordinator_epoch;
            state.transaction_start = open.map(Offset);
            (ProducerId(id), state)
        }
    }

    proptest! {
        #[test]
        fn producers_survive_their_bytes(all in prop::collection::vec(producer(), 0..9)) {
            let mut producers = ProducerStates::default();
            for (id, state) in all {
                producers.insert(id, state);
            }
            let bytes = to_bytes(&producers);
            prop_assert_eq!(bytes.len(), HEADER_BYTES + producers.len() * ENTRY_BYTES);
            prop_assert_eq!(parse(&bytes, Timestamp(0), NEVER), Ok(producers));
        }
    }

    #[test]
    fn without_producers_there_are_ten_bytes() {
        let bytes = to_bytes(&ProducerStates::default());
        assert_eq!((&bytes[..2], &bytes[6..]), (&[0, 1][..], &[0, 0, 0, 0][..]));
        assert_eq!(bytes[2..6], crc32c(&[0; 4]).to_be_bytes());
    }

    #[test]
    fn what_is_no_snapshot_is_refused() {
        let mut producers = ProducerStates::default();
        producers.insert(ProducerId(7), ProducerState::new(ProducerEpoch(1)));
        let bytes = to_bytes(&producers);
        for at in 0..bytes.len() {
            let mut spoiled = bytes.clone();
            spoiled[at] ^= 4;
            assert!(parse(&spoiled, Timestamp(0), NEVER).is_err(), "byte {at}");
            assert!(parse(&bytes[..at], Timestamp(0), NEVER).is_err(), "{at} bytes");
        }
        let mut longer = bytes.clone();
        longer.extend_from_slice(&[0; ENTRY_BYTES]);
        let crc = crc32c(&longer[CRC_END..]);
        longer[CRC_START..CRC_END].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(parse(&longer, Timestamp(0), NEVER), Err("its length does not match its count"));
        let forgotten = parse(&bytes, Timestamp(1000), 500).unwrap();
        assert!(forgotten.is_empty(), "a producer that is idle for longer than the expiration");
    }
}
