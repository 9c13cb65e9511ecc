//! The bytes of DeleteShareGroupOffsets. KIP-932.

use crate::types::{Str, Uuid};

api! {
    /// Deletes the offsets of an empty share group.
    DeleteShareGroupOffsets = 92, versions 0..=0, flexible 0..;

    request DeleteShareGroupOffsetsRequest {
        group_id: Str,
        topics: Vec<DeleteShareGroupOffsetsRequestTopic>,
    }

    response DeleteShareGroupOffsetsResponse {
        throttle_time_ms: i32,
        error_code: i16,
        error_message: Option<Str>,
        responses: Vec<DeleteShareGroupOffsetsResponseTopic>,
    }

    struct DeleteShareGroupOffsetsRequestTopic { topic_name: Str }

    struct DeleteShareGroupOffsetsResponseTopic {
        topic_name: Str,
        topic_id: Uuid,
        error_code: i16,
        error_message: Option<Str>,
    }
}
