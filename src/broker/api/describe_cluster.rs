//! DescribeCluster 0 to 2: brokers, controller and cluster id (KIP-700, 919, 1073).
//!
//! Errors, for the whole: MISMATCHED_ENDPOINT_TYPE where controllers are asked for, which a broker cannot
//! describe; UNSUPPORTED_ENDPOINT_TYPE. Omitted: throttling.

use super::ALL_CLUSTER_OPERATIONS;
use crate::broker::RequestContext;
use crate::protocol::api::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};
use crate::types::ErrorCode;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

/// Describes the cluster as clients of this listener see it.
pub fn handle(context: &RequestContext, request: &DescribeClusterRequest) -> DescribeClusterResponse {
    let refuse = |error: ErrorCode, sentence: String| DescribeClusterResponse {
        error_code: error.code(),
        error_message: Some(sentence.into()),
        ..Default::default()
    };
    match request.endpoint_type {
        BROKERS => {}
        CONTROLLERS => {
            let sentence = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of \
                            type CONTROLLER";
            return refuse(ErrorCode::MismatchedEndpointType, sentence.to_owned());
        }
        other => {
            return refuse(ErrorCode::UnsupportedEndpointType, format!("Unsupported endpoint type {other}"));
        }
    }
    let broker = &context.broker;
    let image = broker.image();
    let nodes = image.cluster.brokers().filter(|node| request.include_fenced_brokers || !node.fenced);
    let described = nodes.filter_map(|node| {
        let endpoint = node.listener(&context.listener)?;
        Some(DescribeClusterBroker {
            broker_id: node.id.0,
            host: endpoint.host.clone(),
            port: endpoint.port.into(),
            rack: node.rack.clone(),
            is_fenced: node.fenced,
            ..Default::default()
        })
    });
    let mut response = DescribeClusterResponse {
        error_message: None,
        cluster_id: broker.cluster_id.as_str().into(),
        controller_id: broker.node_id.0,
        brokers: described.collect(),
        ..Default::default()
    };
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = ALL_CLUSTER_OPERATIONS;
    }
    response
}
