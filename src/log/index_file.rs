//! A file of entries of one size that only grows at its end: what the three indexes of a segment have in
//! common.
//!
//! The newest entries wait in memory, so that an append writes no index; they are written together when there
//! are [`TAIL_ENTRIES`] of them, when the segment is rolled and when it is closed. The file never holds
//! anything but whole entries: nothing is allocated ahead. It must not know what an entry means.

use super::access::Access;
use super::error::{LogError, OnPath};
use crate::runtime::{Disk, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Entries that wait in memory before they are written: a few KiB for each busy partition.
pub(super) const TAIL_ENTRIES: usize = 256;

/// What the name of an index ends with until it is published. Such files are cleared away when a log is
/// opened.
pub(super) const UNPUBLISHED: &str = ".tmp";

/// Entries of `N` bytes: the older ones in the file, the newest in memory.
pub(super) struct IndexFile<const N: usize> {
    path: PathBuf,
    /// Whether it has its name. Whoever finds an index by its name believes it, so that it gets the name once
    /// it is durable, and loses it before it changes.
    published: bool,
    file: Option<File>,
    written: u32,
    tail: Vec<u8>,
}

impl<const N: usize> IndexFile<N> {
    /// An index without entries, which is going to be called `path` when it is published.
    pub(super) fn empty(path: PathBuf) -> Self {
        IndexFile { path, published: false, file: None, written: 0, tail: Vec::new() }
    }

    /// The index in `path`, of a segment of `log_bytes`: `None` when its length is no whole number of
    /// entries, or when it is missing though the segment is not empty.
    pub(super) fn open(disk: &dyn Disk, path: PathBuf, log_bytes: u64) -> Result<Option<Self>, LogError> {
        let length = match disk.metadata(&path) {
            Ok(metadata) => metadata.length,
            Err(error) if error.kind() == io::ErrorKind::NotFound && log_bytes > 0 => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(LogError::io("look at", &path, error)),
        };
        let entries = u32::try_from(length / N as u64);
        Ok(match entries {
            Ok(written) if length % N as u64 == 0 => {
                Some(IndexFile { published: true, written, ..IndexFile::empty(path) })
            }
            _ => None,
        })
    }

    /// The file that holds it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> u32 {
        self.written + (self.tail.len() / N) as u32
    }

    /// Entry number `index`, which must exist.
    pub(super) fn entry(&mut self, disk: &dyn Disk, index: u32, access: Access) -> Result<[u8; N], LogError> {
        assert!(index < self.len(), "entry {index} of {} in {}", self.len(), self.path.display());
        if index >= self.written {
            let at = (index - self.written) as usize * N;
            return Ok(*self.tail[at..].first_chunk().expect("the tail holds whole entries"));
        }
        let mut entry = [0; N];
        let file = self.file(disk)?;
        access.read_exact(&file, &mut entry, u64::from(index) * N as u64).on("read", &self.path)?;
        Ok(entry)
    }

    /// Adds an entry behind the others. When the ones that wait in memory cannot be written they wait on: an
    /// index can always be made anew from its segment.
    pub(super) fn push(&mut self, disk: &dyn Disk, entry: [u8; N]) {
        self.tail.extend_from_slice(&entry);
        if self.tail.len() >= TAIL_ENTRIES * N
            && let Err(error) = self.write_tail(disk)
        {
            tracing::warn!("index entries stay in memory: {error}");
        }
    }

    /// Writes the entries that wait in memory, so that the file holds all of them; creates it if it is
    /// missing.
    pub(super) fn write_tail(&mut self, disk: &dyn Disk) -> Result<(), LogError> {
        if self.tail.is_empty() && (self.file.is_some() || self.written > 0) {
            return Ok(());
        }
        self.unpublish(disk)?;
        let file = self.file(disk)?;
        let end = u64::from(self.written) * N as u64;
        if let Err(error) = file.write_at(&self.tail, end) {
            let _ = file.set_len(end);
            return Err(LogError::io("write to", &self.path, error));
        }
        self.written = self.len();
        self.tail = Vec::new();
        Ok(())
    }

    /// Makes what was written durable.
    pub(super) fn sync(&mut self, disk: &dyn Disk) -> Result<(), LogError> {
        let file = self.file(disk)?;
        file.sync_data().on("sync", &self.path)
    }

    /// Gives it its name; everything in it must be durable.
    pub(super) fn publish(&mut self, disk: &dyn Disk) -> Result<(), LogError> {
        if !self.published {
            let from = self.current_path();
            disk.rename(&from, &self.path).on("rename", &from)?;
            (self.published, self.file) = (true, None);
        }
        Ok(())
    }

    /// Takes its name away, for good, before it changes.
    fn unpublish(&mut self, disk: &dyn Disk) -> Result<(), LogError> {
        if self.published {
            (self.published, self.file) = (false, None);
            let to = self.current_path();
            match disk.rename(&self.path, &to) {
                // An index without entries may have no file.
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.written == 0 => {}
                result => result.on("rename", &self.path)?,
            }
            let directory = self.path.parent().unwrap_or(Path::new("."));
            disk.sync_dir(directory).on("sync", directory)?;
        }
        Ok(())
    }

    /// Where its file is now.
    fn current_path(&self) -> PathBuf {
        if self.published {
            return self.path.clone();
        }
        let mut name = self.path.clone().into_os_string();
        name.push(UNPUBLISHED);
        name.into()
    }

    /// Keeps the first `entries` only.
    pub(super) fn truncate(&mut self, disk: &dyn Disk, entries: u32) -> Result<(), LogError> {
        if entries >= self.written {
            self.tail.truncate((entries - self.written) as usize * N);
            return Ok(());
        }
        self.unpublish(disk)?;
        let file = self.file(disk)?;
        file.set_len(u64::from(entries) * N as u64).on("cut", &self.path)?;
        self.tail.clear();
        self.written = entries;
        Ok(())
    }

    /// How many entries at the front satisfy `is_before`, which must hold for a prefix of them.
    pub(super) fn partition_point(
        &mut self,
        disk: &dyn Disk,
        access: Access,
        is_before: impl Fn(&[u8; N]) -> bool,
    ) -> Result<u32, LogError> {
        let (mut low, mut high) = (0, self.len());
        // What lies in memory costs nothing to ask, and most questions are about the newest entries.
        if self.written > 0 && high > self.written {
            if is_before(&self.entry(disk, self.written, access)?) {
                low = self.written;
            } else {
                high = self.written;
            }
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if is_before(&self.entry(disk, middle, access)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The open file; created, or emptied of what does not count, before the first write.
    fn file(&mut self, disk: &dyn Disk) -> Result<File, LogError> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let options = if self.written == 0 { OpenOptions::CREATE_TRUNCATED } else { OpenOptions::WRITE };
        let path = self.current_path();
        let file = disk.open(&path, options).on("open", &path)?;
        self.file = Some(file.clone());
        Ok(file)
    }
}
