//! The share coordinator's records in `__share_group_state`, as bytes.

use crate::types::{Str, Uuid};

message! {
    /// The whole state of a share-group partition.
    message ShareSnapshotKey, versions 0..=0, flexible none; { group_id: Str, topic_id: Uuid, partition: i32 }
}

message! {
    /// The whole state of a share-group partition.
    message ShareSnapshotValue, versions 0..=0, flexible 0..; {
        snapshot_epoch: i32,
        state_epoch: i32,
        leader_epoch: i32,
        start_offset: i64,
        delivery_complete_count: i32 = -1 [.., tag 0],
        create_timestamp: i64,
        write_timestamp: i64,
        state_batches: Vec<StateBatch>,
    }

    struct StateBatch {
        first_offset: i64,
        last_offset: i64,
        delivery_state: i8,
        delivery_count: i16,
    }
}

message! {
    /// A change to the state of a share-group partition.
    message ShareUpdateKey, versions 0..=0, flexible none; { group_id: Str, topic_id: Uuid, partition: i32 }
}

message! {
    /// A change to the state of a share-group partition since its snapshot.
    message ShareUpdateValue, versions 0..=0, flexible 0..; {
        snapshot_epoch: i32,
        leader_epoch: i32,
        start_offset: i64,
        delivery_complete_count: i32 = -1 [.., tag 0],
        state_batches: Vec<StateBatch>,
    }
}
