//! The bytes of AlterReplicaLogDirs. KIP-113.

use crate::types::Str;

api! {
    /// Moves replicas between the log directories of one broker.
    AlterReplicaLogDirs = 34, versions 1..=2, flexible 2..;

    request AlterReplicaLogDirsRequest { dirs: Vec<AlterReplicaLogDir> }

    response AlterReplicaLogDirsResponse {
        throttle_time_ms: i32,
        results: Vec<AlterReplicaLogDirTopicResult>,
    }

    struct AlterReplicaLogDir { path: Str, topics: Vec<AlterReplicaLogDirTopic> }

    struct AlterReplicaLogDirTopic { name: Str, partitions: Vec<i32> }

    struct AlterReplicaLogDirTopicResult {
        topic_name: Str,
        partitions: Vec<AlterReplicaLogDirPartitionResult>,
    }

    struct AlterReplicaLogDirPartitionResult { partition_index: i32, error_code: i16 }
}
