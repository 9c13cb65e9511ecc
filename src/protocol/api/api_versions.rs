//! The bytes of ApiVersions. KIP-35, 511, 584.

use crate::types::Str;

api! {
    /// Tells which APIs and versions are served, and the cluster's features. An unknown version is answered
    /// in version 0 with error 35, and the response header is always version 0, so that any client can read
    /// it.
    ApiVersions = 18, versions 0..=4, flexible 3..;

    request ApiVersionsRequest {
        client_software_name: Str    [3.., ignorable],
        client_software_version: Str [3.., ignorable],
    }

    response ApiVersionsResponse {
        error_code: i16,
        api_keys: Vec<ApiVersion>,
        throttle_time_ms: i32                        [1.., ignorable],
        supported_features: Vec<SupportedFeatureKey> [3.., tag 0, ignorable],
        /// -1 where unknown.
        finalized_features_epoch: i64 = -1           [3.., tag 1, ignorable],
        finalized_features: Vec<FinalizedFeatureKey> [3.., tag 2, ignorable],
        /// Of no more use since 4.0.
        zk_migration_ready: bool                     [3.., tag 3, ignorable],
    }

    struct ApiVersion { api_key: i16, min_version: i16, max_version: i16 }

    struct SupportedFeatureKey { name: Str, min_version: i16, max_version: i16 }

    struct FinalizedFeatureKey { name: Str, max_version_level: i16, min_version_level: i16 }
}
