//! The bytes of ListConfigResources. KIP-714, 1142.

use crate::types::Str;

api! {
    /// Lists the resources that have configurations. Version 0 lists those of client metrics only.
    ListConfigResources = 74, versions 0..=1, flexible 0..;

    request ListConfigResourcesRequest {
        resource_types: Vec<i8> [1..],
    }

    response ListConfigResourcesResponse {
        throttle_time_ms: i32,
        error_code: i16,
        config_resources: Vec<ConfigResource>,
    }

    struct ConfigResource {
        resource_name: Str,
        resource_type: i8 = 16 [1.., ignorable],
    }
}
