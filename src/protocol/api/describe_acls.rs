//! The bytes of DescribeAcls. KIP-140, 290.

use crate::types::Str;

api! {
    /// Lists access control entries that match a filter.
    DescribeAcls = 29, versions 1..=3, flexible 2..;

    request DescribeAclsRequest {
        resource_type_filter: i8,
        /// Null matches every name.
        resource_name_filter: Option<Str> = Some(empty),
        pattern_type_filter: i8 = 3,
        principal_filter: Option<Str> = Some(empty),
        host_filter: Option<Str> = Some(empty),
        operation: i8,
        permission_type: i8,
    }

    response DescribeAclsResponse {
        throttle_time_ms: i32,
        error_code: i16,
        error_message: Option<Str> = Some(empty),
        resources: Vec<DescribeAclsResource>,
    }

    struct DescribeAclsResource {
        resource_type: i8,
        resource_name: Str,
        pattern_type: i8 = 3,
        acls: Vec<AclDescription>,
    }

    struct AclDescription { principal: Str, host: Str, operation: i8, permission_type: i8 }
}
