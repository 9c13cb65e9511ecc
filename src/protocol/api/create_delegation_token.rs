//! The bytes of CreateDelegationToken. KIP-48, 373.

use crate::types::Str;
use bytes::Bytes;

api! {
    /// Creates a delegation token.
    CreateDelegationToken = 38, versions 1..=3, flexible 2..;

    request CreateDelegationTokenRequest {
        owner_principal_type: Option<Str> = Some(empty) [3..],
        owner_principal_name: Option<Str> = Some(empty) [3..],
        renewers: Vec<CreatableRenewers>,
        max_lifetime_ms: i64,
    }

    response CreateDelegationTokenResponse {
        error_code: i16,
        principal_type: Str,
        principal_name: Str,
        token_requester_principal_type: Str [3..],
        token_requester_principal_name: Str [3..],
        issue_timestamp_ms: i64,
        expiry_timestamp_ms: i64,
        max_timestamp_ms: i64,
        token_id: Str,
        hmac: Bytes,
        throttle_time_ms: i32,
    }

    struct CreatableRenewers { principal_type: Str, principal_name: Str }
}
