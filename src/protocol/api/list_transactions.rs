//! The bytes of ListTransactions. KIP-664, 994, 1152.

use crate::types::Str;

api! {
    /// Lists the transactions of one coordinator, filtered by state, producer, age and name.
    ListTransactions = 66, versions 0..=2, flexible 0..;

    request ListTransactionsRequest {
        state_filters: Vec<Str>,
        producer_id_filters: Vec<i64>,
        duration_filter: i64 = -1             [1..],
        transactional_id_pattern: Option<Str> [2..],
    }

    response ListTransactionsResponse {
        throttle_time_ms: i32,
        error_code: i16,
        unknown_state_filters: Vec<Str>,
        transaction_states: Vec<TransactionState>,
    }

    struct TransactionState { transactional_id: Str, producer_id: i64, transaction_state: Str }
}
