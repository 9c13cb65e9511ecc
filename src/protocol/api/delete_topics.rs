//! The bytes of DeleteTopics. KIP-4, 516, 599.

use crate::types::{Str, Uuid};

api! {
    /// Deletes topics, by name or from version 6 by id.
    DeleteTopics = 20, versions 1..=6, flexible 4..;

    request DeleteTopicsRequest {
        topics: Vec<DeleteTopicState> [6..],
        topic_names: Vec<Str>         [..=5, ignorable],
        timeout_ms: i32,
    }

    response DeleteTopicsResponse { throttle_time_ms: i32, responses: Vec<DeletableTopicResult> }

    struct DeleteTopicState { name: Option<Str>, topic_id: Uuid }

    struct DeletableTopicResult {
        name: Option<Str> = Some(empty) [.., nullable 6..],
        topic_id: Uuid                  [6.., ignorable],
        error_code: i16,
        error_message: Option<Str>      [5.., ignorable],
    }
}
