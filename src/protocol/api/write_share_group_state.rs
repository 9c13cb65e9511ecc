//! The bytes of WriteShareGroupState. KIP-932, 1226.

use crate::types::{Str, Uuid};

api! {
    /// Writes the stored state of share-group partitions.
    WriteShareGroupState = 85, versions 0..=1, flexible 0..;

    request WriteShareGroupStateRequest { group_id: Str, topics: Vec<WriteStateData> }

    response WriteShareGroupStateResponse { results: Vec<WriteStateResult> }

    struct WriteStateData { topic_id: Uuid, partitions: Vec<PartitionData> }

    struct PartitionData {
        partition: i32,
        state_epoch: i32,
        leader_epoch: i32,
        start_offset: i64,
        delivery_complete_count: i32 = -1 [1.., ignorable],
        state_batches: Vec<StateBatch>,
    }

    struct StateBatch {
        first_offset: i64,
        last_offset: i64,
        delivery_state: i8,
        delivery_count: i16,
    }

    struct WriteStateResult { topic_id: Uuid, partitions: Vec<PartitionResult> }

    struct PartitionResult { partition: i32, error_code: i16, error_message: Option<Str> }
}
