//! The bytes of ConsumerGroupHeartbeat. KIP-848.

use crate::types::{Str, Uuid};

api! {
    /// Joins, leaves and keeps alive a member of a consumer group; the coordinator answers with its
    /// assignment.
    ConsumerGroupHeartbeat = 68, versions 0..=1, flexible 0..;

    request ConsumerGroupHeartbeatRequest {
        group_id: Str,
        member_id: Str,
        /// 0 joins, -1 leaves, -2 leaves for a while as a static member.
        member_epoch: i32,
        instance_id: Option<Str>,
        rack_id: Option<Str>,
        /// -1 where it has not changed.
        rebalance_timeout_ms: i32 = -1,
        /// Null where it has not changed.
        subscribed_topic_names: Option<Vec<Str>>,
        subscribed_topic_regex: Option<Str> [1..],
        server_assignor: Option<Str>,
        /// What the member owns; null where it has not changed.
        topic_partitions: Option<Vec<TopicPartitions>>,
    }

    response ConsumerGroupHeartbeatResponse {
        throttle_time_ms: i32,
        error_code: i16,
        error_message: Option<Str>,
        member_id: Option<Str>,
        member_epoch: i32,
        heartbeat_interval_ms: i32,
        /// Null where it has not changed.
        assignment: Option<Box<Assignment>>,
    }

    struct TopicPartitions { topic_id: Uuid, partitions: Vec<i32> }

    struct Assignment { topic_partitions: Vec<TopicPartitions> }
}
