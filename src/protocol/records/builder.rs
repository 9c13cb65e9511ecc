//! Writes batches of magic 2.
//!
//! Invariant: what [`BatchBuilder::build`] returns parses, has a right CRC, and for the same calls the same
//! bytes as Kafka's own builder, compression aside. It must not know who produces or which log receives.

use super::batch::RecordBatch;
use super::codec::{Codec, Compression, compress};
use super::header::{Attributes, BatchHeader, CRC_START, HEADER_BYTES, LENGTH_END, MAGIC, TimestampType};
use super::varint::{varint_len, varlong_len, write_varint, write_varlong};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, crc32c};

/// A header of a record, as written or read. Names are UTF-8 by convention, which nobody checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its name; names may repeat.
    pub name: &'a [u8],
    /// Its value, or null.
    pub value: Option<&'a [u8]>,
}

/// A batch in the making. The methods that set fields of the header may be called in any order, but before
/// records that depend on them: base offset and delete horizon come before the first record.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    compression: Compression,
    header: BatchHeader,
    next_offset: Offset,
    last_offset: Option<Offset>,
    /// The header's room, then the records as they are.
    bytes: Vec<u8>,
}

impl BatchBuilder {
    /// An empty batch at offset 0, without producer, of create time.
    pub fn new(compression: Compression) -> BatchBuilder {
        let header = BatchHeader {
            base_offset: Offset::ZERO,
            batch_length: 0,
            partition_leader_epoch: LeaderEpoch::NONE,
            magic: MAGIC,
            crc: 0,
            attributes: Attributes::default().with_codec(compression.codec()),
            last_offset_delta: 0,
            base_timestamp: Timestamp::NONE,
            max_timestamp: Timestamp::NONE,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: -1,
            record_count: 0,
        };
        let bytes = vec![0; HEADER_BYTES];
        BatchBuilder { compression, header, next_offset: Offset::ZERO, last_offset: None, bytes }
    }

    /// Where the batch begins, and its first record unless [`BatchBuilder::append_at`] says otherwise.
    pub fn base_offset(mut self, base_offset: Offset) -> BatchBuilder {
        self.header.base_offset = base_offset;
        self.next_offset = base_offset;
        self
    }

    /// The batch's last offset where it lies behind that of the last record, as compaction must keep it.
    pub fn last_offset(mut self, last_offset: Offset) -> BatchBuilder {
        self.last_offset = Some(last_offset);
        self
    }

    /// The epoch of the leader that appends the batch.
    pub fn leader_epoch(mut self, leader_epoch: LeaderEpoch) -> BatchBuilder {
        self.header.partition_leader_epoch = leader_epoch;
        self
    }

    /// The idempotent producer; a base sequence of -1 belongs to markers.
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> BatchBuilder {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Marks the batch as part of a transaction.
    pub fn transactional(mut self, transactional: bool) -> BatchBuilder {
        self.header.attributes = self.header.attributes.with_transactional(transactional);
        self
    }

    /// Marks the records as control records.
    pub fn control(mut self, control: bool) -> BatchBuilder {
        self.header.attributes = self.header.attributes.with_control(control);
        self
    }

    /// Gives all records the time of the append.
    pub fn log_append_time(mut self, now: Timestamp) -> BatchBuilder {
        self.header.attributes = self.header.attributes.with_timestamp_type(TimestampType::LogAppendTime);
        self.header.max_timestamp = now;
        self
    }

    /// From when the batch's tombstones and markers may be removed (KIP-534).
    pub fn delete_horizon(mut self, horizon: Timestamp) -> BatchBuilder {
        assert_eq!(self.header.record_count, 0, "a delete horizon is set before the first record");
        self.header.attributes = self.header.attributes.with_delete_horizon(true);
        self.header.base_timestamp = horizon;
        self
    }

    /// Adds a record at the next offset.
    pub fn append(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) {
        self.append_at(self.next_offset, timestamp, key, value, headers);
    }

    /// Adds a record at `offset`, which may leave a gap behind the one before.
    pub fn append_at(
        &mut self,
        offset: Offset,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) {
        assert!(offset >= self.next_offset, "offset {offset} is below the next, {}", self.next_offset);
        if self.header.record_count == 0 && !self.header.attributes.has_delete_horizon() {
            self.header.base_timestamp = timestamp;
        }
        let deltas = self.deltas(offset, timestamp);
        let body = body_len(deltas, key, value, headers);
        self.bytes.reserve(body + varint_len(length(body)));
        write_varint(&mut self.bytes, length(body));
        self.bytes.push(0);
        write_varlong(&mut self.bytes, deltas.0);
        write_varint(&mut self.bytes, deltas.1);
        write_nullable(&mut self.bytes, key);
        write_nullable(&mut self.bytes, value);
        write_varint(&mut self.bytes, length(headers.len()));
        for header in headers {
            write_nullable(&mut self.bytes, Some(header.name));
            write_nullable(&mut self.bytes, header.value);
        }
        if self.header.attributes.timestamp_type() == TimestampType::CreateTime {
            self.header.max_timestamp = self.header.max_timestamp.max(timestamp);
        }
        self.header.last_offset_delta = deltas.1;
        self.header.record_count += 1;
        self.next_offset = offset.next();
    }

    /// How many records there are.
    pub fn record_count(&self) -> i32 {
        self.header.record_count
    }

    /// Size of the batch so far, header included, as if it were not compressed.
    pub fn size_in_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// [`BatchBuilder::size_in_bytes`] after one more record.
    pub fn size_with(
        &self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> usize {
        let deltas = if self.header.record_count == 0 && !self.header.attributes.has_delete_horizon() {
            (0, 0)
        } else {
            self.deltas(self.next_offset, timestamp)
        };
        let body = body_len(deltas, key, value, headers);
        self.bytes.len() + varint_len(length(body)) + body
    }

    /// The finished batch, of one record at least.
    pub fn build(mut self) -> RecordBatch {
        assert!(self.header.record_count > 0, "a batch is built from at least one record");
        if let Some(last_offset) = self.last_offset {
            let delta =
                i32::try_from(last_offset - self.header.base_offset).expect("a batch spans 2^31 offsets");
            assert!(delta >= self.header.last_offset_delta, "the last offset lies before the last record");
            self.header.last_offset_delta = delta;
        }
        let mut bytes = self.bytes;
        if self.compression.codec() != Codec::None {
            let mut compressed = Vec::with_capacity(HEADER_BYTES + bytes.len() / 2);
            compressed.resize(HEADER_BYTES, 0);
            compress(self.compression, &bytes[HEADER_BYTES..], &mut compressed);
            bytes = compressed;
        }
        self.header.batch_length = length(bytes.len() - LENGTH_END);
        bytes[..HEADER_BYTES].copy_from_slice(&self.header.to_bytes());
        self.header.crc = crc32c(&bytes[CRC_START..]);
        bytes[..HEADER_BYTES].copy_from_slice(&self.header.to_bytes());
        RecordBatch::from_parts(self.header, bytes.into())
    }

    fn deltas(&self, offset: Offset, timestamp: Timestamp) -> (i64, i32) {
        let offset_delta =
            i32::try_from(offset - self.header.base_offset).expect("a batch spans 2^31 offsets");
        (timestamp.0.wrapping_sub(self.header.base_timestamp.0), offset_delta)
    }
}

fn body_len(deltas: (i64, i32), key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header<'_>]) -> usize {
    let fixed = 1 + varlong_len(deltas.0) + varint_len(deltas.1) + varint_len(length(headers.len()));
    let headers = headers.iter().map(|header| nullable_len(Some(header.name)) + nullable_len(header.value));
    fixed + nullable_len(key) + nullable_len(value) + headers.sum::<usize>()
}

fn nullable_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint_len(length(bytes.len())) + bytes.len())
}

fn write_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            write_varint(out, length(bytes.len()));
            out.extend_from_slice(bytes);
        }
        None => write_varint(out, -1),
    }
}

fn length(bytes: usize) -> i32 {
    i32::try_from(bytes).expect("the callers' own limits on batches are below 2 GiB")
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::record::Record;
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    type Text = Option<Vec<u8>>;

    /// A record as a test states it.
    #[derive(Debug, Clone)]
    pub struct Stated {
        gap: i64,
        timestamp: i64,
        key: Text,
        value: Text,
        headers: Vec<(Vec<u8>, Text)>,
    }

    prop_compose! {
        pub fn stated()(
            gap in 0..5_i64, timestamp: i64, key: Text, value: Text, headers: Vec<(Vec<u8>, Text)>,
        ) -> Stated {
            Stated { gap, timestamp, key, value, headers }
        }
    }

    pub fn build(compression: Compression, stated: &[Stated]) -> (RecordBatch, Vec<Record>) {
        let mut builder =
            BatchBuilder::new(compression).base_offset(Offset(1_000)).leader_epoch(LeaderEpoch(4));
        let mut expected = Vec::new();
        for (record, offset) in stated.iter().zip(offsets(stated)) {
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            let headers: Vec<_> =
                record.headers.iter().map(|(name, value)| Header { name, value: value.as_deref() }).collect();
            let timestamp = Timestamp(record.timestamp);
            let size = builder.size_with(timestamp, key, value, &headers);
            builder.append_at(offset, timestamp, key, value, &headers);
            let gap = varint_len((offset - Offset(1_000)) as i32) - varint_len(builder.record_count() - 1);
            assert!(builder.size_in_bytes() - size <= gap + 1, "the size was told beforehand");
            expected.push((offset, timestamp, record.key.clone(), record.value.clone()));
        }
        let batch = builder.build();
        let records = batch.records().unwrap().map(Result::unwrap).collect::<Vec<_>>();
        for (record, (offset, timestamp, key, value)) in records.iter().zip(expected) {
            assert_eq!((record.offset, record.timestamp), (offset, timestamp));
            assert_eq!((&record.key, &record.value), (&key.map(Bytes::from), &value.map(Bytes::from)));
        }
        (batch, records)
    }

    fn offsets(stated: &[Stated]) -> Vec<Offset> {
        let mut next = Offset(1_000);
        let mut offsets = Vec::new();
        for record in stated {
            offsets.push(next + record.gap);
            next = offsets[offsets.len() - 1].next();
        }
        offsets
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn what_is_appended_is_read_back(stated in prop::collection::vec(stated(), 1..20)) {
            for codec in Codec::ALL {
                let (batch, records) = build(Compression::new(codec), &stated);
                prop_assert_eq!(batch.verify_crc(), Ok(()));
                prop_assert_eq!(RecordBatch::parse(batch.bytes()), Ok(batch.clone()));
                prop_assert_eq!(records.len(), stated.len());
                prop_assert_eq!(batch.header().record_count as usize, stated.len());
                prop_assert_eq!(batch.last_offset(), records[records.len() - 1].offset);
                for (record, stated) in records.iter().zip(&stated) {
                    let headers = record.headers.iter().map(|header| {
                        (header.name.to_vec(), header.value.map(<[u8]>::to_vec))
                    });
                    prop_assert_eq!(headers.collect::<Vec<_>>(), stated.headers.clone());
                }
            }
        }
    }

    #[test]
    fn compaction_keeps_the_last_offset_and_gives_markers_a_horizon() {
        let mut builder = BatchBuilder::new(Compression::NONE)
            .base_offset(Offset(10))
            .last_offset(Offset(20))
            .delete_horizon(Timestamp(5_000));
        builder.append_at(Offset(12), Timestamp(1_000), Some(b"k"), None, &[]);
        let batch = builder.build();
        assert_eq!(batch.header().delete_horizon(), Some(Timestamp(5_000)));
        assert_eq!((batch.base_offset(), batch.next_offset()), (Offset(10), Offset(21)));
        let record = batch.records().unwrap().next().unwrap().unwrap();
        assert_eq!((record.offset, record.timestamp), (Offset(12), Timestamp(1_000)));
        let empty = RecordBatch::emptied(batch.header());
        assert_eq!(empty.verify_crc(), Ok(()));
        assert_eq!((empty.size_in_bytes(), empty.next_offset()), (HEADER_BYTES, Offset(21)));
        assert_eq!(empty.records().unwrap().count(), 0);
    }
}
