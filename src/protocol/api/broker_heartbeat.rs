//! The bytes of BrokerHeartbeat. KIP-631, 858, 1066.

use crate::types::Uuid;

api! {
    /// Keeps a broker's registration alive; it asks to be fenced, unfenced or shut down.
    BrokerHeartbeat = 63, versions 0..=2, flexible 0..;

    request BrokerHeartbeatRequest {
        broker_id: i32,
        broker_epoch: i64 = -1,
        /// The highest offset of the metadata log that the broker has applied.
        current_metadata_offset: i64,
        want_fence: bool,
        want_shut_down: bool,
        offline_log_dirs: Vec<Uuid>          [1.., tag 0],
        cordoned_log_dirs: Option<Vec<Uuid>> [2.., tag 1],
    }

    response BrokerHeartbeatResponse {
        throttle_time_ms: i32,
        error_code: i16,
        is_caught_up: bool,
        is_fenced: bool = true,
        should_shut_down: bool,
    }
}
