//! Files whose handles are a bounded cache: a broker has more log files than a process may hold open.
#![expect(clippy::disallowed_types, reason = "this is the door itself")]

use std::collections::VecDeque;
use std::fs;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The open handles. When there are more than `limit`, the one that waited longest is closed, unless it was
/// used since it was last looked at (second chance).
pub(super) struct HandlePool {
    limit: usize,
    open: Mutex<VecDeque<Weak<RealFile>>>,
}

/// A file that is opened again when its handle was closed to make room.
pub struct RealFile {
    path: PathBuf,
    writable: bool,
    handle: Mutex<Handle>,
    pool: Arc<HandlePool>,
    this: Weak<RealFile>,
}

struct Handle {
    open: Option<Arc<fs::File>>,
    /// Whether it was used since the pool looked at it.
    used: bool,
}

impl HandlePool {
    pub(super) fn new(limit: usize) -> HandlePool {
        HandlePool { limit: limit.max(1), open: Mutex::new(VecDeque::new()) }
    }

    /// Takes a fresh handle into account and closes others beyond the limit.
    fn admit(&self, file: Weak<RealFile>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push_back(file);
        let mut chances = open.len();
        while open.len() > self.limit {
            let Some(candidate) = open.pop_front() else { break };
            let Some(file) = candidate.upgrade() else { continue };
            chances = chances.saturating_sub(1);
            // Nobody asks for the pool with a handle locked.
            let mut handle = file.handle();
            if chances > 0 && std::mem::take(&mut handle.used) {
                drop(handle);
                open.push_back(candidate);
            } else {
                handle.open = None;
            }
        }
    }
}

impl RealFile {
    pub(super) fn new(path: &Path, writable: bool, handle: fs::File, pool: Arc<HandlePool>) -> Arc<RealFile> {
        let file = Arc::new_cyclic(|this| RealFile {
            path: path.to_owned(),
            writable,
            handle: Mutex::new(Handle { open: Some(Arc::new(handle)), used: true }),
            pool: pool.clone(),
            this: this.clone(),
        });
        pool.admit(Arc::downgrade(&file));
        file
    }

    fn handle(&self) -> MutexGuard<'_, Handle> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open file, opened again if it was closed to make room.
    pub(super) fn open_file(&self) -> io::Result<Arc<fs::File>> {
        let mut handle = self.handle();
        handle.used = true;
        if let Some(file) = &handle.open {
            return Ok(file.clone());
        }
        let file = Arc::new(fs::OpenOptions::new().read(true).write(self.writable).open(&self.path)?);
        handle.open = Some(file.clone());
        drop(handle);
        self.pool.admit(self.this.clone());
        Ok(file)
    }

    pub(in crate::runtime) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.open_file()?.read_at(buffer, offset)
    }

    pub(in crate::runtime) fn read_cached(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let handle = self.open_file()?;
        let mut buffers = [io::IoSliceMut::new(buffer)];
        match rustix::io::preadv2(&*handle, &mut buffers, offset, rustix::io::ReadWriteFlags::NOWAIT) {
            // A file system without this flag: its reads cannot be told apart, so they all count as warm.
            Err(rustix::io::Errno::OPNOTSUPP) => handle.read_at(&mut buffers[0], offset),
            result => Ok(result?),
        }
    }

    pub(in crate::runtime) fn write_vectored_at(
        &self,
        slices: &[IoSlice<'_>],
        offset: u64,
    ) -> io::Result<()> {
        let handle = self.open_file()?;
        let mut slices = slices.to_vec();
        let (mut rest, mut offset) = (&mut slices[..], offset);
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match rustix::io::pwritev(&*handle, rest, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut rest, written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    pub(in crate::runtime) fn set_len(&self, length: u64) -> io::Result<()> {
        self.open_file()?.set_len(length)
    }

    pub(in crate::runtime) fn allocate(&self, offset: u64, length: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(&*self.open_file()?, rustix::fs::FallocateFlags::empty(), offset, length)?)
    }

    pub(in crate::runtime) fn sync_data(&self) -> io::Result<()> {
        self.open_file()?.sync_data()
    }

    pub(in crate::runtime) fn len(&self) -> io::Result<u64> {
        Ok(self.open_file()?.metadata()?.len())
    }
}
