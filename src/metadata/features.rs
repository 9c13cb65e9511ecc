//! Features and their levels (KIP-584, 1022): what this code can do, and what a new cluster starts with.

use crate::protocol::metadata_records::{FeatureLevelRecord, MetadataRecord};

/// The level of the metadata log's records.
pub const METADATA_VERSION: &str = "metadata.version";
/// The level of the quorum; kept in control records, not in the log's own.
pub const KRAFT_VERSION: &str = "kraft.version";

/// The levels of one feature that this code supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureRange {
    /// Kafka's name.
    pub name: &'static str,
    /// The lowest level.
    pub min_level: i16,
    /// The highest; a new cluster starts with it.
    pub max_level: i16,
}

/// Every feature of Kafka 4.3, in the order in which ApiVersions tells them.
pub const SUPPORTED_FEATURES: [FeatureRange; 7] = [
    FeatureRange { name: "group.version", min_level: 0, max_level: 1 },
    FeatureRange { name: KRAFT_VERSION, min_level: 0, max_level: 1 },
    FeatureRange { name: METADATA_VERSION, min_level: 7, max_level: 30 },
    FeatureRange { name: "share.version", min_level: 0, max_level: 1 },
    FeatureRange { name: "streams.version", min_level: 0, max_level: 1 },
    FeatureRange { name: "transaction.version", min_level: 0, max_level: 2 },
    FeatureRange { name: "eligible.leader.replicas.version", min_level: 0, max_level: 1 },
];

/// The features of a new cluster as records, in the order in which Kafka's `format` writes them.
pub fn bootstrap_records() -> Vec<MetadataRecord> {
    let mut features: Vec<FeatureRange> =
        SUPPORTED_FEATURES.into_iter().filter(|feature| feature.name != KRAFT_VERSION).collect();
    features.sort_by_key(|feature| (feature.name != METADATA_VERSION, feature.name));
    let level = |feature: FeatureRange| {
        MetadataRecord::from(FeatureLevelRecord {
            name: feature.name.into(),
            feature_level: feature.max_level,
            ..Default::default()
        })
    };
    features.into_iter().map(level).collect()
}

/// The feature of that name, if this code has it.
pub(super) fn supported(name: &str) -> Option<FeatureRange> {
    SUPPORTED_FEATURES.into_iter().find(|feature| feature.name == name)
}
