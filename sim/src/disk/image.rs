//! One file: what programs see of it (the page cache) and what is on the device.
//!
//! Invariant: where no sector is dirty and no fsync has failed, cache and device hold the same bytes.

use super::content::{Content, PAGE, SECTOR, SECTORS, sectors};
use crate::random::Random;
use std::collections::BTreeMap;
use std::ops::Range;

/// A file's bytes, twice.
#[derive(Clone, Default)]
pub(super) struct Image {
    cache: Content,
    device: Content,
    /// The pages of the cache that the device lacks something of.
    dirty: BTreeMap<u64, Dirty>,
    /// The shortest length since the last sync, if that cut bytes that are on the device, and when that was.
    truncated: Option<(u64, u64)>,
    /// Names that lead to it.
    pub(super) links: u32,
    /// Handles of the present life.
    pub(super) handles: u32,
}

/// What of a page is not on the device. Times are numbers of operations of the disk.
#[derive(Clone, Copy, Default)]
struct Dirty {
    /// The sectors.
    mask: u8,
    /// When each of them was written last.
    at: [u64; SECTORS as usize],
}

impl Dirty {
    /// When the first of its sectors was written.
    fn oldest(&self) -> u64 {
        let sectors = (0..SECTORS as usize).filter(|sector| self.mask & (1 << sector) != 0);
        sectors.map(|sector| self.at[sector]).min().unwrap_or(u64::MAX)
    }
}

/// Which of the sectors that were not synced a power loss keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kept {
    /// Those that were written before this time, in all files.
    Before(u64),
    /// Those in front of a place in each file, or each for itself.
    Any,
}

/// What becomes of the dirty sectors of one file.
enum Fate {
    Before(u64),
    None,
    All,
    /// Those in front of this one.
    InFrontOf(u64),
    /// Each for itself.
    Half,
}

impl Image {
    pub(super) fn length(&self) -> u64 {
        self.cache.length
    }

    /// Pages that take space, as long as something leads to the file.
    pub(super) fn pages(&self) -> u64 {
        if self.links > 0 || self.handles > 0 { self.cache.pages() } else { 0 }
    }

    pub(super) fn missing_pages(&self, range: &Range<u64>) -> u64 {
        self.cache.missing_pages(range)
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        self.cache.read(buffer, offset)
    }

    /// Writes to the cache.
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64, now: u64) {
        self.cache.write(bytes, offset);
        self.soil(offset..offset + bytes.len() as u64, now);
    }

    /// Reserves space; grows with zeros.
    pub(super) fn allocate(&mut self, range: &Range<u64>, now: u64) {
        let before = self.cache.length;
        self.cache.allocate(range);
        if self.cache.length > before {
            self.soil(before..self.cache.length, now);
        }
    }

    pub(super) fn set_length(&mut self, length: u64, now: u64) {
        let before = self.cache.length;
        self.cache.set_length(length);
        if length < self.device.length {
            let (shortest, _) = self.truncated.unwrap_or((length, now));
            self.truncated = Some((length.min(shortest), now));
        }
        if length < before {
            self.dirty.split_off(&length.div_ceil(PAGE));
            // The tail of the last page was zeroed.
            self.soil(length..length.next_multiple_of(SECTOR), now);
        }
    }

    fn soil(&mut self, range: Range<u64>, now: u64) {
        for (page, mask) in sectors(range) {
            let dirty = self.dirty.entry(page).or_default();
            dirty.mask |= mask;
            for sector in (0..SECTORS as usize).filter(|sector| mask & (1 << sector) != 0) {
                dirty.at[sector] = now;
            }
        }
    }

    /// When the oldest of what the device lacks was written.
    pub(super) fn oldest(&self) -> u64 {
        let cut = self.truncated.map_or(u64::MAX, |(_, at)| at);
        self.dirty.values().map(Dirty::oldest).min().unwrap_or(u64::MAX).min(cut)
    }

    /// The kernel writes a dirty page back by itself, as it may at any time: the one that waits longest, or
    /// any.
    pub(super) fn write_back(&mut self, random: &mut Random, any: bool) {
        if self.truncated.is_some() || self.dirty.is_empty() {
            return;
        }
        let page = if any {
            self.dirty.keys().nth(random.below(self.dirty.len() as u64) as usize).copied()
        } else {
            self.dirty.iter().min_by_key(|(_, dirty)| dirty.oldest()).map(|(page, _)| *page)
        };
        let page = page.expect("there is a dirty page");
        let dirty = self.dirty.remove(&page).expect("it was there a moment ago");
        self.put_on_device(page, dirty.mask);
    }

    /// All bytes and the length are on the device.
    pub(super) fn sync(&mut self) {
        self.apply_truncation();
        for (page, dirty) in std::mem::take(&mut self.dirty) {
            self.put_on_device(page, dirty.mask);
        }
        self.device.set_length(self.cache.length);
    }

    /// A sync in which the device puts one page in a wrong place of this file. The cache does not show it.
    pub(super) fn sync_misdirected(&mut self, random: &mut Random) {
        let before = self.device.clone();
        let dirty: Vec<u64> = self.dirty.keys().copied().collect();
        self.sync();
        if dirty.is_empty() {
            return;
        }
        let meant = *random.pick(&dirty);
        let hit = random.below(self.device.length.div_ceil(PAGE));
        if hit != meant {
            self.device.copy_page(hit, &self.cache, meant);
            self.device.copy_page(meant, &before, meant);
            self.trim();
        }
    }

    /// Some of the dirty sectors reach the device; the others stay dirty.
    pub(super) fn sync_partly(&mut self, random: &mut Random) {
        self.apply_truncation();
        for page in self.dirty.keys().copied().collect::<Vec<_>>() {
            let kept = random.next_u64() as u8 & self.dirty[&page].mask;
            self.put_on_device(page, kept);
            self.dirty.entry(page).and_modify(|dirty| dirty.mask &= !kept);
        }
        self.dirty.retain(|_, dirty| dirty.mask != 0);
        let length = random.range(&self.lengths());
        self.device.length = self.device.length.max(length);
    }

    /// A sync that the device failed: some sectors made it, the others count as clean from now on, so that a
    /// later sync has nothing to do and succeeds. `keep` leaves the new bytes in the cache; otherwise readers
    /// see the device's.
    pub(super) fn fail_sync(&mut self, random: &mut Random, keep: bool) {
        self.sync_partly(random);
        self.dirty.clear();
        if !keep {
            let length = self.cache.length;
            self.cache = self.device.clone();
            self.cache.set_length(length);
        }
    }

    fn apply_truncation(&mut self) {
        if let Some((length, _)) = self.truncated.take() {
            self.device.set_length(length);
        }
    }

    /// Writes sectors back; the device's length grows with them.
    fn put_on_device(&mut self, page: u64, mask: u8) {
        if mask == 0 {
            return;
        }
        self.device.copy_sectors(&self.cache, page, mask);
        let end = page * PAGE + (8 - u64::from(mask.leading_zeros())) * SECTOR;
        self.device.length = self.device.length.max(end.min(self.cache.length));
    }

    /// Between which lengths the device's may be when the sync of a longer file was cut short.
    fn lengths(&self) -> Range<u64> {
        let shorter = self.device.length.min(self.cache.length);
        shorter..self.cache.length + 1
    }

    /// Power is lost: the cache is gone, and what was not synced is on the device as far as `kept` says.
    /// Returns how many sectors were not synced, and how many of them are kept.
    pub(super) fn lose_power(&mut self, random: &mut Random, kept: Kept) -> (u32, u32) {
        let mut counts = (0, 0);
        let truncation_lost = self.truncated.is_some_and(|(_, at)| match kept {
            Kept::Before(time) => at >= time,
            Kept::Any => random.chance(0.5),
        });
        if truncation_lost {
            // What was written behind the cut went to blocks that the old length does not lead to.
            let (cut, _) = self.truncated.take().expect("it was looked at a moment ago");
            self.dirty.split_off(&(cut / PAGE));
        } else {
            self.apply_truncation();
        }
        let fate = self.draw_fate(random, kept);
        for (page, dirty) in std::mem::take(&mut self.dirty) {
            let sectors = (0..SECTORS)
                .filter(|sector| fate.keeps(page * SECTORS + sector, dirty.at[*sector as usize], random));
            let kept = dirty.mask & sectors.fold(0, |kept, sector| kept | 1 << sector);
            self.put_on_device(page, kept);
            counts = (counts.0 + dirty.mask.count_ones(), counts.1 + kept.count_ones());
        }
        // The length may be ahead of the bytes: then there are zeros.
        if kept == Kept::Any && !truncation_lost && self.cache.length > self.device.length {
            let length = match random.below(3) {
                0 => self.device.length,
                1 => self.cache.length,
                _ => random.range(&self.lengths()),
            };
            self.device.set_length(length);
        }
        self.trim();
        self.cache = self.device.clone();
        self.truncated = None;
        counts
    }

    fn draw_fate(&self, random: &mut Random, kept: Kept) -> Fate {
        let first = self.dirty.keys().next().map_or(0, |page| page * SECTORS);
        let end = self.dirty.keys().next_back().map_or(0, |page| (page + 1) * SECTORS);
        match kept {
            Kept::Before(time) => Fate::Before(time),
            Kept::Any => match random.below(8) {
                0 => Fate::None,
                1 => Fate::All,
                2..4 => Fate::InFrontOf(random.range(&(first..end + 1))),
                _ => Fate::Half,
            },
        }
    }

    /// Bytes behind the length are no part of the file.
    fn trim(&mut self) {
        let length = self.device.length;
        self.device.length = u64::MAX;
        self.device.set_length(length);
    }

    /// Flips a bit on the device, and in the cache where that has the same byte.
    pub(super) fn rot(&mut self, random: &mut Random) -> Option<u64> {
        if self.device.length == 0 || self.cache.length < self.device.length {
            return None;
        }
        let (offset, bit) = (random.below(self.device.length), random.below(8) as u8);
        self.device.flip(offset, bit);
        self.cache.flip(offset, bit);
        Some(offset)
    }
}

impl Fate {
    /// Whether `sector`, which was written at `at`, is kept.
    fn keeps(&self, sector: u64, at: u64, random: &mut Random) -> bool {
        match self {
            Fate::Before(time) => at < *time,
            Fate::None => false,
            Fate::All => true,
            Fate::InFrontOf(limit) => sector < *limit,
            Fate::Half => random.chance(0.5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(image: &Image) -> Vec<u8> {
        let mut bytes = vec![0; image.length() as usize];
        image.read(&mut bytes, 0);
        bytes
    }

    fn synced(content: &[u8]) -> Image {
        let mut image = Image::default();
        image.write(content, 0, 1);
        image.sync();
        image
    }

    /// The bytes after a power loss, for many seeds.
    fn outcomes(image: &Image) -> Vec<Vec<u8>> {
        let lose = |seed| {
            let mut lost = image.clone();
            lost.lose_power(&mut Random::stream(seed, "test", 0), Kept::Any);
            bytes(&lost)
        };
        (0..200).map(lose).collect()
    }

    #[test]
    fn synced_bytes_survive_and_others_may_be_lost_kept_or_torn() {
        let mut image = synced(&[1; 1024]);
        image.write(&[2; 1024], 512, 1);
        let outcomes = outcomes(&image);
        assert!(outcomes.iter().all(|bytes| bytes[..512] == [1; 512]), "untouched and synced");
        let middle = |byte: u8| outcomes.iter().any(|bytes| bytes[512..1024] == [byte; 512]);
        assert!(middle(1) && middle(2), "the overwritten sector is old or new");
        let mixed = |bytes: &&Vec<u8>| bytes[512..1024].iter().any(|byte| *byte != bytes[512]);
        assert_eq!(outcomes.iter().find(mixed), None, "a sector is never torn");
        assert!(outcomes.iter().any(|bytes| bytes.len() == 1024), "growth lost");
        assert!(outcomes.iter().any(|bytes| bytes.len() == 1536 && bytes[1024] == 2), "growth kept");
        assert!(outcomes.iter().any(|bytes| bytes.len() == 1536 && bytes[1024] == 0), "torn: zeros");
    }

    #[test]
    fn a_lost_truncation_brings_the_old_bytes_back() {
        let mut image = synced(&[1; 8192]);
        image.set_length(100, 1);
        image.write(&[2; 8000], 100, 1);
        let outcomes = outcomes(&image);
        assert!(outcomes.iter().any(|bytes| *bytes == vec![1; 8192]), "the cut was lost with what followed");
        assert!(outcomes.iter().any(|bytes| bytes.len() == 100), "only the cut survived");
        assert!(outcomes.iter().any(|bytes| bytes.len() == 8100 && bytes[8099] == 2), "all survived");
        image.sync();
        assert_eq!(self::outcomes(&image)[0], bytes(&image));
    }

    #[test]
    fn a_failed_sync_drops_pages_and_the_next_one_has_nothing_to_do() {
        let mut dropped = false;
        for seed in 0..50 {
            let mut image = synced(&[1; 4096]);
            image.write(&[2; 4096], 0, 1);
            let mut random = Random::stream(seed, "test", 0);
            image.fail_sync(&mut random, true);
            assert_eq!(bytes(&image), [2; 4096], "readers still see the new bytes");
            image.sync();
            image.lose_power(&mut random, Kept::Any);
            dropped |= bytes(&image).contains(&1);
        }
        assert!(dropped, "although the second sync succeeded");
    }

    #[test]
    fn what_the_kernel_wrote_back_by_itself_survives() {
        let mut image = Image::default();
        image.write(&[1; 100], 0, 1);
        image.write_back(&mut Random::stream(0, "test", 0), false);
        image.write(&[2; 100], 0, 1);
        let outcomes = outcomes(&image);
        assert!(outcomes.iter().any(|bytes| *bytes == [1; 100]), "the version between");
        assert!(outcomes.iter().any(|bytes| *bytes == [2; 100]));
    }

    #[test]
    fn in_order_means_that_nothing_is_kept_that_was_written_after_something_that_is_lost() {
        let mut image = synced(&[1; 512]);
        for index in 1..10 {
            image.write(&[index as u8 + 1; 512], index * 512, index);
        }
        for time in 0..11 {
            let mut lost = image.clone();
            lost.lose_power(&mut Random::stream(0, "test", 0), Kept::Before(time));
            let kept = time.clamp(1, 10) as usize;
            assert_eq!(bytes(&lost), bytes(&image)[..kept * 512]);
        }
    }
}
