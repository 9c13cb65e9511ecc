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
    /// Per page, the sectors of the cache that the device lacks.
    dirty: BTreeMap<u64, u8>,
    /// The shortest length since the last sync, if that cut bytes that are on the device.
    truncated: Option<u64>,
    /// Names that lead to it.
    pub(super) links: u32,
    /// Handles of the present life.
    pub(super) handles: u32,
}

/// What a power loss does to the dirty sectors of one file.
enum Fate {
    Lost,
    Kept,
    /// Those in front of this one are kept.
    Below(u64),
    /// Each for itself.
    Each(f64),
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
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        self.cache.write(bytes, offset);
        self.soil(offset..offset + bytes.len() as u64);
    }

    /// Reserves space; grows with zeros.
    pub(super) fn allocate(&mut self, range: &Range<u64>) {
        let before = self.cache.length;
        self.cache.allocate(range);
        if self.cache.length > before {
            self.soil(before..self.cache.length);
        }
    }

    pub(super) fn set_length(&mut self, length: u64) {
        let before = self.cache.length;
        self.cache.set_length(length);
        if length < self.device.length {
            self.truncated = Some(self.truncated.map_or(length, |earlier| earlier.min(length)));
        }
        if length < before {
            self.dirty.split_off(&length.div_ceil(PAGE));
            // The tail of the last page was zeroed.
            self.soil(length..length.next_multiple_of(SECTOR));
        }
    }

    fn soil(&mut self, range: Range<u64>) {
        for (page, mask) in sectors(range) {
            *self.dirty.entry(page).or_default() |= mask;
        }
    }

    /// The kernel writes one dirty page back by itself, as it may at any time.
    pub(super) fn write_back(&mut self, random: &mut Random, reordered: f64) {
        if self.truncated.is_some() || self.dirty.is_empty() {
            return;
        }
        let choices = if random.chance(reordered) { self.dirty.len() as u64 } else { 1 };
        let chosen = random.below(choices) as usize;
        let page = *self.dirty.keys().nth(chosen).expect("the choice lies within the length");
        let mask = self.dirty.remove(&page).expect("it was there a moment ago");
        self.put_on_device(page, mask);
    }

    /// All bytes and the length are on the device.
    pub(super) fn sync(&mut self) {
        self.apply_truncation();
        for (page, mask) in std::mem::take(&mut self.dirty) {
            self.put_on_device(page, mask);
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
            let kept = random.next_u64() as u8 & self.dirty[&page];
            self.put_on_device(page, kept);
            self.dirty.entry(page).and_modify(|mask| *mask &= !kept);
        }
        self.dirty.retain(|_, mask| *mask != 0);
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
        if let Some(length) = self.truncated.take() {
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

    /// Power is lost: the cache is gone, and of what was not synced any part may have reached the device. It
    /// is a beginning of it, unless with probability `reordered` it is any subset.
    pub(super) fn lose_power(&mut self, random: &mut Random, reordered: f64) {
        let truncation_lost = self.truncated.is_some() && random.chance(0.5);
        if truncation_lost {
            // What was written behind the cut went to blocks that the old length does not lead to.
            let cut = self.truncated.take().expect("it was looked at a moment ago");
            self.dirty.split_off(&(cut / PAGE));
        } else {
            self.apply_truncation();
        }
        let first = self.dirty.keys().next().map_or(0, |page| page * SECTORS);
        let end = self.dirty.keys().next_back().map_or(0, |page| (page + 1) * SECTORS);
        let fate = match random.below(4) {
            _ if random.chance(reordered) => Fate::Each(0.5),
            0 => Fate::Lost,
            1 => Fate::Kept,
            _ => Fate::Below(random.range(&(first..end + 1))),
        };
        for (page, mask) in std::mem::take(&mut self.dirty) {
            let kept = (0..SECTORS).filter(|sector| fate.keeps(page * SECTORS + sector, random));
            self.device.copy_sectors(&self.cache, page, mask & kept.fold(0, |kept, s| kept | 1 << s));
        }
        if !truncation_lost && self.cache.length > self.device.length {
            let length = match random.below(4) {
                0 => self.device.length,
                1 | 2 => self.cache.length,
                _ => random.range(&self.lengths()),
            };
            self.device.set_length(length.max(self.device.length));
        }
        self.trim();
        self.cache = self.device.clone();
        self.truncated = None;
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
    fn keeps(&self, sector: u64, random: &mut Random) -> bool {
        match self {
            Fate::Lost => false,
            Fate::Kept => true,
            Fate::Below(limit) => sector < *limit,
            Fate::Each(probability) => random.chance(*probability),
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
        image.write(content, 0);
        image.sync();
        image
    }

    /// The bytes after a power loss, for many seeds.
    fn outcomes(image: &Image) -> Vec<Vec<u8>> {
        let lose = |seed| {
            let mut lost = image.clone();
            lost.lose_power(&mut Random::stream(seed, "test", 0), 0.5);
            bytes(&lost)
        };
        (0..200).map(lose).collect()
    }

    #[test]
    fn synced_bytes_survive_and_others_may_be_lost_kept_or_torn() {
        let mut image = synced(&[1; 1024]);
        image.write(&[2; 1024], 512);
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
        image.set_length(100);
        image.write(&[2; 8000], 100);
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
            image.write(&[2; 4096], 0);
            let mut random = Random::stream(seed, "test", 0);
            image.fail_sync(&mut random, true);
            assert_eq!(bytes(&image), [2; 4096], "readers still see the new bytes");
            image.sync();
            image.lose_power(&mut random, 0.5);
            dropped |= bytes(&image).contains(&1);
        }
        assert!(dropped, "although the second sync succeeded");
    }

    #[test]
    fn what_the_kernel_wrote_back_by_itself_survives() {
        let mut image = Image::default();
        image.write(&[1; 100], 0);
        image.write_back(&mut Random::stream(0, "test", 0), 0.0);
        image.write(&[2; 100], 0);
        let outcomes = outcomes(&image);
        assert!(outcomes.iter().any(|bytes| *bytes == [1; 100]), "the version between");
        assert!(outcomes.iter().any(|bytes| *bytes == [2; 100]));
    }
}
