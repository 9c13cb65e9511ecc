//! The bytes of OffsetDelete. KIP-496.

use crate::types::Str;

api! {
    /// Deletes committed offsets of a group.
    OffsetDelete = 47, versions 0..=0, flexible none;

    request OffsetDeleteRequest { group_id: Str, topics: Vec<OffsetDeleteRequestTopic> }

    response OffsetDeleteResponse {
        error_code: i16,
        throttle_time_ms: i32,
        topics: Vec<OffsetDeleteResponseTopic>,
    }

    struct OffsetDeleteRequestTopic { name: Str, partitions: Vec<OffsetDeleteRequestPartition> }

    struct OffsetDeleteRequestPartition { partition_index: i32 }

    struct OffsetDeleteResponseTopic { name: Str, partitions: Vec<OffsetDeleteResponsePartition> }

    struct OffsetDeleteResponsePartition { partition_index: i32, error_code: i16 }
}
