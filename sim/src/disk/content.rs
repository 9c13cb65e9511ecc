//! The bytes of a file as pages that copies share until one of them is written.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Bytes in a page.
pub(super) const PAGE: u64 = 4096;
/// Bytes that a device writes whole.
pub(super) const SECTOR: u64 = 512;
/// Sectors in a page: their set fits a byte.
pub(super) const SECTORS: u64 = PAGE / SECTOR;

type Page = Arc<[u8; PAGE as usize]>;

/// A sparse sequence of bytes; pages that were never written are zeros and take no space.
#[derive(Clone, Default)]
pub(super) struct Content {
    pub(super) length: u64,
    pages: BTreeMap<u64, Page>,
}

impl Content {
    /// Reads what there is at `offset`.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let length = (buffer.len() as u64).min(self.length.saturating_sub(offset)) as usize;
        for (page, within, at) in pieces(offset, length) {
            let target = &mut buffer[at..at + within.len()];
            match self.pages.get(&page) {
                Some(bytes) => target.copy_from_slice(&bytes[within]),
                None => target.fill(0),
            }
        }
        length
    }

    /// Writes `bytes` at `offset`, growing as needed.
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        for (page, within, at) in pieces(offset, bytes.len()) {
            let source = &bytes[at..at + within.len()];
            self.page_mut(page)[within].copy_from_slice(source);
        }
        self.length = self.length.max(offset + bytes.len() as u64);
    }

    /// Cuts or extends with zeros.
    pub(super) fn set_length(&mut self, length: u64) {
        if length < self.length {
            self.pages.split_off(&length.div_ceil(PAGE));
            if let Some(page) = self.pages.get_mut(&(length / PAGE)) {
                Arc::make_mut(page)[(length % PAGE) as usize..].fill(0);
            }
        }
        self.length = length;
    }

    /// Pages that take space.
    pub(super) fn pages(&self) -> u64 {
        self.pages.len() as u64
    }

    /// Pages of `range` that take no space yet.
    pub(super) fn missing_pages(&self, range: &Range<u64>) -> u64 {
        let touched = range.start / PAGE..range.end.div_ceil(PAGE);
        if touched.is_empty() {
            return 0;
        }
        let present = self.pages.range(touched.clone()).count() as u64;
        (touched.end - touched.start) - present
    }

    /// Lets the pages of `range` take space.
    pub(super) fn allocate(&mut self, range: &Range<u64>) {
        for page in range.start / PAGE..range.end.div_ceil(PAGE) {
            self.page_mut(page);
        }
        self.length = self.length.max(range.end);
    }

    /// Takes those sectors of `page` that `mask` names from `source`. The length stays.
    pub(super) fn copy_sectors(&mut self, source: &Content, page: u64, mask: u8) {
        let Some(bytes) = source.pages.get(&page) else { return };
        if mask == u8::MAX {
            self.pages.insert(page, bytes.clone());
            return;
        }
        let target = self.page_mut(page);
        for sector in (0..SECTORS).filter(|sector| mask & (1 << sector) != 0) {
            let within = (sector * SECTOR) as usize..((sector + 1) * SECTOR) as usize;
            target[within.clone()].copy_from_slice(&bytes[within]);
        }
    }

    /// Makes page `to` what page `from` of `source` is.
    pub(super) fn copy_page(&mut self, to: u64, source: &Content, from: u64) {
        match source.pages.get(&from) {
            Some(bytes) => self.pages.insert(to, bytes.clone()),
            None => self.pages.remove(&to),
        };
    }

    /// Flips one bit of the byte at `offset`, which must lie within the length.
    pub(super) fn flip(&mut self, offset: u64, bit: u8) {
        assert!(offset < self.length, "rot hits bytes that exist");
        self.page_mut(offset / PAGE)[(offset % PAGE) as usize] ^= 1 << (bit % 8);
    }

    fn page_mut(&mut self, page: u64) -> &mut [u8; PAGE as usize] {
        Arc::make_mut(self.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE as usize])))
    }
}

/// The pages that `length` bytes at `offset` touch: page, bytes within it, and where these are counted from
/// `offset`.
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = (u64, Range<usize>, usize)> {
    let end = offset + length as u64;
    (offset / PAGE..end.div_ceil(PAGE)).filter(move |_| length > 0).map(move |page| {
        let start = offset.max(page * PAGE);
        let stop = end.min((page + 1) * PAGE);
        let within = (start - page * PAGE) as usize..(stop - page * PAGE) as usize;
        (page, within, (start - offset) as usize)
    })
}

/// For each page that `range` touches, the set of its sectors that it touches.
pub(super) fn sectors(range: Range<u64>) -> impl Iterator<Item = (u64, u8)> {
    pieces(range.start, (range.end - range.start) as usize).map(|(page, within, _)| {
        let first = within.start as u64 / SECTOR;
        let last = (within.end as u64 - 1) / SECTOR;
        (page, (first..=last).fold(0, |mask, sector| mask | 1 << sector))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(content: &Content) -> Vec<u8> {
        let mut bytes = vec![0; content.length as usize];
        assert_eq!(content.read(&mut bytes, 0), bytes.len());
        bytes
    }

    #[test]
    fn writes_cuts_and_holes_read_back() {
        let mut content = Content::default();
        content.write(b"end", 3 * PAGE - 1);
        assert_eq!((content.length, content.pages()), (3 * PAGE + 2, 2));
        content.set_length(3 * PAGE);
        content.set_length(3 * PAGE + 2);
        let bytes = all(&content);
        assert_eq!(&bytes[3 * PAGE as usize - 2..], b"\0e\0\0");
        assert_eq!(content.read(&mut [0; 4], 3 * PAGE + 2), 0);
        assert_eq!(content.missing_pages(&(0..3 * PAGE)), 2);
    }

    #[test]
    fn copies_share_pages_until_one_is_written() {
        let mut one = Content::default();
        one.write(&[1; 2 * PAGE as usize], 0);
        let mut other = one.clone();
        other.write(&[2], 600);
        assert_eq!((all(&one)[600], all(&other)[600]), (1, 2));
        one.copy_sectors(&other, 0, 0b01);
        assert_eq!(all(&one)[600], 1);
        one.copy_sectors(&other, 0, 0b10);
        assert_eq!(all(&one)[600], 2);
    }

    #[test]
    fn sectors_of_a_range() {
        let masks: Vec<_> = sectors(PAGE - 1..PAGE + 513).collect();
        assert_eq!(masks, [(0, 0b1000_0000), (1, 0b11)]);
        assert_eq!(sectors(5..5).count(), 0);
    }
}
