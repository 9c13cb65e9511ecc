//! InitProducerId 0 to 5: a producer id for an idempotent producer (KIP-98, 360).
//!
//! Errors: COORDINATOR_LOAD_IN_PROGRESS while a block of ids is fetched and the controller does not answer;
//! COORDINATOR_NOT_AVAILABLE for a transactional id, whose coordinator is not there yet; INVALID_REQUEST for
//! an empty one. A producer id given without a transactional id is ignored, as in Kafka: a new one comes.
//! Omitted: throttling.

use crate::broker::RequestContext;
use crate::protocol::api::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use crate::types::ErrorCode;
use std::sync::Arc;

/// Hands out the next id of the broker's block.
pub async fn handle(context: Arc<RequestContext>, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let refuse = |error: ErrorCode| InitProducerIdResponse {
        error_code: error.code(),
        producer_epoch: -1,
        ..Default::default()
    };
    match request.transactional_id.as_deref() {
        Some("") => return refuse(ErrorCode::InvalidRequest),
        Some(_) => return refuse(ErrorCode::CoordinatorNotAvailable),
        None => {}
    }
    match context.broker.producer_ids.next(&context.broker).await {
        Ok(id) => InitProducerIdResponse { producer_id: id.0, producer_epoch: 0, ..Default::default() },
        Err(error) => refuse(error),
    }
}
