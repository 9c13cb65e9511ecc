//! The bytes of EndTxn. KIP-98, 588, 890.

use crate::types::Str;

api! {
    /// Commits or aborts a transaction; from version 5 it also returns the producer's next id and epoch.
    EndTxn = 26, versions 0..=5, flexible 3..;

    request EndTxnRequest {
        transactional_id: Str,
        producer_id: i64,
        producer_epoch: i16,
        committed: bool,
    }

    response EndTxnResponse {
        throttle_time_ms: i32,
        error_code: i16,
        producer_id: i64 = -1    [5.., ignorable],
        producer_epoch: i16 = -1 [5.., ignorable],
    }
}
