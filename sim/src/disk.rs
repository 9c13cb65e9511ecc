//! Disks: what a file system keeps when a process dies, and what it may lose when power does.
//!
//! A process crash keeps all that was written. A power loss keeps, of what was not synced, any sectors of a
//! file and any changes of names; a sector of 512 bytes is never torn. Files and names become durable apart:
//! `sync_data` does not make a new file's name durable, `sync_dir` does not make its bytes. Invariant: every
//! operation asks whether its life goes on; a dead life changes nothing.

mod content;
mod handle;
mod image;
mod names;

pub(crate) use handle::DiskOf;

use crate::clock::{MILLISECOND, SECOND};
use crate::node::{Crash, NodeId};
use crate::random::Random;
use crate::trace::Trace;
use image::{Image, Kept};
use names::{Entry, Names};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How a disk behaves. Probabilities are per operation, times in nanoseconds, sizes in bytes.
#[derive(Debug, Clone)]
pub struct DiskFaults {
    /// What the file system holds; space is counted in pages of 4 KiB.
    pub capacity: u64,
    /// A write fails with EIO; some of it may have been done.
    pub write_error: f64,
    /// A read fails with EIO.
    pub read_error: f64,
    /// A sync fails with EIO, and its pages count as clean afterwards.
    pub sync_error: f64,
    /// Creating, renaming, removing a name, or syncing a directory fails with EIO.
    pub name_error: f64,
    /// `read_cached` does not find the bytes in memory.
    pub cold_read: f64,
    /// A handle had been closed to make room and is opened again by its path.
    pub reopened_handle: f64,
    /// The kernel writes a dirty page back by itself after a write.
    pub write_back: f64,
    /// A power loss, or the kernel's own writing back, does not go by the order of operations: what it keeps
    /// of what was not synced is any part, and not what came first.
    pub reordered: f64,
    /// A read from the device finds a flipped bit, which stays.
    pub rot: f64,
    /// A sync writes one sector's page to a wrong place of the same file.
    pub misdirected: f64,
    /// An operation on the page cache or on names takes this long.
    pub cached_nanos: Range<u64>,
    /// A sync takes this long.
    pub sync_nanos: Range<u64>,
    /// An operation is slow.
    pub slow: f64,
    /// By this much.
    pub slow_nanos: Range<u64>,
}

impl Default for DiskFaults {
    /// A good disk without an end.
    fn default() -> DiskFaults {
        DiskFaults {
            capacity: 1 << 50,
            write_error: 0.0,
            read_error: 0.0,
            sync_error: 0.0,
            name_error: 0.0,
            cold_read: 0.1,
            reopened_handle: 0.01,
            write_back: 0.02,
            reordered: 0.3,
            rot: 0.0,
            misdirected: 0.0,
            cached_nanos: 2_000..20_000,
            sync_nanos: 100_000..3 * MILLISECOND,
            slow: 0.0,
            slow_nanos: MILLISECOND..SECOND,
        }
    }
}

/// What a crash took of the sectors that were written and not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// None of them, all of them, or there were none.
    NothingOrAll,
    /// Some, and left others.
    Partial,
}

/// The disk of a node. It outlives the lives of the node.
pub struct NodeDisk {
    node: NodeId,
    trace: Arc<Trace>,
    state: Mutex<State>,
}

struct State {
    random: Random,
    faults: DiskFaults,
    names: Names,
    files: BTreeMap<u64, Image>,
    /// Locked files, by the life that has them.
    locks: BTreeMap<u64, u64>,
    life: u64,
    /// Changing operations so far, in all lives.
    operations: u64,
    crash_at: Option<(u64, Crash)>,
}

impl NodeDisk {
    pub(crate) fn new(seed: u64, node: NodeId, trace: Arc<Trace>) -> NodeDisk {
        let state = State {
            random: Random::stream(seed, "disk", node.number()),
            faults: DiskFaults::default(),
            names: Names::default(),
            files: BTreeMap::new(),
            locks: BTreeMap::new(),
            life: 0,
            operations: 0,
            crash_at: None,
        };
        NodeDisk { node, trace, state: Mutex::new(state) }
    }

    /// Changes how the disk behaves from now on.
    pub fn set_faults(&self, edit: impl FnOnce(&mut DiskFaults)) {
        edit(&mut self.lock().faults);
    }

    /// Operations so far that changed something: the I/O points at which a node can crash.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Crashes the node at the changing operation that comes after `more` others: it is done whole, partly or
    /// not at all. It counts over restarts, and is forgotten when the node crashes otherwise.
    pub fn crash_after(&self, more: u64, how: Crash) {
        let mut state = self.lock();
        state.crash_at = Some((state.operations + more, how));
    }

    /// Takes a crash back that has not struck.
    pub fn cancel_crash(&self) {
        self.lock().crash_at = None;
    }

    /// The bytes of a file as a program would read them; for checks.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.lock();
        let Entry::File(file) = state.names.find(path)? else { return Err(errno(21)) };
        let image = &state.files[&file];
        let mut bytes = vec![0; image.length() as usize];
        image.read(&mut bytes, 0);
        Ok(bytes)
    }

    /// Flips a bit of some file whose path ends with `suffix`; whether there was one. For a node that is
    /// down.
    pub fn rot(&self, suffix: &str) -> bool {
        let mut state = self.lock();
        let State { names, files, random, .. } = &mut *state;
        let candidates: Vec<u64> = names.files_ending(suffix);
        if candidates.is_empty() {
            return false;
        }
        let file = *random.pick(&candidates);
        let offset = files.get_mut(&file).and_then(|image| image.rot(random));
        let at = offset.unwrap_or(u64::MAX);
        self.trace.numbers("disk.rot", &[("node", self.node.number()), ("file", file), ("at", at)]);
        offset.is_some()
    }

    /// A copy of the disk as it is, to be put back later: an older disk.
    pub fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        Snapshot { names: state.names.clone(), files: state.files.clone() }
    }

    /// Replaces all that is on the disk of a node that is down; `Snapshot::default()` wipes it.
    pub fn restore(&self, snapshot: Snapshot) {
        let mut state = self.lock();
        (state.names, state.files) = (snapshot.names, snapshot.files);
        self.trace.numbers("disk.restore", &[("node", self.node.number())]);
    }

    pub(crate) fn begin_life(&self, life: u64) {
        self.lock().life = life;
    }

    /// The program is gone: its locks and handles too, and with the power what was not synced.
    pub(crate) fn crash(&self, how: Crash) -> Loss {
        let mut loss = Loss::NothingOrAll;
        let mut state = self.lock();
        let State { names, files, random, locks, crash_at, faults, operations, .. } = &mut *state;
        locks.clear();
        *crash_at = None;
        if how == Crash::Power {
            let known = names.known_files();
            files.retain(|file, _| known.contains(file));
            let kept = if random.chance(faults.reordered) {
                Kept::Any
            } else {
                let oldest = files.values().map(Image::oldest).min().unwrap_or(u64::MAX).min(names.oldest());
                Kept::Before(random.range(&(oldest.min(*operations)..*operations + 2)))
            };
            let sectors = files.values_mut().map(|image| image.lose_power(random, kept));
            let (dirty, written) = sectors.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            if written > 0 && written < dirty {
                loss = Loss::Partial;
            }
            let (pending, kept) = names.lose_power(random, kept);
            let numbers = [("node", self.node.number()), ("changes", pending), ("kept", kept)];
            self.trace.numbers("disk.power_loss", &numbers);
        }
        let known = names.known_files();
        files.retain(|file, _| known.contains(file));
        for image in files.values_mut() {
            (image.handles, image.links) = (0, 0);
        }
        for file in names.files() {
            files.get_mut(&file).expect("a name leads to a file that exists").links += 1;
        }
        loss
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that is on a disk at some time.
#[derive(Clone, Default)]
pub struct Snapshot {
    names: Names,
    files: BTreeMap<u64, Image>,
}

impl State {
    fn used(&self) -> u64 {
        self.files.values().map(Image::pages).sum::<u64>() * content::PAGE
    }

    /// Bytes that may still be written.
    fn free(&self) -> u64 {
        self.faults.capacity.saturating_sub(self.used())
    }

    /// The kernel writes something back by itself.
    fn write_back(&mut self) {
        let State { files, random, faults, .. } = self;
        if !random.chance(faults.write_back) {
            return;
        }
        let any = random.chance(faults.reordered);
        let oldest = files.values_mut().min_by_key(|image| image.oldest());
        if let Some(image) = oldest {
            image.write_back(random, any);
        }
    }

    /// How much of `range` of a file can be written with the space that is left.
    fn room(&self, image: &Image, range: &Range<u64>) -> u64 {
        let wanted = range.end - range.start;
        let missing = image.missing_pages(range);
        if missing == 0 || missing * content::PAGE <= self.free() {
            return wanted;
        }
        let mut end = range.start;
        let mut left = self.free() / content::PAGE;
        while end < range.end {
            let next = ((end / content::PAGE) + 1) * content::PAGE;
            let needs = image.missing_pages(&(end..next));
            if needs > left {
                break;
            }
            left -= needs;
            end = next.min(range.end);
        }
        end - range.start
    }
}

/// An error of the operating system by its number on Linux.
fn errno(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}
