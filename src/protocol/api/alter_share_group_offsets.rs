//! The bytes of AlterShareGroupOffsets. KIP-932.

use crate::types::{Str, Uuid};

api! {
    /// Sets the start offsets of an empty share group.
    AlterShareGroupOffsets = 91, versions 0..=0, flexible 0..;

    request AlterShareGroupOffsetsRequest {
        group_id: Str,
        topics: Vec<AlterShareGroupOffsetsRequestTopic>,
    }

    response AlterShareGroupOffsetsResponse {
        throttle_time_ms: i32,
        error_code: i16,
        error_message: Option<Str>,
        responses: Vec<AlterShareGroupOffsetsResponseTopic>,
    }

    struct AlterShareGroupOffsetsRequestTopic {
        topic_name: Str,
        partitions: Vec<AlterShareGroupOffsetsRequestPartition>,
    }

    struct AlterShareGroupOffsetsRequestPartition { partition_index: i32, start_offset: i64 }

    struct AlterShareGroupOffsetsResponseTopic {
        topic_name: Str,
        topic_id: Uuid,
        partitions: Vec<AlterShareGroupOffsetsResponsePartition>,
    }

    struct AlterShareGroupOffsetsResponsePartition {
        partition_index: i32,
        error_code: i16,
        error_message: Option<Str>,
    }
}
