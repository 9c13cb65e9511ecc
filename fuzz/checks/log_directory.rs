//! Every file of a partition's directory, and of the log directory above it, with any bytes in it. The first
//! byte chooses the file, the second how the log is opened; the rest is the file. What surrounds it was
//! written by Apache Kafka 4.3.1.

#[allow(dead_code, reason = "the log's own tests need more of it")]
#[path = "../../src/log/testing.rs"]
mod testing;

use crate::runtime::Disk;
use crate::types::{LeaderEpoch, Offset, ProducerId, Timestamp, TopicPartition};
use bytes::Bytes;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use testing::MemoryDisk;
use vltava::log::{
    AppendOrigin, FetchedRecords, LogConfig, LogDir, LogError, OpenLog, PartitionLog, ProducerState,
    ReadBound, ReadError, ReadRequest, checkpoint,
};
use vltava::protocol::records::{BatchBuilder, Compression, ValidatedBatch, batches};

const DIRECTORY: &str = "/data/t-0";
const LOG: &[u8] = include_bytes!("../../src/log/tests/kafka-4.3.1/segment.log");
const FILES: [(&str, &[u8]); 8] = [
    ("00000000000000000015.log", LOG),
    ("00000000000000000015.index", include_bytes!("../../src/log/tests/kafka-4.3.1/segment.index")),
    ("00000000000000000015.timeindex", include_bytes!("../../src/log/tests/kafka-4.3.1/segment.timeindex")),
    ("00000000000000000015.txnindex", include_bytes!("../../src/log/tests/kafka-4.3.1/segment.txnindex")),
    ("00000000000000000015.snapshot", include_bytes!("../../src/log/tests/kafka-4.3.1/segment.snapshot")),
    ("00000000000000000068.snapshot", include_bytes!("../../src/log/tests/kafka-4.3.1/end.snapshot")),
    ("leader-epoch-checkpoint", include_bytes!("../../src/log/tests/kafka-4.3.1/leader-epoch-checkpoint")),
    ("partition.metadata", include_bytes!("../../src/log/tests/kafka-4.3.1/partition.metadata")),
];
/// Segments that recovery has to put in the place of others, or to clear away.
const SWAPPED: &str = "00000000000000000015.log.swap";

/// Fails where opening or using the directory breaks a promise.
pub fn check(data: &[u8]) {
    let [file, how, bytes @ ..] = data else { return };
    let disk = MemoryDisk::new();
    let name = match usize::from(*file) % (FILES.len() + 5) {
        index if index < FILES.len() => format!("{DIRECTORY}/{}", FILES[index].0),
        8 => format!("{DIRECTORY}/{SWAPPED}"),
        9 => format!("/data/{}", checkpoint::RECOVERY_POINT_CHECKPOINT),
        10 => format!("/data/{}", checkpoint::LOG_START_CHECKPOINT),
        11 => format!("/data/{}", checkpoint::HIGH_WATERMARK_CHECKPOINT),
        _ => format!("/data/{}", checkpoint::CLEAN_SHUTDOWN),
    };
    for directory in ["/data", DIRECTORY] {
        disk.create_dir(Path::new(directory)).unwrap();
    }
    for (file, content) in FILES {
        disk.put(format!("{DIRECTORY}/{file}"), content);
    }
    disk.put(&name, bytes);
    let holds_batches = name.contains(".log");
    let Some(found) = open_and_use(&disk, *how, bytes, holds_batches) else { return };
    if !holds_batches && found.log_start <= Offset(15) {
        assert_eq!(found.bytes, LOG, "{name} changed what is read");
    }
}

/// What a directory held when it was opened.
struct Found {
    log_start: Offset,
    bytes: Vec<u8>,
}

/// Opens the directory, uses the log, and opens it again. None where it refused, which it may.
fn open_and_use(disk: &Arc<MemoryDisk>, how: u8, bytes: &[u8], holds_batches: bool) -> Option<Found> {
    let runtime = disk.runtime();
    let directory = LogDir::open(&runtime, Path::new("/data")).unwrap();
    directory.scan().unwrap();
    let partition = TopicPartition::new("t", 0);
    let said = directory.how_to_open(&partition);
    let recovery_point = Offset(i64::from(how >> 2).max(said.recovery_point.0));
    let how_to_open = OpenLog { clean: how & 1 != 0, recovery_point, ..said };
    let config = Arc::new(LogConfig {
        index_interval_bytes: 200,
        segment_bytes: 4000,
        compact: how & 2 != 0,
        ..LogConfig::default()
    });
    let open = |how| {
        let path = Path::new(DIRECTORY);
        PartitionLog::open(&runtime, path, partition.clone(), config.clone(), how, Timestamp(0))
    };
    let mut log = match open(how_to_open) {
        Ok((log, _)) => log,
        Err(LogError::Damaged(_) | LogError::Malformed(_)) => return None,
        Err(error) => panic!("{error}"),
    };
    let found = Found { log_start: log.log_start(), bytes: read_all(&log) };
    if log.log_end() > Offset(i64::MAX - 1000) {
        return Some(found);
    }
    match use_log(&mut log, bytes) {
        Ok(()) => {}
        // Rot that a clean start did not look for: the log is offline.
        Err(LogError::Damaged(_)) => return Some(found),
        Err(error) => panic!("{error}"),
    }
    log.close().unwrap();
    let (again, _) = open(OpenLog { clean: true, ..how_to_open }).unwrap();
    // A cut may end in a gap, which batches with rotten offsets leave; then the log ends in front of it.
    let gap = log.log_end() - again.log_end();
    assert!(gap == 0 || (gap > 0 && holds_batches), "{gap} records are gone");
    // Snapshots that a rotten offset has outrun do not count any more then.
    assert!(gap > 0 || producers(&again) == producers(&log), "other producers are known");
    Some(found)
}

/// What a snapshot keeps of the producers.
fn producers(log: &PartitionLog) -> Vec<impl PartialEq + Debug> {
    let kept = |(id, state): (ProducerId, &ProducerState)| {
        let last = state.last_batch().copied();
        (id, state.epoch, last, state.coordinator_epoch, state.last_timestamp, state.transaction_start)
    };
    log.producers().iter().map(kept).collect()
}

fn use_log(log: &mut PartitionLog, bytes: &[u8]) -> Result<(), LogError> {
    let origin = AppendOrigin::Client { must_start_at_zero: false };
    let epoch = log.epochs().latest().unwrap_or(LeaderEpoch(0));
    // Enough of them for entries in the indexes.
    for timestamp in [1, i64::MAX / 2, 1, i64::MAX] {
        let mut builder = BatchBuilder::new(Compression::NONE);
        builder.append(Timestamp(timestamp), None, Some(&[b'v'; 150]), &[]);
        let batch = ValidatedBatch::made_here(&builder.build());
        log.append_as_leader(&batch, epoch, origin, Timestamp(1)).unwrap();
    }
    log.set_high_watermark(log.log_end());
    log.flush_blocking().unwrap();
    let _ = log.append_as_follower(&Bytes::copy_from_slice(bytes), Timestamp(1));
    if log.log_end().0 % 3 == 0 {
        let middle = Offset(log.log_start().0 + (log.log_end() - log.log_start()) / 2);
        let truncated = log.truncate_to(middle, Timestamp(1))?;
        assert!(truncated.log_end <= middle);
    }
    Ok(())
}

/// Reads to the log's end, whatever the batches hold, and returns the bytes.
fn read_all(log: &PartitionLog) -> Vec<u8> {
    let view = log.reader().view();
    let mut all = Vec::new();
    let mut offset = view.log_start();
    while offset < view.log_end() {
        let request = ReadRequest {
            offset,
            max_bytes: 1000,
            bound: ReadBound::LogEnd,
            at_least_one: true,
            file_from_bytes: None,
        };
        let fetched = match view.read_blocking(&request) {
            Ok(fetched) => fetched,
            Err(ReadError::Storage(LogError::Damaged(_))) => break,
            Err(error) => panic!("{error}"),
        };
        let FetchedRecords::Bytes(bytes) = fetched.records else { panic!("a file was not asked for") };
        let mut walk = batches(&bytes);
        let Some(last) = walk.by_ref().map(|batch| batch.unwrap()).last() else { break };
        assert!(last.next_offset() > offset, "a read does not go on behind {offset}");
        offset = last.next_offset();
        all.extend_from_slice(&bytes[..walk.position()]);
    }
    let committed = ReadRequest {
        offset: view.log_start(),
        max_bytes: 1 << 20,
        bound: ReadBound::LastStable,
        at_least_one: true,
        file_from_bytes: Some(1),
    };
    let _ = view.read_blocking(&committed);
    let _ = view.offset_for_timestamp(Timestamp(1_700_000_300_000), view.log_end());
    let _ = view.max_timestamp();
    all
}
