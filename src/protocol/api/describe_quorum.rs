//! The bytes of DescribeQuorum. KIP-595, 836, 853.

use crate::types::{Str, Uuid};

api! {
    /// Describes leader, voters and observers of the quorum and how far each has come.
    DescribeQuorum = 55, versions 0..=2, flexible 0..;

    request DescribeQuorumRequest { topics: Vec<RequestTopicData> }

    response DescribeQuorumResponse {
        error_code: i16,
        error_message: Option<Str> = Some(empty) [2.., ignorable],
        topics: Vec<ResponseTopicData>,
        nodes: Vec<Node>                         [2..],
    }

    struct RequestTopicData { topic_name: Str, partitions: Vec<RequestPartitionData> }

    struct RequestPartitionData { partition_index: i32 }

    struct ResponseTopicData { topic_name: Str, partitions: Vec<ResponsePartitionData> }

    struct ResponsePartitionData {
        partition_index: i32,
        error_code: i16,
        error_message: Option<Str> = Some(empty) [2.., ignorable],
        leader_id: i32,
        leader_epoch: i32,
        high_watermark: i64,
        current_voters: Vec<ReplicaState>,
        observers: Vec<ReplicaState>,
    }

    struct ReplicaState {
        replica_id: i32,
        replica_directory_id: Uuid         [2..],
        log_end_offset: i64,
        last_fetch_timestamp: i64 = -1     [1.., ignorable],
        last_caught_up_timestamp: i64 = -1 [1.., ignorable],
    }

    struct Node { node_id: i32, listeners: Vec<Listener> }

    struct Listener { name: Str, host: Str, port: u16 }
}
