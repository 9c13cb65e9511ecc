//! The bytes of LeaveGroup. KIP-345, 800.

use crate::types::Str;

api! {
    /// Takes members out of a classic group; several at once from version 3.
    LeaveGroup = 13, versions 0..=5, flexible 4..;

    request LeaveGroupRequest {
        group_id: Str,
        member_id: Str               [..=2],
        members: Vec<MemberIdentity> [3..],
    }

    response LeaveGroupResponse {
        throttle_time_ms: i32        [1.., ignorable],
        error_code: i16,
        members: Vec<MemberResponse> [3..],
    }

    struct MemberIdentity {
        member_id: Str,
        group_instance_id: Option<Str>,
        reason: Option<Str> [5.., ignorable],
    }

    struct MemberResponse {
        member_id: Str,
        group_instance_id: Option<Str> = Some(empty),
        error_code: i16,
    }
}
