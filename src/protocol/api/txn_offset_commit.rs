//! The bytes of TxnOffsetCommit. KIP-98, 447, 890.

use crate::types::Str;

api! {
    /// Stores a group's offsets as part of a transaction.
    TxnOffsetCommit = 28, versions 0..=5, flexible 3..;

    request TxnOffsetCommitRequest {
        transactional_id: Str,
        group_id: Str,
        producer_id: i64,
        producer_epoch: i16,
        generation_id: i32 = -1        [3..],
        member_id: Str                 [3..],
        group_instance_id: Option<Str> [3..],
        topics: Vec<TxnOffsetCommitRequestTopic>,
    }

    response TxnOffsetCommitResponse {
        throttle_time_ms: i32,
        topics: Vec<TxnOffsetCommitResponseTopic>,
    }

    struct TxnOffsetCommitRequestTopic {
        name: Str,
        partitions: Vec<TxnOffsetCommitRequestPartition>,
    }

    struct TxnOffsetCommitRequestPartition {
        partition_index: i32,
        committed_offset: i64,
        committed_leader_epoch: i32 = -1 [2.., ignorable],
        committed_metadata: Option<Str> = Some(empty),
    }

    struct TxnOffsetCommitResponseTopic {
        name: Str,
        partitions: Vec<TxnOffsetCommitResponsePartition>,
    }

    struct TxnOffsetCommitResponsePartition { partition_index: i32, error_code: i16 }
}
