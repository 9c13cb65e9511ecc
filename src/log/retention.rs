//! Moving the start of a log: retention by time and size, and offsets that somebody declared deleted.
//!
//! Invariant: the log start only rises and never passes the high watermark; a segment goes only when all of
//! it lies in front of both.

use super::error::{LogError, OnPath};
use super::partition_log::PartitionLog;
use super::segment::{DELETED, FILES, Segment, segment_path};
use super::view::SealedSegment;
use crate::runtime::{Disk, Event};
use crate::types::{Offset, Timestamp};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files that are no part of the log any more, for readers of older views to finish with.
pub struct DoomedFiles {
    disk: Arc<dyn Disk>,
    paths: Vec<PathBuf>,
}

impl DoomedFiles {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Removes them. To be called `file.delete.delay.ms` later, where waiting is allowed.
    pub fn remove(self) -> Result<(), LogError> {
        for path in &self.paths {
            match self.disk.remove(path) {
                // The whole partition was deleted meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                result => result.on("remove", path)?,
            }
        }
        Ok(())
    }
}

/// The log start cannot be moved to where it was asked to go.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogStartError {
    /// Beyond what is replicated.
    #[error("records up to {offset} were to be deleted, and the high watermark is {high_watermark}")]
    BeyondHighWatermark {
        /// Where the log was to start.
        offset: Offset,
        /// The high watermark.
        high_watermark: Offset,
    },
    /// The log is offline.
    #[error(transparent)]
    Storage(#[from] LogError),
}

impl PartitionLog {
    /// Deletes everything in front of `offset`, or in front of the high watermark when none is given; returns
    /// the log start. An offset that is deleted already changes nothing. Before anybody is told, the new
    /// start belongs into the directory's checkpoint: the segments themselves go later.
    pub fn delete_records(&mut self, offset: Option<Offset>) -> Result<Offset, LogStartError> {
        self.increment_log_start(offset.unwrap_or(self.high_watermark))?;
        Ok(self.log_start)
    }

    /// Moves the log start to `offset`, if that is further on; tells whether it moved.
    pub fn increment_log_start(&mut self, offset: Offset) -> Result<bool, LogStartError> {
        self.check_online()?;
        let high_watermark = self.high_watermark;
        if offset > high_watermark {
            return Err(LogStartError::BeyondHighWatermark { offset, high_watermark });
        }
        if offset <= self.log_start {
            return Ok(false);
        }
        self.log_start = offset;
        if Arc::make_mut(&mut self.epochs).truncate_from_start(offset) {
            self.durability.epochs = true;
        }
        self.publish();
        self.runtime.observe(|| Event::LogStart { partition: self.partition.clone(), offset });
        Ok(true)
    }

    /// Takes the segments out of the log that retention does not keep: those in front of the log start, and,
    /// where the cleanup policy deletes, those that are too old or too many. Their files are renamed; the
    /// caller removes them later.
    pub fn delete_old_segments(&mut self, now: Timestamp) -> Result<DoomedFiles, LogError> {
        self.check_online()?;
        let mut doomed = DoomedFiles { disk: self.disk.clone(), paths: Vec::new() };
        if self.all_are_deletable(now) {
            self.roll(self.log_end, now)?;
            self.publish();
        }
        let count = self.deletable(now);
        for _ in 0..count {
            let gone = self.sealed[0].clone();
            let start = self.log_start.max(gone.end_offset);
            self.sealed = self.sealed[1..].into();
            self.durability.sealed.retain(|segment| !Arc::ptr_eq(segment, &gone.segment));
            let moved = self.increment_log_start(start);
            assert!(moved.is_ok(), "{}: retention passes the high watermark", self.partition);
            gone.segment.retire();
            let renamed = rename_segment(&*self.disk, &self.directory, &gone.segment, &mut doomed.paths);
            renamed.map_err(|error| self.failed(error))?;
            // Each for good before the next: whatever a crash leaves has no hole.
            let synced = self.disk.sync_dir(&self.directory).on("sync", &self.directory);
            synced.map_err(|error| self.failed(error))?;
        }
        if count > 0 {
            self.publish();
        }
        Ok(doomed)
    }

    /// How many segments at the front may go.
    fn deletable(&self, now: Timestamp) -> usize {
        let total = self.sealed.iter().map(|sealed| sealed.size).sum::<u64>() + self.active.size;
        let mut surplus = total as i64 - self.config.retention_bytes;
        let is_deletable = |sealed: &&SealedSegment| {
            let fits = surplus >= sealed.size as i64 && self.config.retention_bytes >= 0;
            if fits {
                surplus -= sealed.size as i64;
            }
            let by_policy = self.config.delete && (fits || self.is_old(&sealed.segment, now));
            let end = sealed.end_offset;
            end <= self.high_watermark && (end <= self.log_start || by_policy)
        };
        self.sealed.iter().take_while(is_deletable).count()
    }

    fn is_old(&self, segment: &Segment, now: Timestamp) -> bool {
        let newest = segment.largest_timestamp().map_or(self.active.created, |largest| largest.timestamp);
        self.config.retention_ms >= 0 && now - newest > self.config.retention_ms
    }

    /// Whether not even the active segment has anything to keep; one without records is kept.
    fn all_are_deletable(&self, now: Timestamp) -> bool {
        self.active.size > 0
            && self.log_end <= self.high_watermark
            && self.deletable(now) == self.sealed.len()
            && (self.log_end <= self.log_start
                || (self.config.delete
                    && (self.is_old(&self.active.segment, now) || self.config.retention_bytes == 0)))
    }
}

/// Renames the files of a segment to `<name>.deleted`, its batches first.
fn rename_segment(
    disk: &dyn Disk,
    directory: &Path,
    segment: &Segment,
    renamed: &mut Vec<PathBuf>,
) -> Result<(), LogError> {
    for suffix in FILES {
        let path = segment_path(directory, segment.base_offset(), suffix);
        let to = segment_path(directory, segment.base_offset(), &format!("{suffix}{DELETED}"));
        match disk.rename(&path, &to) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            result => {
                result.on("rename", &path)?;
                renamed.push(to);
            }
        }
    }
    Ok(())
}
