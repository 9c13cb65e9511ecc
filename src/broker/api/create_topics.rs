//! CreateTopics 2 to 7 (KIP-4, 195, 464, 516, 525, 599), and the creation of topics that a client asks
//! Metadata for.
//!
//! The controller decides; its errors and messages pass through. The response waits until this broker leads
//! its partitions of the new topics, so that a client that goes on at once finds them. Omitted: throttling,
//! authorization.

use crate::broker::{Broker, RequestContext};
use crate::metadata::MetadataImage;
use crate::protocol::api::create_topics::{
    CreatableTopic, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use crate::types::{ErrorCode, Str};
use std::sync::Arc;
use std::time::Duration;

/// How long a client that caused a topic to be created waits for it at most; then it is told to ask again.
const AUTO_CREATE_TIMEOUT: Duration = Duration::from_millis(5_000);
/// Lets the controller choose `num.partitions` and `default.replication.factor` (KIP-464).
const DEFAULT: i32 = -1;

/// Creates topics.
pub async fn handle(context: Arc<RequestContext>, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let broker = &context.broker;
    let timeout = Duration::from_millis(request.timeout_ms.max(0) as u64);
    let names: Vec<Str> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let validate_only = request.validate_only;
    match broker.controller_request::<CreateTopicsResponse>(request, timeout).await {
        Ok(response) => {
            if !validate_only {
                wait_for(broker, &response, timeout).await;
            }
            response
        }
        Err(error) => CreateTopicsResponse {
            topics: names.into_iter().map(|name| refuse(name, error)).collect(),
            ..Default::default()
        },
    }
}

/// Creates topics with the broker's defaults, and waits until they are there. What went wrong shows in the
/// metadata.
pub async fn auto_create(broker: &Arc<Broker>, names: Vec<Str>) {
    let topics = names.into_iter().map(|name| CreatableTopic {
        name,
        num_partitions: DEFAULT,
        replication_factor: DEFAULT as i16,
        ..Default::default()
    });
    let request = CreateTopicsRequest { topics: topics.collect(), ..Default::default() };
    if let Ok(response) =
        broker.controller_request::<CreateTopicsResponse>(request, AUTO_CREATE_TIMEOUT).await
    {
        wait_for(broker, &response, AUTO_CREATE_TIMEOUT).await;
    }
}

/// Waits until this broker has what was created.
async fn wait_for(broker: &Broker, response: &CreateTopicsResponse, timeout: Duration) {
    let created = |topic: &&CreatableTopicResult| topic.error_code == ErrorCode::None.code();
    let names: Vec<&Str> = response.topics.iter().filter(created).map(|topic| &topic.name).collect();
    let all_are_there = |image: &MetadataImage| names.iter().all(|name| image.topics.by_name(name).is_some());
    broker.wait_until_applied(timeout, all_are_there).await;
}

fn refuse(name: Str, error: ErrorCode) -> CreatableTopicResult {
    CreatableTopicResult { name, error_code: error.code(), ..Default::default() }
}
