//! UpdateFeatures 0 to 2: raises or lowers feature levels (KIP-584, 1022).
//!
//! The controller decides; its errors and messages pass through. Errors of this broker: NOT_CONTROLLER,
//! REQUEST_TIMED_OUT. Omitted: throttling.

use crate::broker::RequestContext;
use crate::protocol::api::update_features::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use std::sync::Arc;
use std::time::Duration;

/// Changes levels.
pub async fn handle(context: Arc<RequestContext>, request: UpdateFeaturesRequest) -> UpdateFeaturesResponse {
    let timeout = Duration::from_millis(request.timeout_ms.max(0) as u64);
    let answered = context.broker.controller_request(request, timeout).await;
    answered.unwrap_or_else(|error| UpdateFeaturesResponse { error_code: error.code(), ..Default::default() })
}
