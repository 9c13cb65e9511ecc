//! IncrementalAlterConfigs 0 and 1: sets, deletes, appends to and subtracts from single configurations
//! (KIP-339).
//!
//! This broker checks changes to its own configuration, the controller everything else. Errors, per resource:
//! INVALID_REQUEST, INVALID_CONFIG, UNKNOWN_TOPIC_OR_PARTITION, NOT_CONTROLLER, REQUEST_TIMED_OUT. Omitted:
//! throttling, levels of loggers.

use crate::broker::RequestContext;
use crate::broker::config_changes::{self, Asked, Change, TIMEOUT, Value};
use crate::protocol::api::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use std::sync::Arc;

/// The operations that set and delete a value, in KIP-339's numbering.
const SET: i8 = 0;
const DELETE: i8 = 1;

/// Changes configurations.
pub async fn handle(
    context: Arc<RequestContext>,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let IncrementalAlterConfigsRequest { resources, validate_only, .. } = request;
    let asked = resources.into_iter().map(|resource: AlterConfigsResource| {
        let value_of = |config: &AlterableConfig| match (config.config_operation, &config.value) {
            (DELETE, _) => Value::Unset,
            (_, None) => Value::Null,
            (SET, Some(value)) => Value::Set(value.clone()),
            _ => Value::Unset,
        };
        let changes = resource
            .configs
            .iter()
            .map(|config| Change { name: config.name.clone(), value: value_of(config) });
        let changes = changes.collect();
        Asked { key: (resource.resource_type, resource.resource_name.clone()), changes, resource }
    });
    let forward = |resources| async {
        let request = IncrementalAlterConfigsRequest { resources, validate_only, ..Default::default() };
        let response: IncrementalAlterConfigsResponse =
            context.broker.controller_request(request, TIMEOUT).await?;
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
    IncrementalAlterConfigsResponse {
        responses: answers.into_iter().map(response).collect(),
        ..Default::default()
    }
}
