//! The cluster's metadata: its records in batches, the image that they build, snapshots, and the small files beside the
//! log that say who a directory belongs to.
//!
//! Invariant: an image is what the records up to its offset say, nothing else; it never changes once it is shared.
//! It must not know requests, the quorum, or which records are committed.

mod batch;
mod features;
mod format;
mod image;
mod meta_properties;
mod replay;
mod snapshot;

pub use batch::{LogEntry, MetadataBatchError, Payload, control_batch, decode_batch, encode_batch};
pub use features::{FeatureRange, KRAFT_VERSION, METADATA_VERSION, SUPPORTED_FEATURES, bootstrap_records};
pub use format::{FormatError, FormatOptions, METADATA_PARTITION_DIR, format};
pub use image::{
    BrokerImage, ConfigResource, ControllerImage, EndpointImage, KeptKey, MetadataImage, PartitionImage,
    ResourceType, TopicImage,
};
pub use meta_properties::{MetaProperties, MetaPropertiesError};
pub use snapshot::{
    BOOTSTRAP_FILE, Snapshot, SnapshotError, SnapshotId, image_records, read_snapshot, write_snapshot,
};
