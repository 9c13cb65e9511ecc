//! Tests of whole logs, on a disk in memory.

mod append;
mod crash;
mod kafka;
mod lost_write;
mod model;
mod recovery;
mod rot;

use super::testing::MemoryDisk;
use super::*;
use crate::protocol::records::{
    BatchBuilder, Compression, RecordBatch, ValidatedBatch, batches as walk_batches,
};
use crate::runtime::{Disk, Runtime};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TopicPartition, Uuid};
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;

const DIRECTORY: &str = "/data/t-0";
const CLIENT: AppendOrigin = AppendOrigin::Client { must_start_at_zero: false };

/// A partition's directory on a disk in memory.
struct Rig {
    disk: Arc<MemoryDisk>,
    runtime: Runtime,
    config: LogConfig,
}

impl Rig {
    fn new(config: LogConfig) -> Rig {
        let disk = MemoryDisk::new();
        disk.create_dir(Path::new("/data")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        Rig::on(disk, config)
    }

    fn on(disk: Arc<MemoryDisk>, config: LogConfig) -> Rig {
        Rig { runtime: disk.runtime(), disk, config }
    }

    fn create(&self) -> PartitionLog {
        let id = Uuid::from_random(1, 2);
        let config = Arc::new(self.config.clone());
        let path = Path::new(DIRECTORY);
        PartitionLog::create(&self.runtime, path, partition(), id, config, Timestamp(0)).unwrap()
    }

    fn try_open(&self, how: OpenLog) -> Result<(PartitionLog, Recovered), LogError> {
        let config = Arc::new(self.config.clone());
        PartitionLog::open(&self.runtime, Path::new(DIRECTORY), partition(), config, how, Timestamp(0))
    }

    fn open_clean(&self) -> PartitionLog {
        let (log, recovered) = self.try_open(CLEAN).unwrap();
        assert_eq!(recovered, Recovered::default());
        log
    }

    fn recover(&self, recovery_point: i64) -> (PartitionLog, Recovered) {
        self.try_open(unclean(recovery_point)).unwrap()
    }
}

const CLEAN: OpenLog = OpenLog { clean: true, recovery_point: Offset(0), log_start: Offset(0) };

fn unclean(recovery_point: i64) -> OpenLog {
    OpenLog { clean: false, recovery_point: Offset(recovery_point), log_start: Offset(0) }
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

/// Settings with which every few batches fill a segment, and most have an index entry.
fn tiny() -> LogConfig {
    LogConfig { segment_bytes: 700, index_interval_bytes: 90, ..LogConfig::default() }
}

/// A batch of `values`, all at `timestamp`.
fn batch(values: &[&str], timestamp: i64) -> ValidatedBatch {
    batch_of(BatchBuilder::new(Compression::NONE), values, timestamp)
}

fn batch_of(mut builder: BatchBuilder, values: &[&str], timestamp: i64) -> ValidatedBatch {
    for value in values {
        builder.append(Timestamp(timestamp), None, Some(value.as_bytes()), &[]);
    }
    ValidatedBatch::made_here(&builder.build())
}

/// A batch of a producer.
fn sent(producer: i64, epoch: i16, sequence: i32, transactional: bool, values: &[&str]) -> ValidatedBatch {
    let builder = BatchBuilder::new(Compression::NONE)
        .producer(ProducerId(producer), ProducerEpoch(epoch), sequence)
        .transactional(transactional);
    batch_of(builder, values, 1000)
}

/// Appends `values` as one batch of leader epoch `epoch`, and returns its first offset.
fn append(log: &mut PartitionLog, epoch: i32, values: &[&str]) -> i64 {
    let now = Timestamp(1000);
    let appended = log.append_as_leader(&batch(values, 1000), LeaderEpoch(epoch), CLIENT, now).unwrap();
    assert_eq!(appended.last_offset - appended.first_offset, values.len() as i64 - 1);
    appended.first_offset.0
}

fn request(offset: i64, max_bytes: usize) -> ReadRequest {
    ReadRequest {
        offset: Offset(offset),
        max_bytes,
        bound: ReadBound::LogEnd,
        at_least_one: true,
        file_from_bytes: None,
    }
}

fn bytes_of(fetched: &Fetched) -> Bytes {
    match &fetched.records {
        FetchedRecords::Bytes(bytes) => bytes.clone(),
        FetchedRecords::File { file, position, length } => {
            let mut bytes = vec![0; *length as usize];
            assert_eq!(file.read_full_at(&mut bytes, *position).unwrap() as u64, *length);
            bytes.into()
        }
    }
}

/// The whole batches that a read from `offset` returns.
fn read_batches(log: &PartitionLog, offset: i64, max_bytes: usize) -> Vec<RecordBatch> {
    match log.reader().view().read(&request(offset, max_bytes)).unwrap() {
        Read::Ready(fetched) => walk_batches(&bytes_of(&fetched)).map(|batch| batch.unwrap()).collect(),
        Read::Cold(_) => panic!("everything is in memory"),
    }
}

/// Every record of the log: offset, leader epoch, value.
fn contents(log: &PartitionLog) -> Vec<(i64, i32, String)> {
    let mut all = Vec::new();
    let mut offset = log.log_start().0;
    while offset < log.log_end().0 {
        let batches = read_batches(log, offset, 200);
        assert!(!batches.is_empty(), "nothing at offset {offset}");
        for batch in batches {
            let epoch = batch.header().partition_leader_epoch.0;
            for record in batch.records().unwrap() {
                let record = record.unwrap();
                if record.offset.0 >= offset {
                    let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                    all.push((record.offset.0, epoch, value));
                }
            }
            offset = batch.next_offset().0;
        }
    }
    all
}

fn values(log: &PartitionLog) -> Vec<String> {
    contents(log).into_iter().map(|(_, _, value)| value).collect()
}
