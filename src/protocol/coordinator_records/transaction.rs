//! The transaction coordinator's records in `__transaction_state`, as bytes.

use crate::types::Str;

message! {
    /// A transactional id.
    message TransactionLogKey, versions 0..=0, flexible none; { transactional_id: Str }
}

message! {
    /// The state of a transaction. Version 1, the flexible one, is written from transaction.version 1 on
    /// (KIP-890).
    message TransactionLogValue, versions 0..=1, flexible 1..; {
        producer_id: i64,
        previous_producer_id: i64 = -1  [1.., tag 0],
        next_producer_id: i64 = -1      [1.., tag 1],
        producer_epoch: i16,
        client_transaction_version: i16 [1.., tag 2],
        transaction_timeout_ms: i32,
        transaction_status: i8,
        transaction_partitions: Option<Vec<PartitionsSchema>> = Some(empty),
        transaction_last_update_timestamp_ms: i64,
        transaction_start_timestamp_ms: i64,
        next_producer_epoch: i16 = -1   [1.., tag 3],
    }

    struct PartitionsSchema { topic: Str, partition_ids: Vec<i32> }
}
