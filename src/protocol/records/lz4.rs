//! The LZ4 frame format, as far as Kafka's clients use it; the blocks themselves are the library's.
//!
//! Written: independent blocks of 64 KiB without checksums, as Kafka does. Read: any block size, linked
//! blocks, block checksums, content size and content checksum (which nobody checks: the batch has a CRC). One
//! frame; what follows it is ignored. Source: lz4_Frame_format.md of LZ4.

use super::codec::{Codec, CodecError};
use bytes::Bytes;
use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into, decompress_into_with_dict};
use std::cell::RefCell;

const MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
/// Version 1, independent blocks.
const WRITTEN_FLAGS: u8 = 0x60;
/// Blocks of at most 64 KiB.
const WRITTEN_BLOCK_DESCRIPTOR: u8 = 0x40;
const WRITTEN_BLOCK_BYTES: usize = 64 << 10;
/// How far back a linked block may refer.
const WINDOW_BYTES: usize = 64 << 10;
/// The high bit of a block's size: stored, not compressed.
const STORED: u32 = 0x8000_0000;
/// No LZ4 block grows to more than 255 times its size, and a little for its last literals.
const MAX_EXPANSION: usize = 255;

thread_local! {
    static TABLE: RefCell<Option<CompressTable>> = const { RefCell::new(None) };
}

/// Appends `plain` as one frame.
pub(super) fn compress(plain: &[u8], out: &mut Vec<u8>) {
    let descriptor = [WRITTEN_FLAGS, WRITTEN_BLOCK_DESCRIPTOR];
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&descriptor);
    out.push(header_checksum(&descriptor));
    TABLE.with_borrow_mut(|table| {
        // 64 KiB are one byte too many for the table of 16-bit entries.
        let table = table.get_or_insert_with(CompressTable::large);
        for block in plain.chunks(WRITTEN_BLOCK_BYTES) {
            append_block(block, table, out);
        }
    });
    out.extend_from_slice(&0_u32.to_le_bytes());
}

fn append_block(block: &[u8], table: &mut CompressTable, out: &mut Vec<u8>) {
    let size_at = out.len();
    let data_at = size_at + 4;
    out.resize(data_at + lz4_flex::block::get_maximum_output_size(block.len()), 0);
    let written =
        compress_into_with_table(block, &mut out[data_at..], table).expect("the buffer is large enough");
    let (size, len) = if written < block.len() {
        (written as u32, written)
    } else {
        out[data_at..data_at + block.len()].copy_from_slice(block);
        (block.len() as u32 | STORED, block.len())
    };
    out[size_at..data_at].copy_from_slice(&size.to_le_bytes());
    out.truncate(data_at + len);
}

/// Whether the checksum of the frame's header counts. Clients computed it wrongly in message sets of magic 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderChecksum {
    Verified,
    Ignored,
}

/// Reads a frame, block by block.
#[derive(Debug)]
pub(super) struct Decoder {
    rest: Bytes,
    max_block_bytes: usize,
    block_checksums: bool,
    /// The last 64 KiB of output, where blocks refer to earlier ones.
    window: Option<Vec<u8>>,
    ended: bool,
}

impl Decoder {
    pub fn new(compressed: Bytes, checksum: HeaderChecksum) -> Result<Decoder, CodecError> {
        let header =
            compressed.first_chunk::<6>().ok_or_else(|| corrupt("the frame's header is cut short"))?;
        if header[..4] != MAGIC {
            return Err(corrupt("it is no LZ4 frame"));
        }
        let (flags, block_descriptor) = (header[4], header[5]);
        if flags & 0xc2 != 0x40 || block_descriptor & 0x8f != 0 || block_descriptor < 0x40 {
            return Err(corrupt("the frame has flags that are unknown"));
        }
        if flags & 0x01 != 0 {
            return Err(corrupt("the frame wants a dictionary"));
        }
        let content_size_bytes = if flags & 0x08 == 0 { 0 } else { 8 };
        let checksum_at = 6 + content_size_bytes;
        let stored =
            *compressed.get(checksum_at).ok_or_else(|| corrupt("the frame's header is cut short"))?;
        if checksum == HeaderChecksum::Verified && stored != header_checksum(&compressed[4..checksum_at]) {
            return Err(corrupt("the checksum of the frame's header is wrong"));
        }
        Ok(Decoder {
            rest: compressed.slice(checksum_at + 1..),
            max_block_bytes: 1 << (8 + 2 * (block_descriptor >> 4)),
            block_checksums: flags & 0x10 != 0,
            window: (flags & 0x20 == 0).then(Vec::new),
            ended: false,
        })
    }

    /// Appends the next block that is not empty; nothing at the end of the frame.
    pub fn append_to(&mut self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let before = out.len();
        while out.len() == before {
            let Some((block, stored)) = self.next_block()? else { return Ok(()) };
            if stored {
                out.extend_from_slice(&block);
            } else {
                // Bounded by what the block's own bytes can expand to, not by what the header allows.
                let bound = block.len().saturating_mul(MAX_EXPANSION) + 16;
                out.resize(before + self.max_block_bytes.min(bound), 0);
                let plain = &mut out[before..];
                let written = match &self.window {
                    Some(window) if !window.is_empty() => decompress_into_with_dict(&block, plain, window),
                    _ => decompress_into(&block, plain),
                };
                out.truncate(before + written.map_err(corrupt)?);
            }
            if let Some(window) = &mut self.window {
                window.extend_from_slice(&out[before..]);
                window.drain(..window.len().saturating_sub(WINDOW_BYTES));
            }
        }
        Ok(())
    }

    /// The next block and whether it is stored as it is.
    fn next_block(&mut self) -> Result<Option<(Bytes, bool)>, CodecError> {
        if self.ended {
            return Ok(None);
        }
        let size = self.take(4)?;
        let size = u32::from_le_bytes(size[..].try_into().expect("four bytes"));
        if size == 0 {
            self.ended = true;
            return Ok(None);
        }
        let length = (size & !STORED) as usize;
        if length > self.max_block_bytes {
            return Err(corrupt("a block is larger than the frame allows"));
        }
        let block = self.take(length)?;
        if self.block_checksums && self.take(4)?[..] != xxh32(&block).to_le_bytes() {
            return Err(corrupt("the checksum of a block is wrong"));
        }
        Ok(Some((block, size & STORED != 0)))
    }

    fn take(&mut self, count: usize) -> Result<Bytes, CodecError> {
        if count > self.rest.len() {
            return Err(corrupt("the frame is cut short"));
        }
        Ok(self.rest.split_to(count))
    }
}

fn corrupt(reason: impl ToString) -> CodecError {
    CodecError::corrupt(Codec::Lz4, reason)
}

fn header_checksum(descriptor: &[u8]) -> u8 {
    (xxh32(descriptor) >> 8) as u8
}

/// xxHash, 32 bits, seed 0. Source: xxhash_spec.md.
fn xxh32(bytes: &[u8]) -> u32 {
    const PRIMES: [u32; 5] = [0x9E37_79B1, 0x85EB_CA77, 0xC2B2_AE3D, 0x27D4_EB2F, 0x1656_67B1];
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
    let (stripes, mut tail) = bytes.as_chunks::<16>();
    let mut hash = if stripes.is_empty() {
        PRIMES[4]
    } else {
        let mut lanes = [PRIMES[0].wrapping_add(PRIMES[1]), PRIMES[1], 0, 0_u32.wrapping_sub(PRIMES[0])];
        for stripe in stripes {
            for (lane, bytes) in lanes.iter_mut().zip(stripe.as_chunks::<4>().0) {
                let mixed = lane.wrapping_add(word(bytes).wrapping_mul(PRIMES[1]));
                *lane = mixed.rotate_left(13).wrapping_mul(PRIMES[0]);
            }
        }
        let turns = [1, 7, 12, 18];
        lanes.iter().zip(turns).fold(0_u32, |sum, (lane, turn)| sum.wrapping_add(lane.rotate_left(turn)))
    };
    hash = hash.wrapping_add(bytes.len() as u32);
    while let Some((first, rest)) = tail.split_first_chunk::<4>() {
        hash = hash.wrapping_add(word(first).wrapping_mul(PRIMES[2])).rotate_left(17).wrapping_mul(PRIMES[3]);
        tail = rest;
    }
    for &byte in tail {
        hash = hash
            .wrapping_add(u32::from(byte).wrapping_mul(PRIMES[4]))
            .rotate_left(11)
            .wrapping_mul(PRIMES[0]);
    }
    hash = (hash ^ hash >> 15).wrapping_mul(PRIMES[1]);
    hash = (hash ^ hash >> 13).wrapping_mul(PRIMES[2]);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(compressed: Vec<u8>, checksum: HeaderChecksum) -> Result<Vec<u8>, CodecError> {
        let mut decoder = Decoder::new(compressed.into(), checksum)?;
        let mut plain = Vec::new();
        loop {
            let before = plain.len();
            decoder.append_to(&mut plain)?;
            if plain.len() == before {
                return Ok(plain);
            }
        }
    }

    /// The vectors of xxhash_spec's reference implementation for seed 0.
    #[test]
    fn xxhash_gives_the_published_values() {
        assert_eq!(xxh32(b""), 0x02CC_5D05);
        assert_eq!(xxh32(b"a"), 0x550D_7456);
        assert_eq!(xxh32(b"abc"), 0x32D1_53FF);
        assert_eq!(xxh32(b"Nobody inspects the spammish repetition"), 0xE229_3B2F);
    }

    #[test]
    fn a_wrong_header_checksum_is_refused_unless_it_is_ignored() {
        let mut frame = Vec::new();
        compress(b"magic 0", &mut frame);
        frame[6] ^= 1;
        assert!(all(frame.clone(), HeaderChecksum::Verified).is_err());
        assert_eq!(all(frame, HeaderChecksum::Ignored).as_deref(), Ok(&b"magic 0"[..]));
    }

    #[test]
    fn linked_blocks_and_all_optional_fields_are_read() {
        let first: Vec<u8> =
            (0..50_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
        let (first, second) = (&first[..60_000], &first[1_000..41_000]);
        let descriptor = [0x40 | 0x10 | 0x08 | 0x04, 0x50, 0, 0, 0, 0, 0, 0, 0, 0];
        let mut frame = [&MAGIC[..], &descriptor, &[header_checksum(&descriptor)]].concat();
        for block in [lz4_flex::block::compress(first), lz4_flex::block::compress_with_dict(second, first)] {
            frame.extend_from_slice(&(block.len() as u32).to_le_bytes());
            frame.extend_from_slice(&block);
            frame.extend_from_slice(&xxh32(&block).to_le_bytes());
        }
        frame.extend_from_slice(&[0; 8]);
        assert_eq!(all(frame.clone(), HeaderChecksum::Verified).unwrap(), [first, second].concat());
        let last = frame.len() - 9;
        frame[last] ^= 1;
        assert!(all(frame, HeaderChecksum::Verified).is_err(), "the second block's checksum is wrong");
    }
}
