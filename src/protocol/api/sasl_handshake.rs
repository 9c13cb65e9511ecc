//! The bytes of SaslHandshake. KIP-43, 152.

use crate::types::Str;

api! {
    /// Picks the SASL mechanism; SaslAuthenticate carries the exchange that follows.
    SaslHandshake = 17, versions 0..=1, flexible none;

    request SaslHandshakeRequest { mechanism: Str }

    response SaslHandshakeResponse { error_code: i16, mechanisms: Vec<Str> }
}
