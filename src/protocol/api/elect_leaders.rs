//! The bytes of ElectLeaders. KIP-183, 460.

use crate::types::Str;

api! {
    /// Elects partition leaders: the preferred replicas, or any where none is in sync.
    ElectLeaders = 43, versions 0..=2, flexible 2..;

    request ElectLeadersRequest {
        election_type: i8 [1..],
        topic_partitions: Option<Vec<TopicPartitions>> = Some(empty),
        timeout_ms: i32 = 60_000,
    }

    response ElectLeadersResponse {
        throttle_time_ms: i32,
        error_code: i16 [1..],
        replica_election_results: Vec<ReplicaElectionResult>,
    }

    struct TopicPartitions { topic: Str, partitions: Vec<i32> }

    struct ReplicaElectionResult { topic: Str, partition_result: Vec<PartitionResult> }

    struct PartitionResult {
        partition_id: i32,
        error_code: i16,
        error_message: Option<Str> = Some(empty),
    }
}
