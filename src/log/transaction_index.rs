//! `<base offset>.txnindex`: the aborted transactions whose markers lie in a segment.
//!
//! Each entry is 34 bytes, big endian: version 0, producer id, first offset of the transaction, offset of the
//! marker, and the last stable offset when the marker was written. Entries are in the order of their markers.
//! A segment without aborts has no file. Entries are written at once: aborts are rare.

use super::access::Access;
use super::error::{LogError, OnPath};
use super::producer_state::CompletedTransaction;
use crate::runtime::{Disk, File, OpenOptions};
use crate::types::{Offset, ProducerId};
use std::io;
use std::path::PathBuf;

const ENTRY_BYTES: usize = 34;
/// Entries that are read at a time when the index is searched.
const READ_ENTRIES: u32 = 120;

/// A transaction that was aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Who aborted it.
    pub producer_id: ProducerId,
    /// Its first record.
    pub first_offset: Offset,
    /// Its abort marker.
    pub last_offset: Offset,
    /// The last stable offset that became possible with the marker: no transaction whose marker comes later
    /// begins in front of it.
    pub last_stable_offset: Offset,
}

impl From<&CompletedTransaction> for AbortedTransaction {
    fn from(completed: &CompletedTransaction) -> AbortedTransaction {
        AbortedTransaction {
            producer_id: completed.producer_id,
            first_offset: completed.first_offset,
            last_offset: completed.last_offset,
            last_stable_offset: completed.last_stable_offset,
        }
    }
}

/// The transaction index of one segment.
pub struct TransactionIndex {
    path: PathBuf,
    file: Option<File>,
    entries: u32,
    unsynced: bool,
}

impl TransactionIndex {
    /// An index without entries and without a file.
    pub fn empty(path: PathBuf) -> TransactionIndex {
        TransactionIndex { path, file: None, entries: 0, unsynced: false }
    }

    /// The index in `path`, if there is one: `None` when it cannot be one, so that it has to be made anew.
    pub fn open(disk: &dyn Disk, path: PathBuf) -> Result<Option<TransactionIndex>, LogError> {
        let length = match disk.metadata(&path) {
            Ok(metadata) => metadata.length,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(LogError::io("look at", &path, error)),
        };
        let entries = u32::try_from(length / ENTRY_BYTES as u64).unwrap_or(u32::MAX);
        let mut index = TransactionIndex { path, file: None, entries, unsynced: false };
        if u64::from(entries) * ENTRY_BYTES as u64 != length {
            return Ok(None);
        }
        let mut last = None;
        let mut at = 0;
        while at < index.entries {
            let Some(some) = index.read(disk, at, Access::Blocking)? else { return Ok(None) };
            at += some.len() as u32;
            for entry in some {
                if last.is_some_and(|last: Offset| last >= entry.last_offset) {
                    return Ok(None);
                }
                last = Some(entry.last_offset);
            }
        }
        Ok(Some(index))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Adds a transaction whose marker lies behind all others. Nothing has changed when this fails.
    pub fn append(&mut self, disk: &dyn Disk, aborted: &AbortedTransaction) -> Result<(), LogError> {
        let file = self.file(disk)?;
        let end = u64::from(self.entries) * ENTRY_BYTES as u64;
        if let Err(error) = file.write_at(&to_bytes(aborted), end) {
            let _ = file.set_len(end);
            return Err(LogError::io("write to", &self.path, error));
        }
        self.entries += 1;
        self.unsynced = true;
        Ok(())
    }

    /// Adds to `found` the transactions with records in `from..to`, and tells whether all that there are have
    /// been found: otherwise markers in later segments may belong to records in that range.
    pub fn collect(
        &mut self,
        disk: &dyn Disk,
        from: Offset,
        to: Offset,
        access: Access,
        found: &mut Vec<AbortedTransaction>,
    ) -> Result<bool, LogError> {
        let mut at = 0;
        while at < self.entries {
            let Some(entries) = self.read(disk, at, access)? else {
                let reason = "it holds an entry that is no aborted transaction; remove it and restart";
                return Err(super::error::MalformedFile::new(&self.path, 0, reason).into());
            };
            at += entries.len() as u32;
            for entry in entries {
                if entry.last_offset >= from && entry.first_offset < to {
                    found.push(entry);
                }
                if entry.last_stable_offset >= to {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Drops the transactions whose markers are at `end` or behind it.
    pub fn truncate(&mut self, disk: &dyn Disk, end: Offset) -> Result<(), LogError> {
        let mut keep = 0;
        while keep < self.entries {
            let entries = self.read(disk, keep, Access::Blocking)?.unwrap_or_default();
            let kept = entries.iter().take_while(|entry| entry.last_offset < end).count();
            keep += kept as u32;
            if kept < entries.len() || entries.is_empty() {
                break;
            }
        }
        if keep == self.entries {
            return Ok(());
        }
        if keep == 0 {
            self.file = None;
            disk.remove(&self.path).on("remove", &self.path)?;
        } else {
            self.file(disk)?.set_len(u64::from(keep) * ENTRY_BYTES as u64).on("cut", &self.path)?;
        }
        self.entries = keep;
        Ok(())
    }

    /// Makes the entries durable.
    pub fn sync(&mut self, disk: &dyn Disk) -> Result<(), LogError> {
        if self.unsynced && self.entries > 0 {
            self.file(disk)?.sync_data().on("sync", &self.path)?;
        }
        self.unsynced = false;
        Ok(())
    }

    /// The next few entries from number `at` on; `None` when one of them has another version.
    fn read(
        &mut self,
        disk: &dyn Disk,
        at: u32,
        access: Access,
    ) -> Result<Option<Vec<AbortedTransaction>>, LogError> {
        let count = (self.entries - at).min(READ_ENTRIES) as usize;
        let mut bytes = vec![0; count * ENTRY_BYTES];
        let file = self.file(disk)?;
        access.read_exact(&file, &mut bytes, u64::from(at) * ENTRY_BYTES as u64).on("read", &self.path)?;
        Ok(bytes.chunks_exact(ENTRY_BYTES).map(parse).collect())
    }

    fn file(&mut self, disk: &dyn Disk) -> Result<File, LogError> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let options = if self.entries == 0 { OpenOptions::CREATE_TRUNCATED } else { OpenOptions::WRITE };
        let file = disk.open(&self.path, options).on("open", &self.path)?;
        self.file = Some(file.clone());
        Ok(file)
    }
}

fn to_bytes(aborted: &AbortedTransaction) -> [u8; ENTRY_BYTES] {
    let mut bytes = [0; ENTRY_BYTES];
    let fields =
        [aborted.producer_id.0, aborted.first_offset.0, aborted.last_offset.0, aborted.last_stable_offset.0];
    for (slot, field) in bytes[2..].chunks_exact_mut(8).zip(fields) {
        slot.copy_from_slice(&field.to_be_bytes());
    }
    bytes
}

fn parse(entry: &[u8]) -> Option<AbortedTransaction> {
    let field = |at: usize| i64::from_be_bytes(entry[at..at + 8].try_into().expect("8 of 34"));
    (entry[..2] == [0, 0]).then(|| AbortedTransaction {
        producer_id: ProducerId(field(2)),
        first_offset: Offset(field(10)),
        last_offset: Offset(field(18)),
        last_stable_offset: Offset(field(26)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::MemoryDisk;
    use std::path::Path;

    const PATH: &str = "/00000000000000000000.txnindex";

    fn aborted(producer_id: i64, first: i64, last: i64, stable: i64) -> AbortedTransaction {
        AbortedTransaction {
            producer_id: ProducerId(producer_id),
            first_offset: Offset(first),
            last_offset: Offset(last),
            last_stable_offset: Offset(stable),
        }
    }

    #[test]
    fn every_overlap_with_the_range_is_found_and_nothing_else() {
        let disk = MemoryDisk::new();
        let mut index = TransactionIndex::empty(PathBuf::from(PATH));
        assert!(!disk.has(Path::new(PATH)), "no file without aborts");
        let all = [aborted(1, 0, 10, 5), aborted(2, 5, 20, 15), aborted(3, 15, 30, 31)];
        for one in &all {
            index.append(&*disk, one).unwrap();
        }
        let mut index = TransactionIndex::open(&*disk, PathBuf::from(PATH)).unwrap().unwrap();
        let mut collect = |from, to| {
            let mut found = Vec::new();
            let done = index.collect(&*disk, Offset(from), Offset(to), Access::Blocking, &mut found).unwrap();
            (found, done)
        };
        assert_eq!(collect(0, 5), (all[..1].to_vec(), true));
        assert_eq!(collect(0, 6), (all[..2].to_vec(), true));
        assert_eq!(collect(11, 15), (all[1..2].to_vec(), true));
        assert_eq!(collect(21, 31), (all[2..].to_vec(), true));
        assert_eq!(collect(21, 40), (all[2..].to_vec(), false));
        assert_eq!(collect(31, 40), (vec![], false));
        index.truncate(&*disk, Offset(20)).unwrap();
        assert_eq!(disk.metadata(Path::new(PATH)).unwrap().length, 34);
        index.truncate(&*disk, Offset(0)).unwrap();
        assert!(!disk.has(Path::new(PATH)));
        index.append(&*disk, &all[0]).unwrap();
        assert_eq!(disk.metadata(Path::new(PATH)).unwrap().length, 34);
    }

    #[test]
    fn other_versions_odd_lengths_and_markers_out_of_order_are_refused() {
        let disk = MemoryDisk::new();
        let file = disk.open(Path::new(PATH), OpenOptions::CREATE).unwrap();
        let open = || TransactionIndex::open(&*disk, PathBuf::from(PATH)).unwrap();
        let entry = to_bytes(&aborted(1, 0, 10, 5));
        file.write_at(&[entry, entry].concat(), 0).unwrap();
        assert!(open().is_none(), "two markers at one offset");
        file.set_len(34).unwrap();
        assert!(open().is_some());
        file.set_len(35).unwrap();
        assert!(open().is_none());
        file.set_len(34).unwrap();
        file.write_at(&[1], 1).unwrap();
        assert!(open().is_none());
    }
}
