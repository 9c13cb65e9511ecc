//! The settings of one topic that its logs obey, as numbers. Names, defaults and parsing are the
//! configuration's business.

use std::time::Duration;

/// Settings of a partition's log. Times are in milliseconds, sizes in bytes, as Kafka counts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment is rolled before it grows beyond this; no append may be larger.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment is rolled when a batch comes this long after its first one.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: at most this is taken off `segment_ms`, another amount for each segment.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`: a segment is rolled when one of its indexes has grown to this.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: an index entry is made for the batch behind this many bytes.
    pub index_interval_bytes: u32,
    /// `retention.ms`: segments whose newest record is older go; -1 keeps them for ever.
    pub retention_ms: i64,
    /// `retention.bytes`: the oldest segments go while the rest is at least this large; -1 keeps all.
    pub retention_bytes: i64,
    /// `cleanup.policy` contains `delete`.
    pub delete: bool,
    /// `cleanup.policy` contains `compact`: offsets may have gaps.
    pub compact: bool,
    /// `flush.messages`: records that may be appended before the log is flushed.
    pub flush_messages: i64,
    /// `flush.ms`: how long a record may stay unflushed.
    pub flush_ms: i64,
    /// `file.delete.delay.ms`: how long readers may go on with a segment that was deleted.
    pub file_delete_delay: Duration,
    /// `preallocate`: space for a whole segment is taken when it is created, and given back when it is
    /// rolled.
    pub preallocate: bool,
    /// `producer.id.expiration.ms`: how long an idle producer is remembered.
    pub producer_id_expiration_ms: i64,
}

impl Default for LogConfig {
    /// The defaults of Kafka 4.3.
    fn default() -> LogConfig {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 60 * 60 * 1000,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_ms: 7 * 24 * 60 * 60 * 1000,
            retention_bytes: -1,
            delete: true,
            compact: false,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            file_delete_delay: Duration::from_secs(60),
            preallocate: false,
            producer_id_expiration_ms: 24 * 60 * 60 * 1000,
        }
    }
}
