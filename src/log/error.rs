//! What can go wrong below a partition, told apart by what the caller has to do about it.
//! It must not know Kafka's error codes: the broker maps these sentences to them.

use crate::types::Offset;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The disk under a log refused something, or holds something that no correct run leaves behind.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The file system is full (ENOSPC, EDQUOT). Nothing was changed, and the same call works again when
    /// there is room.
    #[error("there is no room left to {action} {path}: free space on its file system, then try again")]
    NoSpace {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
    },
    /// A read, write or sync failed. After a failed write or sync the log is offline.
    #[error("could not {action} {path}: {error}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What the system said.
        error: Arc<io::Error>,
    },
    /// The log was taken offline earlier; nothing in it is trusted until the directory is opened again.
    #[error("the log in {path} is offline: {reason}")]
    Offline {
        /// Directory of the partition.
        path: PathBuf,
        /// What happened.
        reason: Arc<str>,
    },
    /// Another process uses the directory.
    #[error("{path} is in use by another process: stop that one, or choose another directory")]
    Locked {
        /// The log directory.
        path: PathBuf,
    },
    /// Bytes that were once written whole are no longer what they were.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// A small file beside the log cannot be understood.
    #[error(transparent)]
    Malformed(#[from] MalformedFile),
}

/// A batch that is not what was written, with its bytes kept where they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{path} is damaged at position {position}, where offset {offset} should begin: {reason}. Its bytes \
     were kept; restore the file, or move the directory away to fetch the partition from another replica"
)]
pub struct Damage {
    /// The segment file.
    pub path: PathBuf,
    /// Where in the file the bad batch begins.
    pub position: u64,
    /// The offset that should begin there.
    pub offset: Offset,
    /// What is wrong.
    pub reason: String,
    /// Why this is damage and not the torn end of a log.
    pub kind: DamageKind,
}

/// How bytes were found to be damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DamageKind {
    /// The bad batch lies below the recovery point, where everything was once on the device.
    BelowRecoveryPoint,
    /// Nothing promised that the bad batch was on the device, but valid batches lie behind it.
    BeforeValidBatches,
    /// A reader came across it.
    OnRead,
}

/// A line of a text file, or a field of a binary one, that does not follow the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}, line {line}: {reason}")]
pub struct MalformedFile {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1; 0 in binary files.
    pub line: usize,
    /// What was expected.
    pub reason: String,
}

impl MalformedFile {
    pub(super) fn new(path: &Path, line: usize, reason: impl Into<String>) -> MalformedFile {
        MalformedFile { path: path.to_owned(), line, reason: reason.into() }
    }
}

impl LogError {
    pub(super) fn io(action: &'static str, path: &Path, error: io::Error) -> LogError {
        if is_no_space(&error) {
            return LogError::NoSpace { action, path: path.to_owned() };
        }
        LogError::Io { action, path: path.to_owned(), error: Arc::new(error) }
    }

    /// Whether the same call may succeed later without anything being repaired.
    pub fn is_no_space(&self) -> bool {
        matches!(self, LogError::NoSpace { .. })
    }

    /// Whether the file that was asked for does not exist.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, LogError::Io { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }

    /// Whether the bytes asked for are not in memory: only reads that must not wait say so.
    pub(super) fn is_would_block(&self) -> bool {
        matches!(self, LogError::Io { error, .. } if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// Whether the system refused a write for lack of room.
pub(super) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Adds what was being done, and to what, to an error of the disk.
pub(super) trait OnPath<T> {
    fn on(self, action: &'static str, path: &Path) -> Result<T, LogError>;
}

impl<T> OnPath<T> for io::Result<T> {
    fn on(self, action: &'static str, path: &Path) -> Result<T, LogError> {
        self.map_err(|error| LogError::io(action, path, error))
    }
}
