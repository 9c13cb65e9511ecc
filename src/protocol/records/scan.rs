//! What validation needs of each record, without keeping the record.
//!
//! Invariant: a compressed batch is checked in a buffer of bounded size, whatever its records announce. A
//! record must fill its length exactly, compressed or not (Kafka forgives that in compressed batches, and no
//! consumer can read them). It must not know what the checks are for.

use super::codec::{Codec, CodecError, Decoder};
use super::record::{RecordError, RecordView, RecordViews};
use super::varint::{MAX_VARINT_BYTES, MAX_VARLONG_BYTES, Reader};
use bytes::Bytes;

/// Records up to this size are gathered in the buffer and read like uncompressed ones; larger ones are passed
/// over in pieces. The buffer holds one such record and one piece of a codec's output (a block of 4 MiB at
/// most for lz4, the whole batch for one bare block of snappy).
const MAX_GATHERED_RECORD_BYTES: usize = 64 << 10;

/// What validation looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scanned {
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    pub has_key: bool,
}

/// Calls `visit` with each of the `count` records of a batch, which must fill `payload` exactly; a compressed
/// one may decompress to `limit` bytes at most.
pub(super) fn scan(
    payload: &Bytes,
    codec: Codec,
    count: i32,
    limit: usize,
    mut visit: impl FnMut(Scanned),
) -> Result<(), RecordError> {
    if codec == Codec::None {
        for view in RecordViews::new(payload, count)? {
            visit(Scanned::from(&view?));
        }
        return Ok(());
    }
    if count < 0 {
        return Err(RecordError::BadCount(count));
    }
    let decoder = Decoder::new(codec, payload.clone(), limit)?;
    let mut stream = Stream { decoder, buffer: Vec::new(), position: 0, ended: false };
    for index in 0..count {
        visit(stream.record().map_err(|error| error.of_record(index))?);
    }
    if stream.fill(1)? { Err(RecordError::Leftover { count }) } else { Ok(()) }
}

impl From<&RecordView<'_>> for Scanned {
    fn from(view: &RecordView<'_>) -> Scanned {
        Scanned {
            timestamp_delta: view.timestamp_delta,
            offset_delta: view.offset_delta,
            has_key: view.key.is_some(),
        }
    }
}

/// A [`RecordError`] that does not know its record's number yet.
enum StreamError {
    Codec(CodecError),
    Malformed(&'static str),
}

impl StreamError {
    fn of_record(self, index: i32) -> RecordError {
        match self {
            StreamError::Codec(error) => RecordError::Codec(error),
            StreamError::Malformed(reason) => RecordError::Malformed { index, reason },
        }
    }
}

impl From<CodecError> for StreamError {
    fn from(error: CodecError) -> StreamError {
        StreamError::Codec(error)
    }
}

impl From<&'static str> for StreamError {
    fn from(reason: &'static str) -> StreamError {
        StreamError::Malformed(reason)
    }
}

const CUT_SHORT: &str = "the batch ends inside it";
const EXCEEDED: &str = "its fields do not fill its length";

struct Stream {
    decoder: Decoder,
    buffer: Vec<u8>,
    position: usize,
    ended: bool,
}

impl Stream {
    fn record(&mut self) -> Result<Scanned, StreamError> {
        self.fill(MAX_VARINT_BYTES)?;
        let mut reader = Reader::new(&self.buffer[self.position..]);
        let length = reader.varint().ok_or("its length is cut short or too long")?;
        self.position = self.buffer.len() - reader.remaining();
        let length = usize::try_from(length).map_err(|_| "its length is negative")?;
        if length > MAX_GATHERED_RECORD_BYTES {
            return self.large_record(length);
        }
        if !self.fill(length)? {
            return Err(CUT_SHORT.into());
        }
        let body = &self.buffer[self.position..self.position + length];
        let view = RecordView::read_body(body).ok_or(EXCEEDED)??;
        let scanned = Scanned::from(&view);
        self.position += length;
        Ok(scanned)
    }

    /// Passes over a record field by field; `left` counts what its length still allows.
    fn large_record(&mut self, length: usize) -> Result<Scanned, StreamError> {
        let mut left = length;
        self.skip(1, &mut left)?;
        let timestamp_delta = self.varlong(&mut left)?;
        let offset_delta = self.varint(&mut left)?;
        let has_key = self.skip_nullable(&mut left)?;
        self.skip_nullable(&mut left)?;
        let header_count = self.varint(&mut left)?;
        let header_count =
            usize::try_from(header_count).map_err(|_| "it announces a negative number of headers")?;
        if header_count > left {
            return Err("it announces more headers than it has bytes".into());
        }
        for _ in 0..header_count {
            if !self.skip_nullable(&mut left)? {
                return Err("a header has a name of negative length".into());
            }
            self.skip_nullable(&mut left)?;
        }
        if left == 0 { Ok(Scanned { timestamp_delta, offset_delta, has_key }) } else { Err(EXCEEDED.into()) }
    }

    /// Has `count` bytes in the buffer, unless the data ends before.
    fn fill(&mut self, count: usize) -> Result<bool, CodecError> {
        while self.buffer.len() - self.position < count && !self.ended {
            self.buffer.drain(..self.position);
            self.position = 0;
            self.ended = !self.decoder.append_to(&mut self.buffer)?;
        }
        Ok(self.buffer.len() - self.position >= count)
    }

    fn varint(&mut self, left: &mut usize) -> Result<i32, StreamError> {
        self.fill(MAX_VARINT_BYTES)?;
        let mut reader = Reader::new(&self.buffer[self.position..]);
        let value = reader.varint().ok_or(CUT_SHORT)?;
        let read = self.buffer.len() - self.position - reader.remaining();
        self.consume(read, left)?;
        Ok(value)
    }

    fn varlong(&mut self, left: &mut usize) -> Result<i64, StreamError> {
        self.fill(MAX_VARLONG_BYTES)?;
        let mut reader = Reader::new(&self.buffer[self.position..]);
        let value = reader.varlong().ok_or(CUT_SHORT)?;
        let read = self.buffer.len() - self.position - reader.remaining();
        self.consume(read, left)?;
        Ok(value)
    }

    /// Whether it was not null.
    fn skip_nullable(&mut self, left: &mut usize) -> Result<bool, StreamError> {
        match usize::try_from(self.varint(left)?) {
            Ok(length) => self.skip(length, left).map(|()| true),
            Err(_) => Ok(false),
        }
    }

    fn skip(&mut self, mut count: usize, left: &mut usize) -> Result<(), StreamError> {
        while count > 0 {
            if !self.fill(1)? {
                return Err(CUT_SHORT.into());
            }
            let step = count.min(self.buffer.len() - self.position);
            self.consume(step, left)?;
            count -= step;
        }
        Ok(())
    }

    fn consume(&mut self, count: usize, left: &mut usize) -> Result<(), StreamError> {
        *left = left.checked_sub(count).ok_or(EXCEEDED)?;
        self.position += count;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::builder::tests::{build, stated};
    use super::super::codec::{Compression, MAX_DECOMPRESSED_BATCH_BYTES, compress};
    use super::super::{BatchBuilder, Header};
    use super::*;
    use crate::types::Timestamp;
    use proptest::prelude::*;

    fn scanned(payload: &Bytes, codec: Codec, count: i32) -> Result<Vec<Scanned>, RecordError> {
        let mut all = Vec::new();
        scan(payload, codec, count, MAX_DECOMPRESSED_BATCH_BYTES, |record| all.push(record)).map(|()| all)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_scan_sees_what_the_records_say(stated in prop::collection::vec(stated(), 1..20)) {
            let plain = build(Compression::NONE, &stated).0;
            let count = plain.header().record_count;
            let expected = scanned(&plain.payload(), Codec::None, count).unwrap();
            prop_assert_eq!(expected.len(), stated.len());
            for codec in Codec::ALL {
                let batch = build(Compression::new(codec), &stated).0;
                let found = scanned(&batch.payload(), codec, count).unwrap();
                prop_assert_eq!(&found, &expected, "{}", codec);
                let leftover = Err(RecordError::Leftover { count: count - 1 });
                prop_assert_eq!(scanned(&batch.payload(), codec, count - 1), leftover);
                prop_assert!(scanned(&batch.payload(), codec, count + 1).is_err());
            }
        }

        /// Compressed and uncompressed, damaged records are judged alike.
        #[test]
        fn damaged_records_are_judged_alike(
            stated in prop::collection::vec(stated(), 1..6), at: usize, to: u8,
        ) {
            let batch = build(Compression::NONE, &stated).0;
            let mut plain = batch.payload().to_vec();
            let at = at % plain.len();
            plain[at] = to;
            let count = batch.header().record_count;
            let expected = scanned(&Bytes::from(plain.clone()), Codec::None, count);
            for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
                let mut payload = Vec::new();
                compress(Compression::new(codec), &plain, &mut payload);
                let found = scanned(&payload.into(), codec, count);
                prop_assert_eq!(found.is_ok(), expected.is_ok());
                if expected.is_ok() {
                    prop_assert_eq!(&found, &expected);
                }
            }
        }
    }

    #[test]
    fn records_larger_than_the_buffer_are_passed_over_in_pieces() {
        let large: Vec<u8> = (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let headers =
            [Header { name: &large[..70_000], value: Some(&large) }, Header { name: b"", value: None }];
        for codec in Codec::ALL {
            let mut builder = BatchBuilder::new(Compression::new(codec));
            builder.append(Timestamp(5), Some(&large), Some(&large), &headers);
            builder.append(Timestamp(9), None, Some(&large), &[]);
            builder.append(Timestamp(7), Some(b"small"), None, &[]);
            let payload = builder.build().payload();
            let found = scanned(&payload, codec, 3).unwrap();
            assert_eq!(found.iter().map(|record| record.has_key).collect::<Vec<_>>(), [true, false, true]);
            assert_eq!(found.iter().map(|record| record.timestamp_delta).collect::<Vec<_>>(), [0, 4, 2]);
            assert!(scanned(&payload, codec, 4).is_err(), "{codec}");
            let too_large = scan(&payload, codec, 3, 600_000, |_| ());
            assert_eq!(too_large.is_err(), codec != Codec::None, "{codec}");
        }
    }
}
