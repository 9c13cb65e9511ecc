//! The bytes of DescribeConfigs. KIP-133, 226, 569.

use crate::types::Str;

api! {
    /// Describes configurations of topics, brokers and other resources, with where each value comes from.
    DescribeConfigs = 32, versions 1..=4, flexible 4..;

    request DescribeConfigsRequest {
        resources: Vec<DescribeConfigsResource>,
        include_synonyms: bool,
        include_documentation: bool [3..],
    }

    response DescribeConfigsResponse { throttle_time_ms: i32, results: Vec<DescribeConfigsResult> }

    struct DescribeConfigsResource {
        resource_type: i8,
        resource_name: Str,
        /// Null asks for all.
        configuration_keys: Option<Vec<Str>> = Some(empty),
    }

    struct DescribeConfigsResult {
        error_code: i16,
        error_message: Option<Str> = Some(empty),
        resource_type: i8,
        resource_name: Str,
        configs: Vec<DescribeConfigsResourceResult>,
    }

    struct DescribeConfigsResourceResult {
        name: Str,
        value: Option<Str> = Some(empty),
        read_only: bool,
        /// -1 where version 0 has `is_default` instead.
        config_source: i8 = -1,
        is_sensitive: bool,
        synonyms: Vec<DescribeConfigsSynonym>,
        config_type: i8                          [3.., ignorable],
        documentation: Option<Str> = Some(empty) [3.., ignorable],
    }

    struct DescribeConfigsSynonym { name: Str, value: Option<Str> = Some(empty), source: i8 }
}
