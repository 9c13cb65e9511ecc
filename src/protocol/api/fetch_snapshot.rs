//! The bytes of FetchSnapshot. KIP-630, 853.

use crate::types::{Str, Uuid};
use bytes::Bytes;

api! {
    /// Fetches a piece of a metadata snapshot.
    FetchSnapshot = 59, versions 0..=1, flexible 0..;

    request FetchSnapshotRequest {
        cluster_id: Option<Str> [.., tag 0],
        replica_id: i32 = -1,
        max_bytes: i32 = 0x7fff_ffff,
        topics: Vec<RequestTopicSnapshot>,
    }

    response FetchSnapshotResponse {
        throttle_time_ms: i32,
        error_code: i16,
        topics: Vec<ResponseTopicSnapshot>,
        node_endpoints: Vec<NodeEndpoint> [1.., tag 0],
    }

    struct RequestTopicSnapshot { name: Str, partitions: Vec<RequestPartitionSnapshot> }

    struct RequestPartitionSnapshot {
        partition: i32,
        current_leader_epoch: i32,
        snapshot_id: SnapshotId,
        position: i64,
        replica_directory_id: Uuid [1.., tag 0, ignorable],
    }

    struct SnapshotId { end_offset: i64, epoch: i32 }

    struct ResponseTopicSnapshot { name: Str, partitions: Vec<ResponsePartitionSnapshot> }

    struct ResponsePartitionSnapshot {
        index: i32,
        error_code: i16,
        snapshot_id: SnapshotId,
        current_leader: LeaderIdAndEpoch [.., tag 0],
        size: i64,
        position: i64,
        unaligned_records: Bytes,
    }

    struct LeaderIdAndEpoch { leader_id: i32, leader_epoch: i32 }

    struct NodeEndpoint { node_id: i32, host: Str, port: u16 }
}
