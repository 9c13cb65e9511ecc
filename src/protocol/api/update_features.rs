//! The bytes of UpdateFeatures. KIP-584, 778, 1022.

use crate::types::Str;

api! {
    /// Raises or lowers the cluster's feature levels.
    UpdateFeatures = 57, versions 0..=2, flexible 0..;

    request UpdateFeaturesRequest {
        /// How long the controller may take.
        timeout_ms: i32 = 60_000,
        feature_updates: Vec<FeatureUpdateKey>,
        validate_only: bool [1..],
    }

    response UpdateFeaturesResponse {
        throttle_time_ms: i32,
        error_code: i16,
        error_message: Option<Str> = Some(empty),
        results: Vec<UpdatableFeatureResult> [..=1, ignorable],
    }

    struct FeatureUpdateKey {
        feature: Str,
        max_version_level: i16,
        allow_downgrade: bool [0..=0],
        upgrade_type: i8 = 1  [1..],
    }

    struct UpdatableFeatureResult {
        feature: Str,
        error_code: i16,
        error_message: Option<Str> = Some(empty),
    }
}
