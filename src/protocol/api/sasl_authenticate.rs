//! The bytes of SaslAuthenticate. KIP-152, 368.

use crate::types::Str;
use bytes::Bytes;

api! {
    /// Carries one step of a SASL exchange.
    SaslAuthenticate = 36, versions 0..=2, flexible 2..;

    request SaslAuthenticateRequest { auth_bytes: Bytes }

    response SaslAuthenticateResponse {
        error_code: i16,
        error_message: Option<Str> = Some(empty),
        auth_bytes: Bytes,
        session_lifetime_ms: i64 [1.., ignorable],
    }
}
