//! The bytes of UnregisterBroker. KIP-631.

use crate::types::Str;

api! {
    /// Removes a broker's registration.
    UnregisterBroker = 64, versions 0..=0, flexible 0..;

    request UnregisterBrokerRequest { broker_id: i32 }

    response UnregisterBrokerResponse {
        throttle_time_ms: i32,
        error_code: i16,
        error_message: Option<Str> = Some(empty),
    }
}
