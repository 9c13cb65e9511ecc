//! The bytes of ListPartitionReassignments. KIP-455.

use crate::types::Str;

api! {
    /// Lists the moves of partitions that are under way.
    ListPartitionReassignments = 46, versions 0..=0, flexible 0..;

    request ListPartitionReassignmentsRequest {
        timeout_ms: i32 = 60_000,
        /// Null lists all.
        topics: Option<Vec<ListPartitionReassignmentsTopics>>,
    }

    response ListPartitionReassignmentsResponse {
        throttle_time_ms: i32,
        error_code: i16,
        error_message: Option<Str> = Some(empty),
        topics: Vec<OngoingTopicReassignment>,
    }

    struct ListPartitionReassignmentsTopics { name: Str, partition_indexes: Vec<i32> }

    struct OngoingTopicReassignment { name: Str, partitions: Vec<OngoingPartitionReassignment> }

    struct OngoingPartitionReassignment {
        partition_index: i32,
        replicas: Vec<i32>,
        adding_replicas: Vec<i32>,
        removing_replicas: Vec<i32>,
    }
}
