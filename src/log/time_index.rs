//! `<base offset>.timeindex`: from which offset on to look for a timestamp.
//!
//! Each entry is 12 bytes, big endian: the largest timestamp so far in the segment, and the last offset, less
//! the segment's base, of the batch that brought it. Timestamps rise strictly. The last place is kept for the
//! entry that is made when the segment is rolled or closed.

use super::access::Access;
use super::error::LogError;
use super::index_file::IndexFile;
use crate::runtime::Disk;
use crate::types::{Offset, Timestamp};
use std::path::{Path, PathBuf};

const ENTRY_BYTES: usize = 12;

/// A timestamp and the last offset of the batch that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    /// The timestamp.
    pub timestamp: Timestamp,
    /// The offset.
    pub offset: Offset,
}

/// The time index of one segment.
pub struct TimeIndex {
    base_offset: Offset,
    entries: IndexFile<ENTRY_BYTES>,
    last: Option<TimestampOffset>,
}

impl TimeIndex {
    /// An index without entries, for a new segment or to be filled again.
    pub fn empty(path: PathBuf, base_offset: Offset) -> TimeIndex {
        TimeIndex { base_offset, entries: IndexFile::empty(path), last: None }
    }

    /// The index in `path` of a segment of `log_bytes`: `None` when it cannot be one, so that it has to be
    /// made anew.
    pub fn open(
        disk: &dyn Disk,
        path: PathBuf,
        base_offset: Offset,
        log_bytes: u64,
    ) -> Result<Option<TimeIndex>, LogError> {
        let Some(entries) = IndexFile::open(disk, path, log_bytes)? else { return Ok(None) };
        let mut index = TimeIndex { base_offset, entries, last: None };
        let length = index.len();
        if length == 0 {
            return Ok(Some(index));
        }
        let first = index.entry(disk, 0, Access::Blocking)?;
        let last = index.entry(disk, length - 1, Access::Blocking)?;
        index.last = Some(last);
        let rises = length == 1 || (last.timestamp > first.timestamp && last.offset > first.offset);
        // What was allocated ahead ends with zeros; a timestamp of zero is legal only where nothing precedes
        // it.
        Ok((first.offset >= base_offset && rises).then_some(index))
    }

    /// The file that holds it.
    pub fn path(&self) -> &Path {
        self.entries.path()
    }

    /// How many entries there are.
    pub fn len(&self) -> u32 {
        self.entries.len()
    }

    /// Whether an index of `max_bytes` has no room but for the last entry.
    pub fn is_full(&self, max_bytes: u32) -> bool {
        self.len() + 1 >= max_bytes / ENTRY_BYTES as u32
    }

    /// The newest entry: the largest timestamp that has one.
    pub fn last(&self) -> Option<TimestampOffset> {
        self.last
    }

    /// Adds an entry when its timestamp is larger than all others.
    pub fn push(&mut self, disk: &dyn Disk, largest: TimestampOffset) {
        let before = self.last.map_or(Timestamp::NONE, |last| last.timestamp);
        if largest.timestamp <= before {
            return;
        }
        assert!(
            self.last.is_none_or(|last| last.offset < largest.offset),
            "{largest:?} does not lie behind {:?} in {}",
            self.last,
            self.path().display()
        );
        let relative = i32::try_from(largest.offset - self.base_offset).expect("segments roll before that");
        let mut entry = [0; ENTRY_BYTES];
        entry[..8].copy_from_slice(&largest.timestamp.0.to_be_bytes());
        entry[8..].copy_from_slice(&relative.to_be_bytes());
        self.entries.push(disk, entry);
        self.last = Some(largest);
    }

    /// The last entry whose timestamp is at most `target`: every record with a larger one lies behind its
    /// offset.
    pub fn lookup(
        &mut self,
        disk: &dyn Disk,
        target: Timestamp,
        access: Access,
    ) -> Result<Option<TimestampOffset>, LogError> {
        let base = self.base_offset;
        let count =
            self.entries.partition_point(disk, access, |entry| parse(base, entry).timestamp <= target)?;
        if count == 0 { Ok(None) } else { self.entry(disk, count - 1, access).map(Some) }
    }

    /// Drops the entries whose offset is `end` or behind it.
    pub fn truncate(&mut self, disk: &dyn Disk, end: Offset) -> Result<(), LogError> {
        let base = self.base_offset;
        let access = Access::Blocking;
        let count = self.entries.partition_point(disk, access, |entry| parse(base, entry).offset < end)?;
        self.entries.truncate(disk, count)?;
        self.last = if count == 0 { None } else { Some(self.entry(disk, count - 1, access)?) };
        Ok(())
    }

    /// Writes what waits in memory.
    pub fn write(&mut self, disk: &dyn Disk) -> Result<(), LogError> {
        self.entries.write_tail(disk)
    }

    /// Gives the index its name; everything in it must be durable.
    pub fn publish(&mut self, disk: &dyn Disk) -> Result<(), LogError> {
        self.entries.publish(disk)
    }

    /// Makes what was written durable.
    pub fn sync(&mut self, disk: &dyn Disk) -> Result<(), LogError> {
        self.entries.sync(disk)
    }

    fn entry(&mut self, disk: &dyn Disk, index: u32, access: Access) -> Result<TimestampOffset, LogError> {
        Ok(parse(self.base_offset, &self.entries.entry(disk, index, access)?))
    }
}

fn parse(base_offset: Offset, entry: &[u8; ENTRY_BYTES]) -> TimestampOffset {
    let (timestamp, relative) = entry.split_at(8);
    let relative = i32::from_be_bytes(relative.try_into().expect("4 of 12"));
    TimestampOffset {
        timestamp: Timestamp(i64::from_be_bytes(timestamp.try_into().expect("8 of 12"))),
        offset: Offset(base_offset.0.saturating_add(i64::from(relative))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::MemoryDisk;
    use crate::runtime::OpenOptions;

    const PATH: &str = "/00000000000000000100.timeindex";

    fn at(timestamp: i64, offset: i64) -> TimestampOffset {
        TimestampOffset { timestamp: Timestamp(timestamp), offset: Offset(offset) }
    }

    #[test]
    fn only_larger_timestamps_are_kept_and_found_again() {
        let disk = MemoryDisk::new();
        let mut index = TimeIndex::empty(PathBuf::from(PATH), Offset(100));
        for entry in [at(1000, 100), at(1000, 110), at(999, 120), at(1500, 130), at(2000, 140)] {
            index.push(&*disk, entry);
        }
        index.write(&*disk).unwrap();
        index.publish(&*disk).unwrap();
        let bytes = disk.read(Path::new(PATH));
        assert_eq!(bytes.len(), 36);
        assert_eq!(bytes[12..24], [0, 0, 0, 0, 0, 0, 5, 220, 0, 0, 0, 30]);
        let mut index = TimeIndex::open(&*disk, PathBuf::from(PATH), Offset(100), 1000).unwrap().unwrap();
        let mut lookup = |target| index.lookup(&*disk, Timestamp(target), Access::Blocking).unwrap();
        assert_eq!(lookup(999), None);
        assert_eq!(lookup(1000), Some(at(1000, 100)));
        assert_eq!(lookup(1999), Some(at(1500, 130)));
        assert_eq!(lookup(i64::MAX), Some(at(2000, 140)));
        index.truncate(&*disk, Offset(140)).unwrap();
        assert_eq!(index.last(), Some(at(1500, 130)));
    }

    #[test]
    fn a_file_that_was_allocated_ahead_is_no_index() {
        let disk = MemoryDisk::new();
        let file = disk.open(Path::new(PATH), OpenOptions::CREATE).unwrap();
        file.write_at(&[0, 0, 0, 0, 0, 0, 5, 220, 0, 0, 0, 30], 0).unwrap();
        let open = || TimeIndex::open(&*disk, PathBuf::from(PATH), Offset(100), 1000).unwrap();
        assert_eq!(open().unwrap().len(), 1);
        file.set_len(10_485_756).unwrap();
        assert!(open().is_none());
    }
}
