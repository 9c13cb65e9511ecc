//! The bytes of ShareGroupHeartbeat. KIP-932.

use crate::types::{Str, Uuid};

api! {
    /// Joins, leaves and keeps alive a member of a share group.
    ShareGroupHeartbeat = 76, versions 1..=1, flexible 1..;

    request ShareGroupHeartbeatRequest {
        group_id: Str,
        member_id: Str,
        /// 0 joins, -1 leaves.
        member_epoch: i32,
        rack_id: Option<Str>,
        subscribed_topic_names: Option<Vec<Str>>,
    }

    response ShareGroupHeartbeatResponse {
        throttle_time_ms: i32,
        error_code: i16,
        error_message: Option<Str>,
        member_id: Option<Str>,
        member_epoch: i32,
        heartbeat_interval_ms: i32,
        assignment: Option<Box<Assignment>>,
    }

    struct Assignment { topic_partitions: Vec<TopicPartitions> }

    struct TopicPartitions { topic_id: Uuid, partitions: Vec<i32> }
}
