//! The bytes of DeleteAcls. KIP-140, 290.

use crate::types::Str;

api! {
    /// Deletes the access control entries that match filters.
    DeleteAcls = 31, versions 1..=3, flexible 2..;

    request DeleteAclsRequest { filters: Vec<DeleteAclsFilter> }

    response DeleteAclsResponse {
        throttle_time_ms: i32,
        filter_results: Vec<DeleteAclsFilterResult>,
    }

    struct DeleteAclsFilter {
        resource_type_filter: i8,
        resource_name_filter: Option<Str> = Some(empty),
        pattern_type_filter: i8 = 3,
        principal_filter: Option<Str> = Some(empty),
        host_filter: Option<Str> = Some(empty),
        operation: i8,
        permission_type: i8,
    }

    struct DeleteAclsFilterResult {
        error_code: i16,
        error_message: Option<Str> = Some(empty),
        matching_acls: Vec<DeleteAclsMatchingAcl>,
    }

    struct DeleteAclsMatchingAcl {
        error_code: i16,
        error_message: Option<Str> = Some(empty),
        resource_type: i8,
        resource_name: Str,
        pattern_type: i8 = 3,
        principal: Str,
        host: Str,
        operation: i8,
        permission_type: i8,
    }
}
