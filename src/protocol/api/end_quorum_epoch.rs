//! The bytes of EndQuorumEpoch. KIP-595, 853.

use crate::types::{Str, Uuid};

api! {
    /// Tells voters that the leader resigns, and who should follow.
    EndQuorumEpoch = 54, versions 0..=1, flexible 1..;

    request EndQuorumEpochRequest {
        cluster_id: Option<Str>,
        topics: Vec<RequestTopicData>,
        leader_endpoints: Vec<LeaderEndpoint> [1.., ignorable],
    }

    response EndQuorumEpochResponse {
        error_code: i16,
        topics: Vec<ResponseTopicData>,
        node_endpoints: Vec<NodeEndpoint> [1.., tag 0],
    }

    struct RequestTopicData { topic_name: Str, partitions: Vec<RequestPartitionData> }

    struct RequestPartitionData {
        partition_index: i32,
        leader_id: i32,
        leader_epoch: i32,
        preferred_successors: Vec<i32>         [0..=0, ignorable],
        preferred_candidates: Vec<ReplicaInfo> [1.., ignorable],
    }

    struct ReplicaInfo { candidate_id: i32, candidate_directory_id: Uuid }

    struct LeaderEndpoint { name: Str, host: Str, port: u16 }

    struct ResponseTopicData { topic_name: Str, partitions: Vec<ResponsePartitionData> }

    struct ResponsePartitionData {
        partition_index: i32,
        error_code: i16,
        leader_id: i32,
        leader_epoch: i32,
    }

    struct NodeEndpoint { node_id: i32, host: Str, port: u16 }
}
