//! The bytes of DescribeTopicPartitions. KIP-966.

use crate::types::{Str, Uuid};

api! {
    /// Describes partitions of topics in pages, with their eligible leader replicas.
    DescribeTopicPartitions = 75, versions 0..=0, flexible 0..;

    request DescribeTopicPartitionsRequest {
        topics: Vec<TopicRequest>,
        response_partition_limit: i32 = 2000,
        cursor: Option<Box<Cursor>>,
    }

    response DescribeTopicPartitionsResponse {
        throttle_time_ms: i32,
        topics: Vec<DescribeTopicPartitionsResponseTopic>,
        next_cursor: Option<Box<Cursor>>,
    }

    struct TopicRequest { name: Str }

    struct Cursor { topic_name: Str, partition_index: i32 }

    struct DescribeTopicPartitionsResponseTopic {
        error_code: i16,
        name: Option<Str> = Some(empty),
        topic_id: Uuid,
        is_internal: bool,
        partitions: Vec<DescribeTopicPartitionsResponsePartition>,
        topic_authorized_operations: i32 = -2_147_483_648,
    }

    struct DescribeTopicPartitionsResponsePartition {
        error_code: i16,
        partition_index: i32,
        leader_id: i32,
        leader_epoch: i32 = -1,
        replica_nodes: Vec<i32>,
        isr_nodes: Vec<i32>,
        eligible_leader_replicas: Option<Vec<i32>>,
        last_known_elr: Option<Vec<i32>>,
        offline_replicas: Vec<i32>,
    }
}
