//! Snapshots of the committed metadata, and what they make superfluous: older snapshots and the front of the
//! log.
//!
//! Invariant: the newest snapshot stays, and so does every record behind the oldest one that stays; a
//! snapshot has its name only when all of it is on the device. It must not know what the records mean.

use super::convert::{point, voters_record};
use super::{Inner, Quorum, QuorumError};
use crate::metadata::{
    MetadataImage, SNAPSHOT_MAX_BYTES, Snapshot, SnapshotError, SnapshotId, read_snapshot_header,
    write_snapshot,
};
use crate::raft::Input;
use crate::runtime::{Disk, Event, OpenOptions, race};
use crate::types::{Instant, Offset, Timestamp};
use bytes::Bytes;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How often snapshots and log are held against their limits, and a snapshot that failed is tried again.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);
/// Ends the name of a snapshot that is being written.
pub(super) const PART: &str = ".part";

/// When snapshots are written, and how much is kept.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotOptions {
    /// `metadata.log.max.record.bytes.between.snapshots`.
    pub max_bytes_between: u64,
    /// `metadata.log.max.snapshot.interval.ms`; `None` for 0, which is never.
    pub max_interval: Option<Duration>,
    /// `metadata.max.retention.bytes`: of log and snapshots together; `None` for no limit.
    pub retention_bytes: Option<u64>,
    /// `metadata.max.retention.ms`: how old the last record of a snapshot gets that is not the newest; `None`
    /// for no limit.
    pub retention: Option<Duration>,
}

/// A snapshot in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) id: SnapshotId,
    pub(super) size: u64,
    /// Of the last record that it covers.
    pub(super) timestamp: Timestamp,
}

/// What is known of the snapshots, and of the records behind the newest.
#[derive(Debug)]
pub(super) struct Snapshots {
    /// Oldest first.
    kept: Vec<Kept>,
    /// Bytes of committed batches that no snapshot covers.
    bytes_behind: u64,
    /// Of the last record of the published image.
    last_timestamp: Timestamp,
    /// When the newest was written, or this process began.
    written_at: Instant,
}

impl Snapshots {
    pub(super) fn new(kept: Vec<Kept>, now: Instant) -> Snapshots {
        let last_timestamp = kept.last().map_or(Timestamp(0), |newest| newest.timestamp);
        Snapshots { kept, bytes_behind: 0, last_timestamp, written_at: now }
    }

    /// Notes committed batches of `bytes` bytes, the last of which has this timestamp; tells whether the next
    /// snapshot has become due, or is now to become due some time.
    pub(super) fn note(&mut self, bytes: u64, timestamp: Timestamp, options: &SnapshotOptions) -> bool {
        let is_first = self.bytes_behind == 0;
        self.bytes_behind += bytes;
        self.last_timestamp = timestamp;
        is_first || self.bytes_behind >= options.max_bytes_between
    }

    /// When the next snapshot is due, if nothing more is written.
    fn due_at(&self, now: Instant, options: &SnapshotOptions) -> Option<Instant> {
        if self.bytes_behind >= options.max_bytes_between {
            return Some(now);
        }
        options.max_interval.filter(|_| self.bytes_behind > 0).map(|interval| self.written_at + interval)
    }

    /// Where the log may begin, given the size of its segments: the oldest snapshots go while they are too
    /// old or too much is kept; when only the newest is left, the records that it covers go.
    fn start(&self, log_bytes: u64, log_start: Offset, now: Timestamp, options: &SnapshotOptions) -> Offset {
        let (newest, older) = match self.kept.split_last() {
            Some(kept) => kept,
            None => return log_start,
        };
        let mut total = log_bytes + self.kept.iter().map(|kept| kept.size).sum::<u64>();
        let too_much = |total| options.retention_bytes.is_some_and(|limit| total > limit);
        let too_old =
            |kept: &Kept| options.retention.is_some_and(|limit| now - kept.timestamp > limit_ms(limit));
        for (index, kept) in older.iter().enumerate() {
            if !too_much(total) && !too_old(kept) {
                return if index == 0 { log_start } else { kept.id.offset };
            }
            total -= kept.size;
        }
        if older.is_empty() && !too_much(total) { log_start } else { newest.id.offset }
    }
}

fn limit_ms(limit: Duration) -> i64 {
    i64::try_from(limit.as_millis()).unwrap_or(i64::MAX)
}

impl Quorum {
    /// Writes snapshots when they are due and removes what they replace, for ever.
    pub(super) async fn keep_snapshots(&self) {
        let mut checked_at = self.0.runtime.now();
        loop {
            let due = {
                let inner = self.lock();
                inner.snapshots.due_at(self.0.runtime.now(), &self.0.options.snapshots)
            };
            let check_at = checked_at + CHECK_INTERVAL;
            let wake_at = due.map_or(check_at, |due| due.min(check_at));
            race(self.0.snapshot_due.notified(), self.0.runtime.sleep_until(wake_at)).await;
            let now = self.0.runtime.now();
            let is_due = {
                let inner = self.lock();
                inner.snapshots.due_at(now, &self.0.options.snapshots).is_some_and(|due| due <= now)
            };
            let done = async {
                if is_due {
                    self.write_snapshot().await?;
                }
                if is_due || now >= check_at {
                    checked_at = now;
                    self.clean().await?;
                }
                Ok::<(), QuorumError>(())
            };
            if let Err(error) = done.await {
                tracing::error!("the metadata log goes on without a new snapshot for a minute: {error}");
                self.0.runtime.sleep(CHECK_INTERVAL).await;
            }
        }
    }

    /// Writes a snapshot of the published image, unless there is one.
    async fn write_snapshot(&self) -> Result<(), QuorumError> {
        let (image, frame, covered) = {
            let inner = self.lock();
            let image: Arc<MetadataImage> = self.0.publisher.images().get();
            let (voters, kraft_version) = inner.raft.log().voters_before(image.offset.next());
            let frame = Snapshot {
                last_contained_log_timestamp: inner.snapshots.last_timestamp,
                kraft_version: Some(kraft_version),
                voters: (kraft_version > 0).then(|| voters_record(voters)),
            };
            (image, frame, inner.snapshots.bytes_behind)
        };
        let id = SnapshotId { offset: image.offset.next(), epoch: image.epoch };
        if self.lock().snapshots.kept.last().is_some_and(|newest| newest.id.offset >= id.offset) {
            return Ok(());
        }
        let (disk, directory, now) =
            (self.0.runtime.disk(), self.0.options.directory.clone(), self.0.runtime.wall_clock());
        let timestamp = frame.last_contained_log_timestamp;
        let write = move || write_file(&*disk, &directory, id, now, &frame, &image);
        let size = self.0.runtime.offload("write a metadata snapshot", write).await?;
        tracing::info!("snapshot {} of the metadata was written, {size} bytes", id.file_name());
        {
            let mut inner = self.lock();
            inner.snapshots.kept.push(Kept { id, size, timestamp });
            inner.snapshots.bytes_behind -= covered;
            inner.snapshots.written_at = self.0.runtime.now();
        }
        self.process(Input::SnapshotWritten(point(id))).await;
        Ok(())
    }

    /// Removes the snapshots and segments that the limits no longer keep.
    async fn clean(&self) -> Result<(), QuorumError> {
        let now = self.0.runtime.wall_clock();
        let start = {
            let inner = self.lock();
            let log = &inner.log;
            let log_bytes = log.reader().view().size_in_bytes();
            inner.snapshots.start(log_bytes, log.log_start(), now, &self.0.options.snapshots)
        };
        let deleted = {
            let mut inner = self.lock();
            if start <= inner.log.log_start()
                && inner.snapshots.kept.iter().all(|kept| kept.id.offset >= start)
            {
                return Ok(());
            }
            inner.delete_before(start, now)?
        };
        self.0.runtime.observe(|| Event::Sometimes("a snapshot replaced the front of the metadata log"));
        self.process(Input::DeletedBefore(start)).await;
        let (disk, directory) = (self.0.runtime.disk(), self.0.options.directory.clone());
        let remove = move || {
            deleted.files.remove()?;
            for kept in &deleted.snapshots {
                let path = directory.join(kept.id.file_name());
                disk.remove(&path).map_err(|error| QuorumError::Io { path, error })?;
            }
            disk.sync_dir(&directory).map_err(|error| QuorumError::Io { path: directory, error })
        };
        self.0.runtime.offload("remove old metadata", remove).await
    }
}

/// What is to be removed from the disk.
struct Deleted {
    files: crate::log::DoomedFiles,
    snapshots: Vec<Kept>,
}

impl Inner {
    /// Takes what lies before `start`, the end of a snapshot, out of the log and out of the list.
    fn delete_before(&mut self, start: Offset, now: Timestamp) -> Result<Deleted, QuorumError> {
        let moved = self.log.increment_log_start(start);
        moved.map_err(|error| QuorumError::Read(error.to_string()))?;
        let files = self.log.delete_old_segments(now)?;
        let (kept, snapshots) =
            std::mem::take(&mut self.snapshots.kept).into_iter().partition(|kept| kept.id.offset >= start);
        self.snapshots.kept = kept;
        assert!(!self.snapshots.kept.is_empty(), "the newest snapshot stays");
        Ok(Deleted { files, snapshots })
    }
}

/// What is known of a snapshot without reading more than its beginning.
pub(super) fn look_at(disk: &dyn Disk, directory: &Path, id: SnapshotId) -> Result<Kept, QuorumError> {
    let path = directory.join(id.file_name());
    let io = |error| QuorumError::Io { path: path.clone(), error };
    let bytes: Bytes = disk.read(&path, SNAPSHOT_MAX_BYTES).map_err(io)?.into();
    let header = read_snapshot_header(&bytes);
    let header = header.map_err(|error| QuorumError::Snapshot { path: path.clone(), error })?;
    Ok(Kept { id, size: bytes.len() as u64, timestamp: header.last_contained_log_timestamp })
}

/// Writes a snapshot so that it is durable before it has its name; returns its size.
fn write_file(
    disk: &dyn Disk,
    directory: &Path,
    id: SnapshotId,
    now: Timestamp,
    frame: &Snapshot,
    image: &MetadataImage,
) -> Result<u64, QuorumError> {
    let path = directory.join(id.file_name());
    let part = directory.join(format!("{}{PART}", id.file_name()));
    let mut size = 0;
    let written = (|| -> Result<(), SnapshotError> {
        let file = disk.open(&part, OpenOptions::CREATE_TRUNCATED)?;
        let mut records = Vec::new();
        image.write(&mut |record| records.push(record));
        let mut sink = |piece: Bytes| -> io::Result<()> {
            file.write_at(&piece, size)?;
            size += piece.len() as u64;
            Ok(())
        };
        let level = image.features.metadata_version();
        write_snapshot(id.epoch, now, frame, level, records, &mut sink)?;
        file.sync_data()?;
        disk.rename(&part, &path)?;
        Ok(disk.sync_dir(directory)?)
    })();
    if let Err(error) = written {
        let _ = disk.remove(&part); // What failed already says why.
        return Err(QuorumError::Snapshot { path, error });
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::LeaderEpoch;

    fn kept(offset: i64, size: u64, timestamp: i64) -> Kept {
        let id = SnapshotId { offset: Offset(offset), epoch: LeaderEpoch(1) };
        Kept { id, size, timestamp: Timestamp(timestamp) }
    }

    fn options(bytes: Option<u64>, ms: Option<u64>) -> SnapshotOptions {
        SnapshotOptions {
            max_bytes_between: 100,
            max_interval: Some(Duration::from_secs(10)),
            retention_bytes: bytes,
            retention: ms.map(Duration::from_millis),
        }
    }

    #[test]
    fn a_snapshot_is_due_by_bytes_or_by_time_but_never_without_news() {
        let options = options(None, None);
        let mut snapshots = Snapshots::new(Vec::new(), Instant(0));
        assert_eq!(snapshots.due_at(Instant(0), &options), None);
        assert!(snapshots.note(98, Timestamp(5), &options), "from here on time counts");
        assert!(!snapshots.note(1, Timestamp(5), &options));
        assert_eq!(snapshots.due_at(Instant(0), &options), Some(Instant(0) + Duration::from_secs(10)));
        assert!(snapshots.note(1, Timestamp(6), &options));
        assert_eq!(snapshots.due_at(Instant(7), &options), Some(Instant(7)));
    }

    #[test]
    fn the_newest_snapshot_stays_whatever_the_limits_say() {
        let three = vec![kept(0, 10, 0), kept(50, 20, 100), kept(90, 30, 200)];
        let snapshots = Snapshots::new(three, Instant(0));
        let start = |bytes, ms| snapshots.start(1000, Offset::ZERO, Timestamp(250), &options(bytes, ms));
        assert_eq!(start(None, None), Offset(0));
        assert_eq!(start(Some(1060), None), Offset(0));
        assert_eq!(start(Some(1059), None), Offset(50));
        assert_eq!(start(Some(1049), None), Offset(90));
        assert_eq!(start(Some(1), None), Offset(90));
        assert_eq!(start(None, Some(200)), Offset(50));
        assert_eq!(start(None, Some(1)), Offset(90));
    }

    #[test]
    fn a_single_snapshot_frees_the_log_in_front_of_it_only_for_want_of_room() {
        let snapshots = Snapshots::new(vec![kept(90, 30, 0)], Instant(0));
        let start = |bytes, ms| snapshots.start(1000, Offset(7), Timestamp(250), &options(bytes, ms));
        assert_eq!((start(None, Some(1)), start(Some(1030), None)), (Offset(7), Offset(7)));
        assert_eq!(start(Some(1029), None), Offset(90));
        let none = Snapshots::new(Vec::new(), Instant(0));
        assert_eq!(none.start(1000, Offset(7), Timestamp(250), &options(Some(1), Some(1))), Offset(7));
    }
}
