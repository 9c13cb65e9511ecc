//! Feature levels: what this release supports, what `format` finalises, and which version each record is
//! written in.
//!
//! Source: KIP-584, KIP-1022 and the table of metadata versions of Kafka 4.3.

use super::records::RecordsError;
use crate::protocol::metadata_records::{FeatureLevelRecord, MetadataRecord};
use crate::types::Str;
use std::collections::BTreeMap;
use std::fmt;

/// The feature whose level says which records a cluster may write.
pub const METADATA_VERSION: &str = "metadata.version";
/// The feature of dynamic quorums; its level lives in control records, not in FeatureLevelRecords.
pub const KRAFT_VERSION: &str = "kraft.version";
/// The feature of eligible leader replicas (KIP-966).
pub const ELR_VERSION: &str = "eligible.leader.replicas.version";
/// The feature of the consumer group protocol (KIP-848).
pub const GROUP_VERSION: &str = "group.version";
/// The feature of transactions of version 2 (KIP-890).
pub const TRANSACTION_VERSION: &str = "transaction.version";
/// The feature of share groups (KIP-932).
pub const SHARE_VERSION: &str = "share.version";
/// The feature of streams groups (KIP-1071).
pub const STREAMS_VERSION: &str = "streams.version";

/// A feature and the levels that a node can work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SupportedFeature {
    /// Its name.
    pub name: &'static str,
    /// The lowest level.
    pub min: i16,
    /// The highest level.
    pub max: i16,
    /// From which metadata version on `format` finalises it, and at which level.
    default_from: Option<(i16, i16)>,
}

const fn feature(
    name: &'static str,
    min: i16,
    max: i16,
    default_from: Option<(i16, i16)>,
) -> SupportedFeature {
    SupportedFeature { name, min, max, default_from }
}

/// Every feature of Kafka 4.3, by name.
pub const SUPPORTED_FEATURES: [SupportedFeature; 7] = [
    feature(ELR_VERSION, 0, 1, Some((26, 1))),
    feature(GROUP_VERSION, 0, 1, Some((22, 1))),
    feature(KRAFT_VERSION, 0, 1, None),
    feature(METADATA_VERSION, MetadataVersion::MIN.0, MetadataVersion::LATEST.0, None),
    feature(SHARE_VERSION, 0, 1, Some((28, 1))),
    feature(STREAMS_VERSION, 0, 1, Some((29, 1))),
    feature(TRANSACTION_VERSION, 0, 2, Some((24, 2))),
];

/// The supported levels of `name`.
pub fn supported(name: &str) -> Option<&'static SupportedFeature> {
    SUPPORTED_FEATURES.iter().find(|feature| feature.name == name)
}

/// A level of the feature metadata.version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetadataVersion(pub i16);

impl MetadataVersion {
    /// 3.3-IV3, the oldest that Kafka 4 opens.
    pub const MIN: MetadataVersion = MetadataVersion(7);
    /// 4.3-IV0, what `format` writes.
    pub const LATEST: MetadataVersion = MetadataVersion(30);

    /// Whether records may be framed as a transaction (KIP-868).
    pub fn has_transactions(self) -> bool {
        self.0 >= 13
    }

    /// Whether controllers register themselves (KIP-919).
    pub fn has_controller_registration(self) -> bool {
        self.0 >= 15
    }

    /// Whether partitions know their directories (KIP-858).
    pub fn has_directories(self) -> bool {
        self.0 >= 17
    }

    /// Whether a shrinking ISR raises the leader epoch, as it did before 3.6-IV0.
    pub fn bumps_epoch_on_shrink(self) -> bool {
        self.0 < 12
    }

    /// Whether records can hold eligible leader replicas (KIP-966).
    pub fn has_elr_records(self) -> bool {
        self.0 >= 23
    }

    /// Whether brokers tell which directories are cordoned (KIP-1066).
    pub fn has_cordoned_directories(self) -> bool {
        self.0 >= 30
    }

    /// The release's name, as `--release-version` takes it: the final metadata version of that release.
    pub fn of_release(release: &str) -> Option<MetadataVersion> {
        let level = match release.split_once('-').map_or(release, |(number, _)| number) {
            "3.3" => 7,
            "3.4" => 8,
            "3.5" => 11,
            "3.6" => 14,
            "3.7" => 19,
            "3.8" => 20,
            "3.9" => 21,
            "4.0" => 25,
            "4.1" => 27,
            "4.2" => 29,
            "4.3" => 30,
            _ => return None,
        };
        Some(MetadataVersion(level))
    }

    /// The features that `format` finalises with this version: it first, then the others by name.
    pub fn default_features(self) -> Vec<(&'static str, i16)> {
        let others = SUPPORTED_FEATURES.iter().filter_map(|feature| match feature.default_from {
            Some((from, level)) if self.0 >= from => Some((feature.name, level)),
            _ => None,
        });
        std::iter::once((METADATA_VERSION, self.0)).chain(others).collect()
    }

    /// The version in which `record` is written under this metadata version: for a change of a broker's
    /// registration the lowest that holds its fields.
    pub fn record_version(self, record: &MetadataRecord) -> i16 {
        match record {
            MetadataRecord::RegisterBroker(_) => match self.0 {
                30.. => 4,
                17.. => 3,
                8.. => 2,
                _ => 1,
            },
            MetadataRecord::Partition(_) | MetadataRecord::PartitionChange(_) => match self.0 {
                23.. => 2,
                17.. => 1,
                _ => 0,
            },
            MetadataRecord::BrokerRegistrationChange(change) => {
                if change.cordoned_log_dirs.is_some() {
                    3
                } else if !change.log_dirs.is_empty() {
                    2
                } else {
                    i16::from(change.in_controlled_shutdown != 0)
                }
            }
            _ => 0,
        }
    }
}

impl fmt::Display for MetadataVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The finalised features of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FeaturesImage {
    levels: BTreeMap<Str, i16>,
}

impl FeaturesImage {
    /// The finalised level of `name`; 0 where it is not finalised.
    pub fn level(&self, name: &str) -> i16 {
        self.levels.iter().find(|(known, _)| **known == *name).map_or(0, |(_, level)| *level)
    }

    /// The metadata version; the oldest where none was written, as Kafka assumes.
    pub fn metadata_version(&self) -> MetadataVersion {
        match self.level(METADATA_VERSION) {
            0 => MetadataVersion::MIN,
            level => MetadataVersion(level),
        }
    }

    /// Whether eligible leader replicas are on.
    pub fn has_elr(&self) -> bool {
        self.level(ELR_VERSION) >= 1
    }

    /// Finalised features by name, without kraft.version.
    pub fn iter(&self) -> impl Iterator<Item = (&Str, i16)> {
        self.levels.iter().map(|(name, level)| (name, *level))
    }

    /// Whether nothing was ever finalised.
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    pub(super) fn replay(&mut self, record: &FeatureLevelRecord) {
        match record.feature_level {
            0 => self.levels.remove(&record.name),
            level => self.levels.insert(record.name.detach(), level),
        };
    }

    pub(super) fn write(&self, out: &mut dyn FnMut(MetadataRecord)) {
        let record = |name: Str, feature_level| {
            FeatureLevelRecord { name, feature_level, ..Default::default() }.into()
        };
        if self.is_empty() {
            return;
        }
        out(record(METADATA_VERSION.into(), self.metadata_version().0));
        for (name, level) in self.iter().filter(|(name, _)| **name != *METADATA_VERSION) {
            out(record(name.clone(), level));
        }
    }
}

/// Refuses a level that this release does not know.
pub fn check_level(name: &str, level: i16) -> Result<(), RecordsError> {
    match supported(name) {
        Some(feature) if (feature.min..=feature.max).contains(&level) => Ok(()),
        Some(feature) => {
            let (min, max) = (feature.min, feature.max);
            Err(RecordsError::FeatureLevel { name: name.to_owned(), level, min, max })
        }
        None if level == 0 => Ok(()),
        None => Err(RecordsError::UnknownFeature { name: name.to_owned(), level }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::metadata_records::BrokerRegistrationChangeRecord;

    #[test]
    fn format_finalises_what_kafka_does() {
        let features = MetadataVersion::LATEST.default_features();
        let expected = [
            (METADATA_VERSION, 30),
            (ELR_VERSION, 1),
            (GROUP_VERSION, 1),
            (SHARE_VERSION, 1),
            (STREAMS_VERSION, 1),
            (TRANSACTION_VERSION, 2),
        ];
        assert_eq!(features, expected);
        assert_eq!(MetadataVersion::MIN.default_features(), [(METADATA_VERSION, 7)]);
        assert_eq!(MetadataVersion::of_release("4.3"), Some(MetadataVersion::LATEST));
    }

    #[test]
    fn registration_changes_take_the_lowest_version_that_holds_them() {
        let version = |change: BrokerRegistrationChangeRecord| {
            MetadataVersion::LATEST.record_version(&MetadataRecord::from(change))
        };
        let plain = BrokerRegistrationChangeRecord { fenced: -1, ..Default::default() };
        assert_eq!(version(plain.clone()), 0);
        assert_eq!(version(BrokerRegistrationChangeRecord { in_controlled_shutdown: 1, ..plain.clone() }), 1);
        assert_eq!(version(BrokerRegistrationChangeRecord { cordoned_log_dirs: Some(vec![]), ..plain }), 3);
    }

    #[test]
    fn unknown_features_are_refused_unless_off() {
        assert!(check_level(METADATA_VERSION, 30).is_ok());
        assert!(check_level(METADATA_VERSION, 31).is_err());
        assert!(check_level("nobody.knows.version", 0).is_ok());
        assert!(check_level("nobody.knows.version", 1).is_err());
    }
}
