//! The bytes of ReadShareGroupState. KIP-932.

use crate::types::{Str, Uuid};

api! {
    /// Reads the stored state of share-group partitions.
    ReadShareGroupState = 84, versions 0..=0, flexible 0..;

    request ReadShareGroupStateRequest { group_id: Str, topics: Vec<ReadStateData> }

    response ReadShareGroupStateResponse { results: Vec<ReadStateResult> }

    struct ReadStateData { topic_id: Uuid, partitions: Vec<PartitionData> }

    struct PartitionData { partition: i32, leader_epoch: i32 }

    struct ReadStateResult { topic_id: Uuid, partitions: Vec<PartitionResult> }

    struct PartitionResult {
        partition: i32,
        error_code: i16,
        error_message: Option<Str>,
        state_epoch: i32,
        start_offset: i64,
        state_batches: Vec<StateBatch>,
    }

    struct StateBatch {
        first_offset: i64,
        last_offset: i64,
        delivery_state: i8,
        delivery_count: i16,
    }
}
