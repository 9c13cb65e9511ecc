//! ApiVersions 0 to 4: which APIs, versions and features this broker has (KIP-35, KIP-511, KIP-584).
//!
//! Errors: UNSUPPORTED_VERSION, answered in version 0 with the range of ApiVersions alone, so that a newer
//! client can step down; INVALID_REQUEST for a malformed software name or version. Omitted: throttling.
//! Features whose lowest level is 0 are told from version 4 on only, because older clients choke on them.

use crate::broker::RequestContext;
use crate::broker::dispatch::SERVED;
use crate::protocol::api::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use crate::protocol::{ApiKey, RequestHeader};
use crate::types::ErrorCode;

/// The first version that carries names, versions and features.
const FIRST_WITH_FEATURES: i16 = 3;
/// The first version that may tell features from level 0 on.
const FIRST_WITH_LEVEL_ZERO: i16 = 4;

/// The version that a response is written in: that of the request, but 0 where the broker does not know it.
pub fn response_version(header: &RequestHeader) -> i16 {
    let known = header.api_key.versions().contains(&header.api_version);
    if header.api_key == ApiKey::ApiVersions && !known { 0 } else { header.api_version }
}

/// Tells what the broker speaks.
pub fn handle(context: &RequestContext, request: &ApiVersionsRequest) -> ApiVersionsResponse {
    let version = context.header.api_version;
    if !ApiKey::ApiVersions.versions().contains(&version) {
        let error_code = ErrorCode::UnsupportedVersion.code();
        return ApiVersionsResponse {
            error_code,
            api_keys: vec![range(ApiKey::ApiVersions)],
            ..Default::default()
        };
    }
    let named =
        is_software_name(&request.client_software_name) && is_software_name(&request.client_software_version);
    if version >= FIRST_WITH_FEATURES && !named {
        let error_code = ErrorCode::InvalidRequest.code();
        return ApiVersionsResponse { error_code, ..Default::default() };
    }
    let features = context.broker.features();
    let supported =
        features.supported.iter().filter(|feature| version >= FIRST_WITH_LEVEL_ZERO || feature.min > 0);
    ApiVersionsResponse {
        api_keys: SERVED.iter().copied().map(range).collect(),
        supported_features: supported
            .map(|feature| SupportedFeatureKey {
                name: feature.name.into(),
                min_version: feature.min,
                max_version: feature.max,
                ..Default::default()
            })
            .collect(),
        finalized_features_epoch: features.epoch,
        finalized_features: features
            .finalized
            .iter()
            .map(|(name, level)| FinalizedFeatureKey {
                name: name.clone(),
                max_version_level: *level,
                min_version_level: *level,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}

fn range(key: ApiKey) -> ApiVersion {
    let versions = key.advertised_versions();
    ApiVersion {
        api_key: key.code(),
        min_version: *versions.start(),
        max_version: *versions.end(),
        ..Default::default()
    }
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`
fn is_software_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_follow_kips_pattern() {
        for name in ["librdkafka", "2.8.0", "a", "apache-kafka-java"] {
            assert!(is_software_name(name), "{name}");
        }
        for name in ["", "-a", "a-", "a b", "é"] {
            assert!(!is_software_name(name), "{name}");
        }
    }
}
