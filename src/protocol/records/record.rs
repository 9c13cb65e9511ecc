//! The records of a batch, one after the other.
//!
//! Owns the layout of a record of magic 2. Deltas that are not 0, 1, 2 .. and unknown attribute bits are
//! legal. A record shares the bytes of its batch, or of the one buffer that its batch was decompressed into:
//! whoever keeps a record beyond its request copies what it needs. It must not know batches' framing or how
//! codecs work.

use super::batch::RecordBatch;
use super::builder::Header;
use super::codec::{CodecError, MAX_DECOMPRESSED_BATCH_BYTES, decompress};
use super::header::{BatchHeader, MAGIC};
use super::legacy::LegacyRecords;
use super::varint::Reader;
use crate::types::{Offset, Timestamp};
use bytes::Bytes;

/// Why the records of a batch cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Record number `index` of the batch is not what it should be.
    #[error("record {index} of the batch is malformed: {reason}")]
    Malformed {
        /// Position in the batch, from 0.
        index: i32,
        /// What is wrong.
        reason: &'static str,
    },
    /// The header counts a negative number of records.
    #[error("the batch announces {0} records")]
    BadCount(i32),
    /// The batch goes on behind its last record.
    #[error("the batch announces {count} records and has bytes left behind them")]
    Leftover {
        /// Records that the header announces.
        count: i32,
    },
    /// The batch cannot be decompressed.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A message set of magic 0 or 1 breaks the rules of its format.
    #[error("the compressed message set of magic {magic} is malformed: {reason}")]
    Legacy {
        /// Magic of the message that wraps the set.
        magic: i8,
        /// What is wrong.
        reason: &'static str,
    },
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Position in the partition.
    pub offset: Offset,
    /// Time of the producer, or of the append where the batch says so; -1 for none.
    pub timestamp: Timestamp,
    /// The record's own attribute bits; none has a meaning yet.
    pub attributes: i8,
    /// The key; a record without one is legal, but not in a compacted topic.
    pub key: Option<Bytes>,
    /// The value; none is a tombstone.
    pub value: Option<Bytes>,
    /// The headers, in their order.
    pub headers: RecordHeaders,
}

/// The headers of a record, decoded as they are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordHeaders {
    count: usize,
    bytes: Bytes,
}

impl RecordHeaders {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The headers from first to last; names may repeat.
    pub fn iter(&self) -> impl Iterator<Item = Header<'_>> {
        headers(self.count, &self.bytes)
    }
}

/// One record of magic 2, borrowed from the plain bytes of its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordView<'a> {
    /// The record's own attribute bits.
    pub attributes: i8,
    /// Milliseconds behind the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Offsets behind the batch's base offset.
    pub offset_delta: i32,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    header_count: usize,
    header_bytes: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// The record at the front of `reader`, checked to its last byte; or what is wrong with it.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<RecordView<'a>, &'static str> {
        let length = reader.varint().ok_or("its length is cut short or too long")?;
        let length = usize::try_from(length).map_err(|_| "its length is negative")?;
        let body = reader.take(length).ok_or("it is longer than the rest of the batch")?;
        Self::read_body(body).ok_or("its fields do not fill its length")?
    }

    /// None where a field reaches beyond the body.
    pub(super) fn read_body(body: &'a [u8]) -> Option<Result<RecordView<'a>, &'static str>> {
        let mut body = Reader::new(body);
        let attributes = body.byte()? as i8;
        let timestamp_delta = body.varlong()?;
        let offset_delta = body.varint()?;
        let key = nullable(&mut body)?;
        let value = nullable(&mut body)?;
        let header_count = body.varint()?;
        // A header takes two bytes at least, so this bounds the loop by the bytes at hand.
        let Ok(header_count) = usize::try_from(header_count) else {
            return Some(Err("it announces a negative number of headers"));
        };
        if header_count > body.remaining() {
            return Some(Err("it announces more headers than it has bytes"));
        }
        let header_bytes = body.rest();
        for _ in 0..header_count {
            let Ok(name_length) = usize::try_from(body.varint()?) else {
                return Some(Err("a header has a name of negative length"));
            };
            body.take(name_length)?;
            nullable(&mut body)?;
        }
        (body.remaining() == 0).then_some(())?;
        Some(Ok(RecordView {
            attributes,
            timestamp_delta,
            offset_delta,
            key,
            value,
            header_count,
            header_bytes,
        }))
    }

    /// The headers from first to last.
    pub fn headers(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        headers(self.header_count, self.header_bytes)
    }
}

/// Bytes behind their length, where every negative length stands for null, as Kafka reads it.
fn nullable<'a>(reader: &mut Reader<'a>) -> Option<Option<&'a [u8]>> {
    match usize::try_from(reader.varint()?) {
        Ok(length) => reader.take(length).map(Some),
        Err(_) => Some(None),
    }
}

fn headers(count: usize, bytes: &[u8]) -> impl Iterator<Item = Header<'_>> {
    let mut reader = Reader::new(bytes);
    (0..count).map_while(move |_| {
        let name_length = usize::try_from(reader.varint()?).ok()?;
        Some(Header { name: reader.take(name_length)?, value: nullable(&mut reader)? })
    })
}

/// The records of one batch of magic 2, from its plain bytes, without any allocation. Ends after the first
/// error.
#[derive(Debug, Clone)]
pub(super) struct RecordViews<'a> {
    reader: Reader<'a>,
    count: i32,
    index: i32,
}

impl<'a> RecordViews<'a> {
    /// `count` records, which must fill `plain` exactly.
    pub fn new(plain: &'a [u8], count: i32) -> Result<RecordViews<'a>, RecordError> {
        if count < 0 {
            return Err(RecordError::BadCount(count));
        }
        Ok(RecordViews { reader: Reader::new(plain), count, index: 0 })
    }
}

impl<'a> Iterator for RecordViews<'a> {
    type Item = Result<RecordView<'a>, RecordError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let index = self.index;
        if index >= self.count {
            let leftover = std::mem::replace(&mut self.reader, Reader::new(&[])).remaining();
            return (leftover > 0).then_some(Err(RecordError::Leftover { count: self.count }));
        }
        self.index += 1;
        match RecordView::read(&mut self.reader) {
            Ok(view) => Some(Ok(view)),
            Err(reason) => {
                self.count = 0;
                self.reader = Reader::new(&[]);
                Some(Err(RecordError::Malformed { index, reason }))
            }
        }
    }
}

/// Iterator over the records of a batch of any magic; see [`RecordBatch::records`]. Ends after the first
/// error.
#[derive(Debug)]
pub struct RecordIter {
    source: Source,
}

#[derive(Debug)]
enum Source {
    Current { header: BatchHeader, plain: Bytes, position: usize, index: i32 },
    Legacy(LegacyRecords),
}

impl RecordBatch {
    /// The records, first to last. A compressed batch is decompressed here, once, into at most
    /// [`MAX_DECOMPRESSED_BATCH_BYTES`]; an uncompressed one is read in place. The CRC is not looked at.
    pub fn records(&self) -> Result<RecordIter, RecordError> {
        let header = *self.header();
        if header.magic < MAGIC {
            return LegacyRecords::new(self).map(|records| RecordIter { source: Source::Legacy(records) });
        }
        if header.record_count < 0 {
            return Err(RecordError::BadCount(header.record_count));
        }
        // A batch that compaction emptied holds no compressed stream either.
        let plain = if header.record_count == 0 && self.payload().is_empty() {
            Bytes::new()
        } else {
            let id = header.attributes.codec_id();
            let codec = header.attributes.codec().ok_or(CodecError::Unknown(id))?;
            decompress(codec, &self.payload(), MAX_DECOMPRESSED_BATCH_BYTES)?
        };
        Ok(RecordIter { source: Source::Current { header, plain, position: 0, index: 0 } })
    }
}

impl Iterator for RecordIter {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (header, plain, position, index) = match &mut self.source {
            Source::Legacy(records) => return records.next(),
            Source::Current { header, plain, position, index } => (header, plain, position, index),
        };
        let mut views = RecordViews {
            reader: Reader::new(&plain[*position..]),
            count: header.record_count,
            index: *index,
        };
        let item = match views.next()? {
            Ok(view) => Ok(view.to_record(header, plain)),
            Err(error) => Err(error),
        };
        *index = views.index;
        *position = if item.is_ok() { plain.len() - views.reader.remaining() } else { plain.len() };
        header.record_count = views.count;
        Some(item)
    }
}

impl RecordView<'_> {
    /// The record with the bytes shared: `plain` is what this view was read from.
    fn to_record(self, header: &BatchHeader, plain: &Bytes) -> Record {
        Record {
            offset: Offset(header.base_offset.0.wrapping_add(i64::from(self.offset_delta))),
            timestamp: header.record_timestamp(self.timestamp_delta),
            attributes: self.attributes,
            key: self.key.map(|key| plain.slice_ref(key)),
            value: self.value.map(|value| plain.slice_ref(value)),
            headers: RecordHeaders { count: self.header_count, bytes: plain.slice_ref(self.header_bytes) },
        }
    }
}
