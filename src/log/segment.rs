//! One segment: a `.log` file of batches, its three indexes, and what is known of its bytes.
//!
//! A segment is shared by the partition that appends to it and by readers that hold an older view of the log.
//! Its file is read without a lock; the indexes have one, held for a lookup. How far the file counts is not
//! known here: every view of the log brings its own size.

use super::access::Access;
use super::checked::CheckedRanges;
use super::error::{Damage, DamageKind, LogError, OnPath};
use super::offset_index::{IndexedBatch, OffsetIndex};
use super::scan::{BatchScan, Found, Look};
use super::time_index::{TimeIndex, TimestampOffset};
use super::transaction_index::{AbortedTransaction, TransactionIndex};
use crate::protocol::records::{BatchHeader, HEADER_BYTES, batches};
use crate::runtime::{Disk, File, OpenOptions};
use crate::types::{Offset, Timestamp};
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Batches.
pub(super) const LOG: &str = ".log";
/// Offsets to positions.
pub(super) const INDEX: &str = ".index";
/// Timestamps to offsets.
pub(super) const TIME_INDEX: &str = ".timeindex";
/// Aborted transactions.
pub(super) const TRANSACTION_INDEX: &str = ".txnindex";
/// Producers in front of a segment.
pub(super) const SNAPSHOT: &str = ".snapshot";
/// A file on its way out.
pub(super) const DELETED: &str = ".deleted";

/// All files of a segment, batches first. An index has a second name until it is published.
pub(super) const FILES: [&str; 7] =
    [LOG, INDEX, TIME_INDEX, TRANSACTION_INDEX, SNAPSHOT, ".index.tmp", ".timeindex.tmp"];

/// Bytes that are read at a time when headers are looked at near an index entry.
const LOOKUP_BYTES: usize = 8 << 10;

/// The file of a segment: `<20 digits><suffix>`.
pub(super) fn segment_path(directory: &Path, base_offset: Offset, suffix: &str) -> PathBuf {
    directory.join(format!("{:020}{suffix}", base_offset.0))
}

/// A segment; see the module.
pub struct Segment {
    base_offset: Offset,
    log: File,
    path: Arc<Path>,
    inner: Mutex<Inner>,
}

struct Inner {
    offsets: OffsetIndex,
    times: TimeIndex,
    aborted: TransactionIndex,
    checked: CheckedRanges,
    /// How often the file was cut.
    cuts: u64,
    /// Whether it is no part of a log any more: another segment may have its names now.
    retired: bool,
    /// The largest timestamp of all batches, and the last offset of the first batch that has it.
    largest: Option<TimestampOffset>,
}

/// Where a batch lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchAt {
    pub position: u64,
    pub header: BatchHeader,
}

impl Segment {
    /// A new segment with an empty file.
    pub(super) fn create(
        disk: &dyn Disk,
        directory: &Path,
        base_offset: Offset,
    ) -> Result<Segment, LogError> {
        let path = segment_path(directory, base_offset, LOG);
        let log = disk.open(&path, OpenOptions::CREATE_TRUNCATED).on("create", &path)?;
        Ok(Segment::with_empty_indexes(directory, base_offset, log))
    }

    /// The segment with this file, and indexes that are still to be filled.
    pub(super) fn with_empty_indexes(directory: &Path, base_offset: Offset, log: File) -> Segment {
        let path = |suffix| segment_path(directory, base_offset, suffix);
        Segment {
            base_offset,
            log,
            path: path(LOG).into(),
            inner: Mutex::new(Inner {
                offsets: OffsetIndex::empty(path(INDEX), base_offset),
                times: TimeIndex::empty(path(TIME_INDEX), base_offset),
                aborted: TransactionIndex::empty(path(TRANSACTION_INDEX)),
                checked: CheckedRanges::default(),
                cuts: 0,
                retired: false,
                largest: None,
            }),
        }
    }

    /// The segment with this file of `size` bytes and the indexes beside it; `None` when one of those has to
    /// be made anew.
    pub(super) fn open(
        disk: &dyn Disk,
        directory: &Path,
        base_offset: Offset,
        log: File,
        size: u64,
    ) -> Result<Option<Segment>, LogError> {
        let path = |suffix| segment_path(directory, base_offset, suffix);
        let offsets = OffsetIndex::open(disk, path(INDEX), base_offset, size)?;
        let times = TimeIndex::open(disk, path(TIME_INDEX), base_offset, size)?;
        let aborted = TransactionIndex::open(disk, path(TRANSACTION_INDEX))?;
        let (Some(offsets), Some(times), Some(aborted)) = (offsets, times, aborted) else { return Ok(None) };
        let largest = times.last();
        let segment = Segment::with_empty_indexes(directory, base_offset, log);
        let mut inner = segment.inner();
        (inner.offsets, inner.times, inner.aborted, inner.largest) = (offsets, times, aborted, largest);
        drop(inner);
        Ok(Some(segment))
    }

    /// Removes the index files for good, to make the indexes anew.
    pub(super) fn forget_files(&self, disk: &dyn Disk) -> Result<(), LogError> {
        let mut removed = false;
        for extension in ["index", "timeindex", "txnindex"] {
            let path = self.path.with_extension(extension);
            match disk.remove(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                result => {
                    result.on("remove", &path)?;
                    removed = true;
                }
            }
        }
        if removed { self.sync_names(disk) } else { Ok(()) }
    }

    fn sync_names(&self, disk: &dyn Disk) -> Result<(), LogError> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        disk.sync_dir(directory).on("sync", directory)
    }

    /// The offset that its name says; its first batch may begin behind it.
    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// The `.log` file.
    pub fn file(&self) -> &File {
        &self.log
    }

    /// Path of the `.log` file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves the indexes at worst incomplete; they are checked wherever they are used.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a batch that was just written, or found, at `position`, `since_entry` bytes behind the last one
    /// that has an index entry; returns that distance for the next batch.
    pub(super) fn note_batch(
        &self,
        disk: &dyn Disk,
        header: &BatchHeader,
        position: u64,
        since_entry: u64,
        index_interval: u32,
    ) -> u64 {
        let mut inner = self.inner();
        let last_offset = header.last_offset();
        let before = inner.largest.map_or(Timestamp::NONE, |largest| largest.timestamp);
        if header.max_timestamp > before {
            inner.largest = Some(TimestampOffset { timestamp: header.max_timestamp, offset: last_offset });
        }
        let size = header.size_in_bytes() as u64;
        if since_entry <= u64::from(index_interval) {
            return since_entry + size;
        }
        let position = u32::try_from(position).expect("a segment is shorter than 2 GiB");
        inner.offsets.push(disk, last_offset, position);
        if let Some(largest) = inner.largest {
            inner.times.push(disk, largest);
        }
        size
    }

    /// Notes that the bytes in `from..to` are whole batches with right CRCs: this process wrote or checked
    /// them.
    pub(super) fn note_checked(&self, from: u64, to: u64) {
        self.inner().checked.add(from, to);
    }

    /// Whether an index has no room for another entry.
    pub(super) fn has_full_index(&self, max_bytes: u32) -> bool {
        let inner = self.inner();
        inner.offsets.is_full(max_bytes) || inner.times.is_full(max_bytes)
    }

    /// Adds an aborted transaction, whose marker is about to be written, or was found, in this segment.
    pub(super) fn note_aborted(&self, disk: &dyn Disk, aborted: &AbortedTransaction) -> Result<(), LogError> {
        self.inner().aborted.append(disk, aborted)
    }

    /// Takes back the aborted transactions whose markers would be at `end` or behind it.
    pub(super) fn forget_aborted(&self, disk: &dyn Disk, end: Offset) -> Result<(), LogError> {
        self.inner().aborted.truncate(disk, end)
    }

    /// See [`TransactionIndex::collect`].
    pub(super) fn collect_aborted(
        &self,
        disk: &dyn Disk,
        from: Offset,
        to: Offset,
        access: Access,
        found: &mut Vec<AbortedTransaction>,
    ) -> Result<bool, LogError> {
        self.inner().aborted.collect(disk, from, to, access, found)
    }

    /// The largest timestamp in the segment and the last offset of the first batch that has it.
    pub(super) fn largest_timestamp(&self) -> Option<TimestampOffset> {
        self.inner().largest
    }

    /// The newest batch that the offset index knows.
    pub(super) fn last_indexed(&self) -> Option<IndexedBatch> {
        self.inner().offsets.last()
    }

    /// An offset at or behind every record in front of `position`, if the index knows one.
    pub(super) fn offset_bound(
        &self,
        disk: &dyn Disk,
        position: u64,
        access: Access,
    ) -> Result<Option<Offset>, LogError> {
        let Ok(position) = u32::try_from(position) else { return Ok(None) };
        let entry = self.inner().offsets.first_from(disk, position, access)?;
        Ok(entry.map(|entry| entry.last_offset.next()))
    }

    /// The first batch that ends at or behind `target`, of those in the first `size` bytes.
    pub(super) fn find(
        &self,
        disk: &dyn Disk,
        target: Offset,
        size: u64,
        access: Access,
    ) -> Result<Option<BatchAt>, LogError> {
        let (entry, cuts) = {
            let mut inner = self.inner();
            (inner.offsets.lookup(disk, target, access)?, inner.cuts)
        };
        let entry = entry.filter(|entry| u64::from(entry.position) < size);
        if let Some(entry) = entry {
            let mut walk = HeaderWalk::new(self, u64::from(entry.position), size, access);
            match walk.next() {
                Ok(Some(first)) if first.header.last_offset() == entry.last_offset => {
                    return walk.find_from(first, target);
                }
                Err(error) if error.is_would_block() => return Err(error),
                // The index does not describe this file: it is of no use until it is made anew at the next
                // start.
                _ => self.discard_index(disk, entry, cuts),
            }
        }
        let mut walk = HeaderWalk::new(self, 0, size, access);
        match walk.next()? {
            Some(first) => walk.find_from(first, target),
            None => Ok(None),
        }
    }

    fn discard_index(&self, disk: &dyn Disk, entry: IndexedBatch, cuts: u64) {
        let mut inner = self.inner();
        if inner.cuts != cuts || inner.retired {
            // The entry was right when it was looked up; its batch was taken away since.
            return;
        }
        let path = self.path.display();
        tracing::warn!("the index of {path} says {entry:?}, which is not so: it is not used any more");
        let offsets = OffsetIndex::empty(self.path.with_extension("index"), self.base_offset);
        // Were the old file left, the next start would trust it again.
        let _ = disk.remove(offsets.path());
        inner.offsets = offsets;
    }

    /// The position and offset from which to look for records of at least `timestamp`.
    pub(super) fn search_start(
        &self,
        disk: &dyn Disk,
        timestamp: Timestamp,
        size: u64,
        access: Access,
    ) -> Result<(u64, Offset), LogError> {
        let before = Timestamp(timestamp.0.saturating_sub(1));
        let entry = self.inner().times.lookup(disk, before, access)?;
        let Some(entry) = entry else { return Ok((0, self.base_offset)) };
        let from = self.find(disk, entry.offset, size, access)?;
        Ok(from.map_or((0, self.base_offset), |batch| (batch.position, entry.offset)))
    }

    /// Checks the CRCs of the whole batches in `bytes`, which were read at `position`, unless that was done
    /// before.
    pub(super) fn verify(&self, position: u64, bytes: &Bytes) -> Result<(), LogError> {
        if self.is_checked(position, bytes.len() as u64) {
            return Ok(());
        }
        let mut walk = batches(bytes);
        loop {
            let at = position + walk.position() as u64;
            let verified = match walk.next() {
                None => break,
                Some(batch) => batch.and_then(|batch| batch.verify_crc()),
            };
            verified.map_err(|error| self.damage(at, error.to_string()))?;
        }
        self.note_checked(position, position + walk.position() as u64);
        Ok(())
    }

    /// Whether the CRCs of all batches in this range were checked since the file was opened.
    pub(super) fn is_checked(&self, position: u64, length: u64) -> bool {
        self.inner().checked.contains(position, position + length)
    }

    /// The error for bytes at `position` that are not what was written.
    pub(super) fn damage(&self, position: u64, reason: String) -> LogError {
        let (path, offset) = (self.path.to_path_buf(), self.base_offset);
        LogError::Damaged(Damage { path, position, offset, reason, kind: DamageKind::OnRead })
    }

    /// Cuts the file and its indexes: what remains are the batches in front of `position`, all of them below
    /// `end`. Returns the distance to the last index entry. When `durable`, the cut survives a power loss
    /// once this returns.
    pub(super) fn truncate(
        &self,
        disk: &dyn Disk,
        position: u64,
        end: Offset,
        durable: bool,
    ) -> Result<u64, LogError> {
        let mut inner = self.inner();
        inner.cuts += 1;
        self.log.set_len(position).on("cut", &self.path)?;
        inner.checked.truncate(position);
        let position_u32 = u32::try_from(position).expect("a segment is shorter than 2 GiB");
        inner.offsets.truncate(disk, position_u32)?;
        inner.times.truncate(disk, end)?;
        inner.aborted.truncate(disk, end)?;
        // A flush that is under way may write the indexes as soon as the lock is free.
        inner.largest = inner.times.last();
        drop(inner);
        if durable {
            self.log.sync_data().on("sync", &self.path)?;
        }
        let from = self.last_indexed().map_or(0, |batch| u64::from(batch.position));
        if self.note_tail(position)?.is_none() {
            let reason = "between here and the cut the headers contradict the indexes or each other";
            return Err(self.damage(from, reason.to_owned()));
        }
        Ok(position - from)
    }

    /// Looks at the headers behind the last index entry: brings the largest timestamp up to date with them,
    /// and returns the offset behind the last batch. None when they contradict the indexes or each other: at
    /// a clean start nobody else has checked them.
    pub(super) fn note_tail(&self, size: u64) -> Result<Option<Offset>, LogError> {
        let mut inner = self.inner();
        let (indexed, timed) = (inner.offsets.last(), inner.times.last());
        let from = indexed.map_or(0, |batch| u64::from(batch.position));
        let scan = BatchScan::new(&self.log, &self.path, Look::Headers, from, size);
        let mut scan = scan.of_segment(self.base_offset);
        let (mut last, mut largest) = (None, timed);
        loop {
            let (position, header) = match scan.next()? {
                Found::Batch { position, header } => (position, header),
                Found::End => break,
                Found::Invalid { .. } => return Ok(None),
            };
            let offset = header.last_offset();
            let is_indexed = indexed.filter(|batch| u64::from(batch.position) == position);
            let contradicts = is_indexed.is_some_and(|batch| batch.last_offset != offset);
            if contradicts || last.is_some_and(|last| offset <= last) {
                return Ok(None);
            }
            last = Some(offset);
            // Of those in front of its last entry the time index knows the largest.
            let is_timed = timed.is_some_and(|timed| offset <= timed.offset);
            let before = largest.map_or(Timestamp::NONE, |largest| largest.timestamp);
            if !is_timed && header.max_timestamp > before {
                largest = Some(TimestampOffset { timestamp: header.max_timestamp, offset });
            }
        }
        if timed.is_some_and(|timed| last.is_none_or(|last| timed.offset > last)) {
            return Ok(None);
        }
        inner.largest = largest.filter(|largest| largest.timestamp > Timestamp::NONE);
        Ok(Some(last.map_or(self.base_offset, Offset::next)))
    }

    /// The largest timestamp of the first batch; none in an empty segment.
    pub(super) fn first_timestamp(&self, size: u64) -> Result<Option<Timestamp>, LogError> {
        let first = HeaderWalk::new(self, 0, size, Access::Blocking).next()?;
        Ok(first.map(|batch| batch.header.max_timestamp))
    }

    /// Takes note that the segment leaves its log, before its files do: a flush that is under way writes no
    /// file for it any more.
    pub(super) fn retire(&self) {
        self.inner().retired = true;
    }

    /// Whether a file was not found because the segment has left its log.
    pub(super) fn explains(&self, error: &LogError) -> bool {
        error.is_not_found() && self.is_retired()
    }

    /// Whether it has left its log.
    pub(super) fn is_retired(&self) -> bool {
        self.inner().retired
    }

    /// Writes the indexes whole, with the last entry of the time index: at roll and close.
    pub(super) fn write_indexes(&self, disk: &dyn Disk) -> Result<(), LogError> {
        let mut inner = self.inner();
        if inner.retired {
            return Ok(());
        }
        if let Some(largest) = inner.largest {
            inner.times.push(disk, largest);
        }
        inner.offsets.write(disk)?;
        inner.times.write(disk)
    }

    /// Makes the file durable, unless it is gone.
    pub(super) fn sync_log(&self) -> Result<(), LogError> {
        match self.log.sync_data().on("sync", &self.path) {
            Err(error) if self.explains(&error) => Ok(()),
            result => result,
        }
    }

    /// Makes the indexes durable, and only then gives them their names: a segment below the recovery point is
    /// not looked at again, and believes what it finds beside it. They must have been written.
    pub(super) fn publish_indexes(&self, disk: &dyn Disk) -> Result<(), LogError> {
        let mut inner = self.inner();
        if inner.retired {
            return Ok(());
        }
        inner.offsets.sync(disk)?;
        inner.times.sync(disk)?;
        inner.aborted.sync(disk)?;
        if !inner.aborted.is_empty() {
            // A segment that has the others counts as one without aborted transactions if this is missing.
            self.sync_names(disk)?;
        }
        inner.offsets.publish(disk)?;
        inner.times.publish(disk)
    }
}

/// A walk over headers in small reads, each of which may be refused when the bytes are not in memory.
pub(super) struct HeaderWalk<'a> {
    segment: &'a Segment,
    position: u64,
    size: u64,
    access: Access,
    buffer: Vec<u8>,
    buffer_at: u64,
}

impl<'a> HeaderWalk<'a> {
    pub(super) fn new(segment: &'a Segment, position: u64, size: u64, access: Access) -> HeaderWalk<'a> {
        HeaderWalk { segment, position, size, access, buffer: Vec::new(), buffer_at: 0 }
    }

    /// The next batch; bytes that are none are damage.
    pub(super) fn next(&mut self) -> Result<Option<BatchAt>, LogError> {
        let position = self.position;
        if position >= self.size {
            return Ok(None);
        }
        let header = BatchHeader::parse(self.bytes()?);
        let header = header.map_err(|error| self.segment.damage(position, error.to_string()))?;
        let size = header.size_in_bytes() as u64;
        if size > self.size - position {
            let reason = format!("the batch claims {size} bytes, and its segment ends before that");
            return Err(self.segment.damage(position, reason));
        }
        self.position += size;
        Ok(Some(BatchAt { position, header }))
    }

    /// The first batch from `batch` on that ends at or behind `target`.
    fn find_from(&mut self, batch: BatchAt, target: Offset) -> Result<Option<BatchAt>, LogError> {
        let mut next = Some(batch);
        while let Some(batch) = next {
            if batch.header.last_offset() >= target {
                return Ok(Some(batch));
            }
            next = self.next()?;
        }
        Ok(None)
    }

    fn bytes(&mut self) -> Result<&[u8], LogError> {
        let left = self.size - self.position;
        let wanted = left.min(HEADER_BYTES as u64);
        let held = self.buffer_at..self.buffer_at + self.buffer.len() as u64;
        if self.position < held.start || self.position + wanted > held.end {
            self.buffer.resize(left.min(LOOKUP_BYTES as u64) as usize, 0);
            let read = self.access.read_full(&self.segment.log, &mut self.buffer, self.position);
            let read = read.on("read", &self.segment.path)?;
            self.buffer.truncate(read);
            self.buffer_at = self.position;
        }
        Ok(&self.buffer[(self.position - self.buffer_at) as usize..])
    }
}
