//! Why a record was not delivered, and whether that is certain.

use crate::client::error::{ClientError, detail};
use crate::types::{ErrorCode, TopicPartition};
use std::sync::Arc;

/// Why a record was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProduceError {
    /// The record is larger than a request may be.
    #[error("the record takes {size} bytes and at most {limit} may be sent at once: raise max.request.size")]
    TooLarge {
        /// Its size, in bytes.
        size: usize,
        /// `max.request.size` or `buffer.memory`, in bytes.
        limit: usize,
    },
    /// No room became free for the record.
    #[error("for {timeout_ms} ms there was no room for the record: brokers take in less than is sent")]
    BufferFull {
        /// How long it waited, in milliseconds.
        timeout_ms: u64,
    },
    /// The topic has no such partition.
    #[error("topic {topic} has {partitions} partitions, and the record is for partition {partition}")]
    NoSuchPartition {
        /// The topic.
        topic: Arc<str>,
        /// The partition that the record named.
        partition: i32,
        /// How many there are.
        partitions: i32,
    },
    /// The broker refused the record; it is not in the log.
    #[error("{partition} refused the record: {error}{}", detail(.message))]
    Refused {
        /// Where it was sent.
        partition: TopicPartition,
        /// The broker's error.
        error: ErrorCode,
        /// What the broker said besides.
        message: Option<Arc<str>>,
    },
    /// The record could not be sent in time; it is not in the log.
    #[error("the record for {partition} could not be sent within {timeout_ms} ms; last: {last}")]
    Expired {
        /// Where it should go.
        partition: TopicPartition,
        /// `delivery.timeout.ms`.
        timeout_ms: u64,
        /// What stood in the way.
        last: Arc<str>,
    },
    /// The record was sent, and no answer tells whether it is in the log. It may appear there later.
    #[error("it is not known whether {partition} has the record; last: {last}")]
    OutcomeUnknown {
        /// Where it was sent.
        partition: TopicPartition,
        /// How the last attempt ended.
        last: Arc<str>,
    },
    /// The producer was closed before the record was sent.
    #[error("the producer was closed before the record was sent")]
    Closed,
    /// The producer cannot go on at all, or its topic cannot be found.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl ProduceError {
    /// Whether the record is certainly not in the log, and never will be.
    pub fn is_definite(&self) -> bool {
        !matches!(self, ProduceError::OutcomeUnknown { .. })
    }
}
