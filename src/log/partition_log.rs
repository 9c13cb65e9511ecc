//! One partition's log: the only writer of its directory, used under one lock for one synchronous step at a
//! time.
//!
//! Invariant: memory never claims what the file does not hold. Bytes are written first, in one call; only
//! then do indexes, producers, epochs and the log end change, which cannot fail. A failed write is undone, or
//! the log goes offline for good. It must not know who leads, who replicates, or which request a batch came
//! in.

use super::checkpoint::{self, PARTITION_METADATA};
use super::config::LogConfig;
use super::epoch_cache::{EpochCache, EpochEnd};
use super::epochs_file::EpochsFile;
use super::error::{LogError, OnPath};
use super::flush::Durability;
use super::producer_snapshot;
use super::producer_state::ProducerStates;
use super::segment::{SNAPSHOT, Segment, segment_path};
use super::view::{Cuts, LogReader, LogView, SealedSegment};
use crate::protocol::records::BatchHeader;
use crate::runtime::{Disk, Event, OpenOptions, Runtime};
use crate::types::{LeaderEpoch, Offset, Timestamp, TopicPartition, Uuid};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

/// The log of one partition.
pub struct PartitionLog {
    pub(super) runtime: Runtime,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) partition: TopicPartition,
    pub(super) directory: Arc<Path>,
    pub(super) topic_id: Option<Uuid>,
    pub(super) config: Arc<LogConfig>,
    pub(super) sealed: Arc<[SealedSegment]>,
    pub(super) active: ActiveSegment,
    pub(super) epochs: Arc<EpochCache>,
    pub(super) producers: ProducerStates,
    pub(super) durability: Durability,
    pub(super) epochs_file: Arc<EpochsFile>,
    pub(super) log_start: Offset,
    pub(super) log_end: Offset,
    pub(super) high_watermark: Offset,
    pub(super) offline: Option<Arc<str>>,
    pub(super) cuts: Cuts,
    pub(super) reader: LogReader,
}

/// The segment that grows.
pub(super) struct ActiveSegment {
    pub segment: Arc<Segment>,
    /// Bytes of its file that count.
    pub size: u64,
    /// Bytes since the last batch that has an index entry.
    pub since_entry: u64,
    /// The largest timestamp of its first batch, from which its age is counted.
    pub first_timestamp: Option<Timestamp>,
    /// When it was created or opened, for batches without timestamps.
    pub created: Timestamp,
    /// What is taken off `segment.ms` for this segment.
    pub jitter_ms: i64,
}

/// What a log is made of when it is opened or created.
pub(super) struct Parts {
    pub partition: TopicPartition,
    pub directory: Arc<Path>,
    pub topic_id: Option<Uuid>,
    pub config: Arc<LogConfig>,
    pub sealed: Vec<SealedSegment>,
    pub active: ActiveSegment,
    pub epochs: EpochCache,
    pub producers: ProducerStates,
    pub durability: Durability,
    pub log_start: Offset,
    pub log_end: Offset,
}

impl PartitionLog {
    /// Makes the directory of a new partition with an empty log in it. Two syncs (the topic id, the
    /// directory) make all of it durable but the directory's own name: the caller syncs the log directory
    /// once for all that it creates, or the first flush does. Safe to be called for many partitions at once.
    /// A directory that an interrupted creation left is taken over.
    pub fn create(
        runtime: &Runtime,
        directory: &Path,
        partition: TopicPartition,
        topic_id: Uuid,
        config: Arc<LogConfig>,
        now: Timestamp,
    ) -> Result<PartitionLog, LogError> {
        let disk = runtime.disk();
        match disk.create_dir(directory) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            result => result.on("create", directory)?,
        }
        let metadata = directory.join(PARTITION_METADATA);
        let file = disk.open(&metadata, OpenOptions::CREATE_TRUNCATED).on("create", &metadata)?;
        let text = checkpoint::partition_metadata_text(topic_id);
        file.write_at(text.as_bytes(), 0).on("write to", &metadata)?;
        file.sync_data().on("sync", &metadata)?;
        let segment = create_segment(&*disk, directory, Offset::ZERO, &config)?;
        disk.sync_dir(directory).on("sync", directory)?;
        let mut durability = Durability::new(Offset::ZERO);
        durability.parent_name = true;
        let parts = Parts {
            partition,
            directory: directory.into(),
            topic_id: Some(topic_id),
            active: ActiveSegment::new(segment, jitter(runtime, &config), now),
            config,
            sealed: Vec::new(),
            epochs: EpochCache::default(),
            producers: ProducerStates::default(),
            durability,
            log_start: Offset::ZERO,
            log_end: Offset::ZERO,
        };
        Ok(PartitionLog::from_parts(runtime, parts))
    }

    pub(super) fn from_parts(runtime: &Runtime, parts: Parts) -> PartitionLog {
        assert!(parts.log_start <= parts.log_end, "{}: the log starts behind its end", parts.partition);
        let disk = runtime.disk();
        let sealed: Arc<[SealedSegment]> = parts.sealed.into();
        let epochs = Arc::new(parts.epochs);
        let cuts = Cuts::default();
        let view = LogView {
            disk: disk.clone(),
            partition: parts.partition.clone(),
            directory: parts.directory.clone(),
            sealed: sealed.clone(),
            active: parts.active.segment.clone(),
            active_size: parts.active.size,
            epochs: epochs.clone(),
            offline: None,
            cuts: cuts.clone(),
            cuts_before: 0,
            log_start: parts.log_start,
            log_end: parts.log_end,
            high_watermark: parts.log_start,
            last_stable: parts.log_start,
        };
        PartitionLog {
            runtime: runtime.clone(),
            epochs_file: Arc::new(EpochsFile::new(&parts.directory)),
            disk,
            partition: parts.partition,
            directory: parts.directory,
            topic_id: parts.topic_id,
            config: parts.config,
            sealed,
            active: parts.active,
            epochs,
            producers: parts.producers,
            durability: parts.durability,
            log_start: parts.log_start,
            log_end: parts.log_end,
            high_watermark: parts.log_start,
            offline: None,
            cuts,
            reader: LogReader::new(view),
        }
    }

    /// The log under its lock. When a step panicked with the lock held, the log may be half changed: it goes
    /// offline.
    pub fn lock(log: &Mutex<PartitionLog>) -> MutexGuard<'_, PartitionLog> {
        log.lock().unwrap_or_else(|poisoned| {
            log.clear_poison();
            let mut log = poisoned.into_inner();
            log.take_offline("a step on it panicked, which is a bug; its message stands above");
            log
        })
    }

    /// Where readers find the newest view.
    pub fn reader(&self) -> LogReader {
        self.reader.clone()
    }

    /// Which partition this is.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// The partition's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The topic's id; none in a directory that was written before topics had ids.
    pub fn topic_id(&self) -> Option<Uuid> {
        self.topic_id
    }

    /// The settings that it obeys.
    pub fn config(&self) -> &Arc<LogConfig> {
        &self.config
    }

    /// Takes over new settings from the next step on.
    pub fn set_config(&mut self, config: Arc<LogConfig>) {
        self.config = config;
    }

    /// The first offset that can be read.
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// The offset that the next record will get.
    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// The offset behind the last record that all in-sync replicas have, as far as this replica knows.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// The offset behind the last record that belongs to no open transaction; at most the high watermark.
    pub fn last_stable(&self) -> Offset {
        let unstable = self.producers.first_unstable_offset();
        let stable = unstable.map_or(self.high_watermark, |first| first.max(self.log_start));
        stable.min(self.high_watermark)
    }

    /// Everything in front of it is on the device.
    pub fn recovery_point(&self) -> Offset {
        self.durability.recovery_point
    }

    /// The base offset of the first segment: a log start beyond it has to be remembered in a checkpoint.
    pub fn first_segment_offset(&self) -> Offset {
        self.sealed.first().map_or(self.active.segment.base_offset(), |sealed| sealed.segment.base_offset())
    }

    /// The producers of the partition.
    pub fn producers(&self) -> &ProducerStates {
        &self.producers
    }

    /// The leader epochs of the log.
    pub fn epochs(&self) -> &EpochCache {
        &self.epochs
    }

    /// See [`EpochCache::end_offset_for`].
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        self.epochs.end_offset_for(epoch, self.log_end)
    }

    /// Notes that this replica leads in `epoch` from the log end on, whether or not it ever appends.
    pub fn begin_leader_epoch(&mut self, epoch: LeaderEpoch) {
        self.assign_epoch(epoch, self.log_end);
        self.publish();
    }

    /// Moves the high watermark; an offset outside of the log means the nearest one inside.
    pub fn set_high_watermark(&mut self, offset: Offset) {
        let offset = offset.clamp(self.log_start, self.log_end);
        if offset == self.high_watermark {
            return;
        }
        self.high_watermark = offset;
        self.producers.note_high_watermark(offset);
        self.publish();
        self.runtime.observe(|| Event::HighWatermark { partition: self.partition.clone(), offset });
    }

    /// Forgets producers that were idle for longer than `producer.id.expiration.ms`; tells how many.
    pub fn remove_expired_producers(&mut self, now: Timestamp) -> usize {
        self.producers.remove_expired(now, self.config.producer_id_expiration_ms)
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

    /// Takes the log offline until its directory is opened again; the first reason counts.
    pub fn take_offline(&mut self, reason: &str) {
        if self.offline.is_none() {
            tracing::error!("{} goes offline: {reason}", self.partition);
            self.offline = Some(reason.into());
            self.publish();
        }
    }

    /// What an error means for the log: a full disk nothing, everything else that it cannot be trusted any
    /// more.
    pub(super) fn failed(&mut self, error: LogError) -> LogError {
        if !error.is_no_space() {
            self.take_offline(&error.to_string());
        }
        error
    }

    pub(super) fn assign_epoch(&mut self, epoch: LeaderEpoch, start: Offset) {
        if self.epochs.latest().is_none_or(|latest| epoch > latest)
            && Arc::make_mut(&mut self.epochs).assign(epoch, start)
        {
            self.durability.epochs = true;
        }
    }

    /// Shows readers the log as it is now.
    pub(super) fn publish(&self) {
        assert!(self.log_start <= self.high_watermark && self.high_watermark <= self.log_end);
        self.reader.publish(LogView {
            disk: self.disk.clone(),
            partition: self.partition.clone(),
            directory: self.directory.clone(),
            sealed: self.sealed.clone(),
            active: self.active.segment.clone(),
            active_size: self.active.size,
            epochs: self.epochs.clone(),
            offline: self.offline.clone(),
            cuts: self.cuts.clone(),
            cuts_before: self.cuts.count(),
            log_start: self.log_start,
            log_end: self.log_end,
            high_watermark: self.high_watermark,
            last_stable: self.last_stable(),
        });
    }

    /// Whether a batch with this header has to go into a new segment, with `pending` bytes about to be
    /// written.
    pub(super) fn needs_roll(&self, pending: u64, header: &BatchHeader, now: Timestamp) -> bool {
        let (active, config) = (&self.active, &*self.config);
        let size = active.size + pending;
        let is_large = size + header.size_in_bytes() as u64 > u64::from(config.segment_bytes);
        let age = match active.first_timestamp {
            Some(first) if first >= Timestamp(0) => header.max_timestamp - first,
            _ => now - active.created,
        };
        let is_old = size > 0 && age > config.segment_ms - active.jitter_ms;
        let is_far = header.last_offset() - active.segment.base_offset() > i64::from(i32::MAX);
        let has_full_index = pending == 0 && active.segment.has_full_index(config.segment_index_bytes);
        (is_large && size > 0) || is_old || is_far || has_full_index
    }

    /// Seals the active segment and begins a new one at `base_offset`, the log end or behind it. Whatever of
    /// the sealed one cannot be written now waits for the next flush. Nothing has changed when this fails.
    pub(super) fn roll(&mut self, base_offset: Offset, now: Timestamp) -> Result<(), LogError> {
        assert!(base_offset >= self.log_end, "{}: a segment begins inside the log", self.partition);
        let old = self.active.segment.clone();
        if base_offset == old.base_offset() {
            return Ok(());
        }
        let segment = create_segment(&*self.disk, &self.directory, base_offset, &self.config);
        let segment = segment.map_err(|error| self.failed(error))?;
        let jitter = jitter(&self.runtime, &self.config);
        let sealed_size = self.active.size;
        self.active = ActiveSegment::new(segment, jitter, now);
        self.durability.names = true;
        if sealed_size == 0 {
            // An empty segment in front of a gap tells nobody anything.
            let _ = self.disk.remove(old.path());
            return Ok(());
        }
        if self.config.preallocate {
            let trimmed = old.file().set_len(sealed_size).on("trim", old.path());
            trimmed.map_err(|error| self.failed(error))?;
        }
        if let Err(error) = old.write_indexes(&*self.disk) {
            tracing::warn!("indexes of a sealed segment stay in memory until the next flush: {error}");
        }
        self.write_snapshot(base_offset);
        self.durability.sealed.push(old.clone());
        let mut sealed = self.sealed.to_vec();
        sealed.push(SealedSegment { segment: old, size: sealed_size, end_offset: base_offset });
        self.sealed = sealed.into();
        Ok(())
    }

    /// Writes the producers as they are at `offset`. Without it recovery would begin at an older snapshot.
    pub(super) fn write_snapshot(&mut self, offset: Offset) {
        let path = segment_path(&self.directory, offset, SNAPSHOT);
        match producer_snapshot::write(&*self.disk, &path, &self.producers) {
            Ok(()) => self.durability.snapshots.push(path),
            Err(error) => tracing::warn!("went on without a producer snapshot: {error}"),
        }
        self.durability.names = true;
    }
}

impl ActiveSegment {
    pub(super) fn new(segment: Segment, jitter_ms: i64, created: Timestamp) -> ActiveSegment {
        let segment = Arc::new(segment);
        ActiveSegment { segment, size: 0, since_entry: 0, first_timestamp: None, created, jitter_ms }
    }
}

/// A new segment, with its space taken where the settings say so.
pub(super) fn create_segment(
    disk: &dyn Disk,
    directory: &Path,
    base_offset: Offset,
    config: &LogConfig,
) -> Result<Segment, LogError> {
    let segment = Segment::create(disk, directory, base_offset)?;
    if config.preallocate
        && let Err(error) = segment.file().allocate(0, u64::from(config.segment_bytes))
    {
        let _ = disk.remove(segment.path());
        return Err(LogError::io("allocate space for", segment.path(), error));
    }
    Ok(segment)
}

/// What to take off `segment.ms`, so that segments of many partitions are not all rolled at once.
pub(super) fn jitter(runtime: &Runtime, config: &LogConfig) -> i64 {
    let most = config.segment_jitter_ms.clamp(0, config.segment_ms.max(0)) as u64;
    if most == 0 { 0 } else { (runtime.random_u64() % most) as i64 }
}
