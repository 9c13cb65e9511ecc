//! What Kafka 4.3.1 answered to odd produce requests and then kept on disk (`tests/peer/produce_cases.py`),
//! against our validation: the same error, the same rejected records, the same bytes.

use bytes::Bytes;
use vltava::protocol::records::{
    BatchHeader, Codec, Compression, HEADER_BYTES, MAX_DECOMPRESSED_BATCH_BYTES, RecordBatch, TimestampType,
    ValidationRules, decompress, validate,
};
use vltava::types::{LeaderEpoch, Offset, Timestamp};

const CASES: &str = include_str!("../vectors/produce_cases.txt");

/// The rules of a topic with this configuration, for this version of Produce.
fn rules(configs: &[&str], version: i16) -> ValidationRules {
    let mut rules = ValidationRules {
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        compression: None,
        compacted: false,
        max_message_bytes: 1_048_588,
        max_decompressed_bytes: MAX_DECOMPRESSED_BATCH_BYTES,
        zstd_allowed: version >= 7,
    };
    for config in configs {
        match config.split_once('=').unwrap() {
            ("message.timestamp.type", "LogAppendTime") => {
                rules.timestamp_type = TimestampType::LogAppendTime
            }
            ("message.timestamp.before.max.ms", ms) => rules.timestamp_before_max_ms = ms.parse().unwrap(),
            ("message.timestamp.after.max.ms", ms) => rules.timestamp_after_max_ms = ms.parse().unwrap(),
            ("cleanup.policy", "compact") => rules.compacted = true,
            ("compression.type", "gzip") => rules.compression = Some(Compression::new(Codec::Gzip)),
            ("compression.type", "uncompressed") => rules.compression = Some(Compression::NONE),
            ("max.message.bytes", bytes) => rules.max_message_bytes = bytes.parse().unwrap(),
            (name, value) => panic!("the test does not know {name}={value}"),
        }
    }
    rules
}

fn bytes(field: &str) -> Bytes {
    let pairs = field.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    if field == "-" {
        Bytes::new()
    } else {
        pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    }
}

/// Equal bytes; or, where both were compressed anew, equal bytes before compression and equal headers.
fn assert_same(ours: &RecordBatch, kafkas: &RecordBatch, recompressed: bool, line: &str) {
    if !recompressed {
        assert_eq!(ours, kafkas, "{line}");
        return;
    }
    let header = |batch: &RecordBatch| BatchHeader { batch_length: 0, crc: 0, ..*batch.header() };
    let plain = |batch: &RecordBatch| {
        let codec = batch.header().attributes.codec().unwrap();
        decompress(codec, &batch.bytes().slice(HEADER_BYTES..), MAX_DECOMPRESSED_BATCH_BYTES).unwrap()
    };
    assert_eq!((header(ours), plain(ours)), (header(kafkas), plain(kafkas)), "{line}");
}

#[test]
fn validation_answers_and_keeps_what_kafka_does() {
    let (mut topics, mut accepted, mut refused) = (Vec::new(), 0, 0);
    for line in CASES.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        if let ["topic", name, configs @ ..] = &fields[..] {
            topics.push((*name, configs.to_vec()));
            continue;
        }
        let [topic, version, clock, sent, error, rejected, kept] = fields[..] else { panic!("{line}") };
        let configs = &topics.iter().find(|(name, _)| *name == topic).unwrap().1;
        let rules = rules(configs, version.parse().unwrap());
        let sent = bytes(sent);
        match validate(&sent, &rules, Timestamp(clock.parse().unwrap())) {
            Ok(validated) => {
                assert_eq!(error, "0", "we accept {line}");
                let kafkas = RecordBatch::parse(&bytes(kept)).unwrap();
                let codec = RecordBatch::parse(&sent).unwrap().header().attributes.codec();
                let recompressed = kafkas.header().attributes.codec() != codec;
                assert_same(&validated.to_batch(Offset::ZERO, LeaderEpoch(0)), &kafkas, recompressed, line);
                accepted += 1;
            }
            Err(refusal) => {
                assert_eq!(error, refusal.error_code().code().to_string(), "{refusal}: {line}");
                let ours = refusal.rejected_records().iter().map(|record| record.index.to_string());
                let ours = ours.collect::<Vec<_>>().join(",");
                assert_eq!(rejected.trim_matches('-'), ours, "{refusal}: {line}");
                refused += 1;
            }
        }
    }
    assert!(accepted > 300 && refused > 300, "{accepted} accepted, {refused} refused");
}
