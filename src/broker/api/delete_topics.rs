//! DeleteTopics 1 to 6 (KIP-4, 516).
//!
//! The controller decides; its errors and messages pass through. `delete.topic.enable=false` is
//! TOPIC_DELETION_DISABLED, or INVALID_REQUEST up to version 2. The response waits until this broker has let
//! go of the topics. Omitted: throttling, authorization.

use crate::broker::{Broker, RequestContext};
use crate::metadata::MetadataImage;
use crate::protocol::api::delete_topics::{DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse};
use crate::types::{ErrorCode, Str, Uuid};
use std::sync::Arc;
use std::time::Duration;

/// The first version with an error code of its own for a broker that does not delete.
const FIRST_WITH_DELETION_DISABLED: i16 = 3;

/// Deletes topics.
pub async fn handle(context: Arc<RequestContext>, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let broker = &context.broker;
    let by_name = request.topic_names.iter().map(|name| (Some(name.clone()), Uuid::ZERO));
    let by_either = request.topics.iter().map(|topic| (topic.name.clone(), topic.topic_id));
    let asked: Vec<(Option<Str>, Uuid)> = by_name.chain(by_either).collect();
    let refuse_all = |error: ErrorCode| {
        let refuse = |(name, topic_id)| DeletableTopicResult {
            name,
            topic_id,
            error_code: error.code(),
            ..Default::default()
        };
        DeleteTopicsResponse { responses: asked.into_iter().map(refuse).collect(), ..Default::default() }
    };
    if !broker.config.boolean("delete.topic.enable") {
        return refuse_all(match context.header.api_version {
            ..FIRST_WITH_DELETION_DISABLED => ErrorCode::InvalidRequest,
            _ => ErrorCode::TopicDeletionDisabled,
        });
    }
    let timeout = Duration::from_millis(request.timeout_ms.max(0) as u64);
    match broker.controller_request::<DeleteTopicsResponse>(request, timeout).await {
        Ok(response) => {
            wait_for(broker, &response, timeout).await;
            response
        }
        Err(error) => refuse_all(error),
    }
}

/// Waits until this broker has let go of what was deleted.
async fn wait_for(broker: &Broker, response: &DeleteTopicsResponse, timeout: Duration) {
    let deleted = |topic: &&DeletableTopicResult| topic.error_code == ErrorCode::None.code();
    let ids: Vec<Uuid> = response.responses.iter().filter(deleted).map(|topic| topic.topic_id).collect();
    let all_are_gone = |image: &MetadataImage| ids.iter().all(|id| image.topics.by_id(*id).is_none());
    broker.wait_until_applied(timeout, all_are_gone).await;
}
