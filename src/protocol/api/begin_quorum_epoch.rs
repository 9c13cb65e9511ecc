//! The bytes of BeginQuorumEpoch. KIP-595, 853.

use crate::types::{Str, Uuid};

api! {
    /// Tells voters that a leader has been elected.
    BeginQuorumEpoch = 53, versions 0..=1, flexible 1..;

    request BeginQuorumEpochRequest {
        cluster_id: Option<Str>,
        voter_id: i32 = -1                    [1.., ignorable],
        topics: Vec<RequestTopicData>,
        leader_endpoints: Vec<LeaderEndpoint> [1.., ignorable],
    }

    response BeginQuorumEpochResponse {
        error_code: i16,
        topics: Vec<ResponseTopicData>,
        node_endpoints: Vec<NodeEndpoint> [1.., tag 0],
    }

    struct RequestTopicData { topic_name: Str, partitions: Vec<RequestPartitionData> }

    struct RequestPartitionData {
        partition_index: i32,
        voter_directory_id: Uuid [1.., ignorable],
        leader_id: i32,
        leader_epoch: i32,
    }

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
