//! The bytes of DeleteShareGroupState. KIP-932.

use crate::types::{Str, Uuid};

api! {
    /// Deletes the stored state of share-group partitions.
    DeleteShareGroupState = 86, versions 0..=0, flexible 0..;

    request DeleteShareGroupStateRequest { group_id: Str, topics: Vec<DeleteStateData> }

    response DeleteShareGroupStateResponse { results: Vec<DeleteStateResult> }

    struct DeleteStateData { topic_id: Uuid, partitions: Vec<PartitionData> }

    struct PartitionData { partition: i32 }

    struct DeleteStateResult { topic_id: Uuid, partitions: Vec<PartitionResult> }

    struct PartitionResult { partition: i32, error_code: i16, error_message: Option<Str> }
}
