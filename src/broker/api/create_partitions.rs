//! CreatePartitions 0 to 3: more partitions for topics (KIP-195).
//!
//! The controller decides; its errors and messages pass through. The response waits until this broker has
//! applied the new partitions. Omitted: throttling, authorization.

use crate::broker::{Broker, RequestContext};
use crate::metadata::MetadataImage;
use crate::protocol::api::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use crate::types::{ErrorCode, Str};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Adds partitions.
pub async fn handle(
    context: Arc<RequestContext>,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let timeout = Duration::from_millis(request.timeout_ms.max(0) as u64);
    let counts: BTreeMap<Str, i32> =
        request.topics.iter().map(|topic| (topic.name.clone(), topic.count)).collect();
    let validate_only = request.validate_only;
    match context.broker.controller_request::<CreatePartitionsResponse>(request, timeout).await {
        Ok(response) => {
            if !validate_only {
                wait_for(&context.broker, &counts, &response, timeout).await;
            }
            response
        }
        Err(error) => {
            let refuse = |name| CreatePartitionsTopicResult {
                name,
                error_code: error.code(),
                error_message: None,
                ..Default::default()
            };
            let results = counts.into_keys().map(refuse).collect();
            CreatePartitionsResponse { results, ..Default::default() }
        }
    }
}

/// Waits until this broker has what was added.
async fn wait_for(
    broker: &Broker,
    counts: &BTreeMap<Str, i32>,
    response: &CreatePartitionsResponse,
    timeout: Duration,
) {
    let added = response.results.iter().filter(|topic| topic.error_code == ErrorCode::None.code());
    let added: Vec<(&Str, usize)> =
        added.filter_map(|topic| Some((&topic.name, *counts.get(&topic.name)? as usize))).collect();
    let all_are_there = |image: &MetadataImage| {
        let has = |name: &Str, count| image.topics.by_name(name).is_some_and(|t| t.partitions.len() >= count);
        added.iter().all(|(name, count)| has(name, *count))
    };
    broker.wait_until_applied(timeout, all_are_there).await;
}
