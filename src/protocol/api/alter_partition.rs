//! The bytes of AlterPartition. KIP-497, 841, 903.

use crate::types::Uuid;

api! {
    /// A partition leader proposes a new in-sync set to the controller.
    AlterPartition = 56, versions 2..=3, flexible 2..;

    request AlterPartitionRequest {
        broker_id: i32,
        /// The leader's; a stale one is refused (KIP-903).
        broker_epoch: i64 = -1,
        topics: Vec<RequestTopicData>,
    }

    response AlterPartitionResponse {
        throttle_time_ms: i32,
        error_code: i16,
        topics: Vec<ResponseTopicData>,
    }

    struct RequestTopicData { topic_id: Uuid, partitions: Vec<RequestPartitionData> }

    struct RequestPartitionData {
        partition_index: i32,
        leader_epoch: i32,
        new_isr: Vec<i32>                     [2..=2],
        new_isr_with_epochs: Vec<BrokerState> [3..],
        leader_recovery_state: i8,
        partition_epoch: i32,
    }

    struct BrokerState { broker_id: i32, broker_epoch: i64 = -1 }

    struct ResponseTopicData { topic_id: Uuid, partitions: Vec<ResponsePartitionData> }

    struct ResponsePartitionData {
        partition_index: i32,
        error_code: i16,
        leader_id: i32,
        leader_epoch: i32,
        isr: Vec<i32>,
        leader_recovery_state: i8,
        partition_epoch: i32,
    }
}
