//! The bytes of InitProducerId. KIP-98, 360, 588, 890, 939.

use crate::types::Str;

api! {
    /// Gives an idempotent or transactional producer its id and epoch, and fences earlier ones of the same
    /// transactional id.
    InitProducerId = 22, versions 0..=6, flexible 2..;

    request InitProducerIdRequest {
        /// Null for a producer that is idempotent only.
        transactional_id: Option<Str> = Some(empty),
        transaction_timeout_ms: i32,
        /// -1, or the id whose epoch the producer wants raised (KIP-360).
        producer_id: i64 = -1    [3..],
        producer_epoch: i16 = -1 [3..],
        enable2_pc: bool         [6..],
        keep_prepared_txn: bool  [6..],
    }

    response InitProducerIdResponse {
        throttle_time_ms: i32,
        error_code: i16,
        producer_id: i64 = -1,
        producer_epoch: i16,
        ongoing_txn_producer_id: i64 = -1    [6..],
        ongoing_txn_producer_epoch: i16 = -1 [6..],
    }
}
