//! What a program holds of its disk: the doors of `vltava::runtime`, for one life.

use super::image::Image;
use super::names::{Entry, Place};
use super::{State, errno};
use crate::node::{Crash, Life};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use vltava::runtime::{DirectoryEntry, Disk, DiskLock, File, Metadata, OpenOptions, SimulatedFile, Space};

/// Probability that a warm read returns only a part.
const SHORT_CACHED_READ: f64 = 0.1;

/// The disk, as one life sees it.
#[derive(Clone)]
pub(crate) struct DiskOf(pub(crate) Life);

/// What an operation does, which decides how long it takes and how it may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Looks at names or lengths.
    Look,
    Read,
    Write,
    Sync,
    /// Changes names.
    Names,
    SyncNames,
}

/// How much of an operation is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Portion {
    Whole,
    /// The node dies in the middle of it.
    Part,
    /// The device fails in the middle of it.
    Failed,
}

impl DiskOf {
    /// Does one operation of this life: charges its time, lets it fail, or lets the node die in it.
    fn operate<T>(
        &self,
        kind: Kind,
        step: impl FnOnce(&mut State, Portion) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.0.node.disk.lock();
        if !self.0.is_alive() {
            return Err(errno(5));
        }
        let nanos = state.latency(kind);
        let crash = state.count(kind);
        let result = if crash.is_some() {
            match state.random.below(3) {
                0 => Ok(()),
                1 => step(&mut state, Portion::Whole).map(drop),
                _ => step(&mut state, Portion::Part).map(drop),
            }
            .and(Err(errno(5)))
        } else if state.fails(kind) {
            // A change of names happens as a whole or not at all.
            let failed =
                if kind == Kind::Names { Ok(()) } else { step(&mut state, Portion::Failed).map(drop) };
            failed.and(Err(errno(5)))
        } else {
            step(&mut state, Portion::Whole)
        };
        drop(state);
        self.0.charge(nanos);
        if let Some(how) = crash {
            self.0.crash(how, "in a disk operation");
        }
        result
    }

    fn note(&self, kind: &'static str, numbers: &[(&'static str, u64)]) {
        let node = self.0.node.id.number();
        match *numbers {
            [] => self.0.node.trace.numbers(kind, &[("node", node)]),
            [a] => self.0.node.trace.numbers(kind, &[("node", node), a]),
            [a, b, ..] => self.0.node.trace.numbers(kind, &[("node", node), a, b]),
        }
    }

    fn note_path(&self, kind: &'static str, path: &Path) {
        self.0.node.trace.text(kind, format_args!("{} {}", self.0.node.id, path.display()));
    }
}

impl State {
    fn latency(&mut self, kind: Kind) -> u64 {
        let range = match kind {
            Kind::Sync | Kind::SyncNames => self.faults.sync_nanos.clone(),
            Kind::Look | Kind::Read | Kind::Write | Kind::Names => self.faults.cached_nanos.clone(),
        };
        let mut nanos = self.random.range(&range);
        if self.random.chance(self.faults.slow) {
            nanos += self.random.range(&self.faults.slow_nanos);
        }
        nanos
    }

    /// Counts an operation that changes something; how the node dies, if it dies in it.
    fn count(&mut self, kind: Kind) -> Option<Crash> {
        if matches!(kind, Kind::Look | Kind::Read) {
            return None;
        }
        self.operations += 1;
        self.names.now = self.operations;
        let (_, how) = self.crash_at.take_if(|(point, _)| *point < self.operations)?;
        Some(how)
    }

    fn fails(&mut self, kind: Kind) -> bool {
        let probability = match kind {
            Kind::Look => 0.0,
            Kind::Read => self.faults.read_error,
            Kind::Write => self.faults.write_error,
            Kind::Sync => self.faults.sync_error,
            Kind::Names | Kind::SyncNames => self.faults.name_error,
        };
        self.random.chance(probability)
    }

    /// Puts a new empty file at `place`.
    fn create(&mut self, place: Place) -> u64 {
        let file = self.names.next_number();
        self.files.entry(file).or_default().links = 1;
        self.names.set(place, Entry::File(file));
        file
    }

    fn unlink(&mut self, entry: Option<Entry>) {
        if let Some(Entry::File(file)) = entry
            && let Some(image) = self.files.get_mut(&file)
        {
            image.links -= 1;
        }
    }

    fn is_empty(&self, directory: u64) -> bool {
        self.names.list(directory).next().is_none()
    }

    /// The file of a handle, which may have to be found anew by its path.
    fn file_of(&mut self, handle: &OpenFile) -> io::Result<u64> {
        let file = handle.file.load(Ordering::Relaxed);
        if !self.random.chance(self.faults.reopened_handle) {
            return Ok(file);
        }
        let Entry::File(found) = self.names.find(&handle.path)? else { return Err(errno(21)) };
        if found != file {
            self.close(file);
            self.open(found);
            handle.file.store(found, Ordering::Relaxed);
        }
        Ok(found)
    }

    fn open(&mut self, file: u64) {
        self.files.get_mut(&file).expect("a name leads to a file that exists").handles += 1;
    }

    fn close(&mut self, file: u64) {
        if let Some(image) = self.files.get_mut(&file) {
            image.handles -= 1;
        }
    }
}

impl Disk for DiskOf {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<File> {
        let exists = self.0.node.disk.lock().names.find(path).is_ok();
        let creates = (options.create || options.create_new) && !exists;
        let kind = if creates || options.truncate { Kind::Names } else { Kind::Look };
        let file = self.operate(kind, |state, _| {
            let place = state.names.place(path)?;
            let file = match place.entry {
                Some(_) if options.create_new => return Err(errno(17)),
                Some(Entry::Directory(_)) => return Err(errno(21)),
                Some(Entry::File(file)) => file,
                None if creates => state.create(place),
                None => return Err(errno(2)),
            };
            if options.truncate {
                let now = state.operations;
                state.files.get_mut(&file).expect("a name leads to a file that exists").set_length(0, now);
            }
            state.open(file);
            Ok(file)
        })?;
        if kind == Kind::Names {
            self.note_path("disk.create", path);
        }
        let handle = OpenFile {
            disk: self.clone(),
            file: AtomicU64::new(file),
            path: path.into(),
            write: options.write,
        };
        Ok(File::Simulated(Arc::new(handle)))
    }

    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        let exists = self.0.node.disk.lock().names.find(path).is_ok();
        let file = self.operate(if exists { Kind::Look } else { Kind::Names }, |state, _| {
            let place = state.names.place(path)?;
            let file = match place.entry {
                Some(Entry::Directory(_)) => return Err(errno(21)),
                Some(Entry::File(file)) => file,
                None => state.create(place),
            };
            if state.locks.contains_key(&file) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            state.locks.insert(file, state.life);
            Ok(file)
        })?;
        Ok(DiskLock::new(Held { life: self.0.clone(), file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operate(Kind::Names, |state, _| {
            let (old, new) = (state.names.place(from)?, state.names.place(to)?);
            match (old.entry, new.entry) {
                (None, _) => return Err(errno(2)),
                (Some(old), Some(new)) if old == new => return Ok(()),
                (Some(Entry::File(_)), Some(Entry::Directory(_))) => return Err(errno(21)),
                (Some(Entry::Directory(_)), Some(Entry::File(_))) => return Err(errno(20)),
                (Some(Entry::Directory(_)), Some(Entry::Directory(full))) if !state.is_empty(full) => {
                    return Err(errno(39));
                }
                (Some(Entry::Directory(_)), _) if to.starts_with(from) => return Err(errno(22)),
                (Some(_), _) => {}
            }
            state.unlink(new.entry);
            state.names.rename(old, new);
            Ok(())
        })?;
        self.note_path("disk.rename", to);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.operate(Kind::Names, |state, _| {
            let place = state.names.place(path)?;
            match place.entry {
                None => return Err(errno(2)),
                Some(Entry::Directory(_)) => return Err(errno(21)),
                Some(Entry::File(_)) => {}
            }
            state.unlink(place.entry);
            state.names.remove(place);
            Ok(())
        })?;
        self.note_path("disk.remove", path);
        Ok(())
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
        self.operate(Kind::Look, |state, _| {
            let directory = state.names.directory(path)?;
            let entry = |(name, entry): (&str, Entry)| DirectoryEntry {
                name: name.to_owned(),
                is_directory: matches!(entry, Entry::Directory(_)),
            };
            Ok(state.names.list(directory).map(entry).collect())
        })
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.operate(Kind::Names, |state, _| {
            let place = state.names.place(path)?;
            if place.entry.is_some() {
                return Err(errno(17));
            }
            let number = state.names.next_number();
            state.names.set(place, Entry::Directory(number));
            Ok(())
        })?;
        self.note_path("disk.create_dir", path);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.operate(Kind::Names, |state, _| {
            let place = state.names.place(path)?;
            match place.entry {
                None => return Err(errno(2)),
                Some(Entry::File(_)) => return Err(errno(20)),
                Some(Entry::Directory(full)) if !state.is_empty(full) => return Err(errno(39)),
                Some(Entry::Directory(_)) => {}
            }
            state.names.remove(place);
            Ok(())
        })?;
        self.note_path("disk.remove_dir", path);
        Ok(())
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.operate(Kind::Look, |state, _| match state.names.find(path)? {
            Entry::File(file) => Ok(Metadata { length: state.files[&file].length(), is_directory: false }),
            Entry::Directory(_) => Ok(Metadata { length: super::content::PAGE, is_directory: true }),
        })
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.operate(Kind::Look, |state, _| {
            state.names.find(path)?;
            Ok(Space { total: state.faults.capacity, free: state.free() })
        })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.operate(Kind::SyncNames, |state, portion| {
            let directory = state.names.directory(path)?;
            if portion == Portion::Whole {
                state.names.sync(directory);
            }
            Ok(())
        })?;
        self.note_path("disk.sync_dir", path);
        Ok(())
    }
}

/// A lock; dropping it lets go.
struct Held {
    life: Life,
    file: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.life.is_alive() {
            self.life.node.disk.lock().locks.remove(&self.file);
        }
    }
}

/// An open file.
struct OpenFile {
    disk: DiskOf,
    file: AtomicU64,
    path: PathBuf,
    write: bool,
}

impl OpenFile {
    fn check_writable(&self) -> io::Result<()> {
        if self.write { Ok(()) } else { Err(errno(9)) }
    }

    fn number(&self) -> u64 {
        self.file.load(Ordering::Relaxed)
    }

    fn read(&self, buffer: &mut [u8], offset: u64, cached: bool) -> io::Result<usize> {
        self.disk.operate(Kind::Read, |state, portion| {
            if portion == Portion::Failed {
                return Err(errno(5));
            }
            let file = state.file_of(self)?;
            let State { files, random, faults, .. } = state;
            let image = files.get_mut(&file).ok_or_else(|| errno(5))?;
            let mut length = buffer.len();
            if cached && random.chance(faults.cold_read) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            if cached && length > 1 && random.chance(SHORT_CACHED_READ) {
                length = 1 + random.below(length as u64 - 1) as usize;
            }
            if !cached && random.chance(faults.rot) {
                image.rot(random);
            }
            Ok(image.read(&mut buffer[..length], offset))
        })
    }
}

impl SimulatedFile for OpenFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read(buffer, offset, false)
    }

    fn read_cached(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read(buffer, offset, true)
    }

    fn write_vectored_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.check_writable()?;
        let total: u64 = slices.iter().map(|slice| slice.len() as u64).sum();
        self.disk.operate(Kind::Write, |state, portion| {
            let file = state.file_of(self)?;
            let wanted = if portion == Portion::Whole { total } else { state.random.below(total + 1) };
            let image = state.files.get(&file).ok_or_else(|| errno(5))?;
            let room = state.room(image, &(offset..offset + wanted));
            let now = state.operations;
            let image = state.files.get_mut(&file).expect("it was there a moment ago");
            write_prefix(image, slices, offset, room, now);
            state.write_back();
            if room < wanted { Err(errno(28)) } else { Ok(()) }
        })?;
        self.disk.note("disk.write", &[("file", self.number()), ("end", offset + total)]);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.check_writable()?;
        self.disk.operate(Kind::Write, |state, portion| {
            let file = state.file_of(self)?;
            if portion != Portion::Failed {
                let now = state.operations;
                state.files.get_mut(&file).ok_or_else(|| errno(5))?.set_length(length, now);
            }
            Ok(())
        })?;
        self.disk.note("disk.set_len", &[("file", self.number()), ("length", length)]);
        Ok(())
    }

    fn allocate(&self, offset: u64, length: u64) -> io::Result<()> {
        self.check_writable()?;
        let range: Range<u64> = offset..offset.checked_add(length).ok_or_else(|| errno(22))?;
        self.disk.operate(Kind::Write, |state, portion| {
            let file = state.file_of(self)?;
            let image = state.files.get(&file).ok_or_else(|| errno(5))?;
            if state.room(image, &range) < length {
                return Err(errno(28));
            }
            if portion != Portion::Failed {
                let now = state.operations;
                state.files.get_mut(&file).expect("it was there a moment ago").allocate(&range, now);
            }
            Ok(())
        })?;
        self.disk.note("disk.allocate", &[("file", self.number()), ("end", range.end)]);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.operate(Kind::Sync, |state, portion| {
            let file = state.file_of(self)?;
            let State { files, random, faults, .. } = state;
            let image = files.get_mut(&file).ok_or_else(|| errno(5))?;
            match portion {
                Portion::Whole if random.chance(faults.misdirected) => image.sync_misdirected(random),
                Portion::Whole => image.sync(),
                // In order, the power loss that follows says what of it was done.
                Portion::Part if random.chance(faults.reordered) => image.sync_partly(random),
                Portion::Part => {}
                Portion::Failed => {
                    let keep = random.chance(0.7);
                    image.fail_sync(random, keep);
                }
            }
            Ok(())
        })?;
        self.disk.note("disk.sync", &[("file", self.number())]);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.operate(Kind::Look, |state, _| {
            let file = state.file_of(self)?;
            Ok(state.files.get(&file).ok_or_else(|| errno(5))?.length())
        })
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if self.disk.0.is_alive() {
            let file = self.number();
            self.disk.0.node.disk.lock().close(file);
        }
    }
}

/// Writes the first `length` bytes of `slices`.
fn write_prefix(image: &mut Image, slices: &[IoSlice<'_>], mut offset: u64, mut length: u64, now: u64) {
    for slice in slices {
        let step = length.min(slice.len() as u64);
        image.write(&slice[..step as usize], offset, now);
        (offset, length) = (offset + step, length - step);
    }
}
