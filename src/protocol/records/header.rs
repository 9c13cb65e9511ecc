//! The 61 bytes in front of every batch of magic 2, and the 16 of them that a broker may rewrite without
//! touching the CRC.
//!
//! Owns field positions and attribute bits. A header of magic 0 or 1 is presented in the same form, with what
//! those formats lack set to Kafka's "none". It must not know records or codecs beyond their number.

use super::batch::BatchError;
use super::codec::Codec;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use bytes::Bytes;

/// The format that is written; 0 and 1 are only read.
pub const MAGIC: i8 = 2;
/// Size of a magic 2 header, in bytes.
pub const HEADER_BYTES: usize = 61;
/// Base offset, length and leader epoch: the bytes in front of the magic, which no CRC covers.
pub const HEAD_BYTES: usize = 16;
/// Base offset and length: what stands in front of the bytes that the length counts.
pub const LENGTH_END: usize = 12;
/// Bytes from which the magic can be told, in every format.
pub const MAGIC_END: usize = 17;
/// Where the bytes that the CRC covers begin: at the attributes.
pub(super) const CRC_START: usize = 21;

const MAGIC_AT: usize = 16;
/// The smallest length that any format allows: a message of magic 0 without key and value.
const MIN_LENGTH: i32 = 14;
const LEGACY_HEADER_BYTES: [usize; 2] = [26, 34];

const CODEC_MASK: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
const DELETE_HORIZON: i16 = 0x40;

/// What the timestamps of a batch mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimestampType {
    /// Each record carries its producer's time.
    #[default]
    CreateTime,
    /// All records carry the broker's time of the append, in the batch's max timestamp.
    LogAppendTime,
}

/// The attribute bits of a batch. Unknown bits are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    /// The number of the codec; 5 to 7 name none.
    pub fn codec_id(self) -> u8 {
        (self.0 & CODEC_MASK) as u8
    }

    /// The codec; none for a number that Kafka has not given away.
    pub fn codec(self) -> Option<Codec> {
        Codec::from_id(self.codec_id())
    }

    /// What the timestamps mean.
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & LOG_APPEND_TIME == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime }
    }

    /// Whether the batch belongs to a transaction.
    pub fn is_transactional(self) -> bool {
        self.0 & TRANSACTIONAL != 0
    }

    /// Whether the records are control records, which no application sees.
    pub fn is_control(self) -> bool {
        self.0 & CONTROL != 0
    }

    /// Whether the base timestamp is the time from which tombstones and markers may go (KIP-534).
    pub fn has_delete_horizon(self) -> bool {
        self.0 & DELETE_HORIZON != 0
    }

    /// The same with this codec.
    pub fn with_codec(self, codec: Codec) -> Attributes {
        Attributes(self.0 & !CODEC_MASK | i16::from(codec.id()))
    }

    /// The same with this timestamp type.
    pub fn with_timestamp_type(self, timestamp_type: TimestampType) -> Attributes {
        self.with(LOG_APPEND_TIME, timestamp_type == TimestampType::LogAppendTime)
    }

    /// The same, transactional or not.
    pub fn with_transactional(self, transactional: bool) -> Attributes {
        self.with(TRANSACTIONAL, transactional)
    }

    /// The same, control or not.
    pub fn with_control(self, control: bool) -> Attributes {
        self.with(CONTROL, control)
    }

    /// The same, with a delete horizon or without.
    pub fn with_delete_horizon(self, delete_horizon: bool) -> Attributes {
        self.with(DELETE_HORIZON, delete_horizon)
    }

    /// Without the bits that Kafka 4.3 gives no meaning to, as it writes them when it rewrites the field.
    pub(super) fn known(self) -> Attributes {
        Attributes(self.0 & (CODEC_MASK | LOG_APPEND_TIME | TRANSACTIONAL | CONTROL | DELETE_HORIZON))
    }

    fn with(self, bit: i16, set: bool) -> Attributes {
        Attributes(if set { self.0 | bit } else { self.0 & !bit })
    }
}

/// The header of a batch, by field. For magic 0 and 1 the base offset is the message's own offset (in a
/// compressed message set the offset of its *last* message), the last offset delta 0, and producer and leader
/// epoch are "none".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record. Compaction keeps it even when that record is gone.
    pub base_offset: Offset,
    /// Bytes behind this field: the size of the batch less 12.
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch.
    pub partition_leader_epoch: LeaderEpoch,
    /// Version of the format, 0 to 2.
    pub magic: i8,
    /// CRC-32C of everything from the attributes to the end (magic 0 and 1: CRC-32 from the magic on).
    pub crc: u32,
    /// Codec, timestamp type, transactional, control, delete horizon.
    pub attributes: Attributes,
    /// Offset of the last record less the base offset.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas count from, in milliseconds; the delete horizon where there is one.
    pub base_timestamp: Timestamp,
    /// The largest timestamp in the batch, or the time of the append.
    pub max_timestamp: Timestamp,
    /// The idempotent producer, or none.
    pub producer_id: ProducerId,
    /// The producer's epoch, or none.
    pub producer_epoch: ProducerEpoch,
    /// Sequence number of the first record, or -1.
    pub base_sequence: i32,
    /// Records in the batch; 0 is legal after compaction. -1 where only decompression can tell (compressed
    /// magic 0, 1).
    pub record_count: i32,
}

/// Whether the first batch in `bytes` says that it belongs to a transaction; `false` where it is no batch of
/// version 2, which is for others to refuse.
pub fn is_transactional(bytes: &Bytes) -> bool {
    const MAGIC_AT: usize = 16;
    const ATTRIBUTES_LOW_AT: usize = 22;
    const TRANSACTIONAL: u8 = 0x10;
    let attributes = bytes.get(ATTRIBUTES_LOW_AT).copied().unwrap_or(0);
    bytes.get(MAGIC_AT) == Some(&(MAGIC as u8)) && attributes & TRANSACTIONAL != 0
}

impl BatchHeader {
    /// Reads the header at the front of `bytes`, of whichever magic. `Incomplete` says how many bytes are
    /// needed when
    /// `bytes` ends too early; every other error means that no batch starts here.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        if let Some(full) = bytes.first_chunk::<HEADER_BYTES>()
            && full[MAGIC_AT] == MAGIC as u8
        {
            return Self::parse_current(full);
        }
        let length = Self::parse_length(bytes)?;
        match bytes[MAGIC_AT] {
            magic @ (0 | 1) => Self::parse_legacy(bytes, length, magic),
            magic if magic == MAGIC as u8 => {
                // Fewer than 61 bytes are here: either the rest is elsewhere, or the batch says that it has
                // no more.
                check_length(length, HEADER_BYTES - LENGTH_END)?;
                Err(BatchError::Incomplete { needed: HEADER_BYTES, available: bytes.len() })
            }
            magic => Err(BatchError::UnknownMagic(magic as i8)),
        }
    }

    /// The size in bytes of the batch at the front of `bytes`, of which [`MAGIC_END`] are enough.
    pub fn parse_size(bytes: &[u8]) -> Result<usize, BatchError> {
        let length = Self::parse_length(bytes)?;
        let magic = bytes[MAGIC_AT] as i8;
        if (0..=MAGIC).contains(&magic) {
            Ok(length as usize + LENGTH_END)
        } else {
            Err(BatchError::UnknownMagic(magic))
        }
    }

    fn parse_length(bytes: &[u8]) -> Result<i32, BatchError> {
        if bytes.len() < LENGTH_END {
            return Err(BatchError::Incomplete { needed: LENGTH_END, available: bytes.len() });
        }
        let length = i32_at(bytes, 8);
        check_length(length, MIN_LENGTH as usize)?;
        if bytes.len() < MAGIC_END {
            return Err(BatchError::Incomplete { needed: MAGIC_END, available: bytes.len() });
        }
        Ok(length)
    }

    fn parse_current(bytes: &[u8; HEADER_BYTES]) -> Result<BatchHeader, BatchError> {
        let header = BatchHeader {
            base_offset: Offset(i64_at(bytes, 0)),
            batch_length: i32_at(bytes, 8),
            partition_leader_epoch: LeaderEpoch(i32_at(bytes, 12)),
            magic: MAGIC,
            crc: i32_at(bytes, 17) as u32,
            attributes: Attributes(i16_at(bytes, 21)),
            last_offset_delta: i32_at(bytes, 23),
            base_timestamp: Timestamp(i64_at(bytes, 27)),
            max_timestamp: Timestamp(i64_at(bytes, 35)),
            producer_id: ProducerId(i64_at(bytes, 43)),
            producer_epoch: ProducerEpoch(i16_at(bytes, 51)),
            base_sequence: i32_at(bytes, 53),
            record_count: i32_at(bytes, 57),
        };
        check_length(header.batch_length, HEADER_BYTES - LENGTH_END)?;
        Ok(header)
    }

    fn parse_legacy(bytes: &[u8], length: i32, magic: u8) -> Result<BatchHeader, BatchError> {
        let needed = LEGACY_HEADER_BYTES[usize::from(magic)];
        check_length(length, needed - LENGTH_END)?;
        if bytes.len() < needed {
            return Err(BatchError::Incomplete { needed, available: bytes.len() });
        }
        // Bit 3 is the timestamp type in magic 1 and has no meaning in magic 0.
        let mask = if magic == 0 { CODEC_MASK } else { CODEC_MASK | LOG_APPEND_TIME };
        let attributes = Attributes(i16::from(bytes[17]) & mask);
        let timestamp = if magic == 0 { Timestamp::NONE } else { Timestamp(i64_at(bytes, 18)) };
        Ok(BatchHeader {
            base_offset: Offset(i64_at(bytes, 0)),
            batch_length: length,
            partition_leader_epoch: LeaderEpoch::NONE,
            magic: magic as i8,
            crc: i32_at(bytes, 12) as u32,
            attributes,
            last_offset_delta: 0,
            base_timestamp: timestamp,
            max_timestamp: timestamp,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: -1,
            record_count: if attributes.codec_id() == 0 { 1 } else { -1 },
        })
    }

    /// The header as bytes, in the format of magic 2.
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        assert_eq!(self.magic, MAGIC, "only magic {MAGIC} is written");
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&self.base_offset.0.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.partition_leader_epoch.0.to_be_bytes());
        bytes[16] = self.magic as u8;
        bytes[17..21].copy_from_slice(&self.crc.to_be_bytes());
        bytes[21..23].copy_from_slice(&self.attributes.0.to_be_bytes());
        bytes[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        bytes[27..35].copy_from_slice(&self.base_timestamp.0.to_be_bytes());
        bytes[35..43].copy_from_slice(&self.max_timestamp.0.to_be_bytes());
        bytes[43..51].copy_from_slice(&self.producer_id.0.to_be_bytes());
        bytes[51..53].copy_from_slice(&self.producer_epoch.0.to_be_bytes());
        bytes[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        bytes[57..61].copy_from_slice(&self.record_count.to_be_bytes());
        bytes
    }

    /// Offset of the last record; it may have been compacted away. Saturates at the largest offset.
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset.0.saturating_add(i64::from(self.last_offset_delta)))
    }

    /// The offset behind the batch. Saturates at the largest offset.
    pub fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.saturating_add(1))
    }

    /// Size of the whole batch in bytes, header included.
    pub fn size_in_bytes(&self) -> usize {
        self.batch_length as usize + LENGTH_END
    }

    /// Whether an idempotent producer wrote the batch.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id.0 > ProducerId::NONE.0
    }

    /// Sequence number of the last record, or -1; behind 2147483647 comes 0.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            -1
        } else {
            increment_sequence(self.base_sequence, self.last_offset_delta)
        }
    }

    /// The time of a record, whose delta this is.
    pub fn record_timestamp(&self, delta: i64) -> Timestamp {
        match self.attributes.timestamp_type() {
            TimestampType::LogAppendTime => self.max_timestamp,
            TimestampType::CreateTime => Timestamp(self.base_timestamp.0.wrapping_add(delta)),
        }
    }

    /// From when tombstones and markers of the batch may be removed (KIP-534).
    pub fn delete_horizon(&self) -> Option<Timestamp> {
        self.attributes.has_delete_horizon().then_some(self.base_timestamp)
    }
}

/// The sequence number `increment` records behind `sequence`: 2147483647 is followed by 0.
pub fn increment_sequence(sequence: i32, increment: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(increment);
    (if sum > i64::from(i32::MAX) { sum - i64::from(i32::MAX) - 1 } else { sum }) as i32
}

/// The front of a batch as an append writes it: 16 rewritten bytes, or all 61 where the CRC had to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHead {
    bytes: [u8; HEADER_BYTES],
    len: usize,
}

impl BatchHead {
    /// The first 16 bytes of `header`: the rest of the batch is written as it came.
    pub fn short(header: &BatchHeader) -> BatchHead {
        BatchHead { bytes: header.to_bytes(), len: HEAD_BYTES }
    }

    /// All of `header`.
    pub fn full(header: &BatchHeader) -> BatchHead {
        BatchHead { bytes: header.to_bytes(), len: HEADER_BYTES }
    }
}

impl std::ops::Deref for BatchHead {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

fn check_length(length: i32, minimum: usize) -> Result<(), BatchError> {
    if usize::try_from(length).is_ok_and(|length| length >= minimum) {
        Ok(())
    } else {
        Err(BatchError::BadLength { length, minimum })
    }
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn i16_at(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn any_header()(
            offset: i64, length in 49..=i32::MAX, epoch: i32, crc: u32, attributes: i16, delta: i32,
            times: [i64; 2],
            producer: i64, producer_epoch: i16, sequence: i32, count: i32,
        ) -> BatchHeader {
            BatchHeader {
                base_offset: Offset(offset),
                batch_length: length,
                partition_leader_epoch: LeaderEpoch(epoch),
                magic: MAGIC,
                crc,
                attributes: Attributes(attributes),
                last_offset_delta: delta,
                base_timestamp: Timestamp(times[0]),
                max_timestamp: Timestamp(times[1]),
                producer_id: ProducerId(producer),
                producer_epoch: ProducerEpoch(producer_epoch),
                base_sequence: sequence,
                record_count: count,
            }
        }
    }

    proptest! {
        #[test]
        fn a_header_survives_its_bytes(header in any_header()) {
            let bytes = header.to_bytes();
            prop_assert_eq!(BatchHeader::parse(&bytes), Ok(header));
            prop_assert_eq!(BatchHeader::parse_size(&bytes[..MAGIC_END]), Ok(header.size_in_bytes()));
        }

        #[test]
        fn parsing_any_bytes_gives_a_header_or_an_error(bytes: Vec<u8>) {
            if let Ok(header) = BatchHeader::parse(&bytes) {
                let (_, _, _) = (header.last_offset(), header.next_offset(), header.last_sequence());
            }
        }
    }

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(increment_sequence(i32::MAX, 1), 0);
        assert_eq!(increment_sequence(i32::MAX - 1, 1), i32::MAX);
        assert_eq!(increment_sequence(i32::MAX, i32::MAX), i32::MAX - 1);
    }

    #[test]
    fn a_length_below_the_header_is_refused_and_a_short_slice_is_incomplete() {
        let mut bytes = [0; HEADER_BYTES];
        bytes[MAGIC_AT] = 2;
        bytes[11] = 48;
        assert_eq!(BatchHeader::parse(&bytes), Err(BatchError::BadLength { length: 48, minimum: 49 }));
        bytes[11] = 49;
        assert!(BatchHeader::parse(&bytes).is_ok());
        let incomplete = BatchError::Incomplete { needed: 61, available: 60 };
        assert_eq!(BatchHeader::parse(&bytes[..60]), Err(incomplete));
        bytes[MAGIC_AT] = 3;
        assert_eq!(BatchHeader::parse(&bytes), Err(BatchError::UnknownMagic(3)));
    }

    #[test]
    fn attribute_bits_are_set_one_by_one_and_unknown_ones_are_kept() {
        let attributes =
            Attributes(0x0700).with_codec(Codec::Zstd).with_control(true).with_transactional(true);
        assert_eq!(attributes.0, 0x0734);
        assert_eq!(attributes.known().0, 0x34);
        assert_eq!(attributes.with_codec(Codec::None).with_control(false).0, 0x0710);
        assert_eq!(Attributes(5).codec(), None);
    }
}
