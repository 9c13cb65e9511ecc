//! Why a produced batch is refused, and what the answer to the producer says of it.
//!
//! Owns the mapping to error codes, since it is part of what validation promises. It must not know the
//! response's format.

use super::batch::BatchError;
use super::codec::CodecError;
use super::record::RecordError;
use crate::types::{ErrorCode, Offset, Timestamp};

/// Why a produced batch is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidationError {
    /// No whole batch is here.
    #[error("the records hold no whole batch, and a produce request needs exactly one per partition")]
    NoBatch,
    /// Another batch follows the first.
    #[error("the records hold more than one batch, and a produce request needs exactly one per partition")]
    MoreThanOneBatch,
    /// A format that is no longer written.
    #[error("the batch has magic {0}, and only magic 2 can be produced")]
    OldMagic(i8),
    /// Zstd came with version 7 of Produce.
    #[error("the batch is compressed with zstd, which needs version 7 of the produce request or later")]
    ZstdNotAllowed,
    /// The bytes are no batch, or not the ones its checksum was made of.
    #[error(transparent)]
    Corrupt(BatchError),
    /// Only the leader gives offsets.
    #[error("the batch has base offset {0}, and a producer has to send 0")]
    BaseOffset(Offset),
    /// The batch exceeds `max.message.bytes`, as sent or after it was compressed anew.
    #[error("the batch has {size} bytes, more than the {max} that max.message.bytes allows")]
    TooLarge {
        /// Size of the batch.
        size: usize,
        /// The topic's limit.
        max: usize,
    },
    /// The header's record count and last offset do not fit, or there are no records.
    #[error("the batch announces {count} records and a last offset delta of {last_offset_delta}")]
    BadCount {
        /// Announced records.
        count: i32,
        /// Announced last offset delta.
        last_offset_delta: i32,
    },
    /// Control records are the broker's own.
    #[error("the batch holds control records, which clients may not write")]
    Control,
    /// A producer id needs a sequence number.
    #[error("the batch of producer {producer_id} has the invalid sequence number {base_sequence}")]
    BadSequence {
        /// The producer.
        producer_id: i64,
        /// What it sent.
        base_sequence: i32,
    },
    /// The records cannot be read.
    #[error(transparent)]
    Records(RecordError),
    /// Offset deltas of a compressed batch that are not 0, 1, 2 ..
    #[error("the offsets inside the compressed batch are not consecutive from 0")]
    InnerOffsets,
    /// Records that break the topic's rules.
    #[error("{} of the batch's records were rejected, the first because {}", .0.len(), .0[0].reason)]
    Rejected(Vec<RejectedRecord>),
}

/// A record that breaks its topic's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RejectedRecord {
    /// Position in the batch, from 0.
    pub index: i32,
    /// Which rule.
    pub reason: RecordRejection,
}

/// The rule that a rejected record breaks. Its text is the record's error message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordRejection {
    /// Compaction needs keys.
    #[error("it has no key and its topic is compacted")]
    NoKey,
    /// Too far from the broker's clock.
    #[error("its timestamp {timestamp} is not within {earliest} to {latest}")]
    TimestampOutOfRange {
        /// The record's.
        timestamp: Timestamp,
        /// The earliest that the topic allows now.
        earliest: Timestamp,
        /// The latest.
        latest: Timestamp,
    },
    /// Only the broker writes append times.
    #[error("its batch claims append time, which producers may not set")]
    TimestampType,
}

impl ValidationError {
    /// The partition's error code in the answer.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            ValidationError::ZstdNotAllowed => ErrorCode::UnsupportedCompressionType,
            ValidationError::Corrupt(_) => ErrorCode::CorruptMessage,
            ValidationError::TooLarge { .. } => ErrorCode::MessageTooLarge,
            ValidationError::Records(RecordError::Codec(CodecError::TooLarge { .. })) => {
                ErrorCode::MessageTooLarge
            }
            ValidationError::Records(RecordError::Codec(_)) | ValidationError::InnerOffsets => {
                ErrorCode::UnknownServerError
            }
            ValidationError::Rejected(records)
                if records.iter().any(|record| record.reason != RecordRejection::NoKey) =>
            {
                ErrorCode::InvalidTimestamp
            }
            _ => ErrorCode::InvalidRecord,
        }
    }

    /// The records that the answer names one by one; empty unless single records are to blame.
    pub fn rejected_records(&self) -> &[RejectedRecord] {
        match self {
            ValidationError::Rejected(records) => records,
            _ => &[],
        }
    }

    /// Whether the answer carries the partition's log start offset: it does once the records themselves were
    /// looked at.
    pub fn carries_log_start_offset(&self) -> bool {
        !matches!(
            self,
            ValidationError::NoBatch
                | ValidationError::MoreThanOneBatch
                | ValidationError::OldMagic(_)
                | ValidationError::ZstdNotAllowed
                | ValidationError::Corrupt(_)
                | ValidationError::TooLarge { .. }
        )
    }
}

impl From<RecordError> for ValidationError {
    fn from(error: RecordError) -> ValidationError {
        ValidationError::Records(error)
    }
}
