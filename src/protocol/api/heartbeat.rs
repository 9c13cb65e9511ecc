//! The bytes of Heartbeat. KIP-345.

use crate::types::Str;

api! {
    /// Keeps a member of a classic group alive and tells it when to join again.
    Heartbeat = 12, versions 0..=4, flexible 4..;

    request HeartbeatRequest {
        group_id: Str,
        generation_id: i32,
        member_id: Str,
        group_instance_id: Option<Str> [3..],
    }

    response HeartbeatResponse {
        throttle_time_ms: i32 [1.., ignorable],
        error_code: i16,
    }
}
