//! Batches and their records against any bytes. The first byte chooses a topic's rules; the rest is read as
//! it is, and once more as a batch whose length, magic and CRC were set right, so that what lies behind those
//! checks is reached.

use bytes::Bytes;
use vltava::protocol::records::{
    BatchHeader, Codec, Compression, ControlRecord, EndTransactionMarker, HEADER_BYTES, MAGIC, RecordBatch,
    TimestampType, ValidationRules, batches, validate,
};
use vltava::types::{LeaderEpoch, Offset, Timestamp, crc32c};

/// Small enough that a bomb does not slow the fuzzer down.
const MAX_DECOMPRESSED_BYTES: usize = 1 << 20;
const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// Fails where reading or validating `data` breaks a promise.
pub fn check(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    let rules = rules(*choice);
    let bytes = Bytes::copy_from_slice(data);
    walk(&bytes);
    produce(&bytes, &rules);
    if let Some(repaired) = repaired(data) {
        walk(&repaired);
        produce(&repaired, &rules);
    }
}

fn rules(choice: u8) -> ValidationRules {
    let append_time = choice & 0x08 != 0;
    ValidationRules {
        timestamp_type: if append_time { TimestampType::LogAppendTime } else { TimestampType::CreateTime },
        timestamp_before_max_ms: if choice & 0x10 != 0 { 1_000 } else { i64::MAX },
        timestamp_after_max_ms: if choice & 0x20 != 0 { 1_000 } else { i64::MAX },
        compression: Codec::from_id(choice & 0x07).map(Compression::new),
        compacted: choice & 0x40 != 0,
        max_message_bytes: 1 << 20,
        max_decompressed_bytes: MAX_DECOMPRESSED_BYTES,
        zstd_allowed: choice & 0x80 == 0,
    }
}

/// Every batch and record can be looked at in every way that readers have.
fn walk(bytes: &Bytes) {
    let mut walked = batches(bytes);
    let mut size = 0;
    for batch in walked.by_ref() {
        let Ok(batch) = batch else { break };
        size += batch.size_in_bytes();
        let _ = batch.verify_crc();
        let header = batch.header();
        assert_eq!(BatchHeader::parse_size(batch.bytes()), Ok(batch.size_in_bytes()));
        assert!(header.magic < MAGIC || header.to_bytes()[..] == batch.bytes()[..HEADER_BYTES]);
        let _ = (header.last_sequence(), header.next_offset(), header.delete_horizon(), batch.base_offset());
        let Ok(records) = batch.records() else { continue };
        for record in records {
            let Ok(record) = record else { break };
            assert_eq!(record.headers.iter().count(), record.headers.len());
            let _ = (ControlRecord::parse(&record), EndTransactionMarker::parse(&record));
        }
    }
    assert_eq!(walked.position(), size);
    assert!(size <= bytes.len());
}

/// What validation accepts is readable to the end, has a true max timestamp, and is accepted again unchanged.
fn produce(bytes: &Bytes, rules: &ValidationRules) {
    let Ok(validated) = validate(bytes, rules, NOW) else { return };
    let kept = validated.to_batch(Offset(77), LeaderEpoch(3));
    assert_eq!(kept.verify_crc(), Ok(()));
    assert_eq!(RecordBatch::parse(kept.bytes()), Ok(kept.clone()));
    let records: Result<Vec<_>, _> = kept.records().expect("records that were validated").collect();
    let records = records.expect("records that were validated");
    assert_eq!(records.len(), usize::try_from(kept.header().record_count).unwrap());
    let max = records.iter().map(|record| record.timestamp).max().expect("at least one record");
    // Where a claim of append time is cleared, the claimed time stays the batch's maximum, in Kafka too.
    let sent = RecordBatch::parse(bytes).expect("it was validated");
    if sent.header().attributes.timestamp_type() == TimestampType::LogAppendTime {
        return;
    }
    assert_eq!(kept.header().max_timestamp, max.max(Timestamp::NONE));
    if rules.timestamp_type == TimestampType::CreateTime {
        let again = validated.to_batch(Offset::ZERO, LeaderEpoch::NONE);
        let twice = validate(again.bytes(), rules, NOW).expect("what was accepted once");
        assert_eq!(twice.to_batch(Offset::ZERO, LeaderEpoch::NONE), again);
    }
}

/// The bytes as one batch of magic 2 with base offset 0, its own length and the CRC of its bytes.
fn repaired(data: &[u8]) -> Option<Bytes> {
    if data.len() < HEADER_BYTES {
        return None;
    }
    let mut bytes = data.to_vec();
    let length = u32::try_from(bytes.len() - 12).ok()?;
    bytes[..8].fill(0);
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[16] = MAGIC as u8;
    let crc = crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    Some(bytes.into())
}
