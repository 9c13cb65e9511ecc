//! Why a partition does not do what was asked, and the code that clients are told.

use crate::log::{AppendError, LogError, LogStartError, ProducerError, ReadError};
use crate::protocol::records::ValidationError;
use crate::types::{ErrorCode, Offset};

/// Why a partition does not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PartitionError {
    /// No such partition here.
    #[error("there is no such partition on this broker")]
    Unknown,
    /// Another broker leads it, or nobody.
    #[error("this broker does not lead the partition")]
    NotLeader,
    /// The request is from a time before the present leader.
    #[error("the request names a leader epoch that has ended")]
    FencedEpoch,
    /// The request knows of a leader that this broker does not know yet.
    #[error("the request names a leader epoch that this broker has not heard of")]
    UnknownEpoch,
    /// Fewer replicas in sync than `min.insync.replicas` asks for.
    #[error("{in_sync} replicas are in sync, and min.insync.replicas asks for {needed}")]
    NotEnoughReplicas {
        /// Members of the in-sync set.
        in_sync: usize,
        /// What the topic asks for, bounded by its replicas.
        needed: usize,
    },
    /// The offset is not in the log.
    #[error("the offset is not in the log")]
    OffsetOutOfRange,
    /// The bytes are not in memory, and only those were asked for.
    #[error("the bytes are not in memory")]
    Cold,
    /// A batch that may not be appended.
    #[error("{error}")]
    Invalid {
        /// Why.
        error: ValidationError,
        /// The log start offset that the answer carries; -1 if none.
        log_start: Offset,
    },
    /// The log refuses the batch.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The log's files.
    #[error(transparent)]
    Storage(LogError),
}

impl PartitionError {
    /// The code that clients are told.
    pub fn code(&self) -> ErrorCode {
        match self {
            PartitionError::Unknown => ErrorCode::UnknownTopicOrPartition,
            PartitionError::NotLeader => ErrorCode::NotLeaderOrFollower,
            PartitionError::FencedEpoch => ErrorCode::FencedLeaderEpoch,
            PartitionError::UnknownEpoch => ErrorCode::UnknownLeaderEpoch,
            PartitionError::NotEnoughReplicas { .. } => ErrorCode::NotEnoughReplicas,
            PartitionError::OffsetOutOfRange => ErrorCode::OffsetOutOfRange,
            PartitionError::Cold => ErrorCode::UnknownServerError,
            PartitionError::Invalid { error, .. } => error.error_code(),
            PartitionError::Append(error) => append_code(error),
            PartitionError::Storage(LogError::Damaged(_)) => ErrorCode::CorruptMessage,
            PartitionError::Storage(_) => ErrorCode::KafkaStorageError,
        }
    }
}

fn append_code(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::Storage(_) => ErrorCode::KafkaStorageError,
        AppendError::TooLarge { .. } => ErrorCode::RecordListTooLarge,
        AppendError::Producer(ProducerError::OutOfOrderSequence { .. }) => {
            ErrorCode::OutOfOrderSequenceNumber
        }
        AppendError::Producer(ProducerError::InvalidProducerEpoch { .. }) => ErrorCode::InvalidProducerEpoch,
        AppendError::Producer(ProducerError::InvalidTransactionState { .. }) => ErrorCode::InvalidTxnState,
        AppendError::Producer(ProducerError::CoordinatorFenced { .. }) => {
            ErrorCode::TransactionCoordinatorFenced
        }
        AppendError::UnexpectedOffset { .. } | AppendError::BadMarker { .. } => ErrorCode::UnknownServerError,
        AppendError::Corrupt { .. } => ErrorCode::CorruptMessage,
    }
}

impl From<ReadError> for PartitionError {
    fn from(error: ReadError) -> PartitionError {
        match error {
            ReadError::OffsetOutOfRange { .. } => PartitionError::OffsetOutOfRange,
            // Only a follower's log is cut.
            ReadError::Cut => PartitionError::NotLeader,
            ReadError::Storage(error) => PartitionError::Storage(error),
        }
    }
}

impl From<LogStartError> for PartitionError {
    fn from(error: LogStartError) -> PartitionError {
        match error {
            LogStartError::BeyondHighWatermark { .. } => PartitionError::OffsetOutOfRange,
            LogStartError::Storage(error) => PartitionError::Storage(error),
        }
    }
}
