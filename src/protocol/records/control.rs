//! Control records: markers that end transactions, and the quorum's own.
//!
//! Owns their keys (version and type, two i16) and the value of the transaction marker; the values of the
//! quorum's records are messages and live elsewhere. Source: KIP-98, KIP-595, KIP-630, KIP-853.

use super::batch::RecordBatch;
use super::builder::BatchBuilder;
use super::codec::Compression;
use super::record::Record;
use crate::types::{ProducerEpoch, ProducerId, Timestamp};
use bytes::Bytes;

const VERSION: i16 = 0;

/// What a control record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlRecordType {
    /// The producer's transaction was aborted.
    Abort,
    /// The producer's transaction was committed.
    Commit,
    /// A leader of the quorum was elected.
    LeaderChange,
    /// A snapshot begins.
    SnapshotHeader,
    /// A snapshot ends.
    SnapshotFooter,
    /// The `kraft.version` from here on.
    KRaftVersion,
    /// The voters from here on.
    KRaftVoters,
    /// A type of a later release, to be skipped.
    Unknown(i16),
}

impl ControlRecordType {
    /// The type with this number.
    pub fn from_id(id: i16) -> ControlRecordType {
        match id {
            0 => ControlRecordType::Abort,
            1 => ControlRecordType::Commit,
            2 => ControlRecordType::LeaderChange,
            3 => ControlRecordType::SnapshotHeader,
            4 => ControlRecordType::SnapshotFooter,
            5 => ControlRecordType::KRaftVersion,
            6 => ControlRecordType::KRaftVoters,
            id => ControlRecordType::Unknown(id),
        }
    }

    /// The number in the key.
    pub fn id(self) -> i16 {
        match self {
            ControlRecordType::Abort => 0,
            ControlRecordType::Commit => 1,
            ControlRecordType::LeaderChange => 2,
            ControlRecordType::SnapshotHeader => 3,
            ControlRecordType::SnapshotFooter => 4,
            ControlRecordType::KRaftVersion => 5,
            ControlRecordType::KRaftVoters => 6,
            ControlRecordType::Unknown(id) => id,
        }
    }

    /// The key of a record of this type.
    pub fn key(self) -> [u8; 4] {
        let (version, id) = (VERSION.to_be_bytes(), self.id().to_be_bytes());
        [version[0], version[1], id[0], id[1]]
    }
}

/// A record of a control batch is not what control records are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ControlRecordError {
    /// No key, one shorter than four bytes, or a negative version.
    #[error("the control record has no valid key")]
    BadKey,
    /// The value of a transaction marker is missing or too short.
    #[error("the transaction marker has no valid value")]
    BadMarker,
}

/// A control record, its type told from the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlRecord {
    /// What it is about.
    pub control_type: ControlRecordType,
    /// The message that belongs to the type.
    pub value: Bytes,
}

impl ControlRecord {
    /// Reads a record of a control batch. Versions later than ours are read as ours, as Kafka does.
    pub fn parse(record: &Record) -> Result<ControlRecord, ControlRecordError> {
        let key = record.key.as_deref().and_then(|key| key.first_chunk::<4>());
        let key = key.ok_or(ControlRecordError::BadKey)?;
        if i16::from_be_bytes([key[0], key[1]]) < 0 {
            return Err(ControlRecordError::BadKey);
        }
        let control_type = ControlRecordType::from_id(i16::from_be_bytes([key[2], key[3]]));
        Ok(ControlRecord { control_type, value: record.value.clone().unwrap_or_default() })
    }
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionResult {
    /// Its records become visible.
    Commit,
    /// Its records are skipped by readers of committed data.
    Abort,
}

/// The marker that ends a producer's transaction on a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTransactionMarker {
    /// How it ends.
    pub result: TransactionResult,
    /// Epoch of the transaction coordinator that decided.
    pub coordinator_epoch: i32,
}

impl EndTransactionMarker {
    /// The marker in a record of a control batch; none if that record is no transaction marker.
    pub fn parse(record: &Record) -> Result<Option<EndTransactionMarker>, ControlRecordError> {
        let control = ControlRecord::parse(record)?;
        let result = match control.control_type {
            ControlRecordType::Commit => TransactionResult::Commit,
            ControlRecordType::Abort => TransactionResult::Abort,
            _ => return Ok(None),
        };
        match control.value[..] {
            [version_high, version_low, a, b, c, d, ..]
                if i16::from_be_bytes([version_high, version_low]) >= 0 =>
            {
                let coordinator_epoch = i32::from_be_bytes([a, b, c, d]);
                Ok(Some(EndTransactionMarker { result, coordinator_epoch }))
            }
            _ => Err(ControlRecordError::BadMarker),
        }
    }

    /// The batch of one record that carries the marker, at base offset 0 and without a leader epoch.
    pub fn to_batch(self, id: ProducerId, epoch: ProducerEpoch, timestamp: Timestamp) -> RecordBatch {
        let control_type = match self.result {
            TransactionResult::Commit => ControlRecordType::Commit,
            TransactionResult::Abort => ControlRecordType::Abort,
        };
        let mut value = [0; 6];
        value[..2].copy_from_slice(&VERSION.to_be_bytes());
        value[2..].copy_from_slice(&self.coordinator_epoch.to_be_bytes());
        let mut builder = BatchBuilder::new(Compression::NONE).producer(id, epoch, -1);
        builder = builder.transactional(true).control(true);
        builder.append(timestamp, Some(&control_type.key()), Some(&value), &[]);
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_survives_its_batch() {
        let marker = EndTransactionMarker { result: TransactionResult::Abort, coordinator_epoch: 7 };
        let batch = marker.to_batch(ProducerId(5), ProducerEpoch(3), Timestamp(9));
        assert!(batch.header().attributes.is_control() && batch.header().attributes.is_transactional());
        let record = batch.records().unwrap().next().unwrap().unwrap();
        assert_eq!(EndTransactionMarker::parse(&record), Ok(Some(marker)));
        assert_eq!(record.value.as_deref(), Some(&[0, 0, 0, 0, 0, 7][..]));
    }

    #[test]
    fn short_keys_and_values_are_refused_and_unknown_types_are_told() {
        let batch = EndTransactionMarker { result: TransactionResult::Commit, coordinator_epoch: 0 }
            .to_batch(ProducerId(1), ProducerEpoch(0), Timestamp(0));
        let record = batch.records().unwrap().next().unwrap().unwrap();
        let short_key = Record { key: Some(Bytes::from_static(&[0, 0, 1])), ..record.clone() };
        assert_eq!(ControlRecord::parse(&short_key), Err(ControlRecordError::BadKey));
        let short_value = Record { value: Some(Bytes::from_static(&[0, 0, 0])), ..record.clone() };
        assert_eq!(EndTransactionMarker::parse(&short_value), Err(ControlRecordError::BadMarker));
        let later = Record { key: Some(Bytes::from_static(&[0, 1, 0, 9])), ..record };
        assert_eq!(ControlRecord::parse(&later).unwrap().control_type, ControlRecordType::Unknown(9));
    }
}
