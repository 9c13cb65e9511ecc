//! The bytes of ListGroups. KIP-518, 848.

use crate::types::Str;

api! {
    /// Lists the groups of one coordinator, filtered by state and type.
    ListGroups = 16, versions 0..=5, flexible 3..;

    request ListGroupsRequest {
        states_filter: Vec<Str> [4..],
        types_filter: Vec<Str>  [5..],
    }

    response ListGroupsResponse {
        throttle_time_ms: i32 [1.., ignorable],
        error_code: i16,
        groups: Vec<ListedGroup>,
    }

    struct ListedGroup {
        group_id: Str,
        protocol_type: Str,
        group_state: Str [4.., ignorable],
        group_type: Str  [5.., ignorable],
    }
}
