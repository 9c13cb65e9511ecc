//! One directory of `log.dirs`: its lock, its checkpoints, and the directories of partitions in it.
//!
//! Invariant: the file that says the directory was closed cleanly is gone, durably, before anything in it is
//! opened: a crash while loading must not look like a clean stop. It must not know `meta.properties`, or
//! which partitions belong here.

use super::checkpoint::{
    self, CLEAN_SHUTDOWN, CleanShutdown, HIGH_WATERMARK_CHECKPOINT, LOG_START_CHECKPOINT, PARTITION_METADATA,
    RECOVERY_POINT_CHECKPOINT,
};
use super::error::{LogError, OnPath};
use super::partition_log::PartitionLog;
use super::recovery::OpenLog;
use super::segment::LOG;
use crate::runtime::{Disk, DiskLock, Runtime};
use crate::types::{BrokerEpoch, Offset, TopicPartition, Uuid};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Held while a process uses the directory.
const LOCK: &str = ".lock";
/// Flushes that may be under way at a time on one directory.
const MAX_FLUSHES: usize = 16;
/// The longest name of a file.
const MAX_NAME_BYTES: usize = 255;

const DELETE: &str = "-delete";
const STRAY: &str = "-stray";
const FUTURE: &str = "-future";

/// One offset for each partition.
pub type Offsets = BTreeMap<TopicPartition, Offset>;

/// A log directory that this process has locked.
pub struct LogDir {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    lock: Mutex<Option<DiskLock>>,
    clean_shutdown: Option<CleanShutdown>,
    recovery_points: Offsets,
    log_starts: Offsets,
    high_watermarks: Offsets,
    flush_permits: Semaphore,
    /// Held from before a checkpoint is made until it is written, so that none is replaced by an older one.
    checkpoints: Mutex<()>,
}

/// The directory of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundLog {
    /// Its path.
    pub directory: PathBuf,
    /// What its name says.
    pub kind: FoundKind,
}

/// A file of offsets by partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpoint {
    /// Up to where logs are on the device.
    RecoveryPoints,
    /// Where logs begin that begin behind the base of their first segment.
    LogStarts,
    /// How far logs are replicated.
    HighWatermarks,
}

impl Checkpoint {
    fn file_name(self) -> &'static str {
        match self {
            Checkpoint::RecoveryPoints => RECOVERY_POINT_CHECKPOINT,
            Checkpoint::LogStarts => LOG_START_CHECKPOINT,
            Checkpoint::HighWatermarks => HIGH_WATERMARK_CHECKPOINT,
        }
    }
}

/// What the name of a partition's directory says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundKind {
    /// A replica.
    Partition(TopicPartition),
    /// A replica that is being moved here from another directory of this broker.
    Future(TopicPartition),
    /// A replica that this broker was not meant to have any more, or that was set aside because it is
    /// damaged.
    Stray(TopicPartition),
    /// A replica that was deleted; its files are to be removed.
    Deleted,
}

impl LogDir {
    /// Creates the directory if it is missing, locks it, notes whether it was closed cleanly and forgets
    /// that, and reads its checkpoints. A checkpoint that cannot be read counts as empty: more is recovered
    /// then than was needed.
    pub fn open(runtime: &Runtime, path: &Path) -> Result<LogDir, LogError> {
        let disk = runtime.disk();
        disk.create_dir_all(path).on("create", path)?;
        let lock = match disk.lock(&path.join(LOCK)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(LogError::Locked { path: path.to_owned() });
            }
            result => result.on("lock", path)?,
        };
        let marker = path.join(CLEAN_SHUTDOWN);
        let clean_shutdown = checkpoint::read_clean_shutdown(&*disk, &marker)?;
        if clean_shutdown.is_some() {
            disk.remove(&marker).on("remove", &marker)?;
            disk.sync_dir(path).on("sync", path)?;
        }
        let read = |name: &str| match checkpoint::read_offsets(&*disk, &path.join(name)) {
            Err(LogError::Malformed(error)) => {
                tracing::error!("a checkpoint cannot be read and is taken for empty: {error}");
                Ok(BTreeMap::new())
            }
            result => result,
        };
        Ok(LogDir {
            path: path.to_owned(),
            lock: Mutex::new(Some(lock)),
            clean_shutdown,
            recovery_points: read(RECOVERY_POINT_CHECKPOINT)?,
            log_starts: read(LOG_START_CHECKPOINT)?,
            high_watermarks: read(HIGH_WATERMARK_CHECKPOINT)?,
            flush_permits: Semaphore::new(MAX_FLUSHES),
            checkpoints: Mutex::new(()),
            disk,
        })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the last clean stop left; none when the last process did not stop cleanly, or never was.
    pub fn clean_shutdown(&self) -> Option<CleanShutdown> {
        self.clean_shutdown
    }

    /// Bounds the flushes that are under way in this directory.
    pub fn flush_permits(&self) -> &Semaphore {
        &self.flush_permits
    }

    /// How the log of a partition is to be opened, by what the checkpoints said when this directory was
    /// opened.
    pub fn how_to_open(&self, partition: &TopicPartition) -> OpenLog {
        let offset = |map: &Offsets| map.get(partition).copied();
        OpenLog {
            clean: self.clean_shutdown.is_some(),
            recovery_point: offset(&self.recovery_points).unwrap_or(Offset::ZERO),
            log_start: offset(&self.log_starts).unwrap_or(Offset::ZERO),
        }
    }

    /// Where the log of a partition is, or would be.
    pub fn partition_path(&self, partition: &TopicPartition) -> PathBuf {
        self.path.join(partition.to_string())
    }

    /// The directories of partitions, by name. Those that an interrupted creation left without a log are
    /// removed; others that are none are left alone.
    pub fn scan(&self) -> Result<Vec<FoundLog>, LogError> {
        let mut found = Vec::new();
        for entry in self.disk.read_dir(&self.path).on("list", &self.path)? {
            if !entry.is_directory {
                continue;
            }
            let directory = self.path.join(&entry.name);
            let Some(kind) = parse_name(&entry.name) else {
                tracing::warn!("{} is no partition's directory, and is left alone", directory.display());
                continue;
            };
            if matches!(kind, FoundKind::Partition(_)) && self.was_never_created(&directory)? {
                tracing::warn!("{} was never completed, and is removed", directory.display());
                self.remove_partition(&directory)?;
                continue;
            }
            found.push(FoundLog { directory, kind });
        }
        Ok(found)
    }

    /// Whether a crash came between the creation of the directory and that of its log.
    fn was_never_created(&self, directory: &Path) -> Result<bool, LogError> {
        let entries = self.disk.read_dir(directory).on("list", directory)?;
        if entries.iter().any(|entry| entry.name.ends_with(LOG)) {
            return Ok(false);
        }
        let metadata = checkpoint::read_partition_metadata(&*self.disk, &directory.join(PARTITION_METADATA));
        match metadata {
            Ok(topic_id) => Ok(topic_id.is_none() && entries.is_empty()),
            // What else lies beside a torn partition.metadata must not be lost: the directory of the metadata
            // log holds the quorum's voters before its log begins.
            Err(LogError::Malformed(_)) => Ok(entries.iter().all(|entry| entry.name == PARTITION_METADATA)),
            Err(error) => Err(error),
        }
    }

    /// Makes the names of directories that were created durable.
    pub fn sync_names(&self) -> Result<(), LogError> {
        self.disk.sync_dir(&self.path).on("sync", &self.path)
    }

    /// Replaces a checkpoint with what `offsets` finds. One checkpoint at a time is made and written, so that
    /// a slow writer cannot bring back what was true before; a caller that holds the lock of a partition must
    /// be the only one.
    pub fn write_checkpoint(&self, which: Checkpoint, offsets: &dyn Fn() -> Offsets) -> Result<(), LogError> {
        let _one_at_a_time = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        checkpoint::write_offsets(&*self.disk, &self.path.join(which.file_name()), &offsets())
    }

    /// What a checkpoint said when the directory was opened.
    pub fn checkpoint_at_start(&self, which: Checkpoint) -> &Offsets {
        match which {
            Checkpoint::RecoveryPoints => &self.recovery_points,
            Checkpoint::LogStarts => &self.log_starts,
            Checkpoint::HighWatermarks => &self.high_watermarks,
        }
    }

    /// Takes a deleted partition out of use: its directory gets a name that says so, durably. `unique` keeps
    /// that name apart from others. What is returned goes to [`LogDir::remove_partition`] later.
    pub fn mark_deleted(&self, log: &mut PartitionLog, unique: Uuid) -> Result<PathBuf, LogError> {
        log.abandon();
        self.rename_partition(log.partition(), log.directory(), unique, DELETE)
    }

    /// Moves the directory of a damaged or unwanted replica out of the way, with all its bytes.
    pub fn set_aside(&self, partition: &TopicPartition, unique: Uuid) -> Result<PathBuf, LogError> {
        self.rename_partition(partition, &self.partition_path(partition), unique, STRAY)
    }

    fn rename_partition(
        &self,
        partition: &TopicPartition,
        directory: &Path,
        unique: Uuid,
        suffix: &str,
    ) -> Result<PathBuf, LogError> {
        let to = self.path.join(marked_name(partition, unique, suffix));
        self.disk.rename(directory, &to).on("rename", directory)?;
        self.sync_names()?;
        Ok(to)
    }

    /// Removes a directory with all its files. It waits for the device.
    pub fn remove_partition(&self, directory: &Path) -> Result<(), LogError> {
        self.disk.remove_dir_all(directory).on("remove", directory)
    }

    /// Ends the use of the directory cleanly. Every log in it must have been closed, and the checkpoints
    /// written.
    pub fn close(&self, broker_epoch: Option<BrokerEpoch>) -> Result<(), LogError> {
        checkpoint::write_clean_shutdown(&*self.disk, &self.path.join(CLEAN_SHUTDOWN), broker_epoch)?;
        self.unlock();
        Ok(())
    }

    /// Lets others use the directory.
    pub fn unlock(&self) {
        if let Some(lock) = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = self.disk.remove(&self.path.join(LOCK));
            drop(lock);
        }
    }
}

/// `<topic>-<partition>.<32 hex digits><suffix>`, with a topic that is cut where the name would get too long.
fn marked_name(partition: &TopicPartition, unique: Uuid, suffix: &str) -> String {
    let unique = u128::from_be_bytes(unique.0);
    let end = format!("-{}.{unique:032x}{suffix}", partition.partition);
    let topic = &partition.topic[..partition.topic.len().min(MAX_NAME_BYTES - end.len())];
    format!("{topic}{end}")
}

fn parse_name(name: &str) -> Option<FoundKind> {
    for suffix in [DELETE, STRAY, FUTURE] {
        let Some(marked) = name.strip_suffix(suffix) else { continue };
        let (partition, unique) = marked.rsplit_once('.')?;
        if unique.len() != 32 || !unique.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            continue;
        }
        return match suffix {
            DELETE => Some(FoundKind::Deleted),
            STRAY => parse_partition(partition).map(FoundKind::Stray),
            _ => parse_partition(partition).map(FoundKind::Future),
        };
    }
    parse_partition(name).map(FoundKind::Partition)
}

fn parse_partition(name: &str) -> Option<TopicPartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    let is_number = !partition.is_empty() && partition.bytes().all(|byte| byte.is_ascii_digit());
    if topic.is_empty() || !is_number {
        return None;
    }
    Some(TopicPartition::new(topic, partition.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::LogConfig;
    use crate::log::testing::MemoryDisk;
    use crate::runtime::OpenOptions;
    use crate::types::Timestamp;

    fn topic(partition: i32) -> TopicPartition {
        TopicPartition::new("a-b.c", partition)
    }

    fn create(disk: &Arc<MemoryDisk>, dir: &LogDir, partition: i32) -> PartitionLog {
        let path = dir.partition_path(&topic(partition));
        let id = Uuid::from_random(1, 2);
        let config = Arc::new(LogConfig::default());
        PartitionLog::create(&disk.runtime(), &path, topic(partition), id, config, Timestamp(0)).unwrap()
    }

    #[test]
    fn a_clean_stop_counts_once_even_when_the_next_start_crashes() {
        let disk = MemoryDisk::new();
        let dir = LogDir::open(&disk.runtime(), Path::new("/data")).unwrap();
        assert_eq!(dir.clean_shutdown(), None);
        dir.close(Some(BrokerEpoch(7))).unwrap();
        assert_eq!(disk.names("/data"), [".kafka_cleanshutdown"], "the lock is gone");
        let dir = LogDir::open(&disk.runtime(), Path::new("/data")).unwrap();
        assert_eq!(dir.clean_shutdown(), Some(CleanShutdown { broker_epoch: Some(BrokerEpoch(7)) }));
        for crashed in [disk.crashed(), disk.power_lost()] {
            let dir = LogDir::open(&crashed.runtime(), Path::new("/data")).unwrap();
            assert_eq!(dir.clean_shutdown(), None);
        }
    }

    #[test]
    fn a_torn_partition_metadata_takes_no_other_file_with_it() {
        let disk = MemoryDisk::new();
        let dir = LogDir::open(&disk.runtime(), Path::new("/data")).unwrap();
        let (voters, bare) = (Path::new("/data/__cluster_metadata-0"), Path::new("/data/a-0"));
        for path in [voters, bare] {
            disk.create_dir(path).unwrap();
            disk.open(&path.join(PARTITION_METADATA), OpenOptions::CREATE).unwrap();
        }
        disk.open(&voters.join("00000000000000000000-0000000000.checkpoint"), OpenOptions::CREATE).unwrap();
        assert_eq!(dir.scan().unwrap().len(), 1);
        assert_eq!(disk.names("/data/__cluster_metadata-0").len(), 2);
    }

    #[test]
    fn directories_are_known_by_their_names() {
        let hex = "0123456789abcdef0123456789abcdef";
        assert_eq!(parse_name("a-b.c-3"), Some(FoundKind::Partition(topic(3))));
        assert_eq!(parse_name(&format!("a-b.c-3.{hex}-delete")), Some(FoundKind::Deleted));
        assert_eq!(parse_name(&format!("a-b.c-3.{hex}-stray")), Some(FoundKind::Stray(topic(3))));
        assert_eq!(parse_name(&format!("a-b.c-3.{hex}-future")), Some(FoundKind::Future(topic(3))));
        for name in ["lost+found", "a", "a-", "-1", "a--", "a-1x", "a-99999999999"] {
            assert_eq!(parse_name(name), None, "{name}");
        }
        let long = TopicPartition::new("t".repeat(249), 12);
        let name = marked_name(&long, Uuid::from_random(1, 2), DELETE);
        assert_eq!(name.len(), MAX_NAME_BYTES);
        assert_eq!(parse_name(&name), Some(FoundKind::Deleted));
    }

    #[test]
    fn a_deleted_partition_is_found_as_such_after_a_power_loss() {
        let disk = MemoryDisk::new();
        let dir = LogDir::open(&disk.runtime(), Path::new("/data")).unwrap();
        let mut log = create(&disk, &dir, 0);
        create(&disk, &dir, 1);
        disk.create_dir(Path::new("/data/a-b.c-2")).unwrap();
        dir.sync_names().unwrap();
        let deleted = dir.mark_deleted(&mut log, Uuid::from_random(3, 4)).unwrap();
        assert!(log.check_online().is_err());
        let disk = disk.power_lost();
        let dir = LogDir::open(&disk.runtime(), Path::new("/data")).unwrap();
        let found = dir.scan().unwrap();
        let partition =
            FoundLog { directory: PathBuf::from("/data/a-b.c-1"), kind: FoundKind::Partition(topic(1)) };
        let gone = FoundLog { directory: deleted.clone(), kind: FoundKind::Deleted };
        assert_eq!(found, [gone, partition], "an empty directory is a creation that never was");
        dir.remove_partition(&deleted).unwrap();
        assert_eq!(dir.scan().unwrap().len(), 1);
        dir.set_aside(&topic(1), Uuid::from_random(5, 6)).unwrap();
        assert_eq!(dir.scan().unwrap()[0].kind, FoundKind::Stray(topic(1)));
    }
}
