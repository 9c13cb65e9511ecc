//! The bytes of AssignReplicasToDirs. KIP-858.

use crate::types::Uuid;

api! {
    /// A broker tells the controller which log directories its replicas are in.
    AssignReplicasToDirs = 73, versions 0..=0, flexible 0..;

    request AssignReplicasToDirsRequest {
        broker_id: i32,
        broker_epoch: i64 = -1,
        directories: Vec<RequestDirectoryData>,
    }

    response AssignReplicasToDirsResponse {
        throttle_time_ms: i32,
        error_code: i16,
        directories: Vec<ResponseDirectoryData>,
    }

    struct RequestDirectoryData { id: Uuid, topics: Vec<RequestTopicData> }

    struct RequestTopicData { topic_id: Uuid, partitions: Vec<RequestPartitionData> }

    struct RequestPartitionData { partition_index: i32 }

    struct ResponseDirectoryData { id: Uuid, topics: Vec<ResponseTopicData> }

    struct ResponseTopicData { topic_id: Uuid, partitions: Vec<ResponsePartitionData> }

    struct ResponsePartitionData { partition_index: i32, error_code: i16 }
}
