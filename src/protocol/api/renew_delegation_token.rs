//! The bytes of RenewDelegationToken. KIP-48.

use bytes::Bytes;

api! {
    /// Extends the life of a delegation token.
    RenewDelegationToken = 39, versions 1..=2, flexible 2..;

    request RenewDelegationTokenRequest { hmac: Bytes, renew_period_ms: i64 }

    response RenewDelegationTokenResponse {
        error_code: i16,
        expiry_timestamp_ms: i64,
        throttle_time_ms: i32,
    }
}
