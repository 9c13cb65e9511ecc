//! Consumer groups (KIP-848) in `__consumer_offsets`, as bytes.

use crate::types::{Str, Uuid};
use bytes::Bytes;

message! {
    /// A consumer group (KIP-848).
    message ConsumerGroupMetadataKey, versions 0..=0, flexible none; { group_id: Str }
}

message! {
    /// A consumer group's epoch.
    message ConsumerGroupMetadataValue, versions 0..=0, flexible 0..; {
        epoch: i32,
        metadata_hash: i64 [.., tag 0],
    }
}

message! {
    /// The topics that a consumer group subscribes to. Not written since 4.1.
    message ConsumerGroupPartitionMetadataKey, versions 0..=0, flexible none; { group_id: Str }
}

message! {
    /// Topics and their partitions, as the group last saw them. Not written since 4.1.
    message ConsumerGroupPartitionMetadataValue, versions 0..=0, flexible 0..; { topics: Vec<TopicMetadata> }

    struct TopicMetadata {
        topic_id: Uuid,
        topic_name: Str,
        num_partitions: i32,
        partition_metadata: Vec<PartitionMetadata>,
    }

    struct PartitionMetadata { partition: i32, racks: Vec<Str> }
}

message! {
    /// A member of a consumer group.
    message ConsumerGroupMemberMetadataKey, versions 0..=0, flexible none; { group_id: Str, member_id: Str }
}

message! {
    /// What a member of a consumer group has said about itself. `classic_member_metadata` is written, as
    /// null, unless the member speaks the classic protocol.
    message ConsumerGroupMemberMetadataValue, versions 0..=0, flexible 0..; {
        instance_id: Option<Str> = Some(empty),
        rack_id: Option<Str> = Some(empty),
        client_id: Str,
        client_host: Str,
        subscribed_topic_names: Vec<Str>,
        subscribed_topic_regex: Option<Str> = Some(empty),
        rebalance_timeout_ms: i32 = -1,
        server_assignor: Option<Str> = Some(empty),
        classic_member_metadata: Option<Box<ClassicMemberMetadata>> = Some(empty) [.., tag 0],
    }

    struct ClassicMemberMetadata {
        session_timeout_ms: i32,
        supported_protocols: Vec<ClassicProtocol>,
    }

    struct ClassicProtocol { name: Str, metadata: Bytes }
}

message! {
    /// The target assignment of a consumer group.
    message ConsumerGroupTargetAssignmentMetadataKey, versions 0..=0, flexible none; { group_id: Str }
}

message! {
    /// The epoch of a target assignment.
    message ConsumerGroupTargetAssignmentMetadataValue, versions 0..=0, flexible 0..; {
        assignment_epoch: i32,
        assignment_timestamp: i64 [.., tag 0],
    }
}

message! {
    /// The target assignment of a member of a consumer group.
    message ConsumerGroupTargetAssignmentMemberKey, versions 0..=0, flexible none;
    { group_id: Str, member_id: Str }
}

message! {
    /// The partitions that a member is to have.
    message ConsumerGroupTargetAssignmentMemberValue, versions 0..=0, flexible 0..;
    { topic_partitions: Vec<TopicPartition> }

    struct TopicPartition { topic_id: Uuid, partitions: Vec<i32> }
}

message! {
    /// The current assignment of a member of a consumer group.
    message ConsumerGroupCurrentMemberAssignmentKey, versions 0..=0, flexible none;
    { group_id: Str, member_id: Str }
}

message! {
    /// What a member has, what it must give up, and its epochs.
    message ConsumerGroupCurrentMemberAssignmentValue, versions 0..=0, flexible 0..; {
        member_epoch: i32,
        previous_member_epoch: i32,
        state: i8,
        assigned_partitions: Vec<TopicPartitions>,
        partitions_pending_revocation: Vec<TopicPartitions>,
    }

    struct TopicPartitions {
        topic_id: Uuid,
        partitions: Vec<i32>,
        assignment_epochs: Option<Vec<i32>> = Some(empty) [.., tag 0],
    }
}

message! {
    /// A regular expression that members of a consumer group subscribe with.
    message ConsumerGroupRegularExpressionKey, versions 0..=0, flexible none;
    { group_id: Str, regular_expression: Str }
}

message! {
    /// The topics that a regular expression stood for at some version of the metadata.
    message ConsumerGroupRegularExpressionValue, versions 0..=0, flexible 0..;
    { topics: Vec<Str>, version: i64, timestamp: i64 }
}
