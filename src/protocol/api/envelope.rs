//! The bytes of Envelope. KIP-590.

use bytes::Bytes;

api! {
    /// Carries a request that a broker forwards to the controller, with the principal that sent it.
    Envelope = 58, versions 0..=0, flexible 0..;

    request EnvelopeRequest {
        request_data: Bytes,
        request_principal: Option<Bytes> = Some(empty),
        client_host_address: Bytes,
    }

    response EnvelopeResponse { response_data: Option<Bytes>, error_code: i16 }
}
