//! The bytes of CreatePartitions. KIP-195, 599.

use crate::types::Str;

api! {
    /// Adds partitions to topics.
    CreatePartitions = 37, versions 0..=3, flexible 2..;

    request CreatePartitionsRequest {
        topics: Vec<CreatePartitionsTopic>,
        timeout_ms: i32,
        validate_only: bool,
    }

    response CreatePartitionsResponse {
        throttle_time_ms: i32,
        results: Vec<CreatePartitionsTopicResult>,
    }

    struct CreatePartitionsTopic {
        name: Str,
        count: i32,
        assignments: Option<Vec<CreatePartitionsAssignment>> = Some(empty),
    }

    struct CreatePartitionsAssignment { broker_ids: Vec<i32> }

    struct CreatePartitionsTopicResult { name: Str, error_code: i16, error_message: Option<Str> }
}
