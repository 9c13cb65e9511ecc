//! The bytes of OffsetCommit. KIP-211, 345, 848.

use crate::types::{Str, Uuid};

api! {
    /// Stores the offsets that a consumer group has processed.
    OffsetCommit = 8, versions 2..=10, flexible 8..;

    request OffsetCommitRequest {
        group_id: Str,
        /// -1 from a consumer that manages its own partitions.
        generation_id_or_member_epoch: i32 = -1,
        member_id: Str,
        group_instance_id: Option<Str> [7..],
        /// -1: the broker's own retention.
        retention_time_ms: i64 = -1    [..=4, ignorable],
        topics: Vec<OffsetCommitRequestTopic>,
    }

    response OffsetCommitResponse {
        throttle_time_ms: i32 [3.., ignorable],
        topics: Vec<OffsetCommitResponseTopic>,
    }

    struct OffsetCommitRequestTopic {
        name: Str      [..=9, ignorable],
        topic_id: Uuid [10.., ignorable],
        partitions: Vec<OffsetCommitRequestPartition>,
    }

    struct OffsetCommitRequestPartition {
        partition_index: i32,
        committed_offset: i64,
        committed_leader_epoch: i32 = -1 [6.., ignorable],
        committed_metadata: Option<Str> = Some(empty),
    }

    struct OffsetCommitResponseTopic {
        name: Str      [..=9, ignorable],
        topic_id: Uuid [10.., ignorable],
        partitions: Vec<OffsetCommitResponsePartition>,
    }

    struct OffsetCommitResponsePartition { partition_index: i32, error_code: i16 }
}
