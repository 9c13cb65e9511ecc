//! The bytes of CreateTopics. KIP-4, 195, 516, 525, 599.

use crate::types::{Str, Uuid};

api! {
    /// Creates topics.
    CreateTopics = 19, versions 2..=7, flexible 5..;

    request CreateTopicsRequest {
        topics: Vec<CreatableTopic>,
        timeout_ms: i32 = 60_000,
        validate_only: bool,
    }

    response CreateTopicsResponse { throttle_time_ms: i32, topics: Vec<CreatableTopicResult> }

    struct CreatableTopic {
        name: Str,
        /// -1: the broker's default, or as many as are assigned.
        num_partitions: i32,
        /// -1: the broker's default, or as many as are assigned.
        replication_factor: i16,
        assignments: Vec<CreatableReplicaAssignment>,
        configs: Vec<CreatableTopicConfig>,
    }

    struct CreatableReplicaAssignment { partition_index: i32, broker_ids: Vec<i32> }

    struct CreatableTopicConfig { name: Str, value: Option<Str> = Some(empty) }

    struct CreatableTopicResult {
        name: Str,
        topic_id: Uuid                                            [7.., ignorable],
        error_code: i16,
        error_message: Option<Str> = Some(empty),
        topic_config_error_code: i16                              [5.., tag 0, ignorable],
        num_partitions: i32 = -1                                  [5.., ignorable],
        replication_factor: i16 = -1                              [5.., ignorable],
        configs: Option<Vec<CreatableTopicConfigs>> = Some(empty) [5.., ignorable],
    }

    struct CreatableTopicConfigs {
        name: Str,
        value: Option<Str> = Some(empty),
        read_only: bool,
        config_source: i8 = -1,
        is_sensitive: bool,
    }
}
