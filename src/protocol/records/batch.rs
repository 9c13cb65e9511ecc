//! One batch as a slice of bytes, and the walk over batches that lie back to back.
//!
//! Invariant: a [`RecordBatch`] holds exactly the bytes that its header announces; whether the CRC is right
//! is checked only by [`RecordBatch::verify_crc`]. It must not know where the bytes came from.

use super::header::{BatchHeader, CRC_START, HEADER_BYTES, MAGIC};
use super::legacy;
use crate::types::{LeaderEpoch, Offset, crc32c};
use bytes::{Bytes, BytesMut};

/// Why the bytes at hand are no batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end before the batch does.
    #[error("the batch needs {needed} bytes and only {available} are here")]
    Incomplete {
        /// Bytes that are needed to go on.
        needed: usize,
        /// Bytes that are here.
        available: usize,
    },
    /// The length field is smaller than the format allows.
    #[error("the batch has length {length}, and no batch of its format is shorter than {minimum}")]
    BadLength {
        /// The length as stored.
        length: i32,
        /// The smallest that the format allows.
        minimum: usize,
    },
    /// A format later than 2, or bytes that are no batch.
    #[error("the batch has magic {0}, and only 0, 1 and 2 are known")]
    UnknownMagic(i8),
    /// The bytes were altered after the checksum was made.
    #[error("the batch is corrupt: its stored CRC is {stored} and that of its bytes {computed}")]
    BadCrc {
        /// The CRC in the header.
        stored: u32,
        /// The CRC of the bytes.
        computed: u32,
    },
}

/// A record batch of magic 2, or a message (uncompressed, or wrapping a compressed set) of magic 0 or 1.
/// Cloning copies no bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordBatch {
    header: BatchHeader,
    bytes: Bytes,
}

impl RecordBatch {
    /// The batch that fills `bytes` from the first to the last byte of its announced size; bytes behind it
    /// are left out.
    pub fn parse(bytes: &Bytes) -> Result<RecordBatch, BatchError> {
        Self::parse_at(bytes, 0)
    }

    fn parse_at(bytes: &Bytes, position: usize) -> Result<RecordBatch, BatchError> {
        let header = BatchHeader::parse(&bytes[position..])?;
        let size = header.size_in_bytes();
        let available = bytes.len() - position;
        if available < size {
            return Err(BatchError::Incomplete { needed: size, available });
        }
        Ok(RecordBatch { header, bytes: bytes.slice(position..position + size) })
    }

    /// A batch of this header and these bytes, which the caller has just written.
    pub(super) fn from_parts(header: BatchHeader, bytes: Bytes) -> RecordBatch {
        debug_assert_eq!(header.size_in_bytes(), bytes.len());
        debug_assert_eq!(bytes[..HEADER_BYTES], header.to_bytes());
        RecordBatch { header, bytes }
    }

    /// The header, by field.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// All bytes of the batch.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The bytes of the batch, when the rest of it is not needed.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Offset of the first record. In a compressed message set of magic 0 or 1 that is known only inside:
    /// there it costs a decompression, and a set that cannot be read gives the offset of its last message.
    pub fn base_offset(&self) -> Offset {
        if self.header.magic < MAGIC && self.header.attributes.codec_id() != 0 {
            let first = self.records().ok().and_then(|mut records| records.next()?.ok());
            return first.map_or(self.header.base_offset, |record| record.offset);
        }
        self.header.base_offset
    }

    /// Offset of the last record; it may have been compacted away.
    pub fn last_offset(&self) -> Offset {
        self.header.last_offset()
    }

    /// The offset behind the batch.
    pub fn next_offset(&self) -> Offset {
        self.header.next_offset()
    }

    /// Size in bytes, header included.
    pub fn size_in_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Checks the CRC: one pass over the bytes that it covers.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let computed = if self.header.magic == MAGIC {
            crc32c(&self.bytes[CRC_START..])
        } else {
            legacy::crc(&self.bytes)
        };
        let stored = self.header.crc;
        if stored == computed { Ok(()) } else { Err(BatchError::BadCrc { stored, computed }) }
    }

    /// What follows the header: the records, perhaps compressed. For magic 0 and 1 this is empty; their one
    /// message is read by [`RecordBatch::records`].
    pub fn payload(&self) -> Bytes {
        self.bytes.slice(HEADER_BYTES.min(self.bytes.len())..)
    }

    /// A copy of the batch with another base offset and leader epoch, which the CRC does not cover. A batch
    /// of magic 0 or 1 has no leader epoch.
    pub fn with_offset(&self, base_offset: Offset, leader_epoch: LeaderEpoch) -> RecordBatch {
        let mut bytes = BytesMut::from(&self.bytes[..]);
        bytes[..8].copy_from_slice(&base_offset.0.to_be_bytes());
        let mut header = BatchHeader { base_offset, ..self.header };
        if header.magic == MAGIC {
            header.partition_leader_epoch = leader_epoch;
            bytes[12..16].copy_from_slice(&leader_epoch.0.to_be_bytes());
        }
        RecordBatch { header, bytes: bytes.freeze() }
    }

    /// The same header without records, as compaction leaves it where a batch must stay to keep its
    /// producer's last sequence or the partition's last offset: uncompressed, no base timestamp, no delete
    /// horizon.
    pub fn emptied(header: &BatchHeader) -> RecordBatch {
        let attributes = header.attributes.known().with_codec(super::Codec::None).with_delete_horizon(false);
        let mut empty = BatchHeader {
            batch_length: (HEADER_BYTES - super::LENGTH_END) as i32,
            attributes,
            base_timestamp: crate::types::Timestamp::NONE,
            record_count: 0,
            ..*header
        };
        empty.crc = crc32c(&empty.to_bytes()[CRC_START..]);
        RecordBatch::from_parts(empty, Bytes::copy_from_slice(&empty.to_bytes()))
    }
}

/// The batches in `bytes`, first to last. A batch that `bytes` cuts short ends the walk, since a fetch ends
/// where its bytes do; [`Batches::position`] tells how far the whole batches went. Anything else that is no
/// batch is an error, and ends the walk too.
pub fn batches(bytes: &Bytes) -> Batches {
    Batches { bytes: bytes.clone(), position: 0, failed: false }
}

/// Iterator over back-to-back batches; see [`batches`].
#[derive(Debug, Clone)]
pub struct Batches {
    bytes: Bytes,
    position: usize,
    failed: bool,
}

impl Batches {
    /// Bytes in front of the next batch: what was walked over so far.
    pub fn position(&self) -> usize {
        self.position
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.position == self.bytes.len() {
            return None;
        }
        match RecordBatch::parse_at(&self.bytes, self.position) {
            Ok(batch) => {
                self.position += batch.size_in_bytes();
                Some(Ok(batch))
            }
            Err(BatchError::Incomplete { .. }) => None,
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BatchBuilder, Compression};
    use super::*;
    use crate::types::Timestamp;
    use proptest::prelude::*;

    fn batch(base_offset: i64, values: &[&[u8]]) -> RecordBatch {
        let mut builder = BatchBuilder::new(Compression::NONE).base_offset(Offset(base_offset));
        for value in values {
            builder.append(Timestamp(1), None, Some(value), &[]);
        }
        builder.build()
    }

    #[test]
    fn a_walk_ends_without_error_where_the_bytes_cut_a_batch() {
        let (first, second) = (batch(5, &[b"a", b"b"]), batch(7, &[b"c"]));
        let bytes = [&first.bytes()[..], second.bytes()].concat();
        for cut in 0..=bytes.len() {
            let mut walk = batches(&Bytes::copy_from_slice(&bytes[..cut]));
            let found: Vec<_> = walk.by_ref().map(Result::unwrap).collect();
            let whole = usize::from(cut >= first.size_in_bytes()) + usize::from(cut == bytes.len());
            assert_eq!(found, [first.clone(), second.clone()][..whole], "cut at {cut}");
            assert_eq!(walk.position(), found.iter().map(RecordBatch::size_in_bytes).sum::<usize>());
        }
    }

    #[test]
    fn a_walk_ends_with_the_error_of_what_is_no_batch() {
        let bytes = [&batch(5, &[b"a"]).bytes()[..], &[0; 40]].concat();
        let mut walk = batches(&bytes.into());
        assert!(walk.next().unwrap().is_ok());
        assert_eq!(walk.next(), Some(Err(BatchError::BadLength { length: 0, minimum: 14 })));
        assert_eq!(walk.next(), None);
    }

    #[test]
    fn another_offset_and_epoch_leave_the_crc_as_it_is() {
        let moved = batch(0, &[b"a", b"b"]).with_offset(Offset(90), LeaderEpoch(3));
        assert_eq!(moved.verify_crc(), Ok(()));
        assert_eq!((moved.base_offset(), moved.next_offset()), (Offset(90), Offset(92)));
        assert_eq!(RecordBatch::parse(moved.bytes()), Ok(moved.clone()));
        let records = moved.records().unwrap().map(|record| record.unwrap().offset);
        assert_eq!(records.collect::<Vec<_>>(), [Offset(90), Offset(91)]);
    }

    proptest! {
        #[test]
        fn one_flipped_bit_is_found_or_lies_outside_the_crc(at in 0..77_usize, bit in 0..8) {
            let batch = batch(5, &[b"value", b"two"]);
            let mut bytes = batch.bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] ^= 1_u8 << bit;
            if let Ok(damaged) = RecordBatch::parse(&bytes.into()) {
                prop_assert_eq!(damaged.verify_crc().is_ok(), OUTSIDE_CRC.contains(&at));
            }
        }

        #[test]
        fn reading_any_bytes_as_a_batch_gives_records_or_errors(
            body in prop::collection::vec(any::<u8>(), 0..200), codec in 0..8_u8, count in -1..20_i32,
            magic in 0..3_u8,
        ) {
            let mut bytes = vec![0; HEADER_BYTES];
            bytes.extend_from_slice(&body);
            let length = (bytes.len() - 12) as u32;
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[16] = magic;
            bytes[if magic == 2 { 22 } else { 17 }] = codec;
            bytes[57..61].copy_from_slice(&count.to_be_bytes());
            let batch = RecordBatch::parse(&bytes.into()).unwrap();
            if let Ok(records) = batch.records() {
                let _ = records.filter(Result::is_ok).count();
            }
            let _ = batch.base_offset();
        }
    }

    /// Base offset and leader epoch; a bit in the length between them moves the end.
    const OUTSIDE_CRC: [usize; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15];
}
