//! Streams groups (KIP-1071) in `__consumer_offsets`, as bytes.

use crate::types::Str;

message! {
    /// A streams group (KIP-1071).
    message StreamsGroupMetadataKey, versions 0..=0, flexible none; { group_id: Str }
}

message! {
    /// A streams group's epoch and what it was last computed from.
    message StreamsGroupMetadataValue, versions 0..=0, flexible 0..; {
        epoch: i32,
        metadata_hash: i64,
        validated_topology_epoch: i32 = -1                                       [.., tag 0],
        last_assignment_configs: Option<Vec<LastAssignmentConfig>> = Some(empty) [.., tag 1],
    }

    struct LastAssignmentConfig { key: Str, value: Str }
}

message! {
    /// A member of a streams group.
    message StreamsGroupMemberMetadataKey, versions 0..=0, flexible none; { group_id: Str, member_id: Str }
}

message! {
    /// What a member of a streams group has said about itself.
    message StreamsGroupMemberMetadataValue, versions 0..=0, flexible 0..; {
        instance_id: Option<Str> = Some(empty),
        rack_id: Option<Str> = Some(empty),
        client_id: Str,
        client_host: Str,
        rebalance_timeout_ms: i32 = -1,
        topology_epoch: i32,
        process_id: Str,
        user_endpoint: Option<Box<Endpoint>>,
        client_tags: Vec<KeyValue>,
    }

    struct Endpoint { host: Str, port: u16 }

    struct KeyValue { key: Str, value: Str }
}

message! {
    /// The target assignment of a streams group.
    message StreamsGroupTargetAssignmentMetadataKey, versions 0..=0, flexible none; { group_id: Str }
}

message! {
    /// The epoch of a target assignment.
    message StreamsGroupTargetAssignmentMetadataValue, versions 0..=0, flexible 0..; {
        assignment_epoch: i32,
        assignment_timestamp: i64 [.., tag 0],
    }
}

message! {
    /// The target assignment of a member of a streams group.
    message StreamsGroupTargetAssignmentMemberKey, versions 0..=0, flexible none;
    { group_id: Str, member_id: Str }
}

message! {
    /// The tasks that a member is to have.
    message StreamsGroupTargetAssignmentMemberValue, versions 0..=0, flexible 0..; {
        active_tasks: Vec<StreamsGroupTargetAssignmentMemberTaskIds>,
        standby_tasks: Vec<StreamsGroupTargetAssignmentMemberTaskIds>,
        warmup_tasks: Vec<StreamsGroupTargetAssignmentMemberTaskIds>,
    }

    struct StreamsGroupTargetAssignmentMemberTaskIds { subtopology_id: Str, partitions: Vec<i32> }
}

message! {
    /// The current assignment of a member of a streams group.
    message StreamsGroupCurrentMemberAssignmentKey, versions 0..=0, flexible none;
    { group_id: Str, member_id: Str }
}

message! {
    /// The tasks that a member has, those it must give up, and its epochs.
    message StreamsGroupCurrentMemberAssignmentValue, versions 0..=0, flexible 0..; {
        member_epoch: i32,
        previous_member_epoch: i32,
        state: i8,
        active_tasks: Vec<StreamsGroupCurrentMemberAssignmentTaskIds>,
        standby_tasks: Vec<StreamsGroupCurrentMemberAssignmentTaskIds>,
        warmup_tasks: Vec<StreamsGroupCurrentMemberAssignmentTaskIds>,
        active_tasks_pending_revocation: Vec<StreamsGroupCurrentMemberAssignmentTaskIds>,
        standby_tasks_pending_revocation: Vec<StreamsGroupCurrentMemberAssignmentTaskIds>,
        warmup_tasks_pending_revocation: Vec<StreamsGroupCurrentMemberAssignmentTaskIds>,
    }

    struct StreamsGroupCurrentMemberAssignmentTaskIds {
        subtopology_id: Str,
        partitions: Vec<i32>,
        assignment_epochs: Option<Vec<i32>> = Some(empty) [.., tag 0],
    }
}

message! {
    /// The topology of a streams group.
    message StreamsGroupTopologyKey, versions 0..=0, flexible none; { group_id: Str }
}

message! {
    /// The topology of a streams group: subtopologies with their source, sink, changelog and repartition
    /// topics.
    message StreamsGroupTopologyValue, versions 0..=0, flexible 0..;
    { epoch: i32, subtopologies: Vec<Subtopology> }

    struct Subtopology {
        subtopology_id: Str,
        source_topics: Vec<Str>,
        source_topic_regex: Vec<Str>,
        state_changelog_topics: Vec<TopicInfo>,
        repartition_sink_topics: Vec<Str>,
        repartition_source_topics: Vec<TopicInfo>,
        copartition_groups: Vec<CopartitionGroup>,
    }

    struct TopicInfo {
        name: Str,
        partitions: i32,
        replication_factor: i16,
        topic_configs: Vec<TopicConfig>,
    }

    struct TopicConfig { key: Str, value: Str }

    struct CopartitionGroup {
        source_topics: Vec<i16>,
        source_topic_regex: Vec<i16>,
        repartition_source_topics: Vec<i16>,
    }
}
