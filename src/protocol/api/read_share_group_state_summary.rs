//! The bytes of ReadShareGroupStateSummary. KIP-932, 1226.

use crate::types::{Str, Uuid};

api! {
    /// Reads the start offsets of share-group partitions without their batches.
    ReadShareGroupStateSummary = 87, versions 0..=1, flexible 0..;

    request ReadShareGroupStateSummaryRequest { group_id: Str, topics: Vec<ReadStateSummaryData> }

    response ReadShareGroupStateSummaryResponse { results: Vec<ReadStateSummaryResult> }

    struct ReadStateSummaryData { topic_id: Uuid, partitions: Vec<PartitionData> }

    struct PartitionData { partition: i32, leader_epoch: i32 }

    struct ReadStateSummaryResult { topic_id: Uuid, partitions: Vec<PartitionResult> }

    struct PartitionResult {
        partition: i32,
        error_code: i16,
        error_message: Option<Str>,
        state_epoch: i32,
        leader_epoch: i32,
        start_offset: i64,
        delivery_complete_count: i32 = -1 [1.., ignorable],
    }
}
