//! The `leader-epoch-checkpoint` of one log, which flushes write without the partition's lock and cuts under
//! it.
//!
//! Invariant: a state of the epochs never takes the place of a later one, whoever is slow.

use super::checkpoint::{self, LEADER_EPOCH_CHECKPOINT};
use super::epoch_cache::EpochCache;
use super::error::LogError;
use crate::runtime::Disk;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The file.
pub(super) struct EpochsFile {
    path: PathBuf,
    /// The version that was written last; held while the file is replaced.
    written: Mutex<u64>,
}

impl EpochsFile {
    /// The file in this directory, of which no version was written yet.
    pub(super) fn new(directory: &Path) -> EpochsFile {
        EpochsFile { path: directory.join(LEADER_EPOCH_CHECKPOINT), written: Mutex::new(0) }
    }

    /// Replaces the file, durably, unless the same or a later version was written before.
    pub(super) fn write(&self, disk: &dyn Disk, version: u64, epochs: &EpochCache) -> Result<(), LogError> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if version > *written {
            checkpoint::write_epochs(disk, &self.path, epochs.entries())?;
            *written = version;
        }
        Ok(())
    }

    /// From now on nothing is written any more.
    pub(super) fn close(&self) {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = u64::MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::EpochEntry;
    use crate::log::testing::MemoryDisk;
    use crate::types::{LeaderEpoch, Offset};

    #[test]
    fn a_slow_writer_changes_nothing() {
        let disk = MemoryDisk::new();
        let file = EpochsFile::new(Path::new("/"));
        let epochs = |epoch| {
            let start_offset = Offset(i64::from(epoch));
            EpochCache::from_entries([EpochEntry { epoch: LeaderEpoch(epoch), start_offset }])
        };
        for (version, epoch) in [(1, 1), (3, 3), (2, 2)] {
            file.write(&*disk, version, &epochs(epoch)).unwrap();
        }
        assert_eq!(disk.read("/leader-epoch-checkpoint"), b"0\n1\n3 3\n");
        file.close();
        file.write(&*disk, 4, &epochs(4)).unwrap();
        assert_eq!(disk.read("/leader-epoch-checkpoint"), b"0\n1\n3 3\n", "the log is closed");
    }
}
