//! A disk in memory that tells what was written from what would survive a power loss, and a runtime on it.
//!
//! Files and directories each have what readers see and what is durable; `sync_data` and `sync_dir` copy
//! the one to the other. Faults are set by the test. One thread is enough for it.

use crate::runtime::{
    BoxFuture, DirectoryEntry, Disk, DiskLock, Environment, Event, File, Metadata, OpenOptions, Runtime,
    SimulatedConnection, SimulatedFile, SimulatedListener, SimulatedTask, Space,
};
use crate::types::{Instant, Timestamp};
use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// How the operation at which a disk stops is left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crash {
    Before,
    Half,
    After,
}

/// One file: its bytes as they are read, and as they lie on the device.
#[derive(Clone, Default)]
struct Node {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    is_directory: bool,
}

#[derive(Default)]
struct State {
    nodes: Vec<Node>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Bytes that all files together may have.
    capacity: Option<u64>,
    /// The next writes fail with EIO.
    failing_writes: bool,
    /// The next syncs fail with EIO.
    failing_syncs: bool,
    /// Whether `read_cached` finds nothing in memory.
    cold: bool,
    events: Vec<Event>,
    operations: usize,
    crash_at: Option<(usize, Crash)>,
    syncs: usize,
}

/// The disk; clones share it.
#[derive(Clone, Default)]
pub(super) struct MemoryDisk(Arc<Mutex<State>>);

impl MemoryDisk {
    pub(super) fn new() -> Arc<MemoryDisk> {
        let disk = MemoryDisk::default();
        disk.state().nodes.push(Node { is_directory: true, ..Node::default() });
        disk.state().names.insert(PathBuf::from("/"), 0);
        disk.state().durable_names.insert(PathBuf::from("/"), 0);
        Arc::new(disk)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A runtime on this disk, whose clock stands still.
    pub(super) fn runtime(self: &Arc<Self>) -> Runtime {
        Runtime::Simulated(Arc::new(TestEnvironment(self.clone())))
    }

    pub(super) fn read(&self, path: impl AsRef<Path>) -> Vec<u8> {
        (self as &dyn Disk).read(path.as_ref(), 1 << 30).unwrap()
    }

    pub(super) fn has(&self, path: impl AsRef<Path>) -> bool {
        (self as &dyn Disk).exists(path.as_ref()).unwrap()
    }

    /// Replaces a file, as somebody else would.
    pub(super) fn put(&self, path: impl AsRef<Path>, bytes: &[u8]) {
        self.open(path.as_ref(), OpenOptions::CREATE_TRUNCATED).unwrap().write_at(bytes, 0).unwrap();
    }

    /// The names in a directory.
    pub(super) fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        self.read_dir(path.as_ref()).unwrap().into_iter().map(|entry| entry.name).collect()
    }

    pub(super) fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    pub(super) fn fail_writes(&self, fail: bool) {
        self.state().failing_writes = fail;
    }

    pub(super) fn fail_syncs(&self, fail: bool) {
        self.state().failing_syncs = fail;
    }

    pub(super) fn set_cold(&self, cold: bool) {
        self.state().cold = cold;
    }

    pub(super) fn used(&self) -> u64 {
        self.state().used()
    }

    /// How many operations have changed the disk, or made it durable.
    pub(super) fn operations(&self) -> usize {
        self.state().operations
    }

    /// Lets operation number `at` end in a crash: everything that comes later fails and changes nothing.
    pub(super) fn crash_at(&self, at: usize, crash: Crash) {
        let mut state = self.state();
        let at = state.operations + at;
        state.crash_at = Some((at, crash));
    }

    pub(super) fn syncs(&self) -> usize {
        self.state().syncs
    }

    pub(super) fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut self.state().events)
    }

    /// Flips a bit of the byte at `at`, as the device would return it.
    pub(super) fn flip(&self, path: &str, at: usize) {
        let mut state = self.state();
        let node = state.names[Path::new(path)];
        state.nodes[node].bytes[at] ^= 0x10;
        if let Some(byte) = state.nodes[node].durable.get_mut(at) {
            *byte ^= 0x10;
        }
    }

    /// A process crash: everything that was written stays.
    pub(super) fn crashed(&self) -> Arc<MemoryDisk> {
        let state = self.state();
        let copy = State { nodes: state.nodes.clone(), names: state.names.clone(), ..State::default() };
        let durable_names = state.durable_names.clone();
        Arc::new(MemoryDisk(Arc::new(Mutex::new(State { durable_names, ..copy }))))
    }

    /// A power loss: only what was synced stays.
    pub(super) fn power_lost(&self) -> Arc<MemoryDisk> {
        let state = self.state();
        let keep = |node: &Node| Node { bytes: node.durable.clone(), ..node.clone() };
        let mut names = state.durable_names.clone();
        let lives = |path: &Path| path.ancestors().all(|parent| state.durable_names.contains_key(parent));
        names.retain(|path, _| lives(path));
        let copy = State { nodes: state.nodes.iter().map(keep).collect(), ..State::default() };
        Arc::new(MemoryDisk(Arc::new(Mutex::new(State { durable_names: names.clone(), names, ..copy }))))
    }

    fn renamed(path: &Path, from: &Path, to: &Path) -> Option<PathBuf> {
        let rest = path.strip_prefix(from).ok()?;
        Some(if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) })
    }
}

impl State {
    fn used(&self) -> u64 {
        self.names.values().map(|&node| self.nodes[node].bytes.len() as u64).sum()
    }

    /// Counts an operation that changes something, and tells how much of it happens.
    fn operate(&mut self) -> io::Result<Crash> {
        let at = self.operations;
        self.operations += 1;
        match self.crash_at {
            Some((crash_at, crash)) if at == crash_at && crash != Crash::Before => Ok(crash),
            Some((crash_at, _)) if at >= crash_at => Err(io::Error::from_raw_os_error(5)),
            _ => Ok(Crash::After),
        }
    }

    fn node(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or(io::ErrorKind::NotFound.into())
    }

    fn create(&mut self, path: &Path, is_directory: bool) -> io::Result<usize> {
        let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        if !self.nodes[self.node(parent)?].is_directory {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        self.nodes.push(Node { is_directory, ..Node::default() });
        self.names.insert(path.to_owned(), self.nodes.len() - 1);
        Ok(self.nodes.len() - 1)
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<File> {
        let mut state = self.state();
        if options.truncate || !state.names.contains_key(path) && (options.create || options.create_new) {
            state.operate()?;
        }
        let node = match state.names.get(path) {
            Some(_) if options.create_new => return Err(io::ErrorKind::AlreadyExists.into()),
            Some(&node) => node,
            None if options.create || options.create_new => state.create(path, false)?,
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        if options.truncate {
            state.nodes[node].bytes.clear();
        }
        Ok(File::Simulated(Arc::new(MemoryFile { disk: self.clone(), node })))
    }

    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        self.open(path, OpenOptions::CREATE)?;
        Ok(DiskLock::new(()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        state.node(from)?;
        let moved: Vec<(PathBuf, usize)> = state
            .names
            .iter()
            .filter_map(|(path, node)| Some((Self::renamed(path, from, to)?, *node)))
            .collect();
        state.names.retain(|path, _| !path.starts_with(from));
        state.names.extend(moved);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.node(path)?;
        state.operate()?;
        state.names.remove(path).map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let state = self.state();
        state.node(path)?;
        let children = state.names.iter().filter(|(child, _)| child.parent() == Some(path));
        Ok(children
            .map(|(child, &node)| DirectoryEntry {
                name: child.file_name().unwrap().to_str().unwrap().to_owned(),
                is_directory: state.nodes[node].is_directory,
            })
            .collect())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.operate()?;
        state.create(path, true).map(|_| ())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        if !self.read_dir(path)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.remove(path)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let state = self.state();
        let node = &state.nodes[state.node(path)?];
        Ok(Metadata { length: node.bytes.len() as u64, is_directory: node.is_directory })
    }

    fn space(&self, _: &Path) -> io::Result<Space> {
        let state = self.state();
        let total = state.capacity.unwrap_or(u64::MAX);
        Ok(Space { total, free: total.saturating_sub(state.used()) })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.node(path)?;
        state.operate()?;
        state.syncs += 1;
        if state.failing_syncs {
            return Err(io::Error::from_raw_os_error(5));
        }
        let is_child = |name: &Path| name.parent() == Some(path);
        let children: Vec<_> =
            state.names.iter().filter(|(name, _)| is_child(name)).map(|(n, &i)| (n.clone(), i)).collect();
        // A directory that was renamed takes what is durable below it along.
        let mut moved = Vec::new();
        for (name, node) in &children {
            let was = state.durable_names.iter().find(|(old, i)| *i == node && *old != name);
            if let Some((old, _)) = was.filter(|_| state.nodes[*node].is_directory) {
                let below = state.durable_names.iter();
                moved.extend(below.filter_map(|(path, i)| Some((Self::renamed(path, old, name)?, *i))));
            }
        }
        let gone: Vec<_> = state
            .durable_names
            .keys()
            .filter(|name| is_child(name) && !state.names.contains_key(*name))
            .cloned()
            .collect();
        state.durable_names.retain(|name, _| !gone.iter().any(|gone| name.starts_with(gone)));
        state.durable_names.extend(children);
        state.durable_names.extend(moved);
        Ok(())
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    node: usize,
}

impl SimulatedFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        let bytes = &state.nodes[self.node].bytes;
        let from = bytes.len().min(offset as usize);
        let read = buffer.len().min(bytes.len() - from);
        buffer[..read].copy_from_slice(&bytes[from..from + read]);
        Ok(read)
    }

    fn read_cached(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.disk.state().cold {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.read_at(buffer, offset)
    }

    /// A full disk takes what still fits, and then fails.
    fn write_vectored_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.failing_writes {
            return Err(io::Error::from_raw_os_error(5));
        }
        let all = slices.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<u8>>();
        let length = state.nodes[self.node].bytes.len() as u64;
        let half = state.operate()? == Crash::Half;
        let room = state.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used()));
        let room = if half { (all.len() / 2) as u64 } else { room };
        let end = (offset + all.len() as u64).min(length.saturating_add(room));
        let bytes = &mut state.nodes[self.node].bytes;
        bytes.resize((end.max(length)) as usize, 0);
        let fits = end.saturating_sub(offset) as usize;
        bytes[offset as usize..offset as usize + fits].copy_from_slice(&all[..fits]);
        if half {
            return Err(io::Error::from_raw_os_error(5));
        }
        if fits < all.len() { Err(io::Error::from_raw_os_error(28)) } else { Ok(()) }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate()?;
        state.nodes[self.node].bytes.resize(length as usize, 0);
        Ok(())
    }

    fn allocate(&self, offset: u64, length: u64) -> io::Result<()> {
        let now = self.len()?;
        self.set_len(now.max(offset + length))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate()?;
        state.syncs += 1;
        if state.failing_syncs {
            return Err(io::Error::from_raw_os_error(5));
        }
        let node = &mut state.nodes[self.node];
        node.durable = node.bytes.clone();
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().nodes[self.node].bytes.len() as u64)
    }
}

struct TestEnvironment(Arc<MemoryDisk>);

impl Environment for TestEnvironment {
    fn now(&self) -> Instant {
        Instant(0)
    }

    fn wall_clock(&self) -> Timestamp {
        Timestamp(0)
    }

    fn sleep_until(&self, _: Instant) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    fn spawn(&self, _: &'static str, _: BoxFuture<'static, ()>) -> Box<dyn SimulatedTask> {
        panic!("a log spawns no tasks")
    }

    fn offload(&self, _: &'static str) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    fn offloaded(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    fn random_u64(&self) -> u64 {
        0x0123_4567_89ab_cdef
    }

    fn bind(&self, _: &str, _: u16) -> BoxFuture<'static, io::Result<Box<dyn SimulatedListener>>> {
        panic!("a log has no sockets")
    }

    fn connect(&self, _: &str, _: u16) -> BoxFuture<'static, io::Result<Box<dyn SimulatedConnection>>> {
        panic!("a log has no sockets")
    }

    fn disk(&self) -> Arc<dyn Disk> {
        self.0.clone()
    }

    fn observe(&self, event: Event) {
        self.0.state().events.push(event);
    }

    fn halt(&self, reason: &str) {
        panic!("{reason}")
    }
}
