//! AlterConfigs 0 to 2: replaces all configurations of resources (KIP-133); the older form of
//! IncrementalAlterConfigs.
//!
//! This broker checks changes to its own configuration, the controller everything else. Errors, per resource:
//! INVALID_REQUEST, INVALID_CONFIG, UNKNOWN_TOPIC_OR_PARTITION, NOT_CONTROLLER, REQUEST_TIMED_OUT. Omitted:
//! throttling.

use crate::broker::RequestContext;
use crate::broker::config_changes::{self, Asked, Change, TIMEOUT, Value};
use crate::protocol::api::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource, AlterConfigsResourceResponse, AlterConfigsResponse,
};
use std::sync::Arc;

/// Changes configurations.
pub async fn handle(context: Arc<RequestContext>, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let AlterConfigsRequest { resources, validate_only, .. } = request;
    let asked = resources.into_iter().map(|resource: AlterConfigsResource| {
        let changes = resource.configs.iter().map(|config| Change {
            name: config.name.clone(),
            value: config.value.clone().map_or(Value::Null, Value::Set),
        });
        let changes = changes.collect();
        Asked { key: (resource.resource_type, resource.resource_name.clone()), changes, resource }
    });
    let forward = |resources| async {
        let request = AlterConfigsRequest { resources, validate_only, ..Default::default() };
        let response: AlterConfigsResponse = context.broker.controller_request(request, TIMEOUT).await?;
        let answer = |answer: AlterConfigsResourceResponse| {
            ((answer.resource_type, answer.resource_name), (answer.error_code, answer.error_message))
        };
        Ok(response.responses.into_iter().map(answer).collect())
    };
    let answers = config_changes::alter(&context.broker, asked.collect(), forward).await;
    let response =
        |((resource_type, resource_name), (error_code, error_message))| AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type,
            resource_name,
            ..Default::default()
        };
    AlterConfigsResponse { responses: answers.into_iter().map(response).collect(), ..Default::default() }
}
