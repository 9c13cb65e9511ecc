//! Snappy as Kafka's clients write it: the framing of snappy-java ("xerial"), or one bare block (librdkafka
//! and others).
//!
//! The framing: a header of 16 bytes (magic, version, oldest version that can read it), then blocks, each
//! behind its length as a big-endian i32. Streams may be concatenated: a header may stand where a length
//! could.

use super::codec::{Codec, CodecError};
use bytes::Bytes;
use std::cell::RefCell;

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const VERSION: i32 = 1;
const HEADER_BYTES: usize = 16;
/// Plain bytes in a block, as snappy-java cuts them.
const BLOCK_BYTES: usize = 32 << 10;
/// No snappy element gives more than 64 bytes for 3, so no block can announce more than this times its own
/// size.
const MAX_EXPANSION: usize = 22;

thread_local! {
    static ENCODER: RefCell<Option<snap::raw::Encoder>> = const { RefCell::new(None) };
}

/// Appends `plain` in snappy-java's framing.
pub(super) fn compress(plain: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&VERSION.to_be_bytes());
    ENCODER.with_borrow_mut(|encoder| {
        let encoder = encoder.get_or_insert_with(snap::raw::Encoder::new);
        for block in plain.chunks(BLOCK_BYTES) {
            let length_at = out.len();
            out.resize(length_at + 4 + snap::raw::max_compress_len(block.len()), 0);
            let written =
                encoder.compress(block, &mut out[length_at + 4..]).expect("the buffer is large enough");
            out[length_at..length_at + 4].copy_from_slice(&(written as u32).to_be_bytes());
            out.truncate(length_at + 4 + written);
        }
    });
}

/// Reads either form, block by block.
#[derive(Debug)]
pub(super) struct Decoder {
    rest: Bytes,
    framed: bool,
}

impl Decoder {
    pub fn new(compressed: Bytes) -> Decoder {
        let framed = compressed.len() >= HEADER_BYTES && compressed.starts_with(&MAGIC);
        Decoder { rest: compressed, framed }
    }

    /// Appends the next block that is not empty; nothing at the end. False for a block of more than `room`
    /// bytes: one bare block may be all there is, and its size is known beforehand.
    pub fn append_to(&mut self, out: &mut Vec<u8>, room: usize) -> Result<bool, CodecError> {
        let before = out.len();
        while out.len() == before {
            let Some(block) = self.next_block()? else { return Ok(true) };
            let plain_len = snap::raw::decompress_len(&block).map_err(corrupt)?;
            if plain_len > block.len().saturating_mul(MAX_EXPANSION) {
                return Err(corrupt("a block announces more bytes than it can hold"));
            }
            if plain_len > room {
                return Ok(false);
            }
            out.resize(before + plain_len, 0);
            snap::raw::Decoder::new().decompress(&block, &mut out[before..]).map_err(corrupt)?;
        }
        Ok(true)
    }

    fn next_block(&mut self) -> Result<Option<Bytes>, CodecError> {
        if !self.framed {
            return Ok(Some(std::mem::take(&mut self.rest)).filter(|block| !block.is_empty()));
        }
        while self.rest.starts_with(&MAGIC) {
            if self.rest.len() < HEADER_BYTES {
                return Err(corrupt("the framing's header is cut short"));
            }
            self.rest = self.rest.slice(HEADER_BYTES..);
        }
        let Some(length) = self.rest.first_chunk::<4>() else {
            return if self.rest.is_empty() {
                Ok(None)
            } else {
                Err(corrupt("a block's length is cut short"))
            };
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > self.rest.len() - 4 {
            return Err(corrupt("a block is longer than the rest of the data"));
        }
        let block = self.rest.slice(4..4 + length);
        self.rest = self.rest.slice(4 + length..);
        Ok(Some(block))
    }
}

fn corrupt(reason: impl ToString) -> CodecError {
    CodecError::corrupt(Codec::Snappy, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(compressed: Vec<u8>) -> Result<Vec<u8>, CodecError> {
        let mut decoder = Decoder::new(compressed.into());
        let mut plain = Vec::new();
        loop {
            let before = plain.len();
            assert!(decoder.append_to(&mut plain, 1 << 20)?);
            if plain.len() == before {
                return Ok(plain);
            }
        }
    }

    #[test]
    fn a_bare_block_is_read() {
        let block = snap::raw::Encoder::new().compress_vec(b"as librdkafka writes it").unwrap();
        assert_eq!(all(block).as_deref(), Ok(&b"as librdkafka writes it"[..]));
    }

    #[test]
    fn concatenated_streams_are_read_as_one() {
        let mut bytes = Vec::new();
        compress(b"one ", &mut bytes);
        compress(b"two", &mut bytes);
        assert_eq!(all(bytes).as_deref(), Ok(&b"one two"[..]));
    }

    #[test]
    fn a_block_that_announces_more_than_it_can_hold_allocates_nothing() {
        assert!(matches!(all(vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0]), Err(CodecError::Corrupt { .. })));
    }
}
