//! The bytes of OffsetForLeaderEpoch. KIP-101, 279, 320.

use crate::types::Str;

api! {
    /// Tells where a leader epoch ends, so that followers and consumers can find where logs part.
    OffsetForLeaderEpoch = 23, versions 2..=4, flexible 4..;

    request OffsetForLeaderEpochRequest {
        /// -2 from a debugging consumer, -1 from a consumer, else the follower.
        replica_id: i32 = -2 [3.., ignorable],
        topics: Vec<OffsetForLeaderTopic>,
    }

    response OffsetForLeaderEpochResponse {
        throttle_time_ms: i32,
        topics: Vec<OffsetForLeaderTopicResult>,
    }

    struct OffsetForLeaderTopic { topic: Str, partitions: Vec<OffsetForLeaderPartition> }

    struct OffsetForLeaderPartition {
        partition: i32,
        current_leader_epoch: i32 = -1,
        leader_epoch: i32,
    }

    struct OffsetForLeaderTopicResult { topic: Str, partitions: Vec<EpochEndOffset> }

    struct EpochEndOffset {
        error_code: i16,
        partition: i32,
        leader_epoch: i32 = -1,
        /// The offset behind the last record of the epoch; -1 where unknown.
        end_offset: i64 = -1,
    }
}
