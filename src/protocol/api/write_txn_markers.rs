//! The bytes of WriteTxnMarkers. KIP-98, 1228.

use crate::types::Str;

api! {
    /// Has partition leaders write the control records that end transactions.
    WriteTxnMarkers = 27, versions 1..=2, flexible 1..;

    request WriteTxnMarkersRequest { markers: Vec<WritableTxnMarker> }

    response WriteTxnMarkersResponse { markers: Vec<WritableTxnMarkerResult> }

    struct WritableTxnMarker {
        producer_id: i64,
        producer_epoch: i16,
        transaction_result: bool,
        topics: Vec<WritableTxnMarkerTopic>,
        coordinator_epoch: i32,
        transaction_version: i8 [2.., ignorable],
    }

    struct WritableTxnMarkerTopic { name: Str, partition_indexes: Vec<i32> }

    struct WritableTxnMarkerResult { producer_id: i64, topics: Vec<WritableTxnMarkerTopicResult> }

    struct WritableTxnMarkerTopicResult {
        name: Str,
        partitions: Vec<WritableTxnMarkerPartitionResult>,
    }

    struct WritableTxnMarkerPartitionResult { partition_index: i32, error_code: i16 }
}
