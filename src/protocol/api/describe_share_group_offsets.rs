//! The bytes of DescribeShareGroupOffsets. KIP-932, 1226.

use crate::types::{Str, Uuid};

api! {
    /// Describes the start offsets of share groups.
    DescribeShareGroupOffsets = 90, versions 0..=1, flexible 0..;

    request DescribeShareGroupOffsetsRequest { groups: Vec<DescribeShareGroupOffsetsRequestGroup> }

    response DescribeShareGroupOffsetsResponse {
        throttle_time_ms: i32,
        groups: Vec<DescribeShareGroupOffsetsResponseGroup>,
    }

    struct DescribeShareGroupOffsetsRequestGroup {
        group_id: Str,
        topics: Option<Vec<DescribeShareGroupOffsetsRequestTopic>> = Some(empty),
    }

    struct DescribeShareGroupOffsetsRequestTopic { topic_name: Str, partitions: Vec<i32> }

    struct DescribeShareGroupOffsetsResponseGroup {
        group_id: Str,
        topics: Vec<DescribeShareGroupOffsetsResponseTopic>,
        error_code: i16,
        error_message: Option<Str>,
    }

    struct DescribeShareGroupOffsetsResponseTopic {
        topic_name: Str,
        topic_id: Uuid,
        partitions: Vec<DescribeShareGroupOffsetsResponsePartition>,
    }

    struct DescribeShareGroupOffsetsResponsePartition {
        partition_index: i32,
        start_offset: i64,
        leader_epoch: i32,
        lag: i64 = -1 [1.., ignorable],
        error_code: i16,
        error_message: Option<Str>,
    }
}
