//! The cursor that messages are read with. It never reads behind its end, never panics on input, and hands
//! out slices of the frame instead of copies. It knows primitives, lengths and tags, no message.

use super::error::DecodeProblem;
use crate::types::Str;
use bytes::Bytes;

type Result<T> = std::result::Result<T, DecodeProblem>;

/// Bytes of memory that one array may reserve ahead for each byte that is left to read. What a length
/// promises beyond that is allocated as the elements arrive, so that a frame of a few bytes cannot ask for
/// gigabytes.
pub const RESERVE_PER_BYTE: usize = 8;

/// A position in a frame, with the version that the bytes are in.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    frame: &'a Bytes,
    rest: &'a [u8],
    pub(crate) version: i16,
    pub(crate) flexible: bool,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `frame`, for a message of `version`; flexible versions have compact lengths
    /// and tags (KIP-482).
    pub fn new(frame: &'a Bytes, version: i16, flexible: bool) -> Reader<'a> {
        Reader { frame, rest: frame, version, flexible }
    }

    /// Bytes left to read.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// What is left, shared with the frame.
    pub fn rest(&self) -> Bytes {
        self.frame.slice_ref(self.rest)
    }

    /// An error unless everything has been read.
    pub fn end(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeProblem::TrailingBytes) }
    }

    /// The next `N` bytes.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeProblem::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    /// The next 16-bit integer.
    #[inline]
    pub fn i16(&mut self) -> Result<i16> {
        self.array().map(i16::from_be_bytes)
    }

    /// The next 32-bit integer.
    #[inline]
    pub fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    /// The next `length` bytes, shared with the frame.
    #[inline]
    pub fn share(&mut self, length: usize) -> Result<Bytes> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(DecodeProblem::Truncated)?;
        self.rest = rest;
        Ok(self.frame.slice_ref(head))
    }

    /// An unsigned variable-length integer: seven bits a byte, the lowest first.
    #[inline]
    pub fn uvarint(&mut self) -> Result<u32> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u32::from(*byte))
            }
            _ => self.long_uvarint(),
        }
    }

    fn long_uvarint(&mut self) -> Result<u32> {
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| DecodeProblem::VarintTooLong);
            }
        }
        Err(DecodeProblem::VarintTooLong)
    }

    /// The length of a string; `None` is null.
    #[inline]
    pub fn string_length(&mut self) -> Result<Option<usize>> {
        if self.flexible { self.compact_length() } else { self.i16().and_then(|n| self.length(i64::from(n))) }
    }

    /// The length of an array or of bytes; `None` is null.
    #[inline]
    pub fn array_length(&mut self) -> Result<Option<usize>> {
        if self.flexible { self.compact_length() } else { self.i32().and_then(|n| self.length(i64::from(n))) }
    }

    #[inline]
    fn compact_length(&mut self) -> Result<Option<usize>> {
        let encoded = i64::from(self.uvarint()?);
        self.length(encoded - 1)
    }

    /// Every element takes at least one byte, so no length goes beyond the bytes at hand.
    #[inline]
    fn length(&self, length: i64) -> Result<Option<usize>> {
        match usize::try_from(length) {
            Ok(length) if length <= self.rest.len() => Ok(Some(length)),
            Ok(_) => Err(DecodeProblem::Truncated),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(DecodeProblem::NegativeLength),
        }
    }

    /// A string whose length has been read.
    #[inline]
    pub fn string(&mut self, length: usize) -> Result<Str> {
        Str::from_utf8(self.share(length)?).map_err(|_| DecodeProblem::InvalidUtf8)
    }

    /// An empty list for `length` elements, with as much room as the bytes at hand can back.
    #[inline]
    pub(crate) fn list<T>(&self, length: usize) -> Vec<T> {
        let backed = self.rest.len().saturating_mul(RESERVE_PER_BYTE) / size_of::<T>().max(1);
        Vec::with_capacity(length.min(backed))
    }

    /// The next tag and a reader of its value. `last` is the tag before, which this one must follow.
    pub(crate) fn tag(&mut self, last: &mut Option<u32>) -> Result<(u32, Reader<'a>)> {
        let tag = self.uvarint()?;
        if last.replace(tag).is_some_and(|last| last >= tag) {
            return Err(DecodeProblem::TagOrder(tag));
        }
        let length = self.uvarint()? as usize;
        let (value, rest) = self.rest.split_at_checked(length).ok_or(DecodeProblem::Truncated)?;
        self.rest = rest;
        Ok((tag, Reader { rest: value, ..*self }))
    }
}
