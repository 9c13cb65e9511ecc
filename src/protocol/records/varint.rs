//! Kafka's variable-length integers: seven bits a byte, least significant first, zig-zag for signed ones.
//!
//! Reads as leniently as Kafka: bits beyond the type's width in the last byte are dropped, a byte too many is
//! an error.

/// Longest encoding of an i32, in bytes.
pub(super) const MAX_VARINT_BYTES: usize = 5;
/// Longest encoding of an i64, in bytes.
pub(super) const MAX_VARLONG_BYTES: usize = 10;

/// What is left of a slice while it is read from the front.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes }
    }

    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// The next `count` bytes, if there are so many.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    pub fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(first)
    }

    #[inline]
    pub fn varint(&mut self) -> Option<i32> {
        match self.bytes {
            [a, rest @ ..] if *a < 0x80 => {
                self.bytes = rest;
                Some(zig_zag_i32(u32::from(*a)))
            }
            [a, b, rest @ ..] if *b < 0x80 => {
                self.bytes = rest;
                Some(zig_zag_i32(u32::from(*a & 0x7f) | u32::from(*b) << 7))
            }
            _ => self.unsigned(MAX_VARINT_BYTES).map(|value| zig_zag_i32(value as u32)),
        }
    }

    #[inline]
    pub fn varlong(&mut self) -> Option<i64> {
        match self.bytes {
            [a, rest @ ..] if *a < 0x80 => {
                self.bytes = rest;
                Some(zig_zag_i64(u64::from(*a)))
            }
            [a, b, rest @ ..] if *b < 0x80 => {
                self.bytes = rest;
                Some(zig_zag_i64(u64::from(*a & 0x7f) | u64::from(*b) << 7))
            }
            _ => self.unsigned(MAX_VARLONG_BYTES).map(zig_zag_i64),
        }
    }

    fn unsigned(&mut self, max_bytes: usize) -> Option<u64> {
        let mut value = 0;
        for index in 0..max_bytes {
            let byte = *self.bytes.get(index)?;
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.bytes = &self.bytes[index + 1..];
                return Some(value);
            }
        }
        None
    }
}

fn zig_zag_i32(value: u32) -> i32 {
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

fn zig_zag_i64(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Appends `value` in zig-zag form.
pub(super) fn write_varint(out: &mut Vec<u8>, value: i32) {
    write_unsigned(out, u64::from(((value << 1) ^ (value >> 31)) as u32));
}

/// Appends `value` in zig-zag form.
pub(super) fn write_varlong(out: &mut Vec<u8>, value: i64) {
    write_unsigned(out, ((value << 1) ^ (value >> 63)) as u64);
}

fn write_unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes that [`write_varint`] appends for `value`.
pub(super) fn varint_len(value: i32) -> usize {
    unsigned_len(u64::from(((value << 1) ^ (value >> 31)) as u32))
}

/// Bytes that [`write_varlong`] appends for `value`.
pub(super) fn varlong_len(value: i64) -> usize {
    unsigned_len(((value << 1) ^ (value >> 63)) as u64)
}

fn unsigned_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn varints_round_trip_in_the_length_that_was_told(value: i32, shift in 0..32) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            write_varint(&mut bytes, value);
            prop_assert_eq!(bytes.len(), varint_len(value));
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint(), Some(value));
            prop_assert_eq!(reader.remaining(), 0);
            prop_assert_eq!(Reader::new(&bytes[..bytes.len() - 1]).varint(), None);
        }

        #[test]
        fn varlongs_round_trip_in_the_length_that_was_told(value: i64, shift in 0..64) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            write_varlong(&mut bytes, value);
            prop_assert_eq!(bytes.len(), varlong_len(value));
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varlong(), Some(value));
            prop_assert_eq!(reader.remaining(), 0);
        }
    }

    #[test]
    fn a_byte_too_many_is_refused_and_surplus_bits_are_dropped() {
        assert_eq!(Reader::new(&[0x80; 6]).varint(), None);
        assert_eq!(Reader::new(&[0x80; 11]).varlong(), None);
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x7f]).varint(), Some(i32::MIN));
    }
}
