//! The bytes of Fetch. KIP-227, 392, 595, 903, 951, 1166.

use crate::types::{Str, Uuid};
use bytes::Bytes;

api! {
    /// Long-polls partitions for record batches; followers and the controller quorum replicate with it too.
    /// From version 7 a session lets client and broker leave out what did not change.
    Fetch = 1, versions 4..=18, flexible 12..;

    request FetchRequest {
        /// Checked by the quorum only.
        cluster_id: Option<Str>                    [12.., tag 0, ignorable],
        /// -1 from a consumer; `replica_state` replaces it.
        replica_id: i32 = -1                       [..=14],
        replica_state: ReplicaState                [15.., tag 1],
        max_wait_ms: i32,
        min_bytes: i32,
        /// Advisory: the first batch is returned even if it is larger, so that a reader makes progress.
        max_bytes: i32 = 0x7fff_ffff,
        /// 0: uncommitted, up to the high watermark; 1: committed, up to the last stable offset.
        isolation_level: i8,
        session_id: i32                            [7.., ignorable],
        /// 0 opens a session, -1 closes it or does without.
        session_epoch: i32 = -1                    [7.., ignorable],
        topics: Vec<FetchTopic>,
        /// Partitions to take out of the session.
        forgotten_topics_data: Vec<ForgottenTopic> [7..],
        rack_id: Str                               [11.., ignorable],
    }

    response FetchResponse {
        throttle_time_ms: i32,
        error_code: i16                   [7.., ignorable],
        /// 0: no session.
        session_id: i32                   [7..],
        responses: Vec<FetchableTopicResponse>,
        node_endpoints: Vec<NodeEndpoint> [16.., tag 0],
    }

    struct ReplicaState { replica_id: i32 = -1, replica_epoch: i64 = -1 }

    struct FetchTopic {
        topic: Str     [..=12, ignorable],
        topic_id: Uuid [13.., ignorable],
        partitions: Vec<FetchPartition>,
    }

    struct FetchPartition {
        partition: i32,
        /// -1 where the reader does not know it; otherwise the broker fences on it (KIP-320).
        current_leader_epoch: i32 = -1                  [9.., ignorable],
        fetch_offset: i64,
        /// -1 where there is none; the leader answers `diverging_epoch` if its log differs there (KIP-595).
        last_fetched_epoch: i32 = -1                    [12..],
        /// That of a follower; consumers send -1.
        log_start_offset: i64 = -1                      [5.., ignorable],
        partition_max_bytes: i32,
        replica_directory_id: Uuid                      [17.., tag 0, ignorable],
        /// What the follower knows; the leader answers at once if its own is higher (KIP-1166).
        high_watermark: i64 = 9_223_372_036_854_775_807 [18.., tag 1, ignorable],
    }

    struct ForgottenTopic {
        topic: Str     [..=12, ignorable],
        topic_id: Uuid [13.., ignorable],
        partitions: Vec<i32>,
    }

    struct FetchableTopicResponse {
        topic: Str     [..=12, ignorable],
        topic_id: Uuid [13.., ignorable],
        partitions: Vec<PartitionData>,
    }

    struct PartitionData {
        partition_index: i32,
        error_code: i16,
        high_watermark: i64,
        /// All transactions below it are decided; -1 where not asked for.
        last_stable_offset: i64 = -1,
        log_start_offset: i64 = -1       [5.., ignorable],
        diverging_epoch: EpochEndOffset  [12.., tag 0],
        current_leader: LeaderIdAndEpoch [12.., tag 1],
        snapshot_id: SnapshotId          [12.., tag 2],
        /// Null for readers of uncommitted records.
        aborted_transactions: Option<Vec<AbortedTransaction>> = Some(empty),
        /// -1: stay with the leader (KIP-392).
        preferred_read_replica: i32 = -1 [11..],
        records: Option<Bytes>,
    }

    struct EpochEndOffset {
        epoch: i32 = -1,
        /// The offset behind the last record of the epoch; -1 where unknown.
        end_offset: i64 = -1,
    }

    struct LeaderIdAndEpoch { leader_id: i32 = -1, leader_epoch: i32 = -1 }

    struct SnapshotId { end_offset: i64 = -1, epoch: i32 = -1 }

    struct AbortedTransaction { producer_id: i64, first_offset: i64 }

    struct NodeEndpoint { node_id: i32, host: Str, port: i32, rack: Option<Str> }
}
