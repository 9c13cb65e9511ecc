//! ListPartitionReassignments 0: moves of replicas that are under way (KIP-455).
//!
//! The controller answers. Errors, for the whole: NOT_CONTROLLER, REQUEST_TIMED_OUT. Omitted: throttling.

use crate::broker::RequestContext;
use crate::protocol::api::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};
use std::sync::Arc;
use std::time::Duration;

/// Lists moves.
pub async fn handle(
    context: Arc<RequestContext>,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let timeout = Duration::from_millis(request.timeout_ms.max(0) as u64);
    let answered = context.broker.controller_request(request, timeout).await;
    answered.unwrap_or_else(|error| ListPartitionReassignmentsResponse {
        error_code: error.code(),
        ..Default::default()
    })
}
