//! The bytes of DescribeLogDirs. KIP-113, 827, 1066.

use crate::types::Str;

api! {
    /// Describes the log directories of one broker and the replicas in them.
    DescribeLogDirs = 35, versions 1..=5, flexible 2..;

    request DescribeLogDirsRequest { topics: Option<Vec<DescribableLogDirTopic>> = Some(empty) }

    response DescribeLogDirsResponse {
        throttle_time_ms: i32,
        error_code: i16 [3.., ignorable],
        results: Vec<DescribeLogDirsResult>,
    }

    struct DescribableLogDirTopic { topic: Str, partitions: Vec<i32> }

    struct DescribeLogDirsResult {
        error_code: i16,
        log_dir: Str,
        topics: Vec<DescribeLogDirsTopic>,
        total_bytes: i64 = -1  [4.., ignorable],
        usable_bytes: i64 = -1 [4.., ignorable],
        is_cordoned: bool      [5.., ignorable],
    }

    struct DescribeLogDirsTopic { name: Str, partitions: Vec<DescribeLogDirsPartition> }

    struct DescribeLogDirsPartition {
        partition_index: i32,
        partition_size: i64,
        offset_lag: i64,
        is_future_key: bool,
    }
}
