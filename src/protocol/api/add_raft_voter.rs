//! The bytes of AddRaftVoter. KIP-853, 1186.

use crate::types::{Str, Uuid};

api! {
    /// Adds a voter to the quorum.
    AddRaftVoter = 80, versions 0..=1, flexible 0..;

    request AddRaftVoterRequest {
        cluster_id: Option<Str> = Some(empty),
        timeout_ms: i32,
        voter_id: i32,
        voter_directory_id: Uuid,
        listeners: Vec<Listener>,
        ack_when_committed: bool = true [1..],
    }

    response AddRaftVoterResponse {
        throttle_time_ms: i32,
        error_code: i16,
        error_message: Option<Str> = Some(empty),
    }

    struct Listener { name: Str, host: Str, port: u16 }
}
