//! The bytes of ShareFetch. KIP-932, 1206, 1222.

use crate::types::{Str, Uuid};
use bytes::Bytes;

api! {
    /// Acquires records for a member of a share group, and may acknowledge earlier ones.
    ShareFetch = 78, versions 1..=2, flexible 1..;

    request ShareFetchRequest {
        group_id: Option<Str>,
        member_id: Option<Str> = Some(empty),
        share_session_epoch: i32,
        max_wait_ms: i32,
        min_bytes: i32,
        max_bytes: i32 = 0x7fff_ffff,
        max_records: i32,
        batch_size: i32,
        share_acquire_mode: i8 [2.., ignorable],
        is_renew_ack: bool     [2..],
        topics: Vec<FetchTopic>,
        forgotten_topics_data: Vec<ForgottenTopic>,
    }

    response ShareFetchResponse {
        throttle_time_ms: i32,
        error_code: i16,
        error_message: Option<Str>,
        acquisition_lock_timeout_ms: i32,
        responses: Vec<ShareFetchableTopicResponse>,
        node_endpoints: Vec<NodeEndpoint>,
    }

    struct FetchTopic { topic_id: Uuid, partitions: Vec<FetchPartition> }

    struct FetchPartition {
        partition_index: i32,
        acknowledgement_batches: Vec<AcknowledgementBatch>,
    }

    struct AcknowledgementBatch { first_offset: i64, last_offset: i64, acknowledge_types: Vec<i8> }

    struct ForgottenTopic { topic_id: Uuid, partitions: Vec<i32> }

    struct ShareFetchableTopicResponse { topic_id: Uuid, partitions: Vec<PartitionData> }

    struct PartitionData {
        partition_index: i32,
        error_code: i16,
        error_message: Option<Str>,
        acknowledge_error_code: i16,
        acknowledge_error_message: Option<Str>,
        current_leader: LeaderIdAndEpoch,
        records: Bytes,
        acquired_records: Vec<AcquiredRecords>,
    }

    struct LeaderIdAndEpoch { leader_id: i32, leader_epoch: i32 }

    struct AcquiredRecords { first_offset: i64, last_offset: i64, delivery_count: i16 }

    struct NodeEndpoint { node_id: i32, host: Str, port: i32, rack: Option<Str> }
}
