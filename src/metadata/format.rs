//! `format`: makes empty directories into those of a node. Byte for byte Kafka 4.3's files, so that Kafka can
//! start on them: `meta.properties` and `bootstrap.checkpoint` in each, `0-0.checkpoint` in the metadata
//! directory of a dynamic quorum.

use super::METADATA_DIRECTORY;
use super::features::{METADATA_VERSION, MetadataVersion, check_level};
use super::properties::{MetaProperties, PropertiesError};
use super::records::RecordsError;
use super::snapshot::{BOOTSTRAP_CHECKPOINT, Snapshot, SnapshotError, SnapshotId, write_snapshot};
use crate::protocol::control_records::{Endpoint, KRaftVersionFeature, VotersRecord, VotersRecordVoter};
use crate::protocol::metadata_records::{FeatureLevelRecord, MetadataRecord};
use crate::runtime::Runtime;
use crate::types::{LeaderEpoch, NodeId, Str, Timestamp, Uuid};
use std::io;
use std::path::{Path, PathBuf};

/// Who votes in the quorum of a formatted node.
#[derive(Debug, Clone, PartialEq)]
pub enum FormatVoters {
    /// This node alone, at this controller listener (`--standalone`).
    Standalone { listener: Str, host: Str, port: u16 },
    /// These voters (`--initial-controllers`); this node's directory id is taken from its entry.
    Initial(Vec<VotersRecordVoter>),
    /// `controller.quorum.voters` names them, or the node joins later (`--no-initial-controllers`).
    Elsewhere,
}

/// What to format.
#[derive(Debug, Clone, PartialEq)]
pub struct FormatOptions {
    /// The cluster's id, usually 22 letters of base64url.
    pub cluster_id: Str,
    /// The node; 1 where nobody said.
    pub node_id: Option<NodeId>,
    /// `log.dirs`.
    pub log_dirs: Vec<PathBuf>,
    /// `metadata.log.dir`, by default the first of `log_dirs`.
    pub metadata_log_dir: PathBuf,
    /// The level of metadata.version to begin with.
    pub metadata_version: MetadataVersion,
    /// Levels of other features than the defaults of that version.
    pub features: Vec<(String, i16)>,
    /// The voters.
    pub voters: FormatVoters,
    /// Leave directories alone that are formatted already.
    pub ignore_formatted: bool,
}

/// Why nothing, or not everything, was formatted.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// A directory is in use.
    #[error("{} is formatted already; leave it out, or ask to ignore formatted directories", path.display())]
    AlreadyFormatted { path: PathBuf },
    /// A feature or level does not exist.
    #[error(transparent)]
    Feature(#[from] RecordsError),
    /// This node is not among the initial voters.
    #[error("node {node} is not among the initial controllers; name it there, or format without them")]
    NotAVoter { node: NodeId },
    /// A file cannot be written.
    #[error("{} cannot be written: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    /// A snapshot cannot be written.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// `meta.properties` cannot be read or written.
    #[error(transparent)]
    Properties(#[from] PropertiesError),
}

/// The node that is used where neither the configuration nor a directory names one.
const DEFAULT_NODE_ID: NodeId = NodeId(1);

/// Formats the directories and says which ones. `meta.properties` comes last in each: without it a directory
/// counts as empty, so a crash leaves nothing half done that would be taken for whole.
pub fn format(runtime: &Runtime, options: &FormatOptions) -> Result<Vec<PathBuf>, FormatError> {
    let disk = runtime.disk();
    let levels = feature_levels(options)?;
    let mut directories = options.log_dirs.clone();
    if !directories.contains(&options.metadata_log_dir) {
        directories.push(options.metadata_log_dir.clone());
    }
    let mut empty = Vec::new();
    for path in directories {
        match MetaProperties::read(&*disk, &path)? {
            None => empty.push(path),
            Some(_) if options.ignore_formatted => {}
            Some(_) => return Err(FormatError::AlreadyFormatted { path }),
        }
    }
    let node_id = options.node_id.unwrap_or(DEFAULT_NODE_ID);
    let now = runtime.wall_clock();
    for path in &empty {
        let is_metadata = *path == options.metadata_log_dir;
        let directory_id = own_directory_id(options, node_id, is_metadata)?;
        let directory_id = directory_id.unwrap_or_else(|| runtime.random_uuid());
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| FormatError::Io { path, error }
        };
        disk.create_dir_all(path).map_err(failed(path))?;
        let bootstrap = path.join(BOOTSTRAP_CHECKPOINT);
        disk.replace(&bootstrap, &bootstrap_snapshot(now, &levels)?).map_err(failed(&bootstrap))?;
        if is_metadata && let Some(voters) = initial_voters(options, node_id, directory_id) {
            let log = path.join(METADATA_DIRECTORY);
            disk.create_dir_all(&log).map_err(failed(&log))?;
            let file = log.join(SnapshotId::BOOTSTRAP.file_name());
            disk.replace(&file, &voters_snapshot(now, voters)?).map_err(failed(&file))?;
        }
        let cluster_id = options.cluster_id.clone();
        MetaProperties { cluster_id, node_id, directory_id: Some(directory_id) }.write(&*disk, path)?;
    }
    Ok(empty)
}

fn feature_levels(options: &FormatOptions) -> Result<Vec<(String, i16)>, FormatError> {
    check_level(METADATA_VERSION, options.metadata_version.0)?;
    let defaults = options.metadata_version.default_features();
    let mut levels: Vec<(String, i16)> =
        defaults.into_iter().map(|(name, level)| (name.to_owned(), level)).collect();
    for (name, level) in &options.features {
        check_level(name, *level)?;
        match levels.iter_mut().find(|(known, _)| known == name) {
            Some(entry) => entry.1 = *level,
            None => levels.push((name.clone(), *level)),
        }
    }
    levels.retain(|(_, level)| *level != 0);
    levels[1..].sort();
    Ok(levels)
}

/// The directory id that the initial voters already gave this node's metadata directory.
fn own_directory_id(
    options: &FormatOptions,
    node_id: NodeId,
    is_metadata: bool,
) -> Result<Option<Uuid>, FormatError> {
    match &options.voters {
        FormatVoters::Initial(voters) if is_metadata => {
            let own = voters.iter().find(|voter| voter.voter_id == node_id.0);
            own.map(|voter| Some(voter.voter_directory_id)).ok_or(FormatError::NotAVoter { node: node_id })
        }
        _ => Ok(None),
    }
}

fn initial_voters(options: &FormatOptions, node_id: NodeId, directory_id: Uuid) -> Option<VotersRecord> {
    let voters = match &options.voters {
        FormatVoters::Elsewhere => return None,
        FormatVoters::Initial(voters) => voters.clone(),
        FormatVoters::Standalone { listener, host, port } => {
            let endpoint =
                Endpoint { name: listener.clone(), host: host.clone(), port: *port, ..Default::default() };
            vec![VotersRecordVoter {
                voter_id: node_id.0,
                voter_directory_id: directory_id,
                endpoints: vec![endpoint],
                k_raft_version_feature: KRaftVersionFeature {
                    min_supported_version: 0,
                    max_supported_version: 1,
                    ..Default::default()
                },
                ..Default::default()
            }]
        }
    };
    Some(VotersRecord { voters, ..Default::default() })
}

/// The bytes of `bootstrap.checkpoint`.
fn bootstrap_snapshot(now: Timestamp, levels: &[(String, i16)]) -> Result<Vec<u8>, SnapshotError> {
    let frame = Snapshot { last_contained_log_timestamp: Timestamp(0), kraft_version: None, voters: None };
    let record = |(name, level): &(String, i16)| {
        let name = name.as_str().into();
        FeatureLevelRecord { name, feature_level: *level, ..Default::default() }.into()
    };
    snapshot_bytes(now, &frame, levels.iter().map(record))
}

/// The bytes of `0-0.checkpoint`.
fn voters_snapshot(now: Timestamp, voters: VotersRecord) -> Result<Vec<u8>, SnapshotError> {
    let frame = Snapshot { last_contained_log_timestamp: now, kraft_version: Some(1), voters: Some(voters) };
    snapshot_bytes(now, &frame, [])
}

fn snapshot_bytes(
    now: Timestamp,
    frame: &Snapshot,
    records: impl IntoIterator<Item = MetadataRecord>,
) -> Result<Vec<u8>, SnapshotError> {
    let mut bytes = Vec::new();
    let mut sink = |piece: bytes::Bytes| {
        bytes.extend_from_slice(&piece);
        Ok(())
    };
    write_snapshot(LeaderEpoch(0), now, frame, MetadataVersion::LATEST, records, &mut sink)?;
    Ok(bytes)
}

#[cfg(all(test, feature = "real"))]
mod tests {
    use super::*;
    use crate::metadata::read_snapshot;
    use crate::runtime::RealRuntime;

    fn options(name: &str, runtime: &Runtime) -> FormatOptions {
        let root = std::env::temp_dir().join(format!("vltava-format-{name}-{}", runtime.random_uuid()));
        let listener = "CONTROLLER".into();
        FormatOptions {
            cluster_id: "AyuiT2acRv69yDfZg_EpIA".into(),
            node_id: None,
            log_dirs: vec![root.join("a"), root.join("b")],
            metadata_log_dir: root.join("a"),
            metadata_version: MetadataVersion::LATEST,
            features: Vec::new(),
            voters: FormatVoters::Standalone { listener, host: "127.0.0.1".into(), port: 23472 },
            ignore_formatted: false,
        }
    }

    #[test]
    fn files_have_the_sizes_of_kafkas() {
        let runtime = Runtime::Real(RealRuntime::new(100));
        let disk = runtime.disk();
        let options = options("sizes", &runtime);
        let formatted = format(&runtime, &options).expect("empty directories are formatted");
        assert_eq!(formatted, options.log_dirs);
        for directory in &options.log_dirs {
            let bytes = disk.read(&directory.join(BOOTSTRAP_CHECKPOINT), 1 << 20).expect("written");
            assert_eq!(bytes.len(), 411);
        }
        let log = options.metadata_log_dir.join(METADATA_DIRECTORY);
        let bytes = disk.read(&log.join(SnapshotId::BOOTSTRAP.file_name()), 1 << 20).expect("written");
        assert_eq!(bytes.len(), 241);
        let snapshot = read_snapshot(&bytes.into(), &mut |_| Ok(())).expect("whole");
        let properties = MetaProperties::read(&*disk, &options.log_dirs[0]).expect("read").expect("there");
        let voter = &snapshot.voters.expect("a standalone quorum has one").voters[0];
        assert_eq!(Some(voter.voter_directory_id), properties.directory_id);
        assert_eq!(properties.node_id, NodeId(1));
        let again = format(&runtime, &options);
        assert!(matches!(again, Err(FormatError::AlreadyFormatted { .. })));
        let root = options.log_dirs[0].parent().expect("it has one").to_owned();
        disk.remove_dir_all(&root).expect("removed");
    }
}
