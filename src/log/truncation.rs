//! Cutting the end of a log: what a follower does with batches that its leader does not have.
//!
//! A cut is durable when it returns, so that no batch that was cut off can come back behind new ones after a
//! power loss. These steps wait for the device: run them where waiting is allowed.

use super::access::Access;
use super::error::{LogError, OnPath};
use super::partition_log::{ActiveSegment, PartitionLog, create_segment, jitter};
use super::producers_at::{load_producers, remove_snapshots};
use super::segment::{FILES, segment_path};
use super::view::{Part, SealedSegment};
use crate::runtime::{Disk, Event};
use crate::types::{Offset, Timestamp};
use std::path::Path;
use std::sync::Arc;

/// What a cut did.
#[must_use = "the checkpoint of recovery points may have to be written before anything is appended"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncated {
    /// Where the log ends now.
    pub log_end: Offset,
    /// Whether the recovery point fell: the checkpoint of the log directory has to say so before anything is
    /// appended, or a crash would take the bytes of those appends for damage.
    pub recovery_point_fell: bool,
}

impl PartitionLog {
    /// Cuts off everything at `offset` and behind it; a batch that `offset` lies inside goes whole. An offset
    /// in front of the first segment leaves an empty log that begins there.
    pub fn truncate_to(&mut self, offset: Offset, now: Timestamp) -> Result<Truncated, LogError> {
        self.check_online()?;
        if offset < self.first_segment_offset() {
            return self.truncate_fully_and_start_at(offset, now);
        }
        let recovery_point = self.durability.recovery_point;
        if offset < self.log_end {
            // Were the cut durable before what lies in front of it, a power loss could leave a hole there.
            self.flush_blocking()?;
            self.cuts.begin();
            let cut = self.cut(offset, now);
            cut.map_err(|error| self.cut_failed(error))?;
        }
        // Even when no record goes: an epoch that was noted at the end, and never used, contradicts the
        // leader's.
        if Arc::make_mut(&mut self.epochs).truncate_from_end(offset.min(self.log_end)) {
            self.durability.epochs = true;
        }
        self.after_cut(recovery_point)
    }

    /// Drops everything and begins anew at `offset`: the leader has nothing in front of it.
    pub fn truncate_fully_and_start_at(
        &mut self,
        offset: Offset,
        now: Timestamp,
    ) -> Result<Truncated, LogError> {
        self.check_online()?;
        let recovery_point = self.durability.recovery_point;
        self.cuts.begin();
        let restarted = self.restart_at(offset, now);
        restarted.map_err(|error| self.cut_failed(error))?;
        let truncated = self.after_cut(recovery_point);
        self.runtime.observe(|| Event::LogStart { partition: self.partition.clone(), offset });
        truncated
    }

    /// Shows readers what a cut has left that failed in the middle.
    fn cut_failed(&mut self, error: LogError) -> LogError {
        let error = self.failed(error);
        self.publish();
        error
    }

    fn after_cut(&mut self, recovery_point: Offset) -> Result<Truncated, LogError> {
        self.publish();
        if self.durability.epochs {
            let version = self.durability.next_epochs_version();
            let written = self.epochs_file.write(&*self.disk, version, &self.epochs);
            written.map_err(|error| self.failed(error))?;
            self.durability.epochs = false;
        }
        let end = self.log_end;
        self.runtime.observe(|| Event::Truncate { partition: self.partition.clone(), end });
        let recovery_point_fell = self.durability.recovery_point < recovery_point;
        Ok(Truncated { log_end: end, recovery_point_fell })
    }

    fn cut(&mut self, offset: Offset, now: Timestamp) -> Result<(), LogError> {
        let disk = self.disk.clone();
        // Newest first, each gone for good before the next: whatever a crash leaves has no hole.
        while self.active.segment.base_offset() > offset {
            self.drop_active()?;
        }
        let segment = self.active.segment.clone();
        let first_cut = segment.find(&*disk, offset, self.active.size, Access::Blocking)?;
        if let Some(batch) = first_cut {
            if batch.header.base_offset < self.log_start {
                // The batch that goes whole holds the log start: nothing that counts is left.
                return self.restart_at(self.log_start, now);
            }
            self.lower_end(offset.min(batch.header.base_offset.max(segment.base_offset())));
            let size = batch.position;
            self.active.since_entry = segment.truncate(&*disk, size, self.log_end, true)?;
            self.active.size = size;
        } else {
            self.lower_end(offset.min(self.log_end));
        }
        if self.active.size == 0 {
            self.active.first_timestamp = None;
            self.active.created = now;
        }
        self.durability.truncated(self.log_end);
        remove_snapshots(&*disk, &self.directory, |snapshot| snapshot > self.log_end)?;
        disk.sync_dir(&self.directory).on("sync", &self.directory)?;
        let parts: Vec<Part<'_>> = self.parts().collect();
        self.producers = load_producers(&*disk, &self.directory, &parts, self.log_end, now, &self.config)?;
        self.producers.note_high_watermark(self.high_watermark);
        Ok(())
    }

    /// Removes the active segment; the one in front of it is active again.
    fn drop_active(&mut self) -> Result<(), LogError> {
        let (last, rest) = self.sealed.split_last().expect("the first segment begins at the cut or before");
        let (last, rest) = (last.clone(), rest.to_vec());
        let indexed = last.segment.last_indexed().map_or(0, |batch| u64::from(batch.position));
        let active = ActiveSegment {
            size: last.size,
            since_entry: last.size - indexed,
            first_timestamp: last.segment.first_timestamp(last.size)?,
            created: self.active.created,
            jitter_ms: jitter(&self.runtime, &self.config),
            segment: last.segment,
        };
        let gone = std::mem::replace(&mut self.active, active);
        self.sealed = rest.into();
        self.lower_end(last.end_offset);
        self.durability.truncated(self.log_end);
        gone.segment.retire();
        remove_segment(&*self.disk, &self.directory, gone.segment.base_offset())?;
        self.disk.sync_dir(&self.directory).on("sync", &self.directory)
    }

    /// The log end and what must not lie behind it, in one step: a disk that fails in the middle of a cut
    /// leaves a log that can still be shown.
    fn lower_end(&mut self, end: Offset) {
        self.log_end = end;
        self.high_watermark = self.high_watermark.min(end);
        self.log_start = self.log_start.min(end);
    }

    fn restart_at(&mut self, offset: Offset, now: Timestamp) -> Result<(), LogError> {
        let disk = self.disk.clone();
        while !self.sealed.is_empty() {
            self.drop_active()?;
        }
        self.active.segment.retire();
        remove_segment(&*disk, &self.directory, self.active.segment.base_offset())?;
        remove_snapshots(&*disk, &self.directory, |_| true)?;
        // Were the new segment durable first, a power loss could leave it beside the old one, which reaches
        // behind it.
        disk.sync_dir(&self.directory).on("sync", &self.directory)?;
        let segment = create_segment(&*disk, &self.directory, offset, &self.config)?;
        disk.sync_dir(&self.directory).on("sync", &self.directory)?;
        self.active = ActiveSegment::new(segment, jitter(&self.runtime, &self.config), now);
        self.durability.truncated(Offset(-1));
        self.durability.recovery_point = offset;
        self.producers = Default::default();
        Arc::make_mut(&mut self.epochs).clear();
        self.durability.epochs = true;
        (self.log_start, self.log_end, self.high_watermark) = (offset, offset, offset);
        Ok(())
    }

    /// Every segment with the part of it that counts, oldest first.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let sealed = self.sealed.iter().map(SealedSegment::part);
        let active = Part { segment: &self.active.segment, size: self.active.size, end_offset: self.log_end };
        sealed.chain([active])
    }
}

/// Removes the files of a segment, its batches first: what is left of the others is cleared away at the next
/// start.
pub(super) fn remove_segment(disk: &dyn Disk, directory: &Path, base_offset: Offset) -> Result<(), LogError> {
    for suffix in FILES {
        let path = segment_path(directory, base_offset, suffix);
        match disk.remove(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            result => result.on("remove", &path)?,
        }
    }
    Ok(())
}
