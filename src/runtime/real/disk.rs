//! Directories, names and locks of the operating system.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "this is the door itself")]

use super::file::{HandlePool, RealFile};
use crate::runtime::{DirectoryEntry, Disk, DiskLock, File, Metadata, OpenOptions, Space};
use rustix::fs::FlockOperation;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The disk of the machine.
pub(super) struct RealDisk {
    handles: Arc<HandlePool>,
}

impl RealDisk {
    pub(super) fn new(max_open_files: usize) -> RealDisk {
        RealDisk { handles: Arc::new(HandlePool::new(max_open_files)) }
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<File> {
        let handle = fs::OpenOptions::new()
            .read(true)
            .write(options.write)
            .create(options.create)
            .create_new(options.create_new)
            .truncate(options.truncate)
            .open(path)?;
        Ok(File::Real(RealFile::new(path, options.write, handle, self.handles.clone())))
    }

    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(DiskLock::new(file)),
            Err(rustix::io::Errno::ACCESS | rustix::io::Errno::AGAIN) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(DirectoryEntry { name, is_directory: entry.file_type()?.is_dir() });
            }
        }
        entries.sort();
        Ok(entries)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let metadata = fs::metadata(path)?;
        Ok(Metadata { length: metadata.len(), is_directory: metadata.is_dir() })
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let statistics = rustix::fs::statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(statistics.f_frsize);
        Ok(Space { total: bytes(statistics.f_blocks), free: bytes(statistics.f_bavail) })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_beyond_the_limit_are_opened_again() {
        let directory = std::env::temp_dir().join(format!("vltava-disk-{}", std::process::id()));
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(2));
        disk.create_dir_all(&directory.join("logs")).unwrap();
        let open = |name: &str| disk.open(&directory.join("logs").join(name), OpenOptions::CREATE).unwrap();
        let files: Vec<File> = ["a", "b", "c", "d", "e"].iter().map(|name| open(name)).collect();
        for (index, file) in files.iter().enumerate() {
            file.write_at(&[index as u8; 3], 0).unwrap();
        }
        for (index, file) in files.iter().enumerate() {
            let mut byte = [9];
            assert_eq!((file.read_at(&mut byte, 1).unwrap(), byte), (1, [index as u8]));
        }
        disk.remove_dir_all(&directory).unwrap();
    }
}
