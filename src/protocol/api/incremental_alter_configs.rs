//! The bytes of IncrementalAlterConfigs. KIP-339.

use crate::types::Str;

api! {
    /// Sets, deletes, appends to or subtracts from single configurations.
    IncrementalAlterConfigs = 44, versions 0..=1, flexible 1..;

    request IncrementalAlterConfigsRequest {
        resources: Vec<AlterConfigsResource>,
        validate_only: bool,
    }

    response IncrementalAlterConfigsResponse {
        throttle_time_ms: i32,
        responses: Vec<AlterConfigsResourceResponse>,
    }

    struct AlterConfigsResource {
        resource_type: i8,
        resource_name: Str,
        configs: Vec<AlterableConfig>,
    }

    struct AlterableConfig {
        name: Str,
        /// 0 set, 1 delete, 2 append, 3 subtract.
        config_operation: i8,
        value: Option<Str> = Some(empty),
    }

    struct AlterConfigsResourceResponse {
        error_code: i16,
        error_message: Option<Str> = Some(empty),
        resource_type: i8,
        resource_name: Str,
    }
}
