//! The bytes of AlterPartitionReassignments. KIP-455, 860.

use crate::types::Str;

api! {
    /// Starts or cancels moving partitions to other replicas.
    AlterPartitionReassignments = 45, versions 0..=1, flexible 0..;

    request AlterPartitionReassignmentsRequest {
        timeout_ms: i32 = 60_000,
        allow_replication_factor_change: bool = true [1..],
        topics: Vec<ReassignableTopic>,
    }

    response AlterPartitionReassignmentsResponse {
        throttle_time_ms: i32,
        allow_replication_factor_change: bool = true [1.., ignorable],
        error_code: i16,
        error_message: Option<Str> = Some(empty),
        responses: Vec<ReassignableTopicResponse>,
    }

    struct ReassignableTopic { name: Str, partitions: Vec<ReassignablePartition> }

    struct ReassignablePartition {
        partition_index: i32,
        /// Null cancels the reassignment that is under way.
        replicas: Option<Vec<i32>>,
    }

    struct ReassignableTopicResponse { name: Str, partitions: Vec<ReassignablePartitionResponse> }

    struct ReassignablePartitionResponse {
        partition_index: i32,
        error_code: i16,
        error_message: Option<Str> = Some(empty),
    }
}
