//! The bytes of ListOffsets. KIP-79, 207, 320, 734, 1005, 1023.

use crate::types::Str;

api! {
    /// Finds offsets by timestamp, or the ends of a log by one of the negative timestamps.
    ListOffsets = 2, versions 1..=11, flexible 6..;

    request ListOffsetsRequest {
        replica_id: i32,
        isolation_level: i8 [2..],
        topics: Vec<ListOffsetsTopic>,
        timeout_ms: i32     [10.., ignorable],
    }

    response ListOffsetsResponse {
        throttle_time_ms: i32 [2.., ignorable],
        topics: Vec<ListOffsetsTopicResponse>,
    }

    struct ListOffsetsTopic { name: Str, partitions: Vec<ListOffsetsPartition> }

    struct ListOffsetsPartition {
        partition_index: i32,
        current_leader_epoch: i32 = -1 [4.., ignorable],
        /// -1 latest, -2 earliest, -3 highest timestamp, -4 earliest local, -5 latest tiered, -6 earliest
        /// pending upload.
        timestamp: i64,
    }

    struct ListOffsetsTopicResponse { name: Str, partitions: Vec<ListOffsetsPartitionResponse> }

    struct ListOffsetsPartitionResponse {
        partition_index: i32,
        error_code: i16,
        timestamp: i64 = -1,
        offset: i64 = -1,
        leader_epoch: i32 = -1 [4..],
    }
}
