//! ListConfigResources 0 and 1: what has configurations that can be described (KIP-1000, 1142).
//!
//! Errors, for the whole: UNSUPPORTED_VERSION for a type that is not listed. Version 0 lists subscriptions to
//! client metrics only. Omitted: throttling.

use crate::broker::RequestContext;
use crate::metadata::ConfigResourceType as Type;
use crate::protocol::api::list_config_resources::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};
use crate::types::{ErrorCode, Str};
use std::collections::BTreeSet;

/// The first version that asks for types.
const FIRST_WITH_TYPES: i16 = 1;
const LISTED: [Type; 5] = [Type::Topic, Type::Broker, Type::BrokerLogger, Type::ClientMetrics, Type::Group];

/// Lists resources.
pub fn handle(context: &RequestContext, request: &ListConfigResourcesRequest) -> ListConfigResourcesResponse {
    let types: BTreeSet<Type> = match context.header.api_version {
        ..FIRST_WITH_TYPES => [Type::ClientMetrics].into(),
        _ if request.resource_types.is_empty() => LISTED.into(),
        _ => request.resource_types.iter().map(|code| Type::from_code(*code)).collect(),
    };
    if types.iter().any(|asked| !LISTED.contains(asked)) {
        let error_code = ErrorCode::UnsupportedVersion.code();
        return ListConfigResourcesResponse { error_code, ..Default::default() };
    }
    let image = context.broker.image();
    let named = |asked: Type| -> Vec<Str> {
        match asked {
            Type::Topic => image.topics.iter().map(|topic| (&*topic.name).into()).collect(),
            Type::Broker | Type::BrokerLogger => {
                image.cluster.brokers().map(|broker| broker.id.0.to_string().into()).collect()
            }
            _ => {
                let configured = image.configs.iter().filter(|(known, _)| known.resource_type == asked);
                configured.map(|(known, _)| (&*known.name).into()).collect()
            }
        }
    };
    let resources = types.into_iter().flat_map(|asked| {
        let resource = move |resource_name| ConfigResource {
            resource_name,
            resource_type: asked.code(),
            ..Default::default()
        };
        named(asked).into_iter().map(resource)
    });
    ListConfigResourcesResponse { config_resources: resources.collect(), ..Default::default() }
}
