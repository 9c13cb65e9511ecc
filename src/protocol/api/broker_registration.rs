//! The bytes of BrokerRegistration. KIP-631, 858, 866.

use crate::types::{Str, Uuid};

api! {
    /// Registers one incarnation of a broker with the controller.
    BrokerRegistration = 62, versions 0..=4, flexible 0..;

    request BrokerRegistrationRequest {
        broker_id: i32,
        cluster_id: Str,
        incarnation_id: Uuid,
        listeners: Vec<Listener>,
        features: Vec<Feature>,
        rack: Option<Str> = Some(empty),
        is_migrating_zk_broker: bool    [1..],
        log_dirs: Vec<Uuid>             [2.., ignorable],
        /// From a clean shutdown, -1 otherwise: the controller then knows what may be lost (KIP-966).
        previous_broker_epoch: i64 = -1 [3.., ignorable],
    }

    response BrokerRegistrationResponse {
        throttle_time_ms: i32,
        error_code: i16,
        broker_epoch: i64 = -1,
    }

    struct Listener { name: Str, host: Str, port: u16, security_protocol: i16 }

    struct Feature { name: Str, min_supported_version: i16, max_supported_version: i16 }
}
