//! The metadata of a cluster: records and their batches, immutable images and what changed between two of
//! them, snapshots, feature levels, and the files that `format` writes.
//!
//! Invariant: an image is a function of the records before its offset; writing it and reading it back gives
//! the same image. It must not know requests, elections or who is leader of the quorum.

mod changes;
mod cluster;
mod configs;
mod features;
mod format;
mod image;
mod properties;
mod records;
mod security;
mod snapshot;
mod topics;

pub use changes::{MetadataChanges, MetadataUpdate, TopicChange};
pub use cluster::{BrokerImage, ClusterImage, ControllerImage, FeatureRange, ListenerEndpoint};
pub use configs::{ConfigMap, ConfigResource, ConfigResourceType, ConfigsImage};
pub use features::{
    ELR_VERSION, FeaturesImage, GROUP_VERSION, KRAFT_VERSION, METADATA_VERSION, MetadataVersion,
    SHARE_VERSION, STREAMS_VERSION, SUPPORTED_FEATURES, SupportedFeature, TRANSACTION_VERSION, check_level,
    supported,
};
pub use format::{FormatError, FormatOptions, FormatVoters, format};
pub use image::{MetadataDelta, MetadataImage};
pub use properties::{LogDirectories, META_PROPERTIES, MetaProperties, PropertiesError};
pub use records::{BATCH_MAX_BYTES, BatchContent, RecordsError, decode_batch, encode_control, encode_data};
pub use security::{ClientQuotasImage, QuotaEntity, SecurityImage};
pub use snapshot::{
    BOOTSTRAP_CHECKPOINT, SNAPSHOT_MAX_BYTES, Snapshot, SnapshotError, SnapshotId, read_snapshot,
    read_snapshot_header, write_snapshot,
};
pub use topics::{
    LEADER_UNCHANGED, LeaderRecoveryState, PartitionImage, TopicImage, TopicsImage, ids, nodes,
};

/// The directory of the metadata log inside `metadata.log.dir`.
pub const METADATA_DIRECTORY: &str = "__cluster_metadata-0";
/// The metadata topic's name.
pub const METADATA_TOPIC: &str = "__cluster_metadata";
