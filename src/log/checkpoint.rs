//! The small text files of a log directory and of a partition, in Kafka's names and bytes:
//! `recovery-point-offset-checkpoint`, `replication-offset-checkpoint`, `log-start-offset-checkpoint` and
//! `cleaner-offset-checkpoint` (one offset for each partition), `leader-epoch-checkpoint` (one start offset
//! for each leader epoch), `partition.metadata`, `.kafka_cleanshutdown`.
//!
//! A file that was never written, or has 0 bytes, is empty, not malformed. Anything else that does not follow
//! its format is an error with file and line. Files are replaced whole, so that a crash leaves the old bytes
//! or the new.

use super::epoch_cache::EpochEntry;
use super::error::{LogError, MalformedFile, OnPath};
use crate::runtime::Disk;
use crate::types::{BrokerEpoch, LeaderEpoch, Offset, TopicPartition, Uuid};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::Path;

/// Up to which offset each log is on the device.
pub const RECOVERY_POINT_CHECKPOINT: &str = "recovery-point-offset-checkpoint";
/// The high watermark of each partition.
pub const HIGH_WATERMARK_CHECKPOINT: &str = "replication-offset-checkpoint";
/// Where each log begins, of those that do not begin at their first segment.
pub const LOG_START_CHECKPOINT: &str = "log-start-offset-checkpoint";
/// Up to which offset each log was cleaned.
pub const CLEANER_CHECKPOINT: &str = "cleaner-offset-checkpoint";
/// Where each leader epoch of a partition begins.
pub const LEADER_EPOCH_CHECKPOINT: &str = "leader-epoch-checkpoint";
/// The topic id of a partition.
pub const PARTITION_METADATA: &str = "partition.metadata";
/// Says that the directory was closed with everything in it written and synced.
pub const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";

/// The largest checkpoint that is read: far more than the partitions that one directory can hold.
const MAX_CHECKPOINT_BYTES: u64 = 64 << 20;
/// The largest of the other files that is read.
const MAX_SMALL_BYTES: u64 = 64 << 10;

/// The offsets in a checkpoint of a log directory.
pub fn read_offsets(disk: &dyn Disk, path: &Path) -> Result<BTreeMap<TopicPartition, Offset>, LogError> {
    let entries = read_checkpoint(disk, path, |fields| {
        let [topic, partition, offset] = fields else { return None };
        Some((TopicPartition::new(*topic, partition.parse().ok()?), Offset(offset.parse().ok()?)))
    })?;
    Ok(entries.into_iter().collect())
}

/// Replaces a checkpoint of a log directory.
pub fn write_offsets(
    disk: &dyn Disk,
    path: &Path,
    offsets: &BTreeMap<TopicPartition, Offset>,
) -> Result<(), LogError> {
    let mut text = format!("0\n{}\n", offsets.len());
    for (partition, offset) in offsets {
        let _ = writeln!(text, "{} {} {offset}", partition.topic, partition.partition);
    }
    disk.replace(path, text.as_bytes()).on("replace", path)
}

/// The leader epochs of a partition, as they stand in its `leader-epoch-checkpoint`.
pub fn read_epochs(disk: &dyn Disk, path: &Path) -> Result<Vec<EpochEntry>, LogError> {
    read_checkpoint(disk, path, |fields| {
        let [epoch, start] = fields else { return None };
        let (epoch, start) = (epoch.parse().ok()?, start.parse().ok()?);
        (epoch >= 0 && start >= 0)
            .then_some(EpochEntry { epoch: LeaderEpoch(epoch), start_offset: Offset(start) })
    })
}

/// Replaces a partition's `leader-epoch-checkpoint`.
pub fn write_epochs(disk: &dyn Disk, path: &Path, entries: &[EpochEntry]) -> Result<(), LogError> {
    let mut text = format!("0\n{}\n", entries.len());
    for entry in entries {
        let _ = writeln!(text, "{} {}", entry.epoch, entry.start_offset);
    }
    disk.replace(path, text.as_bytes()).on("replace", path)
}

/// The topic id in a `partition.metadata`; none where the file is missing.
pub fn read_partition_metadata(disk: &dyn Disk, path: &Path) -> Result<Option<Uuid>, LogError> {
    let Some(text) = read_text(disk, path, MAX_SMALL_BYTES)? else { return Ok(None) };
    let malformed = |line, reason: &str| LogError::Malformed(MalformedFile::new(path, line, reason));
    let mut lines = text.lines();
    let version = lines.next().and_then(|line| line.strip_prefix("version: "));
    match version.and_then(|version| version.trim().parse::<i32>().ok()) {
        Some(0) => {}
        _ => return Err(malformed(1, "`version: 0` was expected")),
    }
    let id = lines.next().and_then(|line| line.strip_prefix("topic_id: "));
    match id.and_then(|id| id.trim().parse::<Uuid>().ok()) {
        Some(id) if id != Uuid::ZERO => Ok(Some(id)),
        _ => Err(malformed(2, "`topic_id: ` and an id other than zero were expected")),
    }
}

/// What a `partition.metadata` holds for `topic_id`.
pub(super) fn partition_metadata_text(topic_id: Uuid) -> String {
    format!("version: 0\ntopic_id: {topic_id}")
}

/// What the last clean stop of a log directory left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanShutdown {
    /// The broker's epoch when it stopped, if the file can be read.
    pub broker_epoch: Option<BrokerEpoch>,
}

/// Reads `.kafka_cleanshutdown`: none where the directory was not closed cleanly.
pub fn read_clean_shutdown(disk: &dyn Disk, path: &Path) -> Result<Option<CleanShutdown>, LogError> {
    if !disk.exists(path).on("look at", path)? {
        return Ok(None);
    }
    let text = match read_text(disk, path, MAX_SMALL_BYTES) {
        Ok(text) => text.unwrap_or_default(),
        // Its being there is what counts; what it says is a help.
        Err(LogError::Malformed(_)) => String::new(),
        Err(error) => return Err(error),
    };
    let json = serde_json::from_str::<serde_json::Value>(&text).unwrap_or_default();
    let version_is_known = json["version"] == 0;
    let epoch = json["brokerEpoch"].as_i64().filter(|&epoch| version_is_known && epoch >= 0);
    Ok(Some(CleanShutdown { broker_epoch: epoch.map(BrokerEpoch) }))
}

/// Writes `.kafka_cleanshutdown`. Everything that it vouches for must be durable before.
pub fn write_clean_shutdown(
    disk: &dyn Disk,
    path: &Path,
    broker_epoch: Option<BrokerEpoch>,
) -> Result<(), LogError> {
    let epoch = broker_epoch.map_or(-1, |epoch| epoch.0);
    let text = format!("{{\"version\":0,\"brokerEpoch\":{epoch}}}");
    disk.replace(path, text.as_bytes()).on("write", path)
}

/// A checkpoint: version 0, the number of entries, an entry a line.
fn read_checkpoint<T>(
    disk: &dyn Disk,
    path: &Path,
    parse: impl Fn(&[&str]) -> Option<T>,
) -> Result<Vec<T>, LogError> {
    let Some(text) = read_text(disk, path, MAX_CHECKPOINT_BYTES)? else { return Ok(Vec::new()) };
    Ok(parse_checkpoint(path, &text, parse)?)
}

fn parse_checkpoint<T>(
    path: &Path,
    text: &str,
    parse: impl Fn(&[&str]) -> Option<T>,
) -> Result<Vec<T>, MalformedFile> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut lines = text.lines();
    if lines.next().map(str::trim) != Some("0") {
        return Err(MalformedFile::new(path, 1, "version 0 was expected"));
    }
    let Some(count) = lines.next().and_then(|line| line.trim().parse::<usize>().ok()) else {
        return Err(MalformedFile::new(path, 2, "the number of entries was expected"));
    };
    let mut entries = Vec::new();
    for line in lines {
        let number = entries.len() + 3;
        let fields: Vec<&str> = line.split_whitespace().collect();
        let Some(entry) = parse(&fields) else {
            return Err(MalformedFile::new(path, number, format!("{line:?} is no entry")));
        };
        entries.push(entry);
    }
    if entries.len() != count {
        let reason = format!("{count} entries are announced and {} are there", entries.len());
        return Err(MalformedFile::new(path, 2, reason));
    }
    Ok(entries)
}

/// The text of a file; none when it does not exist.
fn read_text(disk: &dyn Disk, path: &Path, limit: u64) -> Result<Option<String>, LogError> {
    let bytes = match disk.read(path, limit) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(MalformedFile::new(path, 0, error.to_string()).into());
        }
        Err(error) => return Err(LogError::io("read", path, error)),
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(MalformedFile::new(path, 1, "text was expected").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::MemoryDisk;
    use crate::runtime::OpenOptions;

    fn put(disk: &dyn Disk, text: &str) {
        let file = disk.open(Path::new("/f"), OpenOptions::CREATE_TRUNCATED).unwrap();
        file.write_at(text.as_bytes(), 0).unwrap();
    }

    fn malformed<T: std::fmt::Debug>(result: Result<T, LogError>) -> String {
        match result {
            Err(LogError::Malformed(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn offsets_are_written_as_kafka_does_and_read_back() {
        let disk = MemoryDisk::new();
        let path = Path::new("/f");
        assert!(read_offsets(&*disk, path).unwrap().is_empty(), "missing");
        put(&*disk, "");
        assert!(read_offsets(&*disk, path).unwrap().is_empty(), "0 bytes");
        let offsets: BTreeMap<_, _> =
            [(TopicPartition::new("a", 1), Offset(7)), (TopicPartition::new("b-c", 0), Offset(0))].into();
        write_offsets(&*disk, path, &offsets).unwrap();
        assert_eq!(disk.read(path), b"0\n2\na 1 7\nb-c 0 0\n");
        assert_eq!(read_offsets(&*disk, path).unwrap(), offsets);
        write_offsets(&*disk, path, &BTreeMap::new()).unwrap();
        assert_eq!(disk.read(path), b"0\n0\n");
    }

    #[test]
    fn malformed_lines_are_named() {
        let disk = MemoryDisk::new();
        let says = |text: &str| {
            put(&*disk, text);
            malformed(read_offsets(&*disk, Path::new("/f")))
        };
        assert_eq!(says("1\n0\n"), "/f, line 1: version 0 was expected");
        assert_eq!(says("0\n"), "/f, line 2: the number of entries was expected");
        assert_eq!(says("0\n-1\n"), "/f, line 2: the number of entries was expected");
        assert_eq!(says("0\n2\na 0 1\nb 1\n"), "/f, line 4: \"b 1\" is no entry");
        assert_eq!(says("0\n1\na 0 x\n"), "/f, line 3: \"a 0 x\" is no entry");
        assert_eq!(says("0\n2\na 0 1\n"), "/f, line 2: 2 entries are announced and 1 are there");
        assert_eq!(says("0\n0\na 0 1\n"), "/f, line 2: 0 entries are announced and 1 are there");
    }

    #[test]
    fn epochs_and_partition_metadata_round_trip() {
        let disk = MemoryDisk::new();
        let path = Path::new("/f");
        let entries = [(0, 0), (2, 10)]
            .map(|(epoch, start)| EpochEntry { epoch: LeaderEpoch(epoch), start_offset: Offset(start) });
        write_epochs(&*disk, path, &entries).unwrap();
        assert_eq!(disk.read(path), b"0\n2\n0 0\n2 10\n");
        assert_eq!(read_epochs(&*disk, path).unwrap(), entries);
        put(&*disk, "0\n1\n-1 0\n");
        assert_eq!(malformed(read_epochs(&*disk, path)), "/f, line 3: \"-1 0\" is no entry");

        let id = Uuid::from_random(1, 2);
        put(&*disk, &partition_metadata_text(id));
        assert_eq!(disk.metadata(path).unwrap().length, 43, "no final newline");
        assert_eq!(read_partition_metadata(&*disk, path).unwrap(), Some(id));
        put(&*disk, "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA");
        assert!(malformed(read_partition_metadata(&*disk, path)).starts_with("/f, line 2"));
        put(&*disk, "");
        assert!(malformed(read_partition_metadata(&*disk, path)).starts_with("/f, line 1"));
        assert_eq!(read_partition_metadata(&*disk, Path::new("/none")).unwrap(), None);
    }

    #[test]
    fn a_clean_shutdown_counts_even_when_its_epoch_cannot_be_read() {
        let disk = MemoryDisk::new();
        let path = Path::new("/f");
        assert_eq!(read_clean_shutdown(&*disk, path).unwrap(), None);
        write_clean_shutdown(&*disk, path, Some(BrokerEpoch(13))).unwrap();
        assert_eq!(disk.read(path), br#"{"version":0,"brokerEpoch":13}"#);
        let read = |text: &str| {
            put(&*disk, text);
            read_clean_shutdown(&*disk, path).unwrap().unwrap().broker_epoch
        };
        assert_eq!(read(r#"{"version":0,"brokerEpoch":13}"#), Some(BrokerEpoch(13)));
        for text in ["", "{", r#"{"version":1,"brokerEpoch":13}"#, r#"{"version":0}"#, "[]"] {
            assert_eq!(read(text), None);
        }
    }
}
