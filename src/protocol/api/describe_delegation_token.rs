//! The bytes of DescribeDelegationToken. KIP-48, 373.

use crate::types::Str;
use bytes::Bytes;

api! {
    /// Lists delegation tokens by owner.
    DescribeDelegationToken = 41, versions 1..=3, flexible 2..;

    request DescribeDelegationTokenRequest {
        owners: Option<Vec<DescribeDelegationTokenOwner>> = Some(empty),
    }

    response DescribeDelegationTokenResponse {
        error_code: i16,
        tokens: Vec<DescribedDelegationToken>,
        throttle_time_ms: i32,
    }

    struct DescribeDelegationTokenOwner { principal_type: Str, principal_name: Str }

    struct DescribedDelegationToken {
        principal_type: Str,
        principal_name: Str,
        token_requester_principal_type: Str [3..],
        token_requester_principal_name: Str [3..],
        issue_timestamp: i64,
        expiry_timestamp: i64,
        max_timestamp: i64,
        token_id: Str,
        hmac: Bytes,
        renewers: Vec<DescribedDelegationTokenRenewer>,
    }

    struct DescribedDelegationTokenRenewer { principal_type: Str, principal_name: Str }
}
