//! Formatting: what Kafka's `format --standalone` writes, so that either program can start on the directories.

use super::features::{KRAFT_VERSION, bootstrap_records, supported};
use super::meta_properties::{MetaProperties, MetaPropertiesError};
use super::snapshot::{BOOTSTRAP_FILE, Snapshot, SnapshotError, SnapshotId, write_snapshot};
use crate::protocol::control_records::{Endpoint, KRaftVersionFeature, VotersRecord, VotersRecordVoter};
use crate::runtime::Runtime;
use crate::types::{LeaderEpoch, NodeId, Uuid};
use std::io;
use std::path::{Path, PathBuf};

/// The directory of the metadata log's partition, below the metadata log directory.
pub const METADATA_PARTITION_DIR: &str = "__cluster_metadata-0";

/// What a new node is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatOptions {
    /// The cluster; a new one gets a random id.
    pub cluster_id: String,
    /// The node.
    pub node_id: NodeId,
    /// Every log directory; those that are formatted already are left as they are.
    pub log_dirs: Vec<PathBuf>,
    /// The one that holds the metadata log.
    pub metadata_log_dir: PathBuf,
    /// Name, host and port of the listener that the quorum reaches this voter at.
    pub controller_endpoint: (String, String, u16),
}

/// A directory could not be formatted.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The disk.
    #[error("{path} cannot be formatted: {error}")]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the disk says.
        error: io::Error,
    },
    /// A snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// `meta.properties`.
    #[error(transparent)]
    MetaProperties(#[from] MetaPropertiesError),
}

/// Formats the directories as those of the single voter of a new cluster. `meta.properties` comes last: a crash before it
/// leaves a directory that is formatted again. All of it is on the device when this returns.
pub fn format(runtime: &Runtime, options: &FormatOptions) -> Result<(), FormatError> {
    let disk = runtime.disk();
    for directory in &options.log_dirs {
        if MetaProperties::read(&*disk, directory)?.is_some() {
            continue;
        }
        disk.create_dir_all(directory).map_err(|error| FormatError::Io { path: directory.clone(), error })?;
        let directory_id = runtime.random_uuid();
        let bootstrap = Snapshot { records: bootstrap_records(), ..Default::default() };
        let now = runtime.wall_clock();
        write_snapshot(&*disk, &directory.join(BOOTSTRAP_FILE), &bootstrap, LeaderEpoch(0), now)?;
        if *directory == options.metadata_log_dir {
            write_voters(runtime, options, directory, directory_id)?;
        }
        let properties = MetaProperties {
            cluster_id: options.cluster_id.clone(),
            node_id: options.node_id,
            directory_id: Some(directory_id),
        };
        properties.write(&*disk, directory)?;
    }
    Ok(())
}

fn write_voters(
    runtime: &Runtime,
    options: &FormatOptions,
    directory: &Path,
    directory_id: Uuid,
) -> Result<(), FormatError> {
    let disk = runtime.disk();
    let partition = directory.join(METADATA_PARTITION_DIR);
    disk.create_dir_all(&partition).map_err(|error| FormatError::Io { path: partition.clone(), error })?;
    let now = runtime.wall_clock();
    let (name, host, port) = &options.controller_endpoint;
    let endpoint = Endpoint {
        name: name.as_str().into(),
        host: host.as_str().into(),
        port: *port,
        ..Default::default()
    };
    let range = supported(KRAFT_VERSION).expect("in the table");
    let feature = KRaftVersionFeature {
        min_supported_version: range.min_level,
        max_supported_version: range.max_level,
        ..Default::default()
    };
    let voter = VotersRecordVoter {
        voter_id: options.node_id.0,
        voter_directory_id: directory_id,
        endpoints: vec![endpoint],
        k_raft_version_feature: feature,
        ..Default::default()
    };
    let snapshot = Snapshot {
        last_contained_log_timestamp: now.0,
        kraft_version: Some(range.max_level),
        voters: Some(VotersRecord { voters: vec![voter], ..Default::default() }),
        records: Vec::new(),
    };
    let path = partition.join(SnapshotId::BOOTSTRAP.file_name());
    Ok(write_snapshot(&*disk, &path, &snapshot, SnapshotId::BOOTSTRAP.epoch, now)?)
}
