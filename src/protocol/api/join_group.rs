//! The bytes of JoinGroup. KIP-345, 394, 559, 800, 814.

use crate::types::Str;
use bytes::Bytes;

api! {
    /// Joins a classic group and waits for the other members; the leader is told all subscriptions.
    JoinGroup = 11, versions 0..=9, flexible 6..;

    request JoinGroupRequest {
        group_id: Str,
        session_timeout_ms: i32,
        /// Version 0 has none: the session timeout counts.
        rebalance_timeout_ms: i32 = -1 [1.., ignorable],
        /// Empty at first; the coordinator gives one and has the member join again with it (KIP-394).
        member_id: Str,
        group_instance_id: Option<Str> [5..],
        protocol_type: Str,
        protocols: Vec<JoinGroupRequestProtocol>,
        reason: Option<Str>            [8.., ignorable],
    }

    response JoinGroupResponse {
        throttle_time_ms: i32                    [2.., ignorable],
        error_code: i16,
        generation_id: i32 = -1,
        protocol_type: Option<Str>               [7.., ignorable],
        /// Null or empty where the group has not agreed on one.
        protocol_name: Option<Str> = Some(empty) [.., nullable 7..],
        leader: Str,
        /// The leader keeps the assignment it has (KIP-814).
        skip_assignment: bool                    [9..],
        member_id: Str,
        members: Vec<JoinGroupResponseMember>,
    }

    struct JoinGroupRequestProtocol { name: Str, metadata: Bytes }

    struct JoinGroupResponseMember {
        member_id: Str,
        group_instance_id: Option<Str> [5.., ignorable],
        metadata: Bytes,
    }
}
