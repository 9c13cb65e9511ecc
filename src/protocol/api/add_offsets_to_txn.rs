//! The bytes of AddOffsetsToTxn. KIP-98, 588.

use crate::types::Str;

api! {
    /// Adds a group's offsets partition to a transaction.
    AddOffsetsToTxn = 25, versions 0..=4, flexible 3..;

    request AddOffsetsToTxnRequest {
        transactional_id: Str,
        producer_id: i64,
        producer_epoch: i16,
        group_id: Str,
    }

    response AddOffsetsToTxnResponse { throttle_time_ms: i32, error_code: i16 }
}
