//! The walk over the batches of a segment's file, with or without their CRCs, in large reads.
//! It must not know which batches ought to be there: recovery does.

use super::access::Access;
use super::error::{LogError, OnPath};
use crate::protocol::records::{BatchError, BatchHeader, HEADER_BYTES, MAGIC, RecordBatch};
use crate::runtime::File;
use crate::types::{Crc32c, Offset, crc32c};
use bytes::Bytes;
use std::path::Path;

/// Bytes that are read at a time where every byte is looked at.
const CHUNK_BYTES: usize = 1 << 20;
/// Bytes that are read at a time where most are skipped.
const HEADER_CHUNK_BYTES: usize = 64 << 10;
/// Where the bytes that the CRC of a batch covers begin.
const CRC_START: usize = 21;

/// What a scan looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Headers alone, skipping what lies between them.
    Headers,
    /// Every byte: the CRC of each batch is checked.
    Crcs,
}

/// What lies at the position of a scan.
#[derive(Debug)]
pub(super) enum Found {
    /// A batch.
    Batch {
        /// Where it begins in the file.
        position: u64,
        /// Its header.
        header: BatchHeader,
    },
    /// The end that the scan was given.
    End,
    /// Bytes that are no batch, or not the one that was written. The scan stays in front of them.
    Invalid {
        /// Where they begin in the file.
        position: u64,
        /// What is wrong with them.
        reason: String,
    },
}

/// A scan from batch to batch.
pub(super) struct BatchScan<'a> {
    file: &'a File,
    path: &'a Path,
    look: Look,
    position: u64,
    end: u64,
    last_possible: Offset,
    buffer: Vec<u8>,
    buffer_at: u64,
}

impl<'a> BatchScan<'a> {
    /// A scan of `file` from `position`, where a batch must begin, to `end`.
    pub(super) fn new(file: &'a File, path: &'a Path, look: Look, position: u64, end: u64) -> Self {
        let last_possible = Offset(i64::MAX);
        BatchScan { file, path, look, position, end, last_possible, buffer: Vec::new(), buffer_at: 0 }
    }

    /// Takes a batch for invalid that lies too far from the segment's base: its offset, which no CRC covers,
    /// is not what was written.
    pub(super) fn of_segment(self, base: Offset) -> Self {
        BatchScan { last_possible: Offset(base.0.saturating_add(i64::from(i32::MAX))), ..self }
    }

    /// The next batch. Only the disk can make this fail.
    pub(super) fn next(&mut self) -> Result<Found, LogError> {
        let position = self.position;
        if position >= self.end {
            return Ok(Found::End);
        }
        let bytes = self.bytes_at(position, HEADER_BYTES)?;
        let header = match BatchHeader::parse(bytes) {
            Ok(header) => header,
            Err(error) => return Ok(Found::Invalid { position, reason: error.to_string() }),
        };
        let size = header.size_in_bytes() as u64;
        if size > self.end - position {
            let (needed, available) = (size as usize, (self.end - position) as usize);
            let reason = BatchError::Incomplete { needed, available }.to_string();
            return Ok(Found::Invalid { position, reason });
        }
        let is_far =
            header.base_offset.0.saturating_add(i64::from(header.last_offset_delta)) > self.last_possible.0;
        if header.base_offset < Offset::ZERO || header.last_offset_delta < 0 || is_far {
            let (first, last) = (header.base_offset, header.last_offset());
            return Ok(Found::Invalid { position, reason: format!("its offsets are {first} to {last}") });
        }
        if self.look == Look::Crcs
            && let Err(error) = self.verify(position, &header)?
        {
            return Ok(Found::Invalid { position, reason: error.to_string() });
        }
        self.position += size;
        Ok(Found::Batch { position, header })
    }

    fn verify(&mut self, position: u64, header: &BatchHeader) -> Result<Result<(), BatchError>, LogError> {
        let size = header.size_in_bytes();
        if header.magic != MAGIC {
            let batch = read_batch(self.file, self.path, position, header, Access::Blocking)?;
            return Ok(batch.and_then(|batch| batch.verify_crc()));
        }
        let covered = self.bytes_at(position + CRC_START as u64, size - CRC_START)?;
        let mut computed = crc32c(covered);
        if covered.len() < size - CRC_START {
            let mut pieces = Crc32c::default();
            let mut done = 0;
            while done < size - CRC_START {
                let piece = self.bytes_at(position + (CRC_START + done) as u64, size - CRC_START - done)?;
                if piece.is_empty() {
                    return Ok(Err(BatchError::Incomplete { needed: size, available: CRC_START + done }));
                }
                pieces.update(piece);
                done += piece.len();
            }
            computed = pieces.value();
        }
        let stored = header.crc;
        Ok(if stored == computed { Ok(()) } else { Err(BatchError::BadCrc { stored, computed }) })
    }

    /// The bytes at `position`: `wanted` of them, or as many as a chunk or the scan's end leaves.
    fn bytes_at(&mut self, position: u64, wanted: usize) -> Result<&[u8], LogError> {
        let chunk = if self.look == Look::Crcs { CHUNK_BYTES } else { HEADER_CHUNK_BYTES };
        let wanted = wanted.min(chunk).min((self.end - position) as usize);
        let held = self.buffer_at..self.buffer_at + self.buffer.len() as u64;
        if position < held.start || position + wanted as u64 > held.end {
            let length = chunk.min((self.end - position) as usize);
            self.buffer.resize(length, 0);
            let read = self.file.read_full_at(&mut self.buffer, position).on("read", self.path)?;
            self.buffer.truncate(read);
            self.buffer_at = position;
        }
        let from = (position - self.buffer_at) as usize;
        let to = self.buffer.len().min(from + wanted);
        Ok(&self.buffer[from.min(to)..to])
    }
}

/// Reads the whole batch whose header was found at `position`. The caller has seen that the file is long
/// enough.
pub(super) fn read_batch(
    file: &File,
    path: &Path,
    position: u64,
    header: &BatchHeader,
    access: Access,
) -> Result<Result<RecordBatch, BatchError>, LogError> {
    let mut bytes = vec![0; header.size_in_bytes()];
    access.read_exact(file, &mut bytes, position).on("read", path)?;
    Ok(RecordBatch::parse(&Bytes::from(bytes)))
}
