//! Which version of each API two sides may use with each other. Pure: the table of one broker, as ApiVersions
//! told it.

use crate::protocol::api::api_versions::ApiVersionsResponse;
use crate::protocol::{Api, ApiKey, Message};
use crate::types::Str;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// The request cannot be sent, because the broker and this code share no version of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// The broker does not serve the API at all.
    #[error("the broker does not serve {0}; a newer broker may, or the feature is switched off there")]
    NotServed(ApiKey),
    /// The ranges do not meet.
    #[error(
        "the broker serves {api} in versions {served_min} to {served_max}, and {known_min} to {known_max} \
         are known here: one of both is too old for the other"
    )]
    NoneInCommon {
        /// The API.
        api: ApiKey,
        /// The lowest that the broker serves.
        served_min: i16,
        /// The highest that the broker serves.
        served_max: i16,
        /// The lowest that this side speaks.
        known_min: i16,
        /// The highest that this side speaks.
        known_max: i16,
    },
}

/// What one broker serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServedVersions {
    ranges: BTreeMap<i16, RangeInclusive<i16>>,
    finalized: BTreeMap<Str, i16>,
}

impl ServedVersions {
    /// The table in a response to ApiVersions. APIs that this code does not know are kept, and never used.
    pub fn new(response: &ApiVersionsResponse) -> ServedVersions {
        let ranges = response.api_keys.iter().map(|api| (api.api_key, api.min_version..=api.max_version));
        let known = response.finalized_features_epoch >= 0;
        let finalized = response.finalized_features.iter().filter(|_| known);
        ServedVersions {
            ranges: ranges.collect(),
            finalized: finalized.map(|feature| (feature.name.detach(), feature.max_version_level)).collect(),
        }
    }

    /// The highest version of `A` that both sides speak, and that is at most `at_most`.
    pub fn choose<A: Api>(&self, at_most: i16) -> Result<i16, VersionError> {
        let served = self.ranges.get(&A::CODE).ok_or(VersionError::NotServed(A::KEY))?;
        let known = A::Request::VERSIONS;
        // Version 6 of InitProducerId is not stable in 4.3, so it is not used although it is known.
        let known_max = (*known.end()).min(*A::KEY.advertised_versions().end()).min(at_most);
        let version = known_max.min(*served.end());
        if version < *known.start() || version < *served.start() {
            return Err(VersionError::NoneInCommon {
                api: A::KEY,
                served_min: *served.start(),
                served_max: *served.end(),
                known_min: *known.start(),
                known_max,
            });
        }
        Ok(version)
    }

    /// The range of an API that the broker serves, whether or not this code speaks any of it.
    pub fn served(&self, api: ApiKey) -> Option<RangeInclusive<i16>> {
        self.ranges.get(&api.code()).cloned()
    }

    /// The level of a feature that is finalized in the cluster, such as `transaction.version`; 0 where it is
    /// not, or where the broker does not know.
    pub fn finalized_feature(&self, name: &str) -> i16 {
        self.finalized.get(&Str::from(name)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::api::api_versions::{ApiVersion, FinalizedFeatureKey};
    use crate::protocol::api::fetch::Fetch;
    use crate::protocol::api::init_producer_id::InitProducerId;

    fn serving(min_version: i16, max_version: i16) -> ServedVersions {
        let api = |api_key| ApiVersion { api_key, min_version, max_version, ..ApiVersion::default() };
        let response = ApiVersionsResponse { api_keys: vec![api(1), api(22)], ..Default::default() };
        ServedVersions::new(&response)
    }

    #[test]
    fn the_highest_common_version_is_chosen() {
        assert_eq!(serving(0, 7).choose::<Fetch>(i16::MAX), Ok(7));
        assert_eq!(serving(4, 99).choose::<Fetch>(i16::MAX), Ok(18));
        assert_eq!(serving(4, 99).choose::<Fetch>(12), Ok(12));
        assert_eq!(serving(0, 99).choose::<InitProducerId>(i16::MAX), Ok(5));
    }

    #[test]
    fn ranges_that_do_not_meet_are_an_error() {
        for versions in [serving(0, 3), serving(19, 20)] {
            assert!(matches!(
                versions.choose::<Fetch>(i16::MAX),
                Err(VersionError::NoneInCommon { api: ApiKey::Fetch, .. })
            ));
        }
        let nothing = ServedVersions::default();
        assert_eq!(nothing.choose::<Fetch>(i16::MAX), Err(VersionError::NotServed(ApiKey::Fetch)));
    }

    #[test]
    fn features_count_only_when_their_epoch_is_known() {
        let feature = |name: &str, level| FinalizedFeatureKey {
            name: name.into(),
            max_version_level: level,
            min_version_level: level,
            ..Default::default()
        };
        let mut response = ApiVersionsResponse {
            finalized_features: vec![feature("kraft.version", 1)],
            ..Default::default()
        };
        assert_eq!(ServedVersions::new(&response).finalized_feature("kraft.version"), 0);
        response.finalized_features_epoch = 9;
        assert_eq!(ServedVersions::new(&response).finalized_feature("kraft.version"), 1);
        assert_eq!(ServedVersions::new(&response).finalized_feature("group.version"), 0);
    }
}
