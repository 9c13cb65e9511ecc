//! Why a partition cannot be read on. Every error of this kind stops its partition, and no other, until the
//! caller seeks.

use crate::client::error::ClientError;
use crate::protocol::records::{BatchError, ControlRecordError, RecordError};
use crate::types::{Offset, TopicPartition};

/// Why records cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsumeError {
    /// The position lies outside of the log: it was deleted, or never written.
    #[error(
        "offset {offset} of {partition} is out of range: those records were deleted, or not written yet; \
         seek to where reading should go on"
    )]
    OutOfRange {
        /// The partition.
        partition: TopicPartition,
        /// The offset that was asked for.
        offset: Offset,
    },
    /// Records that were read before are gone from the log, and others may stand at their offsets.
    #[error(
        "{partition} was cut back below offset {offset}, where it was read to{}; seek to where to go on",
        diverges(.diverges_at)
    )]
    Truncated {
        /// The partition.
        partition: TopicPartition,
        /// Up to where it was read.
        offset: Offset,
        /// From where on the log is another one, if the broker knows.
        diverges_at: Option<Offset>,
    },
    /// The topic was deleted, and another one of its name created.
    #[error("topic {} was created anew since {partition} was read; seek to where to go on", .partition.topic)]
    Recreated {
        /// The partition.
        partition: TopicPartition,
    },
    /// A batch was altered on its way or on the broker's disk.
    #[error("the batch at offset {offset} of {partition} is damaged: {problem}; seek behind it to go on")]
    DamagedBatch {
        /// The partition.
        partition: TopicPartition,
        /// Where reading stopped.
        offset: Offset,
        /// What is wrong with it.
        problem: BatchError,
    },
    /// A batch holds records that cannot be read.
    #[error(
        "the records at offset {offset} of {partition} cannot be read: {problem}; seek behind them to go on"
    )]
    DamagedRecord {
        /// The partition.
        partition: TopicPartition,
        /// Where reading stopped.
        offset: Offset,
        /// What is wrong with them.
        problem: RecordError,
    },
    /// A control batch holds no control record that can be read.
    #[error(
        "the control batch at offset {offset} of {partition} is damaged: {problem}; seek behind it to go on"
    )]
    DamagedControl {
        /// The partition.
        partition: TopicPartition,
        /// Where reading stopped.
        offset: Offset,
        /// What is wrong with it.
        problem: ControlRecordError,
    },
    /// The broker sent part of a batch and nothing else.
    #[error(
        "at offset {offset} of {partition} the broker sends no whole batch: raise max.partition.fetch.bytes"
    )]
    NoWholeBatch {
        /// The partition.
        partition: TopicPartition,
        /// Where reading stopped.
        offset: Offset,
    },
    /// The partition is not assigned to this consumer.
    #[error("{0} is not assigned to this consumer")]
    NotAssigned(TopicPartition),
    /// The cluster cannot be asked, or refuses.
    #[error("{partition} cannot be read: {error}")]
    Client {
        /// The partition.
        partition: TopicPartition,
        /// What is wrong.
        error: ClientError,
    },
}

fn diverges(at: &Option<Offset>) -> String {
    at.map_or(String::new(), |offset| format!(", to offset {offset}"))
}
