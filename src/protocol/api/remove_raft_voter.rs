//! The bytes of RemoveRaftVoter. KIP-853.

use crate::types::{Str, Uuid};

api! {
    /// Removes a voter from the quorum.
    RemoveRaftVoter = 81, versions 0..=0, flexible 0..;

    request RemoveRaftVoterRequest {
        cluster_id: Option<Str> = Some(empty),
        voter_id: i32,
        voter_directory_id: Uuid,
    }

    response RemoveRaftVoterResponse {
        throttle_time_ms: i32,
        error_code: i16,
        error_message: Option<Str> = Some(empty),
    }
}
