//! The bytes of Vote. KIP-595, 853, 996.

use crate::types::{Str, Uuid};

api! {
    /// Asks a voter of the quorum for its vote, or from version 2 whether it would give one (pre-vote).
    Vote = 52, versions 0..=2, flexible 0..;

    request VoteRequest {
        cluster_id: Option<Str>,
        voter_id: i32 = -1 [1.., ignorable],
        topics: Vec<RequestTopicData>,
    }

    response VoteResponse {
        error_code: i16,
        topics: Vec<ResponseTopicData>,
        node_endpoints: Vec<NodeEndpoint> [1.., tag 0],
    }

    struct RequestTopicData { topic_name: Str, partitions: Vec<RequestPartitionData> }

    struct RequestPartitionData {
        partition_index: i32,
        replica_epoch: i32,
        replica_id: i32,
        replica_directory_id: Uuid [1.., ignorable],
        voter_directory_id: Uuid   [1.., ignorable],
        last_offset_epoch: i32,
        last_offset: i64,
        pre_vote: bool             [2..],
    }

    struct ResponseTopicData { topic_name: Str, partitions: Vec<ResponsePartitionData> }

    struct ResponsePartitionData {
        partition_index: i32,
        error_code: i16,
        leader_id: i32,
        leader_epoch: i32,
        vote_granted: bool,
    }

    struct NodeEndpoint { node_id: i32, host: Str, port: u16 }
}
