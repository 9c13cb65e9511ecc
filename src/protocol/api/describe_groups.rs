//! The bytes of DescribeGroups. KIP-345, 430, 1043.

use crate::types::Str;
use bytes::Bytes;

api! {
    /// Describes classic groups: state, protocol, members.
    DescribeGroups = 15, versions 0..=6, flexible 5..;

    request DescribeGroupsRequest {
        groups: Vec<Str>,
        include_authorized_operations: bool [3..],
    }

    response DescribeGroupsResponse {
        throttle_time_ms: i32 [1.., ignorable],
        groups: Vec<DescribedGroup>,
    }

    struct DescribedGroup {
        error_code: i16,
        error_message: Option<Str>                  [6..],
        group_id: Str,
        group_state: Str,
        protocol_type: Str,
        protocol_data: Str,
        members: Vec<DescribedGroupMember>,
        authorized_operations: i32 = -2_147_483_648 [3..],
    }

    struct DescribedGroupMember {
        member_id: Str,
        group_instance_id: Option<Str> [4.., ignorable],
        client_id: Str,
        client_host: Str,
        member_metadata: Bytes,
        member_assignment: Bytes,
    }
}
