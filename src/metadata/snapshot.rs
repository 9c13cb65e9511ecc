//! Snapshot files of the metadata log: a control batch with the header (and the voters), data batches, a
//! control batch with the footer. `bootstrap.checkpoint` has the same form. Offsets inside begin at 0.

use super::features::MetadataVersion;
use super::records::{BatchContent, RecordsError, decode_batch, encode_control};
use crate::protocol::control_records::{
    KRaftVersionRecord, QuorumRecord, SnapshotFooterRecord, SnapshotHeaderRecord, VotersRecord,
};
use crate::protocol::metadata_records::MetadataRecord;
use crate::protocol::records::{BatchBuilder, BatchError, Compression, batches};
use crate::types::{LeaderEpoch, Offset, Timestamp};
use bytes::Bytes;
use std::io;

/// The file that holds the first features of a cluster.
pub const BOOTSTRAP_CHECKPOINT: &str = "bootstrap.checkpoint";
/// The largest snapshot that is read.
pub const SNAPSHOT_MAX_BYTES: u64 = 4 << 30;
/// A batch of a snapshot is closed when it has reached this size.
const SNAPSHOT_BATCH_BYTES: usize = 1 << 20;

/// Which snapshot: the offset behind its last record and that record's epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId {
    /// The offset behind the last record contained.
    pub offset: Offset,
    /// The epoch of the last record contained.
    pub epoch: LeaderEpoch,
}

impl SnapshotId {
    /// The snapshot that `format` writes: voters, but no metadata.
    pub const BOOTSTRAP: SnapshotId = SnapshotId { offset: Offset::ZERO, epoch: LeaderEpoch(0) };

    /// The file's name: offset and epoch with leading zeros.
    pub fn file_name(self) -> String {
        format!("{:020}-{:010}.checkpoint", self.offset.0, self.epoch.0)
    }

    /// The snapshot that a file name stands for.
    pub fn from_file_name(name: &str) -> Option<SnapshotId> {
        let (offset, epoch) = name.strip_suffix(".checkpoint")?.split_once('-')?;
        let digits = |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(offset, 20) || !digits(epoch, 10) {
            return None;
        }
        Some(SnapshotId { offset: Offset(offset.parse().ok()?), epoch: LeaderEpoch(epoch.parse().ok()?) })
    }
}

/// A snapshot's frame; its records were handed on while it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The timestamp of the last batch that it covers.
    pub last_contained_log_timestamp: Timestamp,
    /// The level of kraft.version, where it says so.
    pub kraft_version: Option<i16>,
    /// The voters, where it lists them.
    pub voters: Option<VotersRecord>,
}

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The bytes are not batches.
    #[error("the snapshot is damaged at byte {position}: {error}; restore it from another controller")]
    Damaged { position: usize, error: BatchError },
    /// A batch cannot be read.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// It has no header.
    #[error("the snapshot does not begin with its header: it is damaged or no snapshot")]
    NoHeader,
    /// It has no footer.
    #[error("the snapshot has no footer: it was not written to its end")]
    NoFooter,
    /// Something lies behind the footer, or a control record where data should be.
    #[error("the snapshot has a record behind its footer or a control record among its data: it is damaged")]
    Misplaced,
    /// The file cannot be read or written.
    #[error("the snapshot cannot be read or written: {0}")]
    Io(#[from] io::Error),
}

/// Reads a whole snapshot and hands each metadata record to `take`, in order.
pub fn read_snapshot(
    bytes: &Bytes,
    take: &mut dyn FnMut(MetadataRecord) -> Result<(), RecordsError>,
) -> Result<Snapshot, SnapshotError> {
    let mut walk = batches(bytes);
    let mut snapshot: Option<Snapshot> = None;
    let mut ended = false;
    loop {
        let position = walk.position();
        let Some(batch) = walk.next() else { break };
        let batch = batch.map_err(|error| SnapshotError::Damaged { position, error })?;
        if ended {
            return Err(SnapshotError::Misplaced);
        }
        match (decode_batch(&batch)?, &mut snapshot) {
            (BatchContent::Control(records), None) => snapshot = Some(read_header(&records)?),
            (BatchContent::Data(_), None) => return Err(SnapshotError::NoHeader),
            (BatchContent::Data(records), Some(_)) => {
                for (_, record) in records {
                    take(record)?;
                }
            }
            (BatchContent::Control(records), Some(_)) => match records.as_slice() {
                [(_, QuorumRecord::SnapshotFooter(_))] => ended = true,
                _ => return Err(SnapshotError::Misplaced),
            },
        }
    }
    match snapshot {
        None => Err(SnapshotError::NoHeader),
        Some(_) if !ended => Err(SnapshotError::NoFooter),
        Some(snapshot) => Ok(snapshot),
    }
}

/// Reads no more than a snapshot's header.
pub fn read_snapshot_header(bytes: &Bytes) -> Result<Snapshot, SnapshotError> {
    let first = batches(bytes).next().ok_or(SnapshotError::NoHeader)?;
    match decode_batch(&first.map_err(|error| SnapshotError::Damaged { position: 0, error })?)? {
        BatchContent::Control(records) => read_header(&records),
        BatchContent::Data(_) => Err(SnapshotError::NoHeader),
    }
}

fn read_header(records: &[(Offset, QuorumRecord)]) -> Result<Snapshot, SnapshotError> {
    let [(_, QuorumRecord::SnapshotHeader(header)), rest @ ..] = records else {
        return Err(SnapshotError::NoHeader);
    };
    let last_contained_log_timestamp = Timestamp(header.last_contained_log_timestamp);
    let mut snapshot = Snapshot { last_contained_log_timestamp, kraft_version: None, voters: None };
    for (_, record) in rest {
        match record {
            QuorumRecord::KRaftVersion(record) => snapshot.kraft_version = Some(record.k_raft_version),
            QuorumRecord::KRaftVoters(record) => snapshot.voters = Some(record.clone()),
            _ => return Err(SnapshotError::Misplaced),
        }
    }
    Ok(snapshot)
}

/// Writes a snapshot piece by piece to `sink`. `now` is the time that its batches carry.
pub fn write_snapshot(
    epoch: LeaderEpoch,
    now: Timestamp,
    snapshot: &Snapshot,
    metadata_version: MetadataVersion,
    records: impl IntoIterator<Item = MetadataRecord>,
    sink: &mut dyn FnMut(Bytes) -> io::Result<()>,
) -> Result<(), SnapshotError> {
    let last_contained_log_timestamp = snapshot.last_contained_log_timestamp.0;
    let mut header: Vec<QuorumRecord> = vec![QuorumRecord::SnapshotHeader(SnapshotHeaderRecord {
        last_contained_log_timestamp,
        ..Default::default()
    })];
    if let Some(level) = snapshot.kraft_version.filter(|level| *level > 0) {
        let record = KRaftVersionRecord { k_raft_version: level, ..Default::default() };
        header.push(QuorumRecord::KRaftVersion(record));
    }
    header.extend(snapshot.voters.clone().map(QuorumRecord::KRaftVoters));
    let batch = encode_control(Offset::ZERO, epoch, now, &header)?;
    let mut next = batch.next_offset();
    sink(batch.into_bytes())?;

    let new_builder = |base| BatchBuilder::new(Compression::NONE).base_offset(base).leader_epoch(epoch);
    let mut builder = new_builder(next);
    for record in records {
        let value = record.encode(metadata_version.record_version(&record)).map_err(RecordsError::from)?;
        builder.append(now, None, Some(&value), &[]);
        next = next.next();
        if builder.size_in_bytes() >= SNAPSHOT_BATCH_BYTES {
            let full = std::mem::replace(&mut builder, new_builder(next));
            sink(full.build().into_bytes())?;
        }
    }
    if builder.record_count() > 0 {
        sink(builder.build().into_bytes())?;
    }
    let footer = [QuorumRecord::SnapshotFooter(SnapshotFooterRecord::default())];
    sink(encode_control(next, epoch, now, &footer)?.into_bytes())?;
    Ok(())
}
