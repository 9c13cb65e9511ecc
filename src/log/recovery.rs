//! Opening a log: after a clean stop what is there is taken as it is, after anything else what may be torn is
//! looked at.
//!
//! Recovery scans the segment that holds the recovery point from its start, and all behind it, batch by batch
//! with CRCs. It cuts an invalid tail at or above the recovery point: one that has no valid batch behind it,
//! or that begins where a write never reached the device although later ones did. A bad batch below the
//! recovery point, or one in front of valid ones that was written and rotted, is damage: an error, with every
//! byte left where it is. A batch with a right CRC that begins at another offset than expected was written
//! before the log was cut: it ends the log too. Offsets and leader epochs are not under the CRC, so where the
//! batch in front may be the one that rotted it is damage.

use super::checkpoint::{self, LEADER_EPOCH_CHECKPOINT, PARTITION_METADATA};
use super::config::LogConfig;
use super::epoch_cache::EpochCache;
use super::error::{Damage, DamageKind, LogError, OnPath};
use super::flush::Durability;
use super::leftovers::{Tidied, tidy};
use super::lost_write::{BadBatch, Cut, Remains};
use super::partition_log::{ActiveSegment, PartitionLog, Parts, create_segment, jitter};
use super::producer_state::ProducerStates;
use super::producers_at::{load_producers, note_found, remove_snapshots};
use super::scan::{BatchScan, Found, Look};
use super::search::valid_batch_behind;
use super::segment::{LOG, Segment, segment_path};
use super::truncation::remove_segment;
use super::view::{Part, SealedSegment};
use crate::protocol::records::{BatchHeader, MAGIC};
use crate::runtime::{Disk, Event, File, OpenOptions, Runtime};
use crate::types::{LeaderEpoch, Offset, Timestamp, TopicPartition};
use std::path::Path;
use std::sync::Arc;

/// The largest segment file that positions in indexes can address.
const MAX_SEGMENT_BYTES: u64 = i32::MAX as u64;

/// What is known about a log before it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenLog {
    /// Whether its directory was closed cleanly, with everything in it synced.
    pub clean: bool,
    /// Everything in front of it was once on the device; 0 when not known.
    pub recovery_point: Offset,
    /// Where the log starts, if that lies behind the start of its first segment; else 0.
    pub log_start: Offset,
}

/// What opening a log did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Segments that were scanned batch by batch.
    pub segments_scanned: usize,
    /// Bytes of batches that were scanned.
    pub bytes_scanned: u64,
    /// Bytes of a torn tail that were cut off.
    pub bytes_cut: u64,
    /// Of these, bytes from the first valid batch on that lay behind a write that never reached the device.
    pub bytes_given_up: u64,
    /// Why what was cut off was no batch of this log, and where it began.
    pub cut_because: Option<String>,
    /// Segments whose indexes were made anew although they did not have to be scanned.
    pub indexes_rebuilt: usize,
}

impl PartitionLog {
    /// Opens the log in `directory`. It waits for the device, and may read the whole log: run it where that
    /// is allowed. Damage is an error, and leaves every byte where it is.
    pub fn open(
        runtime: &Runtime,
        directory: &Path,
        partition: TopicPartition,
        config: Arc<LogConfig>,
        how: OpenLog,
        now: Timestamp,
    ) -> Result<(PartitionLog, Recovered), LogError> {
        let disk = runtime.disk();
        let metadata = directory.join(PARTITION_METADATA);
        let topic_id = checkpoint::read_partition_metadata(&*disk, &metadata)?;
        if topic_id.is_some() && !how.clean && how.recovery_point == Offset::ZERO {
            // Whoever created it may have died before it was on the device, and nobody writes it again.
            let file = disk.open(&metadata, OpenOptions::WRITE).on("open", &metadata)?;
            file.sync_data().on("sync", &metadata)?;
        }
        let tidied = tidy(&*disk, directory)?;
        let mut recovery = Recovery::new(&*disk, directory, &config, how, now);
        recovery.load_epochs(&tidied)?;
        recovery.load_segments(&tidied)?;
        if recovery.report.bytes_given_up > 0 {
            runtime.observe(|| Event::Sometimes("a log was cut at a lost write in front of valid batches"));
        } else if recovery.report.bytes_cut > 0 {
            runtime.observe(|| Event::Sometimes("the torn end of a log was cut"));
        }
        let opened = recovery.finish(jitter(runtime, &config), tidied.changed)?;
        let report = opened.report;
        let log = PartitionLog::from_parts(
            runtime,
            Parts {
                partition,
                directory: directory.into(),
                topic_id,
                config,
                sealed: opened.sealed,
                active: opened.active,
                epochs: opened.epochs,
                producers: opened.producers,
                durability: opened.durability,
                log_start: opened.log_start,
                log_end: opened.log_end,
            },
        );
        Ok((log, report))
    }
}

struct Opened {
    sealed: Vec<SealedSegment>,
    active: ActiveSegment,
    epochs: EpochCache,
    producers: ProducerStates,
    durability: Durability,
    log_start: Offset,
    log_end: Offset,
    report: Recovered,
}

/// A log that is being put together, oldest segment first.
struct Recovery<'a> {
    disk: &'a dyn Disk,
    directory: &'a Path,
    config: &'a LogConfig,
    how: OpenLog,
    now: Timestamp,
    segments: Vec<SealedSegment>,
    epochs: EpochCache,
    /// Whether epochs in the checkpoint cannot be trusted for want of a checkpoint.
    epochs_lost: bool,
    /// The producers at `end`, once segments are scanned.
    producers: Option<ProducerStates>,
    /// Where the log ends as far as it is put together, once that is known.
    end: Option<Offset>,
    scanned: Vec<Arc<Segment>>,
    report: Recovered,
}

/// How a scanned segment ended.
enum ScanEnd {
    /// With its file.
    Whole,
    /// In front of bytes that are no batch of this log.
    Cut(Cut),
    /// In front of a batch that does not go with the one before it, and either may be wrong.
    Suspect(Cut),
}

/// How far a scan has come.
struct Walked {
    /// The offset that comes next.
    expected: Offset,
    /// The same, but for a gap that the last batch left in front of it: were its offset wrong, this would
    /// come next.
    trusted: Offset,
    epoch: LeaderEpoch,
}

impl<'a> Recovery<'a> {
    fn new(
        disk: &'a dyn Disk,
        directory: &'a Path,
        config: &'a LogConfig,
        how: OpenLog,
        now: Timestamp,
    ) -> Recovery<'a> {
        Recovery {
            disk,
            directory,
            config,
            how,
            now,
            segments: Vec::new(),
            epochs: EpochCache::default(),
            epochs_lost: false,
            producers: None,
            end: None,
            scanned: Vec::new(),
            report: Recovered::default(),
        }
    }

    fn load_epochs(&mut self, tidied: &Tidied) -> Result<(), LogError> {
        let path = self.directory.join(LEADER_EPOCH_CHECKPOINT);
        match checkpoint::read_epochs(self.disk, &path) {
            Ok(entries) => {
                self.epochs_lost = entries.is_empty() && !tidied.bases.is_empty();
                self.epochs = EpochCache::from_entries(entries);
            }
            Err(LogError::Malformed(error)) => {
                tracing::warn!("leader epochs are read from the batches instead: {error}");
                self.epochs_lost = true;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn load_segments(&mut self, tidied: &Tidied) -> Result<(), LogError> {
        for (index, &base) in tidied.bases.iter().enumerate() {
            let path = segment_path(self.directory, base, LOG);
            let file = self.disk.open(&path, OpenOptions::WRITE).on("open", &path)?;
            let size = file.len().on("look at", &path)?;
            if size > MAX_SEGMENT_BYTES {
                let reason = format!("a segment has at most {MAX_SEGMENT_BYTES} bytes, and this has {size}");
                return Err(super::error::MalformedFile::new(&path, 0, reason).into());
            }
            let next = tidied.bases.get(index + 1).copied();
            let may_be_torn = !self.how.clean && next.is_none_or(|next| next > self.how.recovery_point);
            if !may_be_torn && self.take_as_it_is(base, next, &file, size)? {
                continue;
            }
            if let Some(bad) = self.scan(base, next, &file, size, may_be_torn)? {
                let later = &tidied.bases[index + 1..];
                self.cut(bad, &file, &path, size, later)?;
                break;
            }
        }
        Ok(())
    }

    /// Takes a segment over with the indexes beside it; refuses when they have to be made anew.
    fn take_as_it_is(
        &mut self,
        base: Offset,
        next: Option<Offset>,
        file: &File,
        size: u64,
    ) -> Result<bool, LogError> {
        let segment = Segment::open(self.disk, self.directory, base, file.clone(), size)?;
        let Some(segment) = segment else { return Ok(false) };
        let mut end_offset = next.unwrap_or(base);
        if next.is_none() {
            // The log end is where the last batch says.
            let Some(end) = segment.note_tail(size)? else { return Ok(false) };
            end_offset = end;
        }
        self.end = next.is_none().then_some(end_offset);
        self.segments.push(SealedSegment { segment: Arc::new(segment), size, end_offset });
        Ok(true)
    }

    /// Reads a segment from its start, checks every batch and makes its indexes anew. Returns where it has to
    /// be cut.
    fn scan(
        &mut self,
        base: Offset,
        next: Option<Offset>,
        file: &File,
        size: u64,
        may_be_torn: bool,
    ) -> Result<Option<Cut>, LogError> {
        let segment = Segment::with_empty_indexes(self.directory, base, file.clone());
        segment.forget_files(self.disk)?;
        let mut producers = match self.producers.take().filter(|_| may_be_torn) {
            Some(producers) => producers,
            None => self.producers_at(base)?,
        };
        if may_be_torn && self.scanned.is_empty() {
            self.epochs.truncate_from_end(base);
        }
        let epoch = self.epochs.epoch_for_offset(base).unwrap_or(LeaderEpoch::NONE);
        let mut walked = Walked { expected: base, trusted: base, epoch };
        let mut end = self.scan_batches(&segment, size, may_be_torn, &mut walked, &mut producers)?;
        if let (ScanEnd::Whole, Some(next)) = (&end, next) {
            end = self.meet_next(end, &walked, next, size, may_be_torn);
        }
        let cut = self.judge(&segment, end, size, &walked, may_be_torn)?;
        let whole = cut.as_ref().map_or(size, |cut| cut.position);
        let expected = walked.expected;
        segment.note_checked(0, whole);
        segment.write_indexes(self.disk)?;
        let segment = Arc::new(segment);
        if may_be_torn {
            self.producers = Some(producers);
            self.report.segments_scanned += 1;
        } else {
            self.report.indexes_rebuilt += 1;
        }
        self.report.bytes_scanned += whole;
        self.scanned.push(segment.clone());
        let end_offset = next.filter(|_| cut.is_none()).unwrap_or(expected);
        self.end = (cut.is_some() || next.is_none()).then_some(end_offset);
        self.segments.push(SealedSegment { segment, size: whole, end_offset });
        Ok(cut)
    }

    fn scan_batches(
        &mut self,
        segment: &Segment,
        size: u64,
        may_be_torn: bool,
        walked: &mut Walked,
        producers: &mut ProducerStates,
    ) -> Result<ScanEnd, LogError> {
        let scan = BatchScan::new(segment.file(), segment.path(), Look::Crcs, 0, size);
        let mut scan = scan.of_segment(segment.base_offset());
        let mut since_entry = 0;
        loop {
            let (position, header) = match scan.next()? {
                Found::Batch { position, header } => (position, header),
                Found::End => return Ok(ScanEnd::Whole),
                Found::Invalid { position, reason } => {
                    return Ok(ScanEnd::Cut(Cut::new(position, reason, Remains::NoBatch)));
                }
            };
            if let Some(end) = self.misplaced(position, &header, walked, may_be_torn) {
                return Ok(end);
            }
            let interval = self.config.index_interval_bytes;
            since_entry = segment.note_batch(self.disk, &header, position, since_entry, interval);
            if let Some(completed) = note_found(segment, position, &header, producers)? {
                segment.note_aborted(self.disk, &completed)?;
            }
            if header.partition_leader_epoch > walked.epoch {
                walked.epoch = header.partition_leader_epoch;
                if may_be_torn {
                    self.epochs.assign(walked.epoch, header.base_offset);
                }
            }
            let leaves_gap = header.magic == MAGIC && header.base_offset > walked.expected;
            let before = walked.expected;
            walked.expected = header.next_offset();
            walked.trusted = if leaves_gap { before } else { walked.expected };
        }
    }

    /// Whether gaps between batches are to be expected at this point: compaction leaves them, in the logs of
    /// followers too, and what was once synced may be from such a time.
    fn gaps_are_legal(&self, expected: Offset, may_be_torn: bool) -> bool {
        self.config.compact || expected < self.how.recovery_point || !may_be_torn
    }

    /// How a whole segment ends in view of where the next one begins: there may be batches missing in
    /// between.
    fn meet_next(
        &self,
        end: ScanEnd,
        walked: &Walked,
        next: Offset,
        size: u64,
        may_be_torn: bool,
    ) -> ScanEnd {
        let expected = walked.expected;
        let reason = format!("the segment ends at offset {expected}, and the next one begins at {next}");
        if expected > next {
            return ScanEnd::Suspect(Cut::new(size, reason, Remains::OtherBatch));
        }
        if expected < next && !self.gaps_are_legal(expected, may_be_torn) {
            return ScanEnd::Cut(Cut::new(size, reason, Remains::Nothing));
        }
        end
    }

    /// Whether a batch with a right CRC is not the next one of this log.
    fn misplaced(
        &self,
        position: u64,
        header: &BatchHeader,
        walked: &Walked,
        may_be_torn: bool,
    ) -> Option<ScanEnd> {
        let first = if header.magic == MAGIC { header.base_offset } else { header.last_offset() };
        let expected = walked.expected;
        let gaps_are_legal = self.gaps_are_legal(expected, may_be_torn);
        if first < expected || (first > expected && header.magic == MAGIC && !gaps_are_legal) {
            let reason = format!("a batch begins at offset {first}, and {expected} was expected");
            let cut = Cut::new(position, reason, Remains::OtherBatch);
            let is_suspect = walked.trusted < expected;
            return Some(if is_suspect { ScanEnd::Suspect(cut) } else { ScanEnd::Cut(cut) });
        }
        if header.magic == MAGIC && header.partition_leader_epoch < walked.epoch {
            let (old, new) = (header.partition_leader_epoch, walked.epoch);
            let reason = format!("a batch of leader epoch {old} lies behind one of {new}");
            return Some(ScanEnd::Suspect(Cut::new(position, reason, Remains::OtherBatch)));
        }
        None
    }

    /// Decides whether bytes that are no batch of this log are its torn end, with or without valid batches
    /// behind it, or damage; returns where they are cut off.
    fn judge(
        &self,
        segment: &Segment,
        end: ScanEnd,
        size: u64,
        walked: &Walked,
        may_be_torn: bool,
    ) -> Result<Option<Cut>, LogError> {
        let (mut cut, is_suspect) = match end {
            ScanEnd::Whole => return Ok(None),
            ScanEnd::Cut(cut) => (cut, false),
            ScanEnd::Suspect(cut) => (cut, true),
        };
        let position = cut.position;
        let kind = if !may_be_torn || walked.trusted < self.how.recovery_point {
            DamageKind::BelowRecoveryPoint
        } else {
            let (file, path) = (segment.file(), segment.path());
            let (trusted, epoch) = (walked.trusted, walked.epoch);
            let behind = valid_batch_behind(file, path, position + 1, size, trusted, epoch)?;
            if !is_suspect && behind.is_none() {
                return Ok(Some(cut));
            }
            let limit = behind.unwrap_or(size);
            let bad = BadBatch { file, path, size, position, limit };
            if let Some(why) = cut.why_lost(&bad, walked.expected, false)? {
                cut.lost = Some((why, size - limit));
                return Ok(Some(cut));
            }
            DamageKind::BeforeValidBatches
        };
        let (path, offset) = (segment.path().to_path_buf(), walked.trusted);
        Err(Damage { path, position, offset, reason: cut.reason, kind }.into())
    }

    /// Cuts the torn end of the log off for good, unless segments behind it hold valid batches that were
    /// written after what is cut off and what is cut off has rotted.
    fn cut(
        &mut self,
        mut cut: Cut,
        file: &File,
        path: &Path,
        size: u64,
        later: &[Offset],
    ) -> Result<(), LogError> {
        let position = cut.position;
        let expected = self.end.unwrap_or(Offset::ZERO);
        let given_up = self.valid_behind(later, expected)?;
        if given_up > 0 && cut.lost.is_none() {
            let bad = BadBatch { file, path, size, position, limit: size };
            let why = cut.why_lost(&bad, expected, true)?;
            let (kind, path, reason) = (DamageKind::BeforeValidBatches, path.to_owned(), cut.reason.clone());
            let damage = Damage { path, position, offset: expected, reason, kind };
            cut.lost = Some((why.ok_or(damage)?, 0));
        }
        let mut removed = 0;
        for &base in later.iter().rev() {
            let path = segment_path(self.directory, base, LOG);
            removed += self.disk.metadata(&path).on("look at", &path)?.length;
            remove_segment(self.disk, self.directory, base)?;
        }
        if !later.is_empty() {
            // As long as one of them may come back, what tells a lost write has to stay.
            self.disk.sync_dir(self.directory).on("sync", self.directory)?;
        }
        file.set_len(position).on("cut", path)?;
        file.sync_data().on("sync", path)?;
        self.disk.sync_dir(self.directory).on("sync", self.directory)?;
        self.report.bytes_cut = size - position + removed;
        let place = format!("{}, position {position}, offset {expected}: {}", path.display(), cut.reason);
        self.report.cut_because = Some(match cut.lost {
            None => place,
            Some((why, here)) => {
                self.report.bytes_given_up = given_up + here;
                format!(
                    "{place}; {why}: the write there never reached the device, though later ones did, and {} \
                     bytes from the next valid batch on are given up with it; nothing in front of the \
                     recovery point {} is touched",
                    self.report.bytes_given_up, self.how.recovery_point
                )
            }
        });
        Ok(())
    }

    /// Bytes of the segments `later` from the first batch on in each that is valid behind `expected`.
    fn valid_behind(&self, later: &[Offset], expected: Offset) -> Result<u64, LogError> {
        let epoch = self.epochs.latest().unwrap_or(LeaderEpoch::NONE);
        let mut bytes = 0;
        for &base in later {
            let path = segment_path(self.directory, base, LOG);
            let file = self.disk.open(&path, OpenOptions::READ).on("open", &path)?;
            let size = file.len().on("look at", &path)?;
            let valid = valid_batch_behind(&file, &path, 0, size, expected, epoch)?;
            bytes += valid.map_or(0, |at| size - at);
        }
        Ok(bytes)
    }

    fn parts(&self) -> Vec<Part<'_>> {
        self.segments.iter().map(SealedSegment::part).collect()
    }

    fn producers_at(&self, offset: Offset) -> Result<ProducerStates, LogError> {
        load_producers(self.disk, self.directory, &self.parts(), offset, self.now, self.config)
    }

    /// Makes the log of what was found.
    fn finish(mut self, jitter_ms: i64, names_changed: bool) -> Result<Opened, LogError> {
        let first = self.segments.first().map(|segment| segment.base());
        let mut log_end = self.end.unwrap_or(self.how.log_start);
        let log_start = self.how.log_start.max(first.unwrap_or(self.how.log_start));
        let mut created = false;
        if first.is_none() || log_start > log_end {
            // What lay behind the log start was lost with a crash, or there never was anything.
            for segment in std::mem::take(&mut self.segments).iter().rev() {
                remove_segment(self.disk, self.directory, segment.base())?;
            }
            (self.scanned, self.producers) = (Vec::new(), Some(ProducerStates::default()));
            self.epochs.clear();
            log_end = log_start;
            let segment = create_segment(self.disk, self.directory, log_start, self.config)?;
            let segment = Arc::new(segment);
            self.segments.push(SealedSegment { segment, size: 0, end_offset: log_end });
            created = true;
        }
        if std::mem::take(&mut self.epochs_lost) && !created {
            self.rebuild_epochs()?;
        }
        if remove_snapshots(self.disk, self.directory, |snapshot| snapshot > log_end)? {
            // They tell of batches that are lost; others are going to have their offsets.
            self.disk.sync_dir(self.directory).on("sync", self.directory)?;
        }
        let producers = match self.producers.take() {
            Some(producers) => producers,
            None => self.producers_at(log_end)?,
        };
        let stale = self.epochs.truncate_from_end(log_end.next());
        let changed = self.epochs.truncate_from_start(log_start) || stale || !self.scanned.is_empty();
        let active = self.segments.pop().expect("there is at least one segment");
        let recovery_point = if self.how.clean { log_end } else { self.how.recovery_point.min(log_end) };
        let mut durability = Durability::new(recovery_point);
        durability.names = names_changed || created || !self.scanned.is_empty();
        durability.epochs = changed;
        durability.sealed = self.scanned;
        durability.sealed.retain(|segment| !Arc::ptr_eq(segment, &active.segment));
        let indexed = active.segment.last_indexed().map_or(0, |batch| u64::from(batch.position));
        let active = ActiveSegment {
            size: active.size,
            since_entry: active.size - indexed,
            first_timestamp: active.segment.first_timestamp(active.size)?,
            created: self.now,
            jitter_ms,
            segment: active.segment,
        };
        let (sealed, epochs, report) = (self.segments, self.epochs, self.report);
        Ok(Opened { sealed, active, epochs, producers, durability, log_start, log_end, report })
    }

    /// Reads the leader epochs from the batches of the whole log.
    fn rebuild_epochs(&mut self) -> Result<(), LogError> {
        let mut epochs = EpochCache::default();
        for SealedSegment { segment, size, .. } in &self.segments {
            let mut scan = BatchScan::new(segment.file(), segment.path(), Look::Headers, 0, *size);
            loop {
                match scan.next()? {
                    Found::Batch { header, .. } => {
                        if epochs.latest().is_none_or(|latest| header.partition_leader_epoch > latest) {
                            epochs.assign(header.partition_leader_epoch, header.base_offset);
                        }
                    }
                    Found::End => break,
                    Found::Invalid { position, reason } => return Err(segment.damage(position, reason)),
                }
            }
        }
        self.epochs = epochs;
        Ok(())
    }
}
