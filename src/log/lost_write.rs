//! Tells a write that never reached the device from bytes that rotted, where valid batches lie behind either.
//!
//! A device may write in any order, and keeps or loses whole sectors. What a power loss left out of a file
//! that only grows is zeros, or the end of the file; what rots holds something else. It must not know what
//! recovery does about either, nor where the recovery point lies.

use super::error::{LogError, OnPath};
use crate::protocol::records::{HEADER_BYTES, LENGTH_END, MAGIC, MAGIC_END};
use crate::runtime::File;
use crate::types::{Crc32c, Offset};
use std::path::Path;

/// The least that a device writes whole, in bytes.
const SECTOR: u64 = 512;
/// Zeros that no batch begins with, but the first of a log: its base offset and the length behind it.
const TELLING_ZEROS: u64 = 9;
/// Zeros that tell the same at the end of a file. One tells nothing: the last byte of most batches is zero.
const TELLING_ZEROS_AT_END: u64 = 2;
/// Bytes that are read at a time.
const CHUNK_BYTES: u64 = 64 << 10;
/// Where the CRC stands in a batch, and where the bytes begin that it covers.
const CRC_AT: usize = MAGIC_END;
const CRC_START: usize = CRC_AT + 4;

/// Where a segment has to be cut.
pub(super) struct Cut {
    /// Up to where its bytes are kept.
    pub position: u64,
    /// What is wrong with those behind.
    pub reason: String,
    remains: Remains,
    /// Why what lies there was never written whole, if that is known, and how many bytes of this file are
    /// given up with it that begin with a valid batch.
    pub lost: Option<(String, u64)>,
}

/// What lies where a segment has to be cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Remains {
    /// Bytes that are no batch.
    NoBatch,
    /// A batch with a right CRC that is not the next one.
    OtherBatch,
    /// Nothing, where batches should be that lead to the next segment.
    Nothing,
}

impl Cut {
    pub(super) fn new(position: u64, reason: String, remains: Remains) -> Cut {
        Cut { position, reason, remains, lost: None }
    }

    /// Why the batch that should be at the cut, with offset `expected`, was never written whole; none if it
    /// was. `is_last` tells that nothing valid lies behind it in its file.
    pub(super) fn why_lost(
        &self,
        bad: &BadBatch<'_>,
        expected: Offset,
        is_last: bool,
    ) -> Result<Option<String>, LogError> {
        match self.remains {
            Remains::OtherBatch => bad.offset_of_zeros(expected),
            Remains::Nothing => Ok(Some("the file ends".to_owned())),
            Remains::NoBatch => match bad.sector_of_zeros()? {
                None if is_last => bad.cut_short(),
                found => Ok(found),
            },
        }
    }
}

/// Bytes that should be a batch.
pub(super) struct BadBatch<'a> {
    /// The file that holds them.
    pub file: &'a File,
    /// Its path.
    pub path: &'a Path,
    /// Its size.
    pub size: u64,
    /// Where the batch should begin.
    pub position: u64,
    /// Where it ends at the latest: where the next valid one begins, or the file ends.
    pub limit: u64,
}

impl BadBatch<'_> {
    /// A sector of zeros where the batch should be; how the sentence about it goes.
    fn sector_of_zeros(&self) -> Result<Option<String>, LogError> {
        let end = (self.position + self.extent()?).min(self.limit);
        let mut at = self.position;
        while at < end {
            let from = at - at % SECTOR;
            let bytes = self.read(from, CHUNK_BYTES.min(end.next_multiple_of(SECTOR) - from))?;
            if bytes.is_empty() {
                break;
            }
            for (index, sector) in bytes.chunks(SECTOR as usize).enumerate() {
                let sector_at = from + index as u64 * SECTOR;
                let skipped = self.position.saturating_sub(sector_at).min(sector.len() as u64);
                let rest = &sector[skipped as usize..];
                let (first, behind) = (sector_at + skipped, sector_at + sector.len() as u64);
                let telling = if behind == self.size { TELLING_ZEROS_AT_END } else { TELLING_ZEROS };
                if rest.len() as u64 >= telling && is_zero(rest) {
                    return Ok(Some(format!("there are only zeros from {first} to {behind}")));
                }
            }
            at = from + bytes.len() as u64;
        }
        Ok(None)
    }

    /// Whether the batch is whole but for its base offset, of which what lies in the sector before is zeros,
    /// and not what `expected` has there.
    fn offset_of_zeros(&self, expected: Offset) -> Result<Option<String>, LogError> {
        let in_sector = SECTOR - self.position % SECTOR;
        let expected = expected.0.to_be_bytes();
        let bytes = self.read(self.position, in_sector)?;
        let is_lost = bytes.len() as u64 == in_sector
            && is_zero(&bytes)
            && !is_zero(&expected[..bytes.len().min(expected.len())]);
        let behind = self.position + in_sector;
        Ok(is_lost.then(|| format!("there are only zeros from {} to {behind}", self.position)))
    }

    /// Whether the file ends before the batch does. Where the file holds a whole batch, its length is what is
    /// wrong.
    fn cut_short(&self) -> Result<Option<String>, LogError> {
        if self.position + self.extent()? <= self.size || self.is_whole_but_for_its_length()? {
            return Ok(None);
        }
        Ok(Some(format!("the file ends at {}, before the batch does", self.size)))
    }

    /// How long the batch says it is; at least a header.
    fn extent(&self) -> Result<u64, LogError> {
        let header = self.read(self.position, LENGTH_END as u64)?;
        let length = header.last_chunk::<4>().filter(|_| header.len() == LENGTH_END);
        let length = length.map_or(0, |length| i32::from_be_bytes(*length));
        Ok((LENGTH_END as u64 + u64::try_from(length).unwrap_or(0)).max(HEADER_BYTES as u64))
    }

    fn is_whole_but_for_its_length(&self) -> Result<bool, LogError> {
        let header = self.read(self.position, HEADER_BYTES as u64)?;
        if header.len() < HEADER_BYTES || header[MAGIC_END - 1] != MAGIC as u8 {
            return Ok(false);
        }
        let stored = u32::from_be_bytes(*header[CRC_AT..].first_chunk().expect("4 of 61"));
        let mut computed = Crc32c::default();
        let mut at = self.position + CRC_START as u64;
        while at < self.size {
            let bytes = self.read(at, CHUNK_BYTES)?;
            if bytes.is_empty() {
                return Ok(false);
            }
            computed.update(&bytes);
            at += bytes.len() as u64;
        }
        Ok(computed.value() == stored)
    }

    /// The bytes at `at`: `wanted` of them, or as many as the file has.
    fn read(&self, at: u64, wanted: u64) -> Result<Vec<u8>, LogError> {
        let mut bytes = vec![0; wanted.min(self.size.saturating_sub(at)) as usize];
        let read = self.file.read_full_at(&mut bytes, at).on("read", self.path)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
