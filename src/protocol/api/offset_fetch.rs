//! The bytes of OffsetFetch. KIP-447, 709, 848.

use crate::types::{Str, Uuid};

api! {
    /// Reads back the offsets that groups have committed; several groups at once from version 8.
    OffsetFetch = 9, versions 1..=10, flexible 6..;

    request OffsetFetchRequest {
        group_id: Str                                              [..=7],
        /// Null asks for all topics of the group.
        topics: Option<Vec<OffsetFetchRequestTopic>> = Some(empty) [..=7, nullable 2..=7],
        groups: Vec<OffsetFetchRequestGroup>                       [8..],
        require_stable: bool                                       [7..],
    }

    response OffsetFetchResponse {
        throttle_time_ms: i32                 [3.., ignorable],
        topics: Vec<OffsetFetchResponseTopic> [..=7],
        error_code: i16                       [2..=7, ignorable],
        groups: Vec<OffsetFetchResponseGroup> [8..],
    }

    struct OffsetFetchRequestTopic { name: Str, partition_indexes: Vec<i32> }

    struct OffsetFetchRequestGroup {
        group_id: Str,
        member_id: Option<Str> [9.., ignorable],
        member_epoch: i32 = -1 [9.., ignorable],
        /// Null asks for all topics of the group.
        topics: Option<Vec<OffsetFetchRequestTopics>> = Some(empty),
    }

    struct OffsetFetchRequestTopics {
        name: Str      [..=9, ignorable],
        topic_id: Uuid [10.., ignorable],
        partition_indexes: Vec<i32>,
    }

    struct OffsetFetchResponseTopic { name: Str, partitions: Vec<OffsetFetchResponsePartition> }

    struct OffsetFetchResponsePartition {
        partition_index: i32,
        committed_offset: i64,
        committed_leader_epoch: i32 = -1 [5.., ignorable],
        metadata: Option<Str> = Some(empty),
        error_code: i16,
    }

    struct OffsetFetchResponseGroup {
        group_id: Str,
        topics: Vec<OffsetFetchResponseTopics>,
        error_code: i16,
    }

    struct OffsetFetchResponseTopics {
        name: Str      [..=9, ignorable],
        topic_id: Uuid [10.., ignorable],
        partitions: Vec<OffsetFetchResponsePartitions>,
    }

    struct OffsetFetchResponsePartitions {
        partition_index: i32,
        committed_offset: i64,
        committed_leader_epoch: i32 = -1,
        metadata: Option<Str> = Some(empty),
        error_code: i16,
    }
}
