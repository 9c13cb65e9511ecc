//! The bytes of ControllerRegistration. KIP-919.

use crate::types::{Str, Uuid};

api! {
    /// Registers one incarnation of a controller with the active one.
    ControllerRegistration = 70, versions 0..=0, flexible 0..;

    request ControllerRegistrationRequest {
        controller_id: i32,
        incarnation_id: Uuid,
        zk_migration_ready: bool,
        listeners: Vec<Listener>,
        features: Vec<Feature>,
    }

    response ControllerRegistrationResponse {
        throttle_time_ms: i32,
        error_code: i16,
        error_message: Option<Str> = Some(empty),
    }

    struct Listener { name: Str, host: Str, port: u16, security_protocol: i16 }

    struct Feature { name: Str, min_supported_version: i16, max_supported_version: i16 }
}
