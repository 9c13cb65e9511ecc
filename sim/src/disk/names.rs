//! Directories: the names that programs see, those on the device, and the changes between the two.
//!
//! A change becomes durable when a directory that it touches is synced, together with earlier changes that it
//! rests on. Without that, a power loss keeps a prefix of all changes or any subset of them, which a file
//! system may do.

use super::errno;
use super::image::Kept;
use crate::random::Random;
use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};

/// What a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    File(u64),
    Directory(u64),
}

/// Number of the root directory.
const ROOT: u64 = 0;

type Directory = BTreeMap<String, Entry>;

/// All directories of a disk.
#[derive(Clone)]
pub(super) struct Names {
    seen: BTreeMap<u64, Directory>,
    durable: BTreeMap<u64, Directory>,
    /// With the numbers of the operations that made them.
    pending: Vec<(u64, Change)>,
    /// The operation that goes on.
    pub(super) now: u64,
    next: u64,
}

/// One step that happens as a whole: a name set or taken away, or both for a rename.
#[derive(Debug, Clone)]
struct Change(Vec<Edit>);

#[derive(Debug, Clone)]
struct Edit {
    directory: u64,
    name: String,
    /// `None` takes the name away.
    entry: Option<Entry>,
}

/// A path whose parent exists.
pub(super) struct Place {
    directory: u64,
    name: String,
    /// What is there.
    pub(super) entry: Option<Entry>,
}

impl Default for Names {
    fn default() -> Names {
        let root = BTreeMap::from([(ROOT, Directory::new())]);
        Names { seen: root.clone(), durable: root, pending: Vec::new(), now: 0, next: ROOT + 1 }
    }
}

impl Names {
    /// What `path` leads to.
    pub(super) fn find(&self, path: &Path) -> io::Result<Entry> {
        let mut entry = Entry::Directory(ROOT);
        for component in path.components() {
            let name = match component {
                Component::RootDir | Component::CurDir => continue,
                Component::Normal(name) => name.to_str().ok_or_else(|| errno(22))?,
                Component::ParentDir | Component::Prefix(_) => return Err(errno(22)),
            };
            let Entry::Directory(directory) = entry else { return Err(errno(20)) };
            entry = *self.seen[&directory].get(name).ok_or_else(|| errno(2))?;
        }
        Ok(entry)
    }

    /// The directory that `path` leads to.
    pub(super) fn directory(&self, path: &Path) -> io::Result<u64> {
        match self.find(path)? {
            Entry::Directory(directory) => Ok(directory),
            Entry::File(_) => Err(errno(20)),
        }
    }

    /// Where `path` is or would be.
    pub(super) fn place(&self, path: &Path) -> io::Result<Place> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| errno(22))?;
        let directory = self.directory(path.parent().unwrap_or(Path::new("")))?;
        let entry = self.seen[&directory].get(name).copied();
        Ok(Place { directory, name: name.to_owned(), entry })
    }

    /// The names in a directory, in order.
    pub(super) fn list(&self, directory: u64) -> impl Iterator<Item = (&str, Entry)> {
        self.seen[&directory].iter().map(|(name, entry)| (name.as_str(), *entry))
    }

    /// A number that nothing has.
    pub(super) fn next_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Puts `entry` at `place`.
    pub(super) fn set(&mut self, place: Place, entry: Entry) {
        if let Entry::Directory(directory) = entry {
            self.seen.entry(directory).or_default();
        }
        self.change(vec![Edit { directory: place.directory, name: place.name, entry: Some(entry) }]);
    }

    /// Takes the name at `place` away.
    pub(super) fn remove(&mut self, place: Place) {
        self.change(vec![Edit { directory: place.directory, name: place.name, entry: None }]);
    }

    /// Moves what is at `from` to `to`.
    pub(super) fn rename(&mut self, from: Place, to: Place) {
        let gone = Edit { directory: from.directory, name: from.name, entry: None };
        let put = Edit { directory: to.directory, name: to.name, entry: from.entry };
        self.change(vec![gone, put]);
    }

    fn change(&mut self, edits: Vec<Edit>) {
        let change = Change(edits);
        change.apply(&mut self.seen);
        self.pending.push((self.now, change));
    }

    /// Makes the changes of one directory durable.
    pub(super) fn sync(&mut self, directory: u64) {
        let mut touched = vec![directory];
        let mut chosen = vec![false; self.pending.len()];
        for (index, (_, change)) in self.pending.iter().enumerate().rev() {
            if change.0.iter().any(|edit| touched.contains(&edit.directory)) {
                touched.extend(change.0.iter().map(|edit| edit.directory));
                chosen[index] = true;
            }
        }
        let mut chosen = chosen.into_iter();
        let durable = &mut self.durable;
        self.pending.retain(|(_, change)| {
            let sync = chosen.next().unwrap_or(false);
            if sync {
                change.apply(durable);
            }
            !sync
        });
    }

    /// When the oldest change was made that is not durable.
    pub(super) fn oldest(&self) -> u64 {
        self.pending.first().map_or(u64::MAX, |(at, _)| *at)
    }

    /// Power is lost: of the pending changes those survive that `kept` says, or any. Returns how many there
    /// were and were kept.
    pub(super) fn lose_power(&mut self, random: &mut Random, kept: Kept) -> (u64, u64) {
        let pending = std::mem::take(&mut self.pending);
        let (all, mut survived) = (pending.len() as u64, 0);
        for (at, change) in &pending {
            let survives = match kept {
                Kept::Before(time) => *at < time,
                Kept::Any => random.chance(0.5),
            };
            if survives {
                change.apply(&mut self.durable);
                survived += 1;
            }
        }
        self.seen = self.reachable();
        self.durable = self.seen.clone();
        (all, survived)
    }

    /// The directories that the device's root leads to.
    fn reachable(&self) -> BTreeMap<u64, Directory> {
        let (mut found, mut open) = (BTreeMap::new(), vec![ROOT]);
        while let Some(number) = open.pop() {
            let directory = self.durable.get(&number).cloned().unwrap_or_default();
            for entry in directory.values() {
                if let Entry::Directory(child) = entry {
                    open.push(*child);
                }
            }
            found.insert(number, directory);
        }
        found
    }

    /// Every file that has a name, once for each.
    pub(super) fn files(&self) -> impl Iterator<Item = u64> {
        self.seen.values().flat_map(Directory::values).filter_map(|entry| match entry {
            Entry::File(file) => Some(*file),
            Entry::Directory(_) => None,
        })
    }

    /// Every file with a name that ends with `suffix`.
    pub(super) fn files_ending(&self, suffix: &str) -> Vec<u64> {
        let names = self.seen.values().flatten().filter(|(name, _)| name.ends_with(suffix));
        names
            .filter_map(|(_, entry)| if let Entry::File(file) = entry { Some(*file) } else { None })
            .collect()
    }

    /// Every file that has a name, a name on the device, or may get one.
    pub(super) fn known_files(&self) -> std::collections::BTreeSet<u64> {
        let durable = self.durable.values().flat_map(Directory::values).copied();
        let pending = self.pending.iter().flat_map(|(_, change)| &change.0).filter_map(|edit| edit.entry);
        let number = |entry| match entry {
            Entry::File(file) => Some(file),
            Entry::Directory(_) => None,
        };
        self.files().chain(durable.chain(pending).filter_map(number)).collect()
    }
}

impl Change {
    fn apply(&self, directories: &mut BTreeMap<u64, Directory>) {
        for edit in &self.0 {
            let directory = directories.entry(edit.directory).or_default();
            match edit.entry {
                Some(entry) => directory.insert(edit.name.clone(), entry),
                None => directory.remove(&edit.name),
            };
        }
    }
}
