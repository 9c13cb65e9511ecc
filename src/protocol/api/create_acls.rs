//! The bytes of CreateAcls. KIP-140, 290.

use crate::types::Str;

api! {
    /// Creates access control entries.
    CreateAcls = 30, versions 1..=3, flexible 2..;

    request CreateAclsRequest { creations: Vec<AclCreation> }

    response CreateAclsResponse { throttle_time_ms: i32, results: Vec<AclCreationResult> }

    struct AclCreation {
        resource_type: i8,
        resource_name: Str,
        resource_pattern_type: i8 = 3,
        principal: Str,
        host: Str,
        operation: i8,
        permission_type: i8,
    }

    struct AclCreationResult { error_code: i16, error_message: Option<Str> = Some(empty) }
}
