//! Offsets and classic groups in `__consumer_offsets`, as bytes.

use crate::types::{Str, Uuid};
use bytes::Bytes;

message! {
    /// The offset of a group in a partition, as the first brokers wrote it.
    message LegacyOffsetCommitKey, versions 0..=0, flexible none; { group: Str, topic: Str, partition: i32 }
}

message! {
    /// An offset, as the first brokers wrote it.
    message LegacyOffsetCommitValue, versions 0..=0, flexible none;
    { offset: i64, metadata: Str, commit_timestamp: i64 }
}

message! {
    /// The offset of a group in a partition.
    message OffsetCommitKey, versions 0..=0, flexible none; { group: Str, topic: Str, partition: i32 }
}

message! {
    /// A committed offset. Version 1 alone has an expiry of its own.
    message OffsetCommitValue, versions 0..=4, flexible 4..; {
        offset: i64,
        leader_epoch: i32 = -1     [3.., ignorable],
        metadata: Str,
        commit_timestamp: i64,
        expire_timestamp: i64 = -1 [1..=1, ignorable],
        topic_id: Uuid             [4.., tag 0, ignorable],
    }
}

message! {
    /// A classic group.
    message GroupMetadataKey, versions 0..=0, flexible none; { group: Str }
}

message! {
    /// A classic group with its members, subscriptions and assignments.
    message GroupMetadataValue, versions 0..=4, flexible 4..; {
        protocol_type: Str,
        generation: i32,
        protocol: Option<Str> = Some(empty),
        leader: Option<Str> = Some(empty),
        current_state_timestamp: i64 = -1 [2.., ignorable],
        members: Vec<MemberMetadata>,
    }

    struct MemberMetadata {
        member_id: Str,
        group_instance_id: Option<Str> [3.., ignorable],
        client_id: Str,
        client_host: Str,
        rebalance_timeout: i32 = -1    [1.., ignorable],
        session_timeout: i32,
        subscription: Bytes,
        assignment: Bytes,
    }
}
