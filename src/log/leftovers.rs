//! What a partition's directory may hold besides its log when it is opened: files that were on their way out,
//! or half made.
//!
//! `.deleted` and `.cleaned` files go. A `.swap` segment is complete and replaces the segments whose offsets
//! it covers: they go, then it takes its place. Indexes and snapshots whose segment is gone go. Everything
//! else is left alone.

use super::error::{LogError, OnPath};
use super::scan::{BatchScan, Found, Look};
use super::segment::{DELETED, INDEX, LOG, SNAPSHOT, TIME_INDEX, TRANSACTION_INDEX, segment_path};
use super::truncation::remove_segment;
use crate::runtime::{Disk, OpenOptions};
use crate::types::Offset;
use std::path::Path;

const CLEANED: &str = ".cleaned";
const SWAP: &str = ".swap";
/// Written by `Disk::replace` before it is renamed.
const TEMPORARY: &str = ".tmp";

/// A directory once the leftovers are gone.
#[derive(Debug, Default)]
pub(super) struct Tidied {
    /// The base offsets of the segments, in order.
    pub bases: Vec<Offset>,
    /// The offsets of the producer snapshots, in order.
    pub snapshots: Vec<Offset>,
    /// Whether names were changed.
    pub changed: bool,
}

/// The offset in a file's name, if it is `<20 digits><suffix>`.
fn offset_of(name: &str, suffix: &str) -> Option<Offset> {
    let digits = name.strip_suffix(suffix)?;
    let all_digits = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { digits.parse().ok().map(Offset) } else { None }
}

/// Clears away what does not belong, completes what was interrupted, and lists what is there.
pub(super) fn tidy(disk: &dyn Disk, directory: &Path) -> Result<Tidied, LogError> {
    let mut tidied = Tidied::default();
    let names = list(disk, directory)?;
    let cleaned = |name: &&String| name.ends_with(CLEANED);
    // A cleaned segment that is not complete means that the swaps at and behind it are not all there.
    let incomplete = names.iter().filter(cleaned).filter_map(|name| name.get(..20)?.parse().ok()).min();
    for name in &names {
        let gone = name.ends_with(DELETED)
            || name.ends_with(CLEANED)
            || name.ends_with(TEMPORARY)
            || (name.ends_with(SWAP) && name.get(..20).and_then(|d| d.parse::<i64>().ok()) >= incomplete)
                && incomplete.is_some();
        if gone {
            remove(disk, &directory.join(name))?;
            tidied.changed = true;
        }
    }
    if names.iter().any(|name| name.ends_with(SWAP)) {
        complete_swaps(disk, directory)?;
        tidied.changed = true;
    }
    let names = list(disk, directory)?;
    tidied.bases = names.iter().filter_map(|name| offset_of(name, LOG)).collect();
    for name in &names {
        let index = [INDEX, TIME_INDEX, TRANSACTION_INDEX].iter().find_map(|end| offset_of(name, end));
        if index.is_some_and(|base| tidied.bases.binary_search(&base).is_err()) {
            remove(disk, &directory.join(name))?;
            tidied.changed = true;
        }
    }
    tidied.snapshots = names.iter().filter_map(|name| offset_of(name, SNAPSHOT)).collect();
    remove_stray_snapshots(disk, directory, &mut tidied)?;
    Ok(tidied)
}

/// Snapshots belong to the beginning of a segment; the newest of all may lie behind the last one's. Others
/// are from a past that was cut off.
fn remove_stray_snapshots(disk: &dyn Disk, directory: &Path, tidied: &mut Tidied) -> Result<(), LogError> {
    let newest = tidied.snapshots.last().copied().filter(|newest| Some(newest) > tidied.bases.last());
    let (kept, strays): (Vec<Offset>, Vec<Offset>) = tidied
        .snapshots
        .iter()
        .partition(|&offset| tidied.bases.binary_search(offset).is_ok() || Some(*offset) == newest);
    for stray in strays {
        remove(disk, &segment_path(directory, stray, SNAPSHOT))?;
        tidied.changed = true;
    }
    tidied.snapshots = kept;
    Ok(())
}

/// Puts each complete `.swap` segment in the place of those whose offsets it covers.
fn complete_swaps(disk: &dyn Disk, directory: &Path) -> Result<(), LogError> {
    let names = list(disk, directory)?;
    for name in &names {
        let Some(base) = name.strip_suffix(SWAP).and_then(|name| offset_of(name, LOG)) else { continue };
        let path = directory.join(name);
        let file = disk.open(&path, OpenOptions::READ).on("open", &path)?;
        let size = file.len().on("look at", &path)?;
        let mut scan = BatchScan::new(&file, &path, Look::Headers, 0, size);
        let mut end = base;
        while let Found::Batch { header, .. } = scan.next()? {
            end = header.next_offset();
        }
        for old in names.iter().filter_map(|name| offset_of(name, LOG)) {
            if old >= base && old < end {
                remove_segment(disk, directory, old)?;
            }
        }
    }
    for name in &names {
        if let Some(to) = name.strip_suffix(SWAP) {
            let from = directory.join(name);
            disk.rename(&from, &directory.join(to)).on("rename", &from)?;
        }
    }
    disk.sync_dir(directory).on("sync", directory)
}

fn list(disk: &dyn Disk, directory: &Path) -> Result<Vec<String>, LogError> {
    let entries = disk.read_dir(directory).on("list", directory)?;
    Ok(entries.into_iter().filter(|entry| !entry.is_directory).map(|entry| entry.name).collect())
}

fn remove(disk: &dyn Disk, path: &Path) -> Result<(), LogError> {
    disk.remove(path).on("remove", path)
}
