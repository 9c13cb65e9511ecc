//! The bytes of SyncGroup. KIP-345, 559.

use crate::types::Str;
use bytes::Bytes;

api! {
    /// Hands the leader's assignment to the coordinator and each member its own part.
    SyncGroup = 14, versions 0..=5, flexible 4..;

    request SyncGroupRequest {
        group_id: Str,
        generation_id: i32,
        member_id: Str,
        group_instance_id: Option<Str> [3..],
        protocol_type: Option<Str>     [5.., ignorable],
        protocol_name: Option<Str>     [5.., ignorable],
        assignments: Vec<SyncGroupRequestAssignment>,
    }

    response SyncGroupResponse {
        throttle_time_ms: i32      [1.., ignorable],
        error_code: i16,
        protocol_type: Option<Str> [5.., ignorable],
        protocol_name: Option<Str> [5.., ignorable],
        assignment: Bytes,
    }

    struct SyncGroupRequestAssignment { member_id: Str, assignment: Bytes }
}
