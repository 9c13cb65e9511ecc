//! The log as readers see it: an immutable view that the partition publishes after every change, so that
//! reading takes no lock of the partition's.
//!
//! Invariant of a view: `log_start <= high_watermark <= log_end`, `last_stable <= high_watermark`, and every
//! offset in `log_start..log_end` that was not compacted away lies in its segments. A view may be older than
//! the log; it never shows what was not there: where a cut took bytes away meanwhile, a read fails.

use super::epoch_cache::{EpochCache, EpochEnd};
use super::error::LogError;
use super::segment::Segment;
use crate::runtime::Disk;
use crate::types::{LeaderEpoch, Offset, TopicPartition};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A segment that no longer grows.
#[derive(Clone)]
pub(super) struct SealedSegment {
    pub segment: Arc<Segment>,
    /// Bytes of its file that count.
    pub size: u64,
    /// Where the next segment begins.
    pub end_offset: Offset,
}

impl SealedSegment {
    pub(super) fn base(&self) -> Offset {
        self.segment.base_offset()
    }

    pub(super) fn part(&self) -> Part<'_> {
        Part { segment: &self.segment, size: self.size, end_offset: self.end_offset }
    }
}

/// One state of a log.
#[derive(Clone)]
pub struct LogView {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) partition: TopicPartition,
    pub(super) directory: Arc<Path>,
    pub(super) sealed: Arc<[SealedSegment]>,
    pub(super) active: Arc<Segment>,
    pub(super) active_size: u64,
    pub(super) epochs: Arc<EpochCache>,
    pub(super) offline: Option<Arc<str>>,
    pub(super) cuts: Cuts,
    /// The cuts that were made before this view.
    pub(super) cuts_before: u64,
    pub(super) log_start: Offset,
    pub(super) log_end: Offset,
    pub(super) high_watermark: Offset,
    pub(super) last_stable: Offset,
}

/// A segment with the part of it that a view counts.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub segment: &'a Arc<Segment>,
    pub size: u64,
    pub end_offset: Offset,
}

impl LogView {
    /// Which partition this is.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// The first offset that can be read.
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// The offset that the next record will get.
    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// The offset behind the last record that all in-sync replicas have.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// The offset behind the last record that belongs to no open transaction; at most the high watermark.
    pub fn last_stable(&self) -> Offset {
        self.last_stable
    }

    /// The leader epochs of the log.
    pub fn epochs(&self) -> &EpochCache {
        &self.epochs
    }

    /// See [`EpochCache::end_offset_for`].
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        self.epochs.end_offset_for(epoch, self.log_end)
    }

    /// Bytes in all segments.
    pub fn size_in_bytes(&self) -> u64 {
        self.sealed.iter().map(|sealed| sealed.size).sum::<u64>() + self.active_size
    }

    /// How many segments there are, the active one included.
    pub fn segment_count(&self) -> usize {
        self.sealed.len() + 1
    }

    /// Refuses when the log is offline.
    pub fn check_online(&self) -> Result<(), LogError> {
        match &self.offline {
            None => Ok(()),
            Some(reason) => {
                Err(LogError::Offline { path: self.directory.to_path_buf(), reason: reason.clone() })
            }
        }
    }

    /// Whether the log was cut since this view was published: its files may hold other bytes than the view
    /// says. To be asked after they were read.
    pub(super) fn was_cut(&self) -> bool {
        self.cuts.count() != self.cuts_before
    }

    /// Segment number `index`, oldest first; the active one is the last.
    pub(super) fn part(&self, index: usize) -> Option<Part<'_>> {
        if let Some(sealed) = self.sealed.get(index) {
            return Some(sealed.part());
        }
        let active = Part { segment: &self.active, size: self.active_size, end_offset: self.log_end };
        (index == self.sealed.len()).then_some(active)
    }

    /// The number of the segment that `offset` belongs to.
    pub(super) fn index_of(&self, offset: Offset) -> usize {
        self.sealed.partition_point(|sealed| sealed.end_offset <= offset)
    }
}

/// How many cuts of a log have begun; the log and all its views share it. A view reads files without a lock,
/// and a cut takes bytes away that the view counts on: what was read counts only if this has not risen.
#[derive(Clone, Default)]
pub(super) struct Cuts(Arc<Mutex<u64>>);

impl Cuts {
    /// Cuts that have begun.
    pub(super) fn count(&self) -> u64 {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a cut, before the first byte of it goes.
    pub(super) fn begin(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }
}

/// Where the newest view of a log is found. Clones show the same log.
#[derive(Clone)]
pub struct LogReader(Arc<Mutex<Arc<LogView>>>);

impl LogReader {
    pub(super) fn new(view: LogView) -> LogReader {
        LogReader(Arc::new(Mutex::new(Arc::new(view))))
    }

    /// The newest view. The lock inside is held for as long as a pointer is copied.
    pub fn view(&self) -> Arc<LogView> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn publish(&self, view: LogView) {
        let view = Arc::new(view);
        let old = std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), view);
        drop(old);
    }
}
