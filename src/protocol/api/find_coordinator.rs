//! The bytes of FindCoordinator. KIP-98, 699, 932.

use crate::types::Str;

api! {
    /// Names the broker that coordinates a group, a transactional id or a share-group partition; several keys
    /// at once from version 4.
    FindCoordinator = 10, versions 0..=6, flexible 3..;

    request FindCoordinatorRequest {
        key: Str                   [..=3],
        /// 0: group, 1: transactional id, 2: share-group partition.
        key_type: i8               [1..],
        coordinator_keys: Vec<Str> [4..],
    }

    response FindCoordinatorResponse {
        throttle_time_ms: i32                    [1.., ignorable],
        error_code: i16                          [..=3],
        error_message: Option<Str> = Some(empty) [1..=3, ignorable],
        node_id: i32                             [..=3],
        host: Str                                [..=3],
        port: i32                                [..=3],
        coordinators: Vec<Coordinator>           [4..],
    }

    struct Coordinator {
        key: Str,
        node_id: i32,
        host: Str,
        port: i32,
        error_code: i16,
        error_message: Option<Str> = Some(empty),
    }
}
