//! Share groups (KIP-932) in `__consumer_offsets`, as bytes.

use crate::types::{Str, Uuid};

message! {
    /// A member of a share group (KIP-932).
    message ShareGroupMemberMetadataKey, versions 0..=0, flexible none; { group_id: Str, member_id: Str }
}

message! {
    /// What a member of a share group has said about itself.
    message ShareGroupMemberMetadataValue, versions 0..=0, flexible 0..; {
        rack_id: Option<Str> = Some(empty),
        client_id: Str,
        client_host: Str,
        subscribed_topic_names: Vec<Str>,
    }
}

message! {
    /// A share group.
    message ShareGroupMetadataKey, versions 0..=0, flexible none; { group_id: Str }
}

message! {
    /// A share group's epoch.
    message ShareGroupMetadataValue, versions 0..=0, flexible 0..; { epoch: i32, metadata_hash: i64 }
}

message! {
    /// The target assignment of a share group.
    message ShareGroupTargetAssignmentMetadataKey, versions 0..=0, flexible none; { group_id: Str }
}

message! {
    /// The epoch of a target assignment.
    message ShareGroupTargetAssignmentMetadataValue, versions 0..=0, flexible 0..; {
        assignment_epoch: i32,
        assignment_timestamp: i64 [.., tag 0],
    }
}

message! {
    /// The target assignment of a member of a share group.
    message ShareGroupTargetAssignmentMemberKey, versions 0..=0, flexible none;
    { group_id: Str, member_id: Str }
}

message! {
    /// The partitions that a member is to have.
    message ShareGroupTargetAssignmentMemberValue, versions 0..=0, flexible 0..;
    { topic_partitions: Vec<TopicPartition> }

    struct TopicPartition { topic_id: Uuid, partitions: Vec<i32> }
}

message! {
    /// The current assignment of a member of a share group.
    message ShareGroupCurrentMemberAssignmentKey, versions 0..=0, flexible none;
    { group_id: Str, member_id: Str }
}

message! {
    /// What a member has, and its epochs.
    message ShareGroupCurrentMemberAssignmentValue, versions 0..=0, flexible 0..; {
        member_epoch: i32,
        previous_member_epoch: i32,
        state: i8,
        assigned_partitions: Vec<TopicPartitions>,
    }

    struct TopicPartitions { topic_id: Uuid, partitions: Vec<i32> }
}

message! {
    /// Which partitions of a share group have state.
    message ShareGroupStatePartitionMetadataKey, versions 0..=0, flexible none; { group_id: Str }
}

message! {
    /// Partitions whose state is being made, is there, or is being deleted.
    message ShareGroupStatePartitionMetadataValue, versions 0..=0, flexible 0..; {
        initializing_topics: Vec<TopicPartitionsInfo>,
        initialized_topics: Vec<TopicPartitionsInfo>,
        deleting_topics: Vec<TopicInfo>,
    }

    struct TopicPartitionsInfo { topic_id: Uuid, topic_name: Str, partitions: Vec<i32> }

    struct TopicInfo { topic_id: Uuid, topic_name: Str }
}
