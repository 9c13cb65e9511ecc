//! Batches of the metadata log: metadata records, or the quorum's control records.

use crate::protocol::control_records::QuorumRecord;
use crate::protocol::metadata_records::MetadataRecord;
use crate::protocol::records::{
    BatchBuilder, BatchError, Compression, ControlRecord, ControlRecordError, ControlRecordType, RecordBatch,
    RecordError,
};
use crate::protocol::{DecodeError, EncodeError};
use crate::types::{LeaderEpoch, Offset, Timestamp};

/// One record of the metadata log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEntry {
    /// Its offset.
    pub offset: Offset,
    /// What it says.
    pub payload: Payload,
}

/// What a record of the metadata log says.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// Something about the cluster.
    Metadata(MetadataRecord),
    /// Something about the quorum or the snapshot itself.
    Quorum(QuorumRecord),
}

/// A batch of the metadata log that cannot be read. Going on without it would be another cluster, so it is fatal.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MetadataBatchError {
    /// The batch.
    #[error("a batch of the metadata log is damaged: {0}")]
    Batch(#[from] BatchError),
    /// Its records.
    #[error("the records of the batch at offset {0} cannot be read: {1}")]
    Records(Offset, RecordError),
    /// A control record's key.
    #[error("the record at offset {0} is no control record: {1}")]
    Control(Offset, ControlRecordError),
    /// A record's value.
    #[error("the record at offset {0} cannot be read: {1}; perhaps a newer version wrote it")]
    Value(Offset, DecodeError),
}

/// The records of one batch, in order. The checksum is verified.
pub fn decode_batch(batch: &RecordBatch) -> Result<Vec<LogEntry>, MetadataBatchError> {
    batch.verify_crc()?;
    let at = batch.base_offset();
    let mut entries = Vec::new();
    for record in batch.records().map_err(|error| MetadataBatchError::Records(at, error))? {
        let record = record.map_err(|error| MetadataBatchError::Records(at, error))?;
        let offset = record.offset;
        let payload = if batch.header().attributes.is_control() {
            let control =
                ControlRecord::parse(&record).map_err(|error| MetadataBatchError::Control(offset, error))?;
            QuorumRecord::decode(control.control_type, &control.value).map(Payload::Quorum)
        } else {
            let value = record.value.unwrap_or_default();
            MetadataRecord::decode(&value).map(|(record, _)| Payload::Metadata(record))
        };
        let payload = payload.map_err(|error| MetadataBatchError::Value(offset, error))?;
        entries.push(LogEntry { offset, payload });
    }
    Ok(entries)
}

/// Metadata records as one batch. There must be at least one.
pub fn encode_batch(
    records: &[MetadataRecord],
    base_offset: Offset,
    epoch: LeaderEpoch,
    now: Timestamp,
) -> Result<RecordBatch, EncodeError> {
    let mut builder = BatchBuilder::new(Compression::NONE).base_offset(base_offset).leader_epoch(epoch);
    for record in records {
        let value = encode_in_its_version(record)?;
        builder.append(now, None, Some(&value), &[]);
    }
    Ok(builder.build())
}

/// Control records as one batch. There must be at least one.
pub fn control_batch(
    records: &[QuorumRecord],
    base_offset: Offset,
    epoch: LeaderEpoch,
    now: Timestamp,
) -> Result<RecordBatch, EncodeError> {
    let mut builder =
        BatchBuilder::new(Compression::NONE).control(true).base_offset(base_offset).leader_epoch(epoch);
    for record in records {
        let kind: ControlRecordType = record.kind();
        builder.append(now, Some(&kind.key()), Some(&record.encode()?), &[]);
    }
    Ok(builder.build())
}

/// Kafka 4.3 writes registrations and partitions in their newest version, and everything else in the lowest version that
/// holds its fields.
fn encode_in_its_version(record: &MetadataRecord) -> Result<bytes::Bytes, EncodeError> {
    let versions = record.versions();
    match record {
        MetadataRecord::RegisterBroker(_)
        | MetadataRecord::Partition(_)
        | MetadataRecord::PartitionChange(_) => record.encode(*versions.end()),
        _ => {
            let lower = (*versions.start()..*versions.end()).find_map(|version| record.encode(version).ok());
            lower.map_or_else(|| record.encode(*versions.end()), Ok)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::metadata_records::{BrokerRegistrationChangeRecord, NoOpRecord};

    #[test]
    fn records_take_the_lowest_version_that_holds_their_fields() {
        let fence = BrokerRegistrationChangeRecord { fenced: 1, ..Default::default() };
        let shut_down = BrokerRegistrationChangeRecord { in_controlled_shutdown: 1, ..Default::default() };
        let cordon = BrokerRegistrationChangeRecord { cordoned_log_dirs: Some(vec![]), ..Default::default() };
        for (record, version) in [(fence, 0), (shut_down, 1), (cordon, 3)] {
            let value = encode_in_its_version(&record.into()).unwrap();
            assert_eq!(MetadataRecord::decode(&value).unwrap().1, version);
        }
    }

    #[test]
    fn a_batch_gives_back_its_records_and_damage_is_seen() {
        let records = [MetadataRecord::from(NoOpRecord::default()); 1];
        let batch = encode_batch(&records, Offset(7), LeaderEpoch(3), Timestamp(11)).unwrap();
        let entries = decode_batch(&batch).unwrap();
        assert_eq!(entries[0].offset, Offset(7));
        assert_eq!(entries[0].payload, Payload::Metadata(records[0].clone()));
        let mut bytes = batch.bytes().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        let damaged = RecordBatch::parse(&bytes.into()).unwrap();
        assert!(matches!(decode_batch(&damaged), Err(MetadataBatchError::Batch(_))));
    }
}
