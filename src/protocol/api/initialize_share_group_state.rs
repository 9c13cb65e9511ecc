//! The bytes of InitializeShareGroupState. KIP-932.

use crate::types::{Str, Uuid};

api! {
    /// Initialises the stored state of share-group partitions.
    InitializeShareGroupState = 83, versions 0..=0, flexible 0..;

    request InitializeShareGroupStateRequest { group_id: Str, topics: Vec<InitializeStateData> }

    response InitializeShareGroupStateResponse { results: Vec<InitializeStateResult> }

    struct InitializeStateData { topic_id: Uuid, partitions: Vec<PartitionData> }

    struct PartitionData { partition: i32, state_epoch: i32, start_offset: i64 }

    struct InitializeStateResult { topic_id: Uuid, partitions: Vec<PartitionResult> }

    struct PartitionResult { partition: i32, error_code: i16, error_message: Option<Str> }
}
