//! The bytes of Metadata. KIP-4, 430, 516, 1102.

use crate::types::{Str, Uuid};

api! {
    /// Describes brokers, topics and partition leaders, and may create topics on the way.
    Metadata = 3, versions 0..=13, flexible 9..;

    request MetadataRequest {
        /// Null asks for all topics, an empty list for none; in version 0 an empty list asks for all.
        topics: Option<Vec<MetadataRequestTopic>> = Some(empty) [.., nullable 1..],
        allow_auto_topic_creation: bool = true                  [4..],
        include_cluster_authorized_operations: bool             [8..=10],
        include_topic_authorized_operations: bool               [8..],
    }

    response MetadataResponse {
        throttle_time_ms: i32                               [3.., ignorable],
        brokers: Vec<MetadataResponseBroker>,
        cluster_id: Option<Str>                             [2.., ignorable],
        controller_id: i32 = -1                             [1.., ignorable],
        topics: Vec<MetadataResponseTopic>,
        cluster_authorized_operations: i32 = -2_147_483_648 [8..=10],
        error_code: i16                                     [13.., ignorable],
    }

    struct MetadataRequestTopic {
        topic_id: Uuid                  [10.., ignorable],
        /// Null where the topic is asked for by id.
        name: Option<Str> = Some(empty) [.., nullable 10..],
    }

    struct MetadataResponseBroker {
        node_id: i32,
        host: Str,
        port: i32,
        rack: Option<Str> [1.., ignorable],
    }

    struct MetadataResponseTopic {
        error_code: i16,
        name: Option<Str> = Some(empty)                   [.., nullable 12..],
        topic_id: Uuid                                    [10.., ignorable],
        is_internal: bool                                 [1.., ignorable],
        partitions: Vec<MetadataResponsePartition>,
        /// A bit for each operation; the least i32 where not asked for (KIP-430).
        topic_authorized_operations: i32 = -2_147_483_648 [8..],
    }

    struct MetadataResponsePartition {
        error_code: i16,
        partition_index: i32,
        leader_id: i32,
        /// -1 where unknown (KIP-320).
        leader_epoch: i32 = -1     [7.., ignorable],
        replica_nodes: Vec<i32>,
        isr_nodes: Vec<i32>,
        offline_replicas: Vec<i32> [5.., ignorable],
    }
}
