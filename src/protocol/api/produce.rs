//! The bytes of Produce. KIP-98, 464, 516, 951.

use crate::types::{Str, Uuid};
use bytes::Bytes;

api! {
    /// Appends record batches to partitions. Version 3 is the first with batches of magic 2, 13 names topics
    /// by id. With `acks` 0 there is no response.
    Produce = 0, versions 3..=13, flexible 9..;

    request ProduceRequest {
        /// Null unless the batches are part of a transaction.
        transactional_id: Option<Str>,
        /// 0: no response; 1: the leader's append; -1: the whole in-sync set.
        acks: i16,
        timeout_ms: i32,
        topic_data: Vec<TopicProduceData>,
    }

    response ProduceResponse {
        responses: Vec<TopicProduceResponse>,
        throttle_time_ms: i32,
        node_endpoints: Vec<NodeEndpoint> [10.., tag 0],
    }

    struct TopicProduceData {
        name: Str      [..=12, ignorable],
        topic_id: Uuid [13.., ignorable],
        partition_data: Vec<PartitionProduceData>,
    }

    struct PartitionProduceData { index: i32, records: Option<Bytes> }

    struct TopicProduceResponse {
        name: Str      [..=12, ignorable],
        topic_id: Uuid [13.., ignorable],
        partition_responses: Vec<PartitionProduceResponse>,
    }

    struct PartitionProduceResponse {
        index: i32,
        error_code: i16,
        base_offset: i64,
        /// -1 where the topic keeps the producer's timestamps.
        log_append_time_ms: i64 = -1,
        log_start_offset: i64 = -1                    [5.., ignorable],
        record_errors: Vec<BatchIndexAndErrorMessage> [8.., ignorable],
        error_message: Option<Str>                    [8.., ignorable],
        /// Set with NOT_LEADER_OR_FOLLOWER, so that the producer need not ask for metadata (KIP-951).
        current_leader: LeaderIdAndEpoch              [10.., tag 0],
    }

    struct BatchIndexAndErrorMessage { batch_index: i32, batch_index_error_message: Option<Str> }

    struct LeaderIdAndEpoch { leader_id: i32 = -1, leader_epoch: i32 = -1 }

    struct NodeEndpoint { node_id: i32, host: Str, port: i32, rack: Option<Str> }
}
