//! Messages of magic 0 and 1, which old directories hold: read, never written.
//!
//! Owns their layout and the sets that a compressed message wraps. In a set of magic 1 the inner offsets
//! count from 0 and the wrapper carries the offset of the last; in magic 0 they are absolute. Zstd came later
//! than both. It must not know how the messages came to be on disk.

use super::batch::{BatchError, RecordBatch};
use super::codec::{Codec, CodecError, Decoder, MAX_DECOMPRESSED_BATCH_BYTES, decompress};
use super::header::{BatchHeader, TimestampType};
use super::record::{Record, RecordError, RecordHeaders};
use crate::types::{Offset, Timestamp};
use bytes::{Buf, Bytes};

/// Where the bytes that the CRC covers begin: at the magic.
const CRC_START: usize = 16;
/// Bytes in front of the key, by magic.
const KEY_AT: [usize; 2] = [18, 26];

/// The CRC-32 of a message, over everything from the magic on.
pub(super) fn crc(message: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(&message[CRC_START..]);
    crc.sum()
}

/// The records of one message: itself, or the set that it wraps.
#[derive(Debug)]
pub(super) struct LegacyRecords {
    magic: i8,
    messages: Bytes,
    index: i32,
    /// Added to the offset in each message.
    base_offset: i64,
    /// The time of all records, where a wrapper prescribes one.
    append_time: Option<Timestamp>,
}

impl LegacyRecords {
    pub fn new(batch: &RecordBatch) -> Result<LegacyRecords, RecordError> {
        let header = batch.header();
        let mut records = LegacyRecords {
            magic: header.magic,
            messages: batch.bytes().clone(),
            index: 0,
            base_offset: 0,
            append_time: None,
        };
        if header.attributes.codec_id() == 0 {
            return Ok(records);
        }
        let (_, value) = key_and_value(header, batch.bytes()).ok_or(records.error("its fields exceed it"))?;
        let value = value.ok_or(records.error("the wrapper has no value"))?;
        records.messages = decompress_set(header, value)?;
        let last = records.check_inner_messages()?;
        // Some releases of librdkafka produced sets of magic 1 with a wrapper offset of 0.
        if header.magic == 1 && header.base_offset.0 != 0 {
            records.base_offset = header.base_offset.0 - last.0;
            if last.0 < 0 || records.base_offset < 0 {
                return Err(records.error("the wrapper's offset is below that of its last message"));
            }
        }
        records.append_time = (header.attributes.timestamp_type() == TimestampType::LogAppendTime)
            .then_some(header.max_timestamp);
        Ok(records)
    }

    /// Walks over the set once, since the first offset follows from the last; returns the offset in the last
    /// message.
    fn check_inner_messages(&self) -> Result<Offset, RecordError> {
        let mut last = None;
        let mut rest = self.messages.clone();
        while let Some((header, message)) =
            split_message(&mut rest).map_err(|_| self.error("a message is bad"))?
        {
            if header.magic != self.magic {
                return Err(self.error("a message inside has another magic"));
            }
            if header.attributes.codec_id() != 0 {
                return Err(self.error("a message inside is compressed again"));
            }
            key_and_value(&header, &message).ok_or(self.error("the fields of a message exceed it"))?;
            last = Some(header.base_offset);
        }
        last.ok_or(self.error("there are no messages inside"))
    }

    fn error(&self, reason: &'static str) -> RecordError {
        RecordError::Legacy { magic: self.magic, reason }
    }

    /// The next record; ends after the first error.
    pub fn next(&mut self) -> Option<Result<Record, RecordError>> {
        let index = self.index;
        self.index += 1;
        let record = match split_message(&mut self.messages) {
            Ok(Some((header, message))) => self.record(&header, &message),
            Ok(None) => return None,
            Err(_) => None,
        };
        if record.is_none() {
            self.messages.clear();
        }
        Some(record.ok_or(RecordError::Malformed { index, reason: "its fields exceed it" }))
    }

    fn record(&self, header: &BatchHeader, message: &Bytes) -> Option<Record> {
        let (key, value) = key_and_value(header, message)?;
        Some(Record {
            offset: Offset(self.base_offset.wrapping_add(header.base_offset.0)),
            timestamp: self.append_time.unwrap_or(header.max_timestamp),
            attributes: header.attributes.0 as i8,
            key,
            value,
            headers: RecordHeaders::default(),
        })
    }
}

fn decompress_set(header: &BatchHeader, value: Bytes) -> Result<Bytes, RecordError> {
    let id = header.attributes.codec_id();
    let codec = Codec::from_id(id).filter(|codec| *codec != Codec::Zstd).ok_or(CodecError::Unknown(id))?;
    if codec != Codec::Lz4 || header.magic == 1 {
        return Ok(decompress(codec, &value, MAX_DECOMPRESSED_BATCH_BYTES)?);
    }
    let mut decoder = Decoder::new_lz4_unchecked(value, MAX_DECOMPRESSED_BATCH_BYTES)?;
    let mut messages = Vec::new();
    while decoder.append_to(&mut messages)? {}
    Ok(messages.into())
}

/// Takes the message at the front of `messages`; none where the rest holds no whole one.
fn split_message(messages: &mut Bytes) -> Result<Option<(BatchHeader, Bytes)>, BatchError> {
    match BatchHeader::parse(messages) {
        Ok(header) if header.size_in_bytes() > messages.len() => Ok(None),
        Ok(header) => Ok(Some((header, messages.split_to(header.size_in_bytes())))),
        Err(BatchError::Incomplete { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

type KeyAndValue = (Option<Bytes>, Option<Bytes>);

/// None where a length exceeds the message. A negative length stands for null.
fn key_and_value(header: &BatchHeader, message: &Bytes) -> Option<KeyAndValue> {
    let mut rest = message.slice(KEY_AT[usize::from(header.magic == 1)]..);
    let mut nullable = || {
        let length = rest.try_get_i32().ok()?;
        match usize::try_from(length) {
            Ok(length) if length > rest.len() => None,
            Ok(length) => Some(Some(rest.split_to(length))),
            Err(_) => Some(None),
        }
    };
    Some((nullable()?, nullable()?))
}
