//! The bytes of DeleteGroups. KIP-229.

use crate::types::Str;

api! {
    /// Deletes groups that have no members.
    DeleteGroups = 42, versions 0..=2, flexible 2..;

    request DeleteGroupsRequest { groups_names: Vec<Str> }

    response DeleteGroupsResponse { throttle_time_ms: i32, results: Vec<DeletableGroupResult> }

    struct DeletableGroupResult { group_id: Str, error_code: i16 }
}
