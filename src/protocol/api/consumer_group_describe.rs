//! The bytes of ConsumerGroupDescribe. KIP-848.

use crate::types::{Str, Uuid};

api! {
    /// Describes consumer groups: members, their current and target assignments.
    ConsumerGroupDescribe = 69, versions 0..=1, flexible 0..;

    request ConsumerGroupDescribeRequest {
        group_ids: Vec<Str>,
        include_authorized_operations: bool,
    }

    response ConsumerGroupDescribeResponse { throttle_time_ms: i32, groups: Vec<DescribedGroup> }

    struct DescribedGroup {
        error_code: i16,
        error_message: Option<Str>,
        group_id: Str,
        group_state: Str,
        group_epoch: i32,
        assignment_epoch: i32,
        assignor_name: Str,
        members: Vec<Member>,
        authorized_operations: i32 = -2_147_483_648,
    }

    struct Member {
        member_id: Str,
        instance_id: Option<Str>,
        rack_id: Option<Str>,
        member_epoch: i32,
        client_id: Str,
        client_host: Str,
        subscribed_topic_names: Vec<Str>,
        subscribed_topic_regex: Option<Str>,
        assignment: Assignment,
        target_assignment: Assignment,
        member_type: i8 = -1 [1.., ignorable],
    }

    struct Assignment { topic_partitions: Vec<TopicPartitions> }

    struct TopicPartitions { topic_id: Uuid, topic_name: Str, partitions: Vec<i32> }
}
