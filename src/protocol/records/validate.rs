//! What a leader checks before it appends what a client produced, and how it changes the batch (KIP-98,
//! KIP-467, KIP-937).
//!
//! Invariant: a [`ValidatedBatch`] is one whole batch of magic 2 with a right CRC, a record count that its
//! records bear out, a true max timestamp, and the codec and timestamp type of its topic. Which offset it
//! gets, whether its producer may write and whether the segment has room are for the log to say.
//!
//! The order of the checks and their results are those of Kafka 4.3, observed on a running broker, but for
//! these: record lengths that disagree with the records inside compressed batches are refused, for no
//! consumer could read them; a varint that is too long, and a batch that announces 2 GiB, are invalid records
//! rather than unknown errors; negative timestamps survive a change of codec; decompression is bounded.
//!
//! As in Kafka, a claim of append time on a topic of create time is cleared, the claimed time stays max
//! timestamp.

use super::batch::{RecordBatch, batches};
use super::builder::{BatchBuilder, Header};
use super::codec::{Codec, CodecError, Compression, decompress};
use super::header::{BatchHead, BatchHeader, CRC_START, HEAD_BYTES, HEADER_BYTES, MAGIC, TimestampType};
use super::record::{RecordError, RecordViews};
use super::refusal::{RecordRejection, RejectedRecord, ValidationError};
use super::scan::{Scanned, scan};
use crate::types::{Crc32c, LeaderEpoch, Offset, Timestamp};
use bytes::{Bytes, BytesMut};

/// Rejected records are told one by one up to this many; Kafka tells all of them.
const MAX_REJECTED_RECORDS: usize = 10_000;

/// A topic's rules for what is produced to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidationRules {
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far behind the broker's clock a record may lie.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far ahead of it.
    pub timestamp_after_max_ms: i64,
    /// `compression.type` with its level; none keeps what the producer chose.
    pub compression: Option<Compression>,
    /// Whether `cleanup.policy` names compact: then every record needs a key.
    pub compacted: bool,
    /// `max.message.bytes`: the largest batch, as sent and as kept.
    pub max_message_bytes: usize,
    /// What a batch may decompress to, in bytes; see [`super::MAX_DECOMPRESSED_BATCH_BYTES`].
    pub max_decompressed_bytes: usize,
    /// Whether the request may bring zstd: Produce from version 7 on (KIP-110).
    pub zstd_allowed: bool,
}

/// A batch that may be appended as it is, once it has an offset and a leader epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatedBatch {
    header: BatchHeader,
    /// The bytes that are written as they are, behind a rewritten front of 16 or 61 bytes.
    rest: Bytes,
}

impl ValidatedBatch {
    /// A batch that this process made, and that no client's rules apply to: markers, records of coordinators.
    pub fn made_here(batch: &RecordBatch) -> ValidatedBatch {
        ValidatedBatch { header: *batch.header(), rest: batch.bytes().slice(HEAD_BYTES..) }
    }

    /// The header as it will be kept, but for base offset and leader epoch: producer, sequences, record
    /// count, max timestamp (the time of the append where the topic has that).
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Size of the batch in bytes.
    pub fn size_in_bytes(&self) -> usize {
        self.header.size_in_bytes()
    }

    /// The time of the append where the topic's records carry it, for the answer to the producer.
    pub fn log_append_time(&self) -> Option<Timestamp> {
        let append_time = self.header.attributes.timestamp_type() == TimestampType::LogAppendTime;
        append_time.then_some(self.header.max_timestamp)
    }

    /// The bytes to append, in two pieces for one vectored write, and the header that they hold.
    pub fn at(&self, base_offset: Offset, leader_epoch: LeaderEpoch) -> (BatchHeader, BatchHead, &Bytes) {
        let header = BatchHeader { base_offset, partition_leader_epoch: leader_epoch, ..self.header };
        let untouched = self.header.size_in_bytes() - self.rest.len() == HEAD_BYTES;
        let head = if untouched { BatchHead::short(&header) } else { BatchHead::full(&header) };
        debug_assert_eq!(head.len() + self.rest.len(), header.size_in_bytes());
        (header, head, &self.rest)
    }

    /// The batch in one piece, at this offset: a copy.
    pub fn to_batch(&self, base_offset: Offset, leader_epoch: LeaderEpoch) -> RecordBatch {
        let (header, head, rest) = self.at(base_offset, leader_epoch);
        let mut bytes = BytesMut::with_capacity(header.size_in_bytes());
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(rest);
        RecordBatch::from_parts(header, bytes.freeze())
    }
}

/// Checks what a client sent for one partition, and gives it the form in which it is kept. `now` is the
/// broker's clock. A few stray bytes behind the batch that do not make another one are cut off, as Kafka
/// does.
pub fn validate(
    records: &Bytes,
    rules: &ValidationRules,
    now: Timestamp,
) -> Result<ValidatedBatch, ValidationError> {
    let batch = only_batch(records, rules.zstd_allowed)?;
    let header = batch.header();
    check_header_before_crc(header, rules)?;
    batch.verify_crc().map_err(ValidationError::Corrupt)?;
    let codec = header.attributes.codec();
    let codec = codec.ok_or(RecordError::Codec(CodecError::Unknown(header.attributes.codec_id())))?;
    check_header(header)?;

    let target = rules.compression.unwrap_or(Compression::new(codec));
    let seen = check_records(&batch, codec, rules, now)?;
    if codec == target.codec() {
        if codec != Codec::None && !seen.consecutive {
            return Err(ValidationError::InnerOffsets);
        }
        return Ok(in_place(&batch, rules, now, seen.max_timestamp));
    }
    let validated = recompressed(&batch, codec, target, rules, now)?;
    check_size(validated.size_in_bytes(), rules)?;
    Ok(validated)
}

/// The one batch in `records`. What follows it may be the beginning of another, but not a whole one, nor
/// something else that is long enough to tell.
fn only_batch(records: &Bytes, zstd_allowed: bool) -> Result<RecordBatch, ValidationError> {
    let mut walk = batches(records);
    let first = walk.next().ok_or(ValidationError::NoBatch)?.map_err(ValidationError::Corrupt)?;
    let header = first.header();
    if header.magic != MAGIC {
        return Err(ValidationError::OldMagic(header.magic));
    }
    if !zstd_allowed && header.attributes.codec() == Some(Codec::Zstd) {
        return Err(ValidationError::ZstdNotAllowed);
    }
    match walk.next() {
        None => Ok(first),
        Some(Ok(_)) => Err(ValidationError::MoreThanOneBatch),
        Some(Err(error)) => Err(ValidationError::Corrupt(error)),
    }
}

fn check_header_before_crc(header: &BatchHeader, rules: &ValidationRules) -> Result<(), ValidationError> {
    if header.base_offset != Offset::ZERO {
        return Err(ValidationError::BaseOffset(header.base_offset));
    }
    check_size(header.size_in_bytes(), rules)
}

fn check_size(size: usize, rules: &ValidationRules) -> Result<(), ValidationError> {
    let max = rules.max_message_bytes;
    if size > max { Err(ValidationError::TooLarge { size, max }) } else { Ok(()) }
}

fn check_header(header: &BatchHeader) -> Result<(), ValidationError> {
    let (count, last_offset_delta) = (header.record_count, header.last_offset_delta);
    if count <= 0 || last_offset_delta != count - 1 {
        return Err(ValidationError::BadCount { count, last_offset_delta });
    }
    if header.attributes.is_control() {
        return Err(ValidationError::Control);
    }
    if header.has_producer_id() && header.base_sequence < 0 {
        let (producer_id, base_sequence) = (header.producer_id.0, header.base_sequence);
        return Err(ValidationError::BadSequence { producer_id, base_sequence });
    }
    Ok(())
}

/// What the walk over the records found out.
struct Seen {
    max_timestamp: Timestamp,
    /// Whether the offset deltas are 0, 1, 2 ..
    consecutive: bool,
}

fn check_records(
    batch: &RecordBatch,
    codec: Codec,
    rules: &ValidationRules,
    now: Timestamp,
) -> Result<Seen, ValidationError> {
    let header = batch.header();
    let mut seen = Seen { max_timestamp: Timestamp::NONE, consecutive: true };
    let mut rejected = Vec::new();
    let mut index = 0;
    scan(&batch.payload(), codec, header.record_count, rules.max_decompressed_bytes, |record| {
        let timestamp = header.record_timestamp(record.timestamp_delta);
        match check_record(header, record, timestamp, rules, now) {
            None => {
                seen.max_timestamp = seen.max_timestamp.max(timestamp);
                seen.consecutive &= record.offset_delta == index;
            }
            Some(reason) if rejected.len() < MAX_REJECTED_RECORDS => {
                rejected.push(RejectedRecord { index, reason });
            }
            Some(_) => {}
        }
        index += 1;
    })?;
    if rejected.is_empty() { Ok(seen) } else { Err(ValidationError::Rejected(rejected)) }
}

#[inline]
fn check_record(
    header: &BatchHeader,
    record: Scanned,
    timestamp: Timestamp,
    rules: &ValidationRules,
    now: Timestamp,
) -> Option<RecordRejection> {
    if rules.compacted && !record.has_key {
        return Some(RecordRejection::NoKey);
    }
    if rules.timestamp_type == TimestampType::CreateTime && timestamp != Timestamp::NONE {
        // Wrapping, so that a timestamp too far off to be told from the clock counts as ahead of it.
        let behind = now.0.wrapping_sub(timestamp.0);
        let bad =
            behind > rules.timestamp_before_max_ms || behind.wrapping_neg() > rules.timestamp_after_max_ms;
        return bad.then(|| RecordRejection::TimestampOutOfRange {
            timestamp,
            earliest: Timestamp(now.0.saturating_sub(rules.timestamp_before_max_ms)),
            latest: now + rules.timestamp_after_max_ms,
        });
    }
    let claimed = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
    claimed.then_some(RecordRejection::TimestampType)
}

/// Keeps the records as they came; rewrites timestamp type and max timestamp where they are not what they
/// should be.
fn in_place(
    batch: &RecordBatch,
    rules: &ValidationRules,
    now: Timestamp,
    true_max: Timestamp,
) -> ValidatedBatch {
    let header = batch.header();
    let max_timestamp = if rules.timestamp_type == TimestampType::LogAppendTime { now } else { true_max };
    if header.attributes.timestamp_type() == rules.timestamp_type && header.max_timestamp == max_timestamp {
        return ValidatedBatch { header: *header, rest: batch.bytes().slice(HEAD_BYTES..) };
    }
    let attributes = header.attributes.known().with_timestamp_type(rules.timestamp_type);
    let mut header = BatchHeader { attributes, max_timestamp, ..*header };
    let rest = batch.bytes().slice(HEADER_BYTES..);
    let mut crc = Crc32c::default();
    crc.update(&header.to_bytes()[CRC_START..]);
    crc.update(&rest);
    header.crc = crc.value();
    ValidatedBatch { header, rest }
}

/// Writes the records anew with the topic's codec, numbered from 0.
fn recompressed(
    batch: &RecordBatch,
    codec: Codec,
    target: Compression,
    rules: &ValidationRules,
    now: Timestamp,
) -> Result<ValidatedBatch, ValidationError> {
    let header = batch.header();
    let plain =
        decompress(codec, &batch.payload(), rules.max_decompressed_bytes).map_err(RecordError::Codec)?;
    let mut builder = BatchBuilder::new(target)
        .producer(header.producer_id, header.producer_epoch, header.base_sequence)
        .transactional(header.attributes.is_transactional());
    if rules.timestamp_type == TimestampType::LogAppendTime {
        builder = builder.log_append_time(now);
    }
    let mut headers: Vec<Header<'_>> = Vec::new();
    for view in RecordViews::new(&plain, header.record_count)? {
        let view = view?;
        headers.clear();
        headers.extend(view.headers());
        builder.append(header.record_timestamp(view.timestamp_delta), view.key, view.value, &headers);
    }
    Ok(ValidatedBatch::made_here(&builder.build()))
}

#[cfg(test)]
mod tests {
    use super::super::codec::{MAX_DECOMPRESSED_BATCH_BYTES, compress};
    use super::*;
    use crate::types::{ErrorCode, ProducerEpoch, ProducerId};
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn rules() -> ValidationRules {
        ValidationRules {
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            compression: None,
            compacted: false,
            max_message_bytes: 1_048_588,
            max_decompressed_bytes: MAX_DECOMPRESSED_BATCH_BYTES,
            zstd_allowed: true,
        }
    }

    fn batch(compression: Compression, timestamps: &[i64]) -> RecordBatch {
        let mut builder = BatchBuilder::new(compression).producer(ProducerId(9), ProducerEpoch(1), 70);
        for timestamp in timestamps {
            builder.append(Timestamp(*timestamp), Some(b"key"), Some(b"value"), &[]);
        }
        builder.build()
    }

    /// The batch with some fields of its header changed, and a CRC that is right again.
    fn altered(batch: &RecordBatch, change: impl FnOnce(&mut BatchHeader)) -> Bytes {
        let mut header = *batch.header();
        change(&mut header);
        let mut crc = Crc32c::default();
        crc.update(&header.to_bytes()[CRC_START..]);
        crc.update(&batch.payload());
        header.crc = crc.value();
        [&header.to_bytes()[..], &batch.payload()].concat().into()
    }

    fn with_payload(compression: Compression, plain: &[u8], count: i32) -> Bytes {
        let template = batch(compression, &[NOW.0]);
        let mut payload = Vec::new();
        compress(compression, plain, &mut payload);
        let mut header = *template.header();
        header.record_count = count;
        header.last_offset_delta = count - 1;
        header.batch_length = (HEADER_BYTES - 12 + payload.len()) as i32;
        let mut crc = Crc32c::default();
        crc.update(&header.to_bytes()[CRC_START..]);
        crc.update(&payload);
        header.crc = crc.value();
        [&header.to_bytes()[..], &payload].concat().into()
    }

    fn refused(records: &Bytes, rules: &ValidationRules) -> (ErrorCode, bool) {
        let error = validate(records, rules, NOW).unwrap_err();
        (error.error_code(), error.carries_log_start_offset())
    }

    #[test]
    fn a_good_batch_is_kept_byte_by_byte_behind_a_new_head() {
        for codec in Codec::ALL {
            let sent = batch(Compression::new(codec), &[NOW.0, NOW.0 + 5]);
            let validated = validate(sent.bytes(), &rules(), NOW).unwrap();
            let (_, head, rest) = validated.at(Offset(44), LeaderEpoch(3));
            assert_eq!(head.len(), HEAD_BYTES, "{codec}");
            assert_eq!(rest.as_ptr(), sent.bytes()[HEAD_BYTES..].as_ptr(), "nothing was copied");
            assert_eq!(
                validated.to_batch(Offset(44), LeaderEpoch(3)),
                sent.with_offset(Offset(44), LeaderEpoch(3))
            );
            assert_eq!((validated.header().base_sequence, validated.header().last_sequence()), (70, 71));
            assert_eq!(validated.log_append_time(), None);
        }
    }

    #[test]
    fn framing_decides_before_the_records_are_looked_at() {
        let sent = batch(Compression::NONE, &[NOW.0]).into_bytes();
        let joined = |tail: &[u8]| Bytes::from([&sent[..], tail].concat());
        let invalid = (ErrorCode::InvalidRecord, false);
        let corrupt = (ErrorCode::CorruptMessage, false);
        for (records, expected) in [
            (Bytes::new(), invalid),
            (sent.slice(..sent.len() - 1), invalid),
            (joined(&sent), invalid),
            (joined(&[0; 12]), corrupt),
            (joined(&[0; 40]), corrupt),
        ] {
            assert_eq!(refused(&records, &rules()), expected);
        }
        let half_a_batch = &sent[..sent.len() - 1];
        for tail in [&[0; 11][..], half_a_batch, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20]] {
            assert!(validate(&joined(tail), &rules(), NOW).is_ok());
        }
        let mut old = sent.to_vec();
        old[16] = 1;
        assert_eq!(refused(&old.clone().into(), &rules()), invalid);
        old[16] = 3;
        assert_eq!(refused(&old.into(), &rules()), corrupt);
        let mut bad_crc = sent.to_vec();
        bad_crc[70] ^= 1;
        assert_eq!(refused(&bad_crc.into(), &rules()), corrupt);
    }

    #[test]
    fn headers_that_clients_may_not_send_are_refused() {
        let sent = batch(Compression::NONE, &[NOW.0, NOW.0]);
        let changes: [fn(&mut BatchHeader); 9] = [
            |header| header.base_offset = Offset(1),
            |header| header.record_count = 3,
            |header| header.last_offset_delta = 5,
            |header| header.record_count = 0,
            |header| (header.record_count, header.last_offset_delta) = (0, -1),
            |header| (header.record_count, header.last_offset_delta) = (-1, -2),
            |header| (header.record_count, header.last_offset_delta) = (1, 0),
            |header| header.attributes = header.attributes.with_control(true),
            |header| header.base_sequence = -1,
        ];
        for change in changes {
            assert_eq!(refused(&altered(&sent, change), &rules()), (ErrorCode::InvalidRecord, true));
        }
        let unknown_codec = altered(&sent, |header| header.attributes.0 |= 5);
        assert_eq!(refused(&unknown_codec, &rules()), (ErrorCode::UnknownServerError, true));
        let no_producer = altered(&sent, |header| header.producer_id = ProducerId(-2));
        assert!(validate(&no_producer, &rules(), NOW).is_ok());
    }

    #[test]
    fn unknown_attribute_bits_stay_until_the_attributes_are_rewritten() {
        let sent = batch(Compression::NONE, &[NOW.0]);
        let kept = altered(&sent, |header| header.attributes.0 |= 0x7c0);
        let kept = validate(&kept, &rules(), NOW).unwrap();
        assert_eq!(kept.header().attributes.0, 0x7c0);
        let rewritten = altered(&sent, |header| {
            header.attributes.0 |= 0x7c0;
            header.max_timestamp = Timestamp(5);
        });
        let rewritten = validate(&rewritten, &rules(), NOW).unwrap();
        assert_eq!((rewritten.header().attributes.0, rewritten.header().max_timestamp), (0x40, NOW));
        assert_eq!(rewritten.to_batch(Offset(3), LeaderEpoch(0)).verify_crc(), Ok(()));
    }

    #[test]
    fn append_time_is_the_brokers_and_its_claim_is_cleared_or_refused() {
        let append_time = ValidationRules { timestamp_type: TimestampType::LogAppendTime, ..rules() };
        for codec in [Codec::None, Codec::Gzip] {
            let sent = batch(Compression::new(codec), &[NOW.0, NOW.0 + 9]);
            let validated = validate(sent.bytes(), &append_time, NOW).unwrap();
            assert_eq!(validated.log_append_time(), Some(NOW));
            let kept = validated.to_batch(Offset(7), LeaderEpoch(1));
            assert_eq!(kept.verify_crc(), Ok(()));
            assert!(kept.records().unwrap().all(|record| record.unwrap().timestamp == NOW));

            let claimed = altered(&sent, |header| {
                header.attributes = header.attributes.with_timestamp_type(TimestampType::LogAppendTime);
            });
            let cleared = validate(&claimed, &rules(), NOW).unwrap();
            assert_eq!(cleared.header().attributes.timestamp_type(), TimestampType::CreateTime);
            assert_eq!(cleared.to_batch(Offset(7), LeaderEpoch(1)).verify_crc(), Ok(()));
            assert_eq!(refused(&claimed, &append_time), (ErrorCode::InvalidTimestamp, true));
        }
    }

    #[test]
    fn records_that_break_the_topics_rules_are_named() {
        let limits = ValidationRules { timestamp_before_max_ms: 1_000, compacted: true, ..rules() };
        for codec in Codec::ALL {
            let mut builder = BatchBuilder::new(Compression::new(codec));
            for (age, key) in [(0, Some(&b""[..])), (0, None), (1_001, None), (1_000, Some(b"k"))] {
                builder.append(Timestamp(NOW.0 - age), key, None, &[]);
            }
            builder.append(Timestamp::NONE, Some(b"k"), None, &[]);
            let mut sent = builder.clone();
            let error = validate(sent.build().bytes(), &limits, NOW).unwrap_err();
            assert_eq!(error.error_code(), ErrorCode::InvalidRecord);
            let no_key = |index| RejectedRecord { index, reason: RecordRejection::NoKey };
            assert_eq!(error.rejected_records(), [no_key(1), no_key(2)]);

            sent = builder;
            sent.append(Timestamp(NOW.0 + 3_600_001), Some(b"k"), None, &[]);
            sent.append(Timestamp(i64::MIN), Some(b"k"), None, &[]);
            let error = validate(sent.build().bytes(), &limits, NOW).unwrap_err();
            assert_eq!(error.error_code(), ErrorCode::InvalidTimestamp);
            assert_eq!(
                error.rejected_records().iter().map(|record| record.index).collect::<Vec<_>>(),
                [1, 2, 5, 6]
            );
        }
    }

    #[test]
    fn offsets_inside_must_be_consecutive_only_where_the_compressed_bytes_are_kept() {
        let mut records = Vec::new();
        for (offset_delta, value) in [(5_u8, b'a'), (3, b'b')] {
            records.extend_from_slice(&[14, 0, 0, offset_delta * 2, 1, 2, value, 0]);
        }
        for source in [Codec::None, Codec::Snappy, Codec::Zstd] {
            let sent = with_payload(Compression::new(source), &records, 2);
            let kept = validate(&sent, &rules(), NOW);
            assert_eq!(kept.is_ok(), source == Codec::None, "{source}");
            let gzip = ValidationRules { compression: Some(Compression::new(Codec::Gzip)), ..rules() };
            let kept = validate(&sent, &gzip, NOW).unwrap().to_batch(Offset(10), LeaderEpoch(0));
            let offsets = kept.records().unwrap().map(|record| record.unwrap().offset.0);
            assert_eq!(offsets.collect::<Vec<_>>(), [10, 11], "{source}");
        }
    }

    #[test]
    fn malformed_records_are_refused_whatever_the_codec() {
        let good = batch(Compression::NONE, &[NOW.0]).payload();
        for codec in Codec::ALL {
            for plain in [
                &good[..good.len() - 1],
                &[&good[..], &[0]].concat(),
                &[&[1][..], &good[1..]].concat(),
                &[&[good[0] + 2][..], &good[1..], &[0]].concat(),
                &[],
            ] {
                let sent = with_payload(Compression::new(codec), plain, 1);
                assert_eq!(refused(&sent, &rules()), (ErrorCode::InvalidRecord, true), "{codec} {plain:?}");
            }
        }
        let mut damaged = with_payload(Compression::new(Codec::Gzip), &good, 1);
        damaged = altered(&RecordBatch::parse(&damaged).unwrap(), |header| {
            header.attributes = header.attributes.with_codec(Codec::Zstd);
        });
        assert_eq!(refused(&damaged, &rules()), (ErrorCode::UnknownServerError, true));
    }

    #[test]
    fn a_batch_may_not_exceed_the_limit_as_sent_or_as_kept() {
        let mut builder = BatchBuilder::new(Compression::new(Codec::Gzip));
        builder.append(NOW, None, Some(&[b'x'; 600]), &[]);
        let sent = builder.build();
        let mut limit = ValidationRules { max_message_bytes: sent.size_in_bytes(), ..rules() };
        assert!(validate(sent.bytes(), &limit, NOW).is_ok());
        limit.compression = Some(Compression::NONE);
        assert_eq!(refused(sent.bytes(), &limit), (ErrorCode::MessageTooLarge, false));
        limit = ValidationRules { max_message_bytes: sent.size_in_bytes() - 1, ..rules() };
        assert_eq!(refused(sent.bytes(), &limit), (ErrorCode::MessageTooLarge, false));
        let bomb = ValidationRules { max_decompressed_bytes: 500, ..rules() };
        assert_eq!(refused(sent.bytes(), &bomb).0, ErrorCode::MessageTooLarge);
    }

    #[test]
    fn zstd_needs_version_7() {
        let old = ValidationRules { zstd_allowed: false, ..rules() };
        let sent = batch(Compression::new(Codec::Zstd), &[NOW.0]);
        assert_eq!(refused(sent.bytes(), &old), (ErrorCode::UnsupportedCompressionType, false));
        assert!(validate(batch(Compression::NONE, &[NOW.0]).bytes(), &old, NOW).is_ok());
    }

    proptest! {
        /// Whatever is accepted can be read by a consumer, to the end.
        #[test]
        fn what_is_accepted_is_readable(
            at in 0..200_usize, to: u8, codec in 0..5_u8, target in 0..6_u8, append_time: bool,
            compacted: bool,
        ) {
            let sent = batch(Compression::new(Codec::from_id(codec).unwrap()), &[NOW.0, NOW.0 + 5, NOW.0]);
            let mut bytes = sent.bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] = to;
            let bytes = match RecordBatch::parse(&bytes.clone().into()) {
                Ok(damaged) if damaged.header().magic == MAGIC => altered(&damaged, |_| ()),
                _ => bytes.into(),
            };
            let types = [TimestampType::CreateTime, TimestampType::LogAppendTime];
            let timestamp_type = types[usize::from(append_time)];
            let compression = Codec::from_id(target).map(Compression::new);
            let rules = ValidationRules { timestamp_type, compression, compacted, ..rules() };
            if let Ok(validated) = validate(&bytes, &rules, NOW) {
                let kept = validated.to_batch(Offset(5), LeaderEpoch(2));
                prop_assert_eq!(kept.verify_crc(), Ok(()));
                let records: Result<Vec<_>, _> = kept.records().unwrap().collect();
                let max = records.unwrap().iter().map(|record| record.timestamp).max().unwrap();
                let sent = RecordBatch::parse(&bytes).unwrap();
                if sent.header().attributes.timestamp_type() == TimestampType::CreateTime {
                    prop_assert_eq!(kept.header().max_timestamp, max.max(Timestamp::NONE));
                }
            }
        }
    }
}
