//! The bytes of AllocateProducerIds. KIP-730.
api! {
    /// Gives a broker a block of producer ids.
    AllocateProducerIds = 67, versions 0..=0, flexible 0..;

    request AllocateProducerIdsRequest { broker_id: i32, broker_epoch: i64 = -1 }

    response AllocateProducerIdsResponse {
        throttle_time_ms: i32,
        error_code: i16,
        producer_id_start: i64,
        producer_id_len: i32,
    }
}
