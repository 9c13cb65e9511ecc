//! The bytes of AlterConfigs. KIP-133.

use crate::types::Str;

api! {
    /// Replaces all configurations of resources; the older form of IncrementalAlterConfigs.
    AlterConfigs = 33, versions 0..=2, flexible 2..;

    request AlterConfigsRequest { resources: Vec<AlterConfigsResource>, validate_only: bool }

    response AlterConfigsResponse {
        throttle_time_ms: i32,
        responses: Vec<AlterConfigsResourceResponse>,
    }

    struct AlterConfigsResource {
        resource_type: i8,
        resource_name: Str,
        configs: Vec<AlterableConfig>,
    }

    struct AlterableConfig { name: Str, value: Option<Str> = Some(empty) }

    struct AlterConfigsResourceResponse {
        error_code: i16,
        error_message: Option<Str> = Some(empty),
        resource_type: i8,
        resource_name: Str,
    }
}
