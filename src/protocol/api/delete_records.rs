//! The bytes of DeleteRecords. KIP-107.

use crate::types::Str;

api! {
    /// Moves the start of partitions forward, so that older records can be deleted.
    DeleteRecords = 21, versions 0..=2, flexible 2..;

    request DeleteRecordsRequest { topics: Vec<DeleteRecordsTopic>, timeout_ms: i32 }

    response DeleteRecordsResponse { throttle_time_ms: i32, topics: Vec<DeleteRecordsTopicResult> }

    struct DeleteRecordsTopic { name: Str, partitions: Vec<DeleteRecordsPartition> }

    struct DeleteRecordsPartition { partition_index: i32, offset: i64 }

    struct DeleteRecordsTopicResult { name: Str, partitions: Vec<DeleteRecordsPartitionResult> }

    struct DeleteRecordsPartitionResult {
        partition_index: i32,
        low_watermark: i64,
        error_code: i16,
    }
}
