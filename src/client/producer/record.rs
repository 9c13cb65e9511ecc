//! A record as an application hands it to a producer.

use crate::protocol::records::Header;
use crate::types::Timestamp;
use bytes::Bytes;
use std::sync::Arc;

/// A record to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerRecord {
    /// The topic that it goes to.
    pub topic: Arc<str>,
    /// The partition that it goes to; without one the key decides, and without a key the producer.
    pub partition: Option<i32>,
    /// Its time; without one, that of `send`.
    pub timestamp: Option<Timestamp>,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; none deletes the key in a compacted topic.
    pub value: Option<Bytes>,
    /// Its headers, in their order.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// What a record's own fields take at most in a batch: length, attributes, timestamp, offset, lengths of key
/// and value, number of headers.
const MAX_RECORD_OVERHEAD: usize = 5 + 1 + 10 + 5 + 5 + 5 + 5;
/// What a header's lengths take at most.
const MAX_HEADER_OVERHEAD: usize = 10;
/// A record may come to stand alone in a batch, behind its header.
const BATCH_OVERHEAD: usize = crate::protocol::records::HEADER_BYTES;

impl ProducerRecord {
    /// A record for `topic`, without key and value.
    pub fn to(topic: impl Into<Arc<str>>) -> ProducerRecord {
        let (partition, timestamp, key, value) = (None, None, None, None);
        ProducerRecord { topic: topic.into(), partition, timestamp, key, value, headers: Vec::new() }
    }

    /// The same with this key.
    pub fn key(mut self, key: impl Into<Bytes>) -> ProducerRecord {
        self.key = Some(key.into());
        self
    }

    /// The same with this value.
    pub fn value(mut self, value: impl Into<Bytes>) -> ProducerRecord {
        self.value = Some(value.into());
        self
    }

    /// The same for this partition.
    pub fn partition(mut self, partition: i32) -> ProducerRecord {
        self.partition = Some(partition);
        self
    }

    /// The same with this time.
    pub fn timestamp(mut self, timestamp: Timestamp) -> ProducerRecord {
        self.timestamp = Some(timestamp);
        self
    }

    /// The same with one more header.
    pub fn header(mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) -> ProducerRecord {
        self.headers.push((name.into(), Some(value.into())));
        self
    }

    /// The most that it takes in a batch of its own, in bytes before compression.
    pub(super) fn size_in_bytes(&self) -> usize {
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers =
            self.headers.iter().map(|(name, value)| name.len() + length(value) + MAX_HEADER_OVERHEAD);
        let fixed = BATCH_OVERHEAD + MAX_RECORD_OVERHEAD;
        fixed + length(&self.key) + length(&self.value) + headers.sum::<usize>()
    }

    pub(super) fn headers(&self) -> impl Iterator<Item = Header<'_>> {
        self.headers.iter().map(|(name, value)| Header { name, value: value.as_deref() })
    }
}
