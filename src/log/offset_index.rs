//! `<base offset>.index`: where in a segment's file to begin looking for an offset.
//!
//! Each entry is 8 bytes, big endian: the last offset of a batch less the segment's base, and the position
//! where that batch begins. Both rise strictly. The first batch of a segment never has an entry, so no entry
//! points at 0.

use super::access::Access;
use super::error::LogError;
use super::index_file::IndexFile;
use crate::runtime::Disk;
use crate::types::Offset;
use std::path::{Path, PathBuf};

const ENTRY_BYTES: usize = 8;

/// A batch that an index knows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexedBatch {
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Where it begins in the file.
    pub position: u32,
}

/// The offset index of one segment.
pub struct OffsetIndex {
    base_offset: Offset,
    entries: IndexFile<ENTRY_BYTES>,
    last: Option<IndexedBatch>,
}

impl OffsetIndex {
    /// An index without entries, for a new segment or to be filled again.
    pub fn empty(path: PathBuf, base_offset: Offset) -> OffsetIndex {
        OffsetIndex { base_offset, entries: IndexFile::empty(path), last: None }
    }

    /// The index in `path` of a segment of `log_bytes`: `None` when it cannot be one (also when it is longer
    /// than it was filled, as a broker leaves it that allocates ahead and is killed), so that it has to be
    /// made anew.
    pub fn open(
        disk: &dyn Disk,
        path: PathBuf,
        base_offset: Offset,
        log_bytes: u64,
    ) -> Result<Option<OffsetIndex>, LogError> {
        let Some(entries) = IndexFile::open(disk, path, log_bytes)? else { return Ok(None) };
        let mut index = OffsetIndex { base_offset, entries, last: None };
        let length = index.len();
        if length == 0 {
            return Ok(Some(index));
        }
        let first = index.entry(disk, 0, Access::Blocking)?;
        let last = index.entry(disk, length - 1, Access::Blocking)?;
        index.last = Some(last);
        let rises = length == 1 || (last.position > first.position && last.last_offset > first.last_offset);
        let sane = first.last_offset >= base_offset
            && first.position > 0
            && rises
            && u64::from(last.position) < log_bytes;
        Ok(sane.then_some(index))
    }

    /// The file that holds it.
    pub fn path(&self) -> &Path {
        self.entries.path()
    }

    /// How many entries there are.
    pub fn len(&self) -> u32 {
        self.entries.len()
    }

    /// Whether an index of `max_bytes` would have no room for another entry.
    pub fn is_full(&self, max_bytes: u32) -> bool {
        self.len() >= max_bytes / ENTRY_BYTES as u32
    }

    /// The newest entry.
    pub fn last(&self) -> Option<IndexedBatch> {
        self.last
    }

    /// Adds the batch at `position`, which lies behind all that have an entry.
    pub fn push(&mut self, disk: &dyn Disk, last_offset: Offset, position: u32) {
        let batch = IndexedBatch { last_offset, position };
        assert!(position > 0, "the first batch of a segment has no entry");
        assert!(
            self.last.is_none_or(|last| last.position < position && last.last_offset < last_offset),
            "{batch:?} does not lie behind {:?} in {}",
            self.last,
            self.path().display()
        );
        let relative = i32::try_from(last_offset - self.base_offset).expect("segments roll before that");
        let mut entry = [0; ENTRY_BYTES];
        entry[..4].copy_from_slice(&relative.to_be_bytes());
        entry[4..].copy_from_slice(&position.to_be_bytes());
        self.entries.push(disk, entry);
        self.last = Some(batch);
    }

    /// The last indexed batch that ends at or in front of `target`; `None` means the front of the segment.
    pub fn lookup(
        &mut self,
        disk: &dyn Disk,
        target: Offset,
        access: Access,
    ) -> Result<Option<IndexedBatch>, LogError> {
        if self.last.is_some_and(|last| last.last_offset <= target) {
            return Ok(self.last);
        }
        let base = self.base_offset;
        let count =
            self.entries.partition_point(disk, access, |entry| parse(base, entry).last_offset <= target)?;
        if count == 0 { Ok(None) } else { self.entry(disk, count - 1, access).map(Some) }
    }

    /// The first indexed batch that begins at `position` or behind it.
    pub fn first_from(
        &mut self,
        disk: &dyn Disk,
        position: u32,
        access: Access,
    ) -> Result<Option<IndexedBatch>, LogError> {
        if self.last.is_none_or(|last| last.position < position) {
            return Ok(None);
        }
        let base = self.base_offset;
        let count =
            self.entries.partition_point(disk, access, |entry| parse(base, entry).position < position)?;
        self.entry(disk, count, access).map(Some)
    }

    /// Drops the entries of batches that begin at or behind `position`.
    pub fn truncate(&mut self, disk: &dyn Disk, position: u32) -> Result<(), LogError> {
        let base = self.base_offset;
        let access = Access::Blocking;
        let count =
            self.entries.partition_point(disk, access, |entry| parse(base, entry).position < position)?;
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

    fn entry(&mut self, disk: &dyn Disk, index: u32, access: Access) -> Result<IndexedBatch, LogError> {
        Ok(parse(self.base_offset, &self.entries.entry(disk, index, access)?))
    }
}

fn parse(base_offset: Offset, entry: &[u8; ENTRY_BYTES]) -> IndexedBatch {
    let (relative, position) = entry.split_at(4);
    IndexedBatch {
        last_offset: Offset(
            base_offset.0.saturating_add(i64::from(i32::from_be_bytes(relative.try_into().expect("4 of 8")))),
        ),
        position: u32::from_be_bytes(position.try_into().expect("4 of 8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::index_file::TAIL_ENTRIES;
    use crate::log::testing::MemoryDisk;
    use crate::runtime::OpenOptions;

    const PATH: &str = "/00000000000000000100.index";

    fn filled(disk: &dyn Disk, entries: i64) -> OffsetIndex {
        let mut index = OffsetIndex::empty(PathBuf::from(PATH), Offset(100));
        for i in 1..=entries {
            index.push(disk, Offset(100 + 10 * i), 4096 * i as u32);
        }
        index
    }

    #[test]
    fn lookups_give_the_last_batch_that_ends_at_or_before_the_offset() {
        let disk = MemoryDisk::new();
        let entries = 3 * TAIL_ENTRIES as i64 / 2;
        let mut index = filled(&*disk, entries);
        for round in 0..2 {
            assert_eq!(index.lookup(&*disk, Offset(109), Access::Blocking).unwrap(), None);
            for i in [1, 2, 255, 256, 257, entries] {
                let found =
                    index.lookup(&*disk, Offset(100 + 10 * i + 9), Access::Blocking).unwrap().unwrap();
                assert_eq!(found.position, 4096 * i as u32, "round {round}");
            }
            index.write(&*disk).unwrap();
            index.publish(&*disk).unwrap();
            let bytes = disk.read(Path::new(PATH));
            assert_eq!(bytes.len() as i64, entries * 8);
            assert_eq!(bytes[..8], [0, 0, 0, 10, 0, 0, 16, 0]);
            index = OffsetIndex::open(&*disk, PathBuf::from(PATH), Offset(100), 1 << 30).unwrap().unwrap();
        }
    }

    #[test]
    fn truncation_drops_what_begins_behind_the_cut_in_memory_and_in_the_file() {
        let disk = MemoryDisk::new();
        for cut in [1, 100, 256, 257, 300] {
            let mut index = filled(&*disk, 300);
            index.truncate(&*disk, 4096 * cut + 1).unwrap();
            assert_eq!(index.last().unwrap().position, 4096 * cut);
            index.push(&*disk, Offset(90_000), 90_000_000);
            index.write(&*disk).unwrap();
            index.publish(&*disk).unwrap();
            assert_eq!(disk.read(Path::new(PATH)).len() as u32, 8 * (cut + 1));
            index.truncate(&*disk, 0).unwrap();
            assert!(index.len() == 0 && index.last().is_none());
            assert!(!disk.has(Path::new(PATH)), "its name went before its entries");
        }
    }

    #[test]
    fn a_file_that_was_allocated_ahead_or_points_behind_the_log_is_no_index() {
        let disk = MemoryDisk::new();
        let open =
            |log_bytes| OffsetIndex::open(&*disk, PathBuf::from(PATH), Offset(100), log_bytes).unwrap();
        assert!(open(0).unwrap().len() == 0 && open(10).is_none(), "missing is empty, if the log is");
        let file = disk.open(Path::new(PATH), OpenOptions::CREATE).unwrap();
        file.set_len(10 << 20).unwrap();
        assert!(open(1 << 30).is_none(), "zeros are no entries");
        file.set_len(0).unwrap();
        file.write_at(&[0, 0, 0, 1, 0, 0, 0, 100], 0).unwrap();
        assert!(open(100).is_none() && open(101).is_some());
        file.write_at(&[0, 0, 0, 1, 0, 0, 0, 50], 8).unwrap();
        assert!(open(1000).is_none(), "entries must rise");
        file.set_len(7).unwrap();
        assert!(open(1000).is_none());
    }
}
