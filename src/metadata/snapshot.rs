//! Snapshots of the metadata log, and `bootstrap.checkpoint`, which has the same form: a control batch with a header (and,
//! with dynamic voters, the quorum's version and voters), the records, a control batch with a footer (KIP-630, KIP-853).
//!
//! Invariant: a snapshot is used only if its footer is there; a crash while one is written leaves a `.part` file that nobody
//! reads.

use super::batch::{LogEntry, MetadataBatchError, Payload, control_batch, decode_batch, encode_batch};
use super::features::METADATA_VERSION;
use super::image::{KeptKey, MetadataImage};
use crate::protocol::EncodeError;
use crate::protocol::control_records::{
    KRaftVersionRecord, QuorumRecord, SnapshotFooterRecord, SnapshotHeaderRecord, VotersRecord,
};
use crate::protocol::metadata_records::{
    BrokerEndpoint, BrokerFeature, ConfigRecord, ControllerEndpoint, ControllerFeature, FeatureLevelRecord,
    MetadataRecord, PartitionRecord, ProducerIdsRecord, RegisterBrokerRecord, RegisterControllerRecord,
    TopicRecord,
};
use crate::protocol::records::{BatchError, batches};
use crate::runtime::{Disk, OpenOptions};
use crate::types::{LeaderEpoch, NodeId, Offset, Timestamp};
use bytes::Bytes;
use std::io;
use std::path::{Path, PathBuf};

/// The features that a directory was formatted with, in each log directory.
pub const BOOTSTRAP_FILE: &str = "bootstrap.checkpoint";
/// The largest snapshot that is read, in bytes.
const MAX_SNAPSHOT_BYTES: u64 = 2 << 30;
/// Records that go into one batch of a snapshot.
const RECORDS_PER_BATCH: usize = 1_000;

/// Which part of the log a snapshot stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotId {
    /// The offset behind the last record.
    pub end_offset: Offset,
    /// The epoch of that record.
    pub epoch: LeaderEpoch,
}

impl SnapshotId {
    /// What `format` writes before there is a log.
    pub const BOOTSTRAP: SnapshotId = SnapshotId { end_offset: Offset::ZERO, epoch: LeaderEpoch(0) };

    /// `%020d-%010d.checkpoint`
    pub fn file_name(self) -> String {
        format!("{:020}-{:010}.checkpoint", self.end_offset.0, self.epoch.0)
    }

    /// The id in the name of a snapshot file.
    pub fn parse(file_name: &str) -> Option<SnapshotId> {
        let (offset, epoch) = file_name.strip_suffix(".checkpoint")?.split_once('-')?;
        if offset.len() != 20 || epoch.len() != 10 {
            return None;
        }
        let (end_offset, epoch) = (Offset(offset.parse().ok()?), LeaderEpoch(epoch.parse().ok()?));
        Some(SnapshotId { end_offset, epoch })
    }
}

/// What a snapshot file says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// The time of the last record that it stands for, in milliseconds.
    pub last_contained_log_timestamp: i64,
    /// The level of `kraft.version`, where the file has it.
    pub kraft_version: Option<i16>,
    /// The voters, where the file has them.
    pub voters: Option<VotersRecord>,
    /// The metadata records.
    pub records: Vec<MetadataRecord>,
}

/// A snapshot that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The disk.
    #[error("the snapshot {path} cannot be read or written: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the disk says.
        error: io::Error,
    },
    /// Its bytes.
    #[error("the snapshot {path} is damaged: {reason}; restore it from another controller or from a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Reads a snapshot to its footer.
pub fn read_snapshot(disk: &dyn Disk, path: &Path) -> Result<Snapshot, SnapshotError> {
    let damaged = |reason: String| SnapshotError::Damaged { path: path.to_owned(), reason };
    let bytes = disk
        .read(path, MAX_SNAPSHOT_BYTES)
        .map_err(|error| SnapshotError::Io { path: path.to_owned(), error })?;
    parse_snapshot(bytes.into()).map_err(damaged)
}

fn parse_snapshot(bytes: Bytes) -> Result<Snapshot, String> {
    let mut snapshot = Snapshot::default();
    let (mut header, mut footer) = (false, false);
    for batch in batches(&bytes) {
        let entries = batch
            .map_err(|error: BatchError| error.to_string())
            .and_then(|batch| decode_batch(&batch).map_err(|error: MetadataBatchError| error.to_string()))?;
        for LogEntry { payload, .. } in entries {
            match payload {
                _ if footer => return Err("it goes on behind its footer".to_owned()),
                Payload::Quorum(QuorumRecord::SnapshotHeader(record)) if !header => {
                    snapshot.last_contained_log_timestamp = record.last_contained_log_timestamp;
                    header = true;
                }
                _ if !header => return Err("it does not begin with a header".to_owned()),
                Payload::Quorum(QuorumRecord::KRaftVersion(record)) => {
                    snapshot.kraft_version = Some(record.k_raft_version);
                }
                Payload::Quorum(QuorumRecord::KRaftVoters(record)) => snapshot.voters = Some(record),
                Payload::Quorum(QuorumRecord::SnapshotFooter(_)) => footer = true,
                Payload::Quorum(other) => return Err(format!("it holds a {:?} record", other.kind())),
                Payload::Metadata(record) => snapshot.records.push(record),
            }
        }
    }
    if footer {
        Ok(snapshot)
    } else {
        Err("its footer is missing, so it was not written to its end".to_owned())
    }
}

/// Writes a snapshot so that a crash leaves it whole or not at all: `<path>.part`, synced, renamed, and the directory
/// synced. `epoch` and `now` go into its batches.
pub fn write_snapshot(
    disk: &dyn Disk,
    path: &Path,
    snapshot: &Snapshot,
    epoch: LeaderEpoch,
    now: Timestamp,
) -> Result<(), SnapshotError> {
    let bytes = encode_snapshot(snapshot, epoch, now)
        .map_err(|error| SnapshotError::Damaged { path: path.to_owned(), reason: error.to_string() })?;
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let write = || {
        let file = disk.open(&part, OpenOptions::CREATE_TRUNCATED)?;
        file.write_at(&bytes, 0)?;
        file.sync_data()?;
        disk.rename(&part, path)?;
        disk.sync_dir(path.parent().unwrap_or(Path::new(".")))
    };
    write().map_err(|error| SnapshotError::Io { path: path.to_owned(), error })
}

fn encode_snapshot(snapshot: &Snapshot, epoch: LeaderEpoch, now: Timestamp) -> Result<Vec<u8>, EncodeError> {
    let mut header = vec![QuorumRecord::SnapshotHeader(SnapshotHeaderRecord {
        last_contained_log_timestamp: snapshot.last_contained_log_timestamp,
        ..Default::default()
    })];
    if let Some(k_raft_version) = snapshot.kraft_version {
        header.push(QuorumRecord::KRaftVersion(KRaftVersionRecord { k_raft_version, ..Default::default() }));
    }
    header.extend(snapshot.voters.clone().map(QuorumRecord::KRaftVoters));
    let mut bytes = Vec::new();
    let mut next = Offset::ZERO;
    let mut append = |batch: crate::protocol::records::RecordBatch| {
        bytes.extend_from_slice(batch.bytes());
        batch.next_offset()
    };
    next = append(control_batch(&header, next, epoch, now)?);
    for records in snapshot.records.chunks(RECORDS_PER_BATCH) {
        next = append(encode_batch(records, next, epoch, now)?);
    }
    let footer = QuorumRecord::SnapshotFooter(SnapshotFooterRecord::default());
    append(control_batch(&[footer], next, epoch, now)?);
    Ok(bytes)
}

/// The records that build `image`, in the order in which Kafka writes them.
pub fn image_records(image: &MetadataImage) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    let mut features: Vec<_> = image.features.iter().collect();
    features.sort_by_key(|(name, _)| (name.as_str() != METADATA_VERSION, name.as_str()));
    records.extend(features.into_iter().map(|(name, level)| {
        FeatureLevelRecord { name: name.as_str().into(), feature_level: *level, ..Default::default() }.into()
    }));
    records.extend(cluster_records(image));
    records.extend(topic_records(image));
    for (resource, values) in image.configs.iter() {
        records.extend(values.iter().map(|(name, value)| {
            MetadataRecord::from(ConfigRecord {
                resource_type: resource.kind as i8,
                resource_name: resource.name.as_str().into(),
                name: name.as_str().into(),
                value: Some(value.as_str().into()),
                ..Default::default()
            })
        }));
    }
    let is_quota = |key: &&KeptKey| matches!(key, KeptKey::ClientQuota { .. });
    let quotas = image.kept.iter().filter(|(key, _)| is_quota(key));
    records.extend(quotas.map(|(_, record)| record.clone()));
    if image.next_producer_id > 0 {
        let next_producer_id = image.next_producer_id;
        let ids =
            ProducerIdsRecord { broker_id: -1, broker_epoch: -1, next_producer_id, ..Default::default() };
        records.push(ids.into());
    }
    let others = image.kept.iter().filter(|(key, _)| !is_quota(key));
    records.extend(others.map(|(_, record)| record.clone()));
    records
}

fn cluster_records(image: &MetadataImage) -> impl Iterator<Item = MetadataRecord> + '_ {
    let brokers = image.brokers.values().map(|broker| {
        let endpoint = |endpoint: &super::EndpointImage| BrokerEndpoint {
            name: endpoint.name.as_str().into(),
            host: endpoint.host.as_str().into(),
            port: endpoint.port,
            security_protocol: endpoint.security_protocol,
            ..Default::default()
        };
        let feature = |(name, (low, high)): (&String, &(i16, i16))| BrokerFeature {
            name: name.as_str().into(),
            min_supported_version: *low,
            max_supported_version: *high,
            ..Default::default()
        };
        MetadataRecord::from(RegisterBrokerRecord {
            broker_id: broker.id.0,
            incarnation_id: broker.incarnation_id,
            broker_epoch: broker.epoch.0,
            end_points: broker.endpoints.iter().map(endpoint).collect(),
            features: broker.features.iter().map(feature).collect(),
            rack: broker.rack.as_deref().map(Into::into),
            fenced: broker.fenced,
            in_controlled_shutdown: broker.in_controlled_shutdown,
            log_dirs: broker.log_dirs.clone(),
            cordoned_log_dirs: broker.cordoned_log_dirs.clone(),
            ..Default::default()
        })
    });
    let controllers = image.controllers.values().map(|controller| {
        let endpoint = |endpoint: &super::EndpointImage| ControllerEndpoint {
            name: endpoint.name.as_str().into(),
            host: endpoint.host.as_str().into(),
            port: endpoint.port,
            security_protocol: endpoint.security_protocol,
            ..Default::default()
        };
        let feature = |(name, (low, high)): (&String, &(i16, i16))| ControllerFeature {
            name: name.as_str().into(),
            min_supported_version: *low,
            max_supported_version: *high,
            ..Default::default()
        };
        MetadataRecord::from(RegisterControllerRecord {
            controller_id: controller.id.0,
            incarnation_id: controller.incarnation_id,
            end_points: controller.endpoints.iter().map(endpoint).collect(),
            features: controller.features.iter().map(feature).collect(),
            ..Default::default()
        })
    });
    brokers.chain(controllers)
}

fn topic_records(image: &MetadataImage) -> impl Iterator<Item = MetadataRecord> + '_ {
    let ids = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect::<Vec<_>>();
    let unless_empty = move |nodes: &[NodeId]| (!nodes.is_empty()).then(|| ids(nodes));
    image.topics().flat_map(move |topic| {
        let partitions = topic.partitions.iter().enumerate().map(move |(index, partition)| {
            MetadataRecord::from(PartitionRecord {
                partition_id: index as i32,
                topic_id: topic.id,
                replicas: ids(&partition.replicas),
                isr: ids(&partition.isr),
                removing_replicas: ids(&partition.removing_replicas),
                adding_replicas: ids(&partition.adding_replicas),
                leader: partition.leader.0,
                leader_recovery_state: i8::from(partition.leader_recovering),
                leader_epoch: partition.leader_epoch.0,
                partition_epoch: partition.partition_epoch,
                directories: partition.directories.clone(),
                eligible_leader_replicas: unless_empty(&partition.eligible_leader_replicas),
                last_known_elr: unless_empty(&partition.last_known_elr),
                ..Default::default()
            })
        });
        let record = TopicRecord { name: (&*topic.name).into(), topic_id: topic.id, ..Default::default() };
        std::iter::once(record.into()).chain(partitions)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::bootstrap_records;
    use crate::types::Uuid;

    fn image() -> MetadataImage {
        let mut image = MetadataImage::default();
        let topic_id = Uuid::from_random(1, 2);
        let topic = TopicRecord { name: "alpha".into(), topic_id, ..Default::default() };
        let partition = PartitionRecord {
            partition_id: 0,
            topic_id,
            replicas: vec![1],
            isr: vec![1],
            leader: 1,
            leader_epoch: 0,
            partition_epoch: 0,
            directories: vec![Uuid::from_random(3, 4)],
            ..Default::default()
        };
        let config = ConfigRecord {
            resource_type: 2,
            resource_name: "alpha".into(),
            name: "retention.ms".into(),
            value: Some("5".into()),
            ..Default::default()
        };
        let ids = ProducerIdsRecord { next_producer_id: 1_000, ..Default::default() };
        let broker = RegisterBrokerRecord { broker_id: 1, rack: Some("r".into()), ..Default::default() };
        for record in bootstrap_records() {
            image.replay(&record);
        }
        for record in [topic.into(), partition.into(), config.into(), ids.into(), broker.into()] {
            image.replay(&record);
        }
        image
    }

    #[test]
    fn the_records_of_an_image_build_the_same_image() {
        let image = image();
        let snapshot = Snapshot { records: image_records(&image), ..Default::default() };
        let bytes = encode_snapshot(&snapshot, LeaderEpoch(3), Timestamp(9)).unwrap();
        let read = parse_snapshot(bytes.into()).unwrap();
        assert_eq!(read, snapshot);
        let mut rebuilt = MetadataImage::default();
        read.records.iter().for_each(|record| rebuilt.replay(record));
        assert_eq!(rebuilt, image);
    }

    #[test]
    fn a_snapshot_without_its_footer_is_damaged() {
        let snapshot = Snapshot { records: bootstrap_records(), ..Default::default() };
        let mut bytes = encode_snapshot(&snapshot, LeaderEpoch(0), Timestamp(9)).unwrap();
        assert_eq!(bytes.len(), 411, "as long as the file that Kafka formats");
        bytes.truncate(bytes.len() - 1);
        assert!(parse_snapshot(bytes.into()).unwrap_err().contains("footer"));
        assert!(parse_snapshot(Bytes::new()).is_err());
    }

    #[test]
    fn ids_stand_in_file_names() {
        let id = SnapshotId { end_offset: Offset(1_234), epoch: LeaderEpoch(7) };
        assert_eq!(id.file_name(), "00000000000000001234-0000000007.checkpoint");
        assert_eq!(SnapshotId::parse(&id.file_name()), Some(id));
        assert_eq!(SnapshotId::parse(BOOTSTRAP_FILE), None);
    }
}
