//! Files and directories. Every call is synchronous: what may take long goes through
//! [`super::Runtime::offload`].
//!
//! Nothing here promises durability but `sync_data` for a file's bytes and `sync_dir` for the names in a
//! directory.

#[cfg(feature = "real")]
use super::real::file::RealFile;
use std::io;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A node's disk. Paths are as the configuration gives them.
pub trait Disk: Send + Sync {
    /// Opens or creates a file.
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<File>;
    /// Takes the exclusive record lock on the whole of `path`, as Kafka does, creating the file. `WouldBlock`
    /// when another process has it. It is released when the value is dropped.
    fn lock(&self, path: &Path) -> io::Result<DiskLock>;
    /// Renames a file or directory, replacing a file that is in the way. Files below it that are still open
    /// must be opened anew by their new names before they are used again: a bounded cache may have closed
    /// their handles.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// What a directory holds, sorted by name.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>>;
    /// Creates a directory whose parent exists.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Length and kind of what `path` names.
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;
    /// How large the file system of `path` is, and how much of it is free.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// Makes the names in a directory durable: created, renamed and removed entries.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

impl dyn Disk + '_ {
    /// The whole of a small file, of at most `limit` bytes.
    pub fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenOptions::READ)?;
        let length = file.len()?;
        if length > limit {
            let message = format!("{} has {length} bytes; at most {limit} were expected", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let mut bytes = vec![0; length as usize];
        let read = file.read_full_at(&mut bytes, 0)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Replaces a small file so that a crash leaves either the old or the new bytes: writes `<path>.tmp`,
    /// syncs it, renames it over `path` and syncs the directory.
    pub fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut name = path.as_os_str().to_owned();
        name.push(".tmp");
        let temporary = PathBuf::from(name);
        let file = self.open(&temporary, OpenOptions::CREATE_TRUNCATED)?;
        file.write_at(bytes, 0)?;
        file.sync_data()?;
        self.rename(&temporary, path)?;
        self.sync_dir(path.parent().unwrap_or(Path::new(".")))
    }

    /// Whether `path` names something.
    pub fn exists(&self, path: &Path) -> io::Result<bool> {
        match self.metadata(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Creates a directory and the parents it lacks, and makes their names durable.
    pub fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        if path.as_os_str().is_empty() || self.exists(path)? {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(Path::new(""));
        self.create_dir_all(parent)?;
        self.create_dir(path)?;
        self.sync_dir(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
    }

    /// Removes a directory with all it holds.
    pub fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        for entry in self.read_dir(path)? {
            let child = path.join(&entry.name);
            if entry.is_directory { self.remove_dir_all(&child)? } else { self.remove(&child)? }
        }
        self.remove_dir(path)
    }
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirectoryEntry {
    /// The last component of its path. Names that are not UTF-8 are left out of listings: Kafka writes none.
    pub name: String,
    /// Whether it is a directory.
    pub is_directory: bool,
}

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Length in bytes.
    pub length: u64,
    /// Whether it is a directory.
    pub is_directory: bool,
}

/// The room of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All of it, in bytes.
    pub total: u64,
    /// Bytes that may still be written.
    pub free: u64,
}

/// How to open a file; reading is always allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenOptions {
    /// Writing too.
    pub write: bool,
    /// Create it if it is missing.
    pub create: bool,
    /// Create it, and fail if it is there.
    pub create_new: bool,
    /// Cut it to nothing.
    pub truncate: bool,
}

impl OpenOptions {
    /// An existing file, to read.
    pub const READ: OpenOptions =
        OpenOptions { write: false, create: false, create_new: false, truncate: false };
    /// An existing file, to read and write.
    pub const WRITE: OpenOptions = OpenOptions { write: true, ..OpenOptions::READ };
    /// To read and write, created if missing.
    pub const CREATE: OpenOptions = OpenOptions { create: true, ..OpenOptions::WRITE };
    /// To read and write, created if missing, emptied if not.
    pub const CREATE_TRUNCATED: OpenOptions = OpenOptions { truncate: true, ..OpenOptions::CREATE };
}

/// A lock that [`Disk::lock`] took; dropping it lets go.
pub struct DiskLock(Box<dyn Send + Sync>);

impl DiskLock {
    /// Wraps what holds the lock until it is dropped.
    pub fn new(holder: impl Send + Sync + 'static) -> DiskLock {
        DiskLock(Box::new(holder))
    }
}

impl std::fmt::Debug for DiskLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DiskLock({:p})", &*self.0)
    }
}

/// A file of the simulator; the methods mean what those of [`File`] mean.
#[expect(clippy::len_without_is_empty, reason = "a length that can fail has no is_empty")]
pub trait SimulatedFile: Send + Sync {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    fn read_cached(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    fn write_vectored_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<()>;
    fn set_len(&self, length: u64) -> io::Result<()>;
    fn allocate(&self, offset: u64, length: u64) -> io::Result<()>;
    fn sync_data(&self) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
}

/// An open file. Clones share it.
#[derive(Clone)]
pub enum File {
    /// A file of the operating system, whose handle may be closed and reopened behind the scenes.
    #[cfg(feature = "real")]
    Real(Arc<RealFile>),
    /// A file of the simulator.
    Simulated(Arc<dyn SimulatedFile>),
}

macro_rules! each {
    ($file:expr, $inner:ident => $call:expr) => {
        match $file {
            #[cfg(feature = "real")]
            File::Real($inner) => $call,
            File::Simulated($inner) => $call,
        }
    };
}

#[expect(clippy::len_without_is_empty, reason = "a length that can fail has no is_empty")]
impl File {
    /// Reads at most `buffer.len()` bytes at `offset`; fewer at the end of the file, 0 behind it.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        each!(self, f => f.read_at(buffer, offset))
    }

    /// Like `read_at`, but `WouldBlock` when the first of the bytes are not in memory.
    pub fn read_cached(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        each!(self, f => f.read_cached(buffer, offset))
    }

    /// Reads until `buffer` is full or the file ends; returns how many bytes that was.
    pub fn read_full_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_at(&mut buffer[filled..], offset + filled as u64)? {
                0 => break,
                n => filled += n,
            }
        }
        Ok(filled)
    }

    /// Writes all of `bytes` at `offset`. After an error, some of them may have been written.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_vectored_at(&[IoSlice::new(bytes)], offset)
    }

    /// Writes all of `slices`, one behind the other, at `offset`, in one call where the system can.
    pub fn write_vectored_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        each!(self, f => f.write_vectored_at(slices, offset))
    }

    /// Cuts the file, or extends it with zeros.
    pub fn set_len(&self, length: u64) -> io::Result<()> {
        each!(self, f => f.set_len(length))
    }

    /// Reserves space for `offset..offset + length`; the file grows with zeros where it was shorter.
    pub fn allocate(&self, offset: u64, length: u64) -> io::Result<()> {
        each!(self, f => f.allocate(offset, length))
    }

    /// Makes the file's bytes and its length durable.
    pub fn sync_data(&self) -> io::Result<()> {
        each!(self, f => f.sync_data())
    }

    /// Length in bytes.
    pub fn len(&self) -> io::Result<u64> {
        each!(self, f => f.len())
    }
}
