//! Batches of the metadata log and of its snapshots: metadata records or control records in, one RecordBatch
//! out, and back. No compression, no producer, create time (KIP-631, KIP-595).

use super::features::MetadataVersion;
use crate::protocol::control_records::QuorumRecord;
use crate::protocol::metadata_records::MetadataRecord;
use crate::protocol::records::{
    BatchBuilder, BatchError, Compression, ControlRecord, ControlRecordError, RecordBatch, RecordError,
};
use crate::protocol::{DecodeError, EncodeError};
use crate::types::{LeaderEpoch, Offset, Timestamp};

/// No batch of the metadata log is larger.
pub const BATCH_MAX_BYTES: usize = 8 * 1024 * 1024;

/// What cannot be read from, written to, or accepted in the metadata log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordsError {
    /// The bytes are no batch, or the CRC is wrong.
    #[error("the metadata batch at {offset} is damaged: {error}; restore the log from another controller")]
    Batch { offset: Offset, error: BatchError },
    /// The records inside a batch cannot be told apart.
    #[error("the metadata batch at {offset} is damaged: {error}; restore the log from another controller")]
    Record { offset: Offset, error: RecordError },
    /// A record's value is no metadata record of this release.
    #[error(
        "the metadata record at {offset} cannot be read: {error}; a newer release wrote it, or it is damaged"
    )]
    Value { offset: Offset, error: DecodeError },
    /// A control record is malformed.
    #[error("the control record at offset {offset} cannot be read: {error}")]
    Control { offset: Offset, error: ControlRecordError },
    /// A record has no value.
    #[error("the metadata record at offset {offset} has no value: the log is damaged")]
    NoValue { offset: Offset },
    /// A record names something that does not exist.
    #[error("a metadata record speaks of {what}, which does not exist: the log is damaged or was cut")]
    Missing { what: String },
    /// A feature is finalised at a level that this release does not have.
    #[error(
        "the cluster uses {name} at level {level}, but this release supports {min} to {max}: start a release \
         that supports it"
    )]
    FeatureLevel { name: String, level: i16, min: i16, max: i16 },
    /// A feature is finalised that this release has never heard of.
    #[error(
        "the cluster uses {name} at level {level}, which this release does not know: start a newer release"
    )]
    UnknownFeature { name: String, level: i16 },
    /// The records cannot be written.
    #[error("metadata records cannot be written: {0}")]
    Encode(#[from] EncodeError),
    /// The records of one change make a batch that is too large.
    #[error("the records of one change make a batch of {bytes} bytes, but {BATCH_MAX_BYTES} is the limit")]
    TooLarge { bytes: usize },
}

/// What one batch holds.
#[derive(Debug, Clone, PartialEq)]
pub enum BatchContent {
    /// Metadata records with their offsets.
    Data(Vec<(Offset, MetadataRecord)>),
    /// Records of the quorum or of a snapshot's frame, with their offsets.
    Control(Vec<(Offset, QuorumRecord)>),
}

/// One batch of metadata records from `base` on, in the versions that `metadata_version` asks for.
pub fn encode_data(
    base: Offset,
    epoch: LeaderEpoch,
    timestamp: Timestamp,
    metadata_version: MetadataVersion,
    records: &[MetadataRecord],
) -> Result<RecordBatch, RecordsError> {
    assert!(!records.is_empty(), "a batch holds at least one record");
    let mut builder = BatchBuilder::new(Compression::NONE).base_offset(base).leader_epoch(epoch);
    for record in records {
        let value = record.encode(metadata_version.record_version(record))?;
        builder.append(timestamp, None, Some(&value), &[]);
        if builder.size_in_bytes() > BATCH_MAX_BYTES {
            return Err(RecordsError::TooLarge { bytes: builder.size_in_bytes() });
        }
    }
    Ok(builder.build())
}

/// One control batch from `base` on.
pub fn encode_control(
    base: Offset,
    epoch: LeaderEpoch,
    timestamp: Timestamp,
    records: &[QuorumRecord],
) -> Result<RecordBatch, RecordsError> {
    assert!(!records.is_empty(), "a batch holds at least one record");
    let mut builder =
        BatchBuilder::new(Compression::NONE).base_offset(base).leader_epoch(epoch).control(true);
    for record in records {
        builder.append(timestamp, Some(&record.kind().key()), Some(&record.encode()?), &[]);
    }
    Ok(builder.build())
}

/// The records of one batch, after its CRC was checked. Transaction markers do not occur in this log and are
/// an error.
pub fn decode_batch(batch: &RecordBatch) -> Result<BatchContent, RecordsError> {
    let offset = batch.base_offset();
    batch.verify_crc().map_err(|error| RecordsError::Batch { offset, error })?;
    let records = batch.records().map_err(|error| RecordsError::Record { offset, error })?;
    if batch.header().attributes.is_control() {
        let mut content = Vec::new();
        for record in records {
            let record = record.map_err(|error| RecordsError::Record { offset, error })?;
            let offset = record.offset;
            let control =
                ControlRecord::parse(&record).map_err(|error| RecordsError::Control { offset, error })?;
            let record = QuorumRecord::decode(control.control_type, &control.value)
                .map_err(|error| RecordsError::Value { offset, error })?;
            content.push((offset, record));
        }
        return Ok(BatchContent::Control(content));
    }
    let mut content = Vec::new();
    for record in records {
        let record = record.map_err(|error| RecordsError::Record { offset, error })?;
        let offset = record.offset;
        let value = record.value.as_ref().ok_or(RecordsError::NoValue { offset })?;
        let (record, _) =
            MetadataRecord::decode(value).map_err(|error| RecordsError::Value { offset, error })?;
        content.push((offset, record));
    }
    Ok(BatchContent::Data(content))
}
