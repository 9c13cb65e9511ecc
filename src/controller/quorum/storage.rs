//! The directory of the metadata log: opening what a clean stop, a crash or Kafka left, and the quorum-state
//! file.
//!
//! Invariant: a log never begins behind a gap: what its oldest batch does not cover, a snapshot does.

use super::convert::{control_records, point, voter_set};
use super::snapshots::{self, Kept, PART};
use super::{QuorumError, QuorumOptions};
use crate::log::{LogConfig, OpenLog, PartitionLog, ReadBound, ReadRequest};
use crate::metadata::{
    BatchContent, METADATA_TOPIC, MetadataChanges, MetadataImage, SNAPSHOT_MAX_BYTES, Snapshot, SnapshotId,
    decode_batch, read_snapshot,
};
use crate::protocol::records::{RecordBatch, batches};
use crate::raft::quorum_state::{self, QUORUM_STATE_FILE, QUORUM_STATE_MAX_BYTES};
use crate::raft::{BatchSummary, ElectionState, LogView, VoterSet};
use crate::runtime::{Disk, Runtime};
use crate::types::{NodeId, Offset, Timestamp, TopicPartition, Uuid};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

/// How much of the log is read at once while it is opened.
const READ_BYTES: usize = 1 << 20;

/// A batch that was appended but is not known to be committed, or not yet in the published image.
#[derive(Debug, Clone)]
pub(super) struct TailBatch {
    pub(super) summary: BatchSummary,
    pub(super) content: BatchContent,
    pub(super) bytes: u64,
    pub(super) timestamp: Timestamp,
}

impl TailBatch {
    /// Reads a batch of the log.
    pub(super) fn decode(batch: &RecordBatch) -> Result<TailBatch, QuorumError> {
        let content = decode_batch(batch)?;
        let control = match &content {
            BatchContent::Control(records) => control_records(records),
            BatchContent::Data(_) => Vec::new(),
        };
        let header = batch.header();
        let summary = BatchSummary {
            base: batch.base_offset(),
            end: batch.next_offset(),
            epoch: header.partition_leader_epoch,
            control,
        };
        let bytes = batch.bytes().len() as u64;
        Ok(TailBatch { summary, content, bytes, timestamp: header.max_timestamp })
    }
}

/// The metadata log as a start finds it.
pub(super) struct Opened {
    pub(super) log: PartitionLog,
    pub(super) view: LogView,
    /// What the latest snapshot says.
    pub(super) image: MetadataImage,
    /// Every batch behind the latest snapshot.
    pub(super) tail: VecDeque<TailBatch>,
    /// All snapshots, oldest first.
    pub(super) snapshots: Vec<Kept>,
    pub(super) election: ElectionState,
}

/// Opens the directory, creating what is missing. It reads the whole log: run it where waiting is allowed.
pub(super) fn open(runtime: &Runtime, options: &QuorumOptions) -> Result<Opened, QuorumError> {
    let disk = runtime.disk();
    let directory = options.directory.as_path();
    let io = |error| QuorumError::Io { path: directory.to_owned(), error };
    disk.create_dir_all(directory).map_err(io)?;
    let snapshots = find_snapshots(&*disk, directory)?;
    let latest = snapshots.last().map(|newest| newest.id);
    let mut log = open_log(runtime, options, latest.map_or(Offset::ZERO, |id| id.offset))?;
    let mut image = MetadataImage::default();
    let mut voters = options.static_voters.clone();
    let mut kraft_version = 0;
    if let Some(id) = latest {
        let frame = load_snapshot(&*disk, directory, id, &mut image)?;
        kraft_version = frame.kraft_version.unwrap_or(0);
        voters = frame.voters.as_ref().map_or(voters, voter_set);
        image.offset = Offset(id.offset.0 - 1);
        image.epoch = id.epoch;
        if log.log_end() < id.offset {
            // That the recovery point may have fallen needs no checkpoint: none names this log, all of which
            // is checked at every start.
            let _ = log.truncate_fully_and_start_at(id.offset, runtime.wall_clock())?;
        }
    }
    let start = latest.map_or(Offset::ZERO, |id| id.offset);
    if log.log_start() > start {
        return Err(QuorumError::Gap { start: log.log_start(), snapshot: start });
    }
    let mut view = LogView::new(voters.clone(), kraft_version);
    match latest {
        Some(id) if id != SnapshotId::BOOTSTRAP => {
            view.reset_to_snapshot(point(id), voters, kraft_version);
        }
        Some(id) => view.add_snapshot(point(id)),
        None => {}
    }
    let tail = read_tail(&log, start)?;
    for batch in &tail {
        view.append(&batch.summary);
    }
    log.flush_blocking()?;
    view.flush(view.end());
    let election = read_election(&*disk, directory)?;
    Ok(Opened { log, view, image, tail, snapshots, election })
}

/// Opens the log. What a snapshot covers was committed, and what is committed is durable: up to there it is
/// taken as it is, and all behind it is checked.
fn open_log(
    runtime: &Runtime,
    options: &QuorumOptions,
    snapshot_end: Offset,
) -> Result<PartitionLog, QuorumError> {
    let disk = runtime.disk();
    let directory = options.directory.as_path();
    let partition = TopicPartition::new(METADATA_TOPIC, 0);
    let config = Arc::new(LogConfig {
        segment_bytes: options.segment_bytes,
        segment_ms: options.segment_ms,
        retention_ms: -1,
        retention_bytes: -1,
        delete: true,
        ..LogConfig::default()
    });
    let now = runtime.wall_clock();
    let entries =
        disk.read_dir(directory).map_err(|error| QuorumError::Io { path: directory.to_owned(), error })?;
    if !entries.iter().any(|entry| entry.name.ends_with(".log")) {
        let topic = Uuid::METADATA_TOPIC;
        return Ok(PartitionLog::create(runtime, directory, partition, topic, config, now)?);
    }
    let how = OpenLog { clean: false, recovery_point: snapshot_end, log_start: Offset::ZERO };
    let (log, recovered) = PartitionLog::open(runtime, directory, partition, config, how, now)?;
    if recovered.bytes_cut > 0 {
        let because = recovered.cut_because.unwrap_or_default();
        tracing::warn!("{} bytes were cut from the end of the metadata log: {because}", recovered.bytes_cut);
    }
    Ok(log)
}

/// The snapshots in the directory, oldest first; half-written ones are removed.
fn find_snapshots(disk: &dyn Disk, directory: &Path) -> Result<Vec<Kept>, QuorumError> {
    let mut found = Vec::new();
    let io = |error| QuorumError::Io { path: directory.to_owned(), error };
    for entry in disk.read_dir(directory).map_err(io)? {
        if entry.name.ends_with(PART) || entry.name.ends_with(".checkpoint.deleted") {
            disk.remove(&directory.join(&entry.name)).map_err(io)?;
        }
        found.extend(SnapshotId::from_file_name(&entry.name));
    }
    found.sort();
    found.into_iter().map(|id| snapshots::look_at(disk, directory, id)).collect()
}

/// Reads one snapshot into `image`.
pub(super) fn load_snapshot(
    disk: &dyn Disk,
    directory: &Path,
    id: SnapshotId,
    image: &mut MetadataImage,
) -> Result<Snapshot, QuorumError> {
    let path = directory.join(id.file_name());
    let bytes = disk
        .read(&path, SNAPSHOT_MAX_BYTES)
        .map_err(|error| QuorumError::Io { path: path.clone(), error })?;
    let mut changes = MetadataChanges::default();
    let frame = read_snapshot(&bytes.into(), &mut |record| image.replay(&record, &mut changes));
    frame.map_err(|error| QuorumError::Snapshot { path, error })
}

/// Every batch from `start` to the end of the log.
fn read_tail(log: &PartitionLog, start: Offset) -> Result<VecDeque<TailBatch>, QuorumError> {
    let view = log.reader().view();
    let mut tail = VecDeque::new();
    let mut offset = start;
    while offset < view.log_end() {
        let request = ReadRequest {
            offset,
            max_bytes: READ_BYTES,
            bound: ReadBound::LogEnd,
            at_least_one: true,
            file_from_bytes: None,
        };
        let fetched = view.read_blocking(&request).map_err(|error| QuorumError::Read(error.to_string()))?;
        let crate::log::FetchedRecords::Bytes(bytes) = fetched.records else { break };
        let before = offset;
        for batch in batches(&bytes) {
            let Ok(batch) = batch else { break }; // The last one of a read may be cut short.
            if batch.next_offset() <= offset {
                continue; // The read begins with the whole batch that holds its offset.
            }
            if batch.base_offset() != offset {
                return Err(QuorumError::Misaligned { offset });
            }
            offset = batch.next_offset();
            tail.push_back(TailBatch::decode(&batch)?);
        }
        if offset == before {
            return Err(QuorumError::Misaligned { offset });
        }
    }
    Ok(tail)
}

fn read_election(disk: &dyn Disk, directory: &Path) -> Result<ElectionState, QuorumError> {
    let path = directory.join(QUORUM_STATE_FILE);
    match disk.read(&path, QUORUM_STATE_MAX_BYTES) {
        Ok(bytes) => quorum_state::decode(&bytes).map_err(|error| QuorumError::Election { path, error }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(ElectionState::INITIAL),
        Err(error) => Err(QuorumError::Io { path, error }),
    }
}

/// Replaces the quorum-state file and syncs it.
pub(super) fn write_election(
    disk: &dyn Disk,
    directory: &Path,
    state: &ElectionState,
    voters: &VoterSet,
    kraft_version: i16,
) -> Result<(), QuorumError> {
    let path = directory.join(QUORUM_STATE_FILE);
    let ids: Vec<NodeId> = voters.ids().collect();
    let static_voters = (kraft_version < 1).then_some(ids.as_slice());
    let bytes = quorum_state::encode(state, static_voters);
    disk.replace(&path, &bytes).map_err(|error| QuorumError::Io { path, error })
}
