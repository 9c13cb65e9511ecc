//! The bytes of UpdateRaftVoter. KIP-853.

use crate::types::{Str, Uuid};

api! {
    /// Updates the endpoints and supported versions of a voter.
    UpdateRaftVoter = 82, versions 0..=0, flexible 0..;

    request UpdateRaftVoterRequest {
        cluster_id: Option<Str> = Some(empty),
        current_leader_epoch: i32,
        voter_id: i32,
        voter_directory_id: Uuid,
        listeners: Vec<Listener>,
        k_raft_version_feature: KRaftVersionFeature,
    }

    response UpdateRaftVoterResponse {
        throttle_time_ms: i32,
        error_code: i16,
        current_leader: CurrentLeader [.., tag 0],
    }

    struct Listener { name: Str, host: Str, port: u16 }

    struct KRaftVersionFeature { min_supported_version: i16, max_supported_version: i16 }

    struct CurrentLeader { leader_id: i32 = -1, leader_epoch: i32 = -1, host: Str, port: i32 }
}
