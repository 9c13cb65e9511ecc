//! Record batches that Kafka 4.3.1 wrote and described (`tests/peer/RecordVectors.java`): read alike here,
//! and written alike: the same bytes where nothing is compressed, the same bytes before compression where
//! something is.

use bytes::Bytes;
use std::fmt::Write;
use vltava::protocol::records::{
    BatchBuilder, BatchHeader, Codec, Compression, ControlRecord, ControlRecordType, EndTransactionMarker,
    Header, MAX_DECOMPRESSED_BATCH_BYTES, Record, RecordBatch, TimestampType, TransactionResult, batches,
    decompress,
};
use vltava::types::crc32c;

const VECTORS: &str = include_str!("../vectors/record_batches.txt");

struct Case {
    name: &'static str,
    bytes: Bytes,
    description: String,
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in VECTORS.lines() {
        if let Some(name) = line.strip_prefix("case ") {
            cases.push(Case { name, bytes: Bytes::new(), description: String::new() });
            continue;
        }
        let case = cases.last_mut().expect("the file begins with a case");
        match line.strip_prefix("bytes ") {
            Some(hex) => case.bytes = from_hex(hex).into(),
            None => writeln!(case.description, "{line}").unwrap(),
        }
    }
    assert!(cases.len() > 50, "the file holds {} cases", cases.len());
    cases
}

fn from_hex(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn hex(bytes: Option<&[u8]>) -> String {
    match bytes {
        None => "-".to_owned(),
        Some(bytes) if bytes.len() > 64 => format!("{}:{:08x}", bytes.len(), crc32c(bytes)),
        Some(bytes) => bytes.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
    }
}

/// What we read, in the words of the file.
fn describe(bytes: &Bytes) -> String {
    let mut text = String::new();
    for batch in batches(bytes) {
        let batch = batch.unwrap();
        batch.verify_crc().unwrap();
        writeln!(text, "{}", describe_batch(&batch)).unwrap();
        for record in batch.records().unwrap() {
            writeln!(text, "{}", describe_record(&record.unwrap())).unwrap();
        }
    }
    text
}

fn describe_batch(batch: &RecordBatch) -> String {
    let header = batch.header();
    let time = match header.attributes.timestamp_type() {
        TimestampType::CreateTime => "create",
        TimestampType::LogAppendTime => "append",
    };
    let mut text = format!(
        "batch magic={} base={} last={} size={} crc={:08x} codec={} time={time} max_time={}",
        header.magic,
        batch.base_offset(),
        batch.last_offset(),
        batch.size_in_bytes(),
        header.crc,
        header.attributes.codec().unwrap(),
        header.max_timestamp,
    );
    if header.magic == 2 {
        text += &format!(
            " epoch={} base_time={} producer={}/{} sequence={}..{} count={} transactional={} control={} \
             horizon={}",
            header.partition_leader_epoch,
            header.base_timestamp,
            header.producer_id,
            header.producer_epoch,
            header.base_sequence,
            header.last_sequence(),
            header.record_count,
            header.attributes.is_transactional(),
            header.attributes.is_control(),
            header.delete_horizon().map_or("-".to_owned(), |horizon| horizon.to_string()),
        );
    }
    text
}

fn describe_record(record: &Record) -> String {
    let headers =
        record.headers.iter().map(|header| format!(" {}={}", hex(Some(header.name)), hex(header.value)));
    format!(
        "record offset={} time={} key={} value={} headers{}",
        record.offset,
        record.timestamp,
        hex(record.key.as_deref()),
        hex(record.value.as_deref()),
        headers.collect::<String>(),
    )
}

#[test]
fn kafkas_batches_are_read_as_kafka_reads_them() {
    for case in cases() {
        assert_eq!(describe(&case.bytes), case.description, "{}", case.name);
    }
}

/// A batch with the same contents, made by our builder.
fn rebuilt(batch: &RecordBatch, compression: Compression) -> RecordBatch {
    let header = batch.header();
    if header.record_count == 0 {
        return RecordBatch::emptied(header);
    }
    let mut builder = BatchBuilder::new(compression)
        .base_offset(header.base_offset)
        .last_offset(header.last_offset())
        .leader_epoch(header.partition_leader_epoch)
        .producer(header.producer_id, header.producer_epoch, header.base_sequence)
        .transactional(header.attributes.is_transactional())
        .control(header.attributes.is_control());
    if header.attributes.timestamp_type() == TimestampType::LogAppendTime {
        builder = builder.log_append_time(header.max_timestamp);
    }
    if let Some(horizon) = header.delete_horizon() {
        builder = builder.delete_horizon(horizon);
    }
    for (index, record) in batch.records().unwrap().enumerate() {
        let record = record.unwrap();
        let mut timestamp = record.timestamp;
        if header.attributes.timestamp_type() == TimestampType::LogAppendTime {
            // The producer's times, which readers do not see.
            timestamp = header.base_timestamp + 7 * index as i64;
        }
        let headers: Vec<Header<'_>> = record.headers.iter().collect();
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        builder.append_at(record.offset, timestamp, key, value, &headers);
    }
    builder.build()
}

#[test]
fn our_builder_writes_what_kafkas_does() {
    let mut same = 0;
    for case in cases() {
        for batch in batches(&case.bytes).map(Result::unwrap).filter(|batch| batch.header().magic == 2) {
            let codec = batch.header().attributes.codec().unwrap();
            let ours = rebuilt(&batch, Compression::new(codec));
            if codec == Codec::None {
                assert_eq!(ours.bytes(), batch.bytes(), "{}", case.name);
            } else {
                assert_eq!(plain(&ours), plain(&batch), "{}", case.name);
                let without_size = |header: &BatchHeader| BatchHeader { batch_length: 0, crc: 0, ..*header };
                assert_eq!(without_size(ours.header()), without_size(batch.header()), "{}", case.name);
            }
            same += 1;
        }
    }
    assert!(same > 40, "{same} batches were compared");
}

fn plain(batch: &RecordBatch) -> Bytes {
    let codec = batch.header().attributes.codec().unwrap();
    decompress(codec, &batch.payload(), MAX_DECOMPRESSED_BATCH_BYTES).unwrap()
}

#[test]
fn markers_and_control_records_are_told_and_written_as_kafka_does() {
    let expected = [
        ("commit marker", ControlRecordType::Commit),
        ("abort marker", ControlRecordType::Abort),
        ("leader change", ControlRecordType::LeaderChange),
        ("snapshot header", ControlRecordType::SnapshotHeader),
        ("snapshot footer", ControlRecordType::SnapshotFooter),
        ("kraft version", ControlRecordType::KRaftVersion),
    ];
    let cases = cases();
    for (name, control_type) in expected {
        let case = cases.iter().find(|case| case.name == name).unwrap();
        let batch = RecordBatch::parse(&case.bytes).unwrap();
        let record = batch.records().unwrap().next().unwrap().unwrap();
        assert_eq!(ControlRecord::parse(&record).unwrap().control_type, control_type);
        let marker = EndTransactionMarker::parse(&record).unwrap();
        let result = match control_type {
            ControlRecordType::Commit => TransactionResult::Commit,
            ControlRecordType::Abort => TransactionResult::Abort,
            _ => {
                assert_eq!(marker, None);
                continue;
            }
        };
        let coordinator_epoch = if result == TransactionResult::Commit { 31 } else { -1 };
        let header = batch.header();
        let expected = EndTransactionMarker { result, coordinator_epoch };
        assert_eq!(marker, Some(expected));
        let ours = expected.to_batch(header.producer_id, header.producer_epoch, header.max_timestamp);
        assert_eq!(ours.with_offset(header.base_offset, header.partition_leader_epoch), batch);
    }
}

#[test]
fn every_cut_of_every_file_ends_without_error() {
    for case in cases().iter().filter(|case| case.bytes.len() < 300) {
        let whole: Vec<RecordBatch> = batches(&case.bytes).map(Result::unwrap).collect();
        for cut in 0..case.bytes.len() {
            let found: Vec<RecordBatch> = batches(&case.bytes.slice(..cut)).map(Result::unwrap).collect();
            assert_eq!(found, whole[..found.len()], "{} cut at {cut}", case.name);
        }
    }
}
