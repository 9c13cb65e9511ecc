//! The bytes of StreamsGroupDescribe. KIP-1071.

use crate::types::Str;

api! {
    /// Describes streams groups: topology, members, tasks.
    StreamsGroupDescribe = 89, versions 0..=0, flexible 0..;

    request StreamsGroupDescribeRequest { group_ids: Vec<Str>, include_authorized_operations: bool }

    response StreamsGroupDescribeResponse { throttle_time_ms: i32, groups: Vec<DescribedGroup> }

    struct DescribedGroup {
        error_code: i16,
        error_message: Option<Str>,
        group_id: Str,
        group_state: Str,
        group_epoch: i32,
        assignment_epoch: i32,
        topology: Option<Box<Topology>>,
        members: Vec<Member>,
        authorized_operations: i32 = -2_147_483_648,
    }

    struct Topology { epoch: i32, subtopologies: Option<Vec<Subtopology>> }

    struct Subtopology {
        subtopology_id: Str,
        source_topics: Vec<Str>,
        repartition_sink_topics: Vec<Str>,
        state_changelog_topics: Vec<TopicInfo>,
        repartition_source_topics: Vec<TopicInfo>,
    }

    struct TopicInfo {
        name: Str,
        partitions: i32,
        replication_factor: i16,
        topic_configs: Vec<KeyValue>,
    }

    struct KeyValue { key: Str, value: Str }

    struct Member {
        member_id: Str,
        member_epoch: i32,
        instance_id: Option<Str>,
        rack_id: Option<Str>,
        client_id: Str,
        client_host: Str,
        topology_epoch: i32,
        process_id: Str,
        user_endpoint: Option<Box<Endpoint>>,
        client_tags: Vec<KeyValue>,
        task_offsets: Vec<TaskOffset>,
        task_end_offsets: Vec<TaskOffset>,
        assignment: Assignment,
        target_assignment: Assignment,
        is_classic: bool,
    }

    struct Endpoint { host: Str, port: u16 }

    struct TaskOffset { subtopology_id: Str, partition: i32, offset: i64 }

    struct Assignment {
        active_tasks: Vec<TaskIds>,
        standby_tasks: Vec<TaskIds>,
        warmup_tasks: Vec<TaskIds>,
    }

    struct TaskIds { subtopology_id: Str, partitions: Vec<i32> }
}
