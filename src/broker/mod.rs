//! The broker: connections, requests, and the answers to them. It owns no data: partitions are
//! `replication`'s, cluster state is the controller's. It must not know the client library.

mod api;
mod config_changes;
mod connections;
mod dispatch;
mod fetch_session;
mod lifecycle;
mod pipeline;
mod producer_ids;
mod registration;
mod server;
mod storage;

pub use lifecycle::{RunningBroker, StartError, start};
pub use storage::{StorageError, format};

use crate::config::BrokerConfig;
use crate::controller::ControllerHandle;
use crate::metadata::{KRAFT_VERSION, MetadataImage, SUPPORTED_FEATURES, SupportedFeature};
use crate::protocol::{Request, RequestHeader, Response};
use crate::replication::Replicas;
use crate::runtime::{Runtime, watch};
use crate::types::{BrokerEpoch, ErrorCode, NodeId, Str};
use connections::Connections;
use fetch_session::FetchSessions;
use producer_ids::ProducerIds;
use std::sync::Arc;
use std::time::Duration;

/// What the handlers of all connections share.
pub struct Broker {
    runtime: Runtime,
    config: BrokerConfig,
    node_id: NodeId,
    cluster_id: String,
    replicas: Arc<Replicas>,
    controller: ControllerHandle,
    /// The metadata that this broker has applied: what it says of this broker's partitions is already so.
    image: watch::Receiver<Arc<MetadataImage>>,
    epoch: BrokerEpoch,
    fetch_sessions: FetchSessions,
    producer_ids: ProducerIds,
    connections: Arc<Connections>,
}

/// What a handler knows of its request beside the body.
struct RequestContext {
    broker: Arc<Broker>,
    header: RequestHeader,
    /// The listener that the client came through: it is told the endpoints of that listener.
    listener: Arc<str>,
}

/// Where clients reach a broker.
struct NodeAddress {
    id: NodeId,
    host: Str,
    port: u16,
    rack: Option<Str>,
}

/// The features of the cluster, as ApiVersions tells them.
struct Features {
    supported: &'static [SupportedFeature],
    finalized: Vec<(Str, i16)>,
    /// The offset of the metadata that says so.
    epoch: i64,
}

impl Broker {
    /// The metadata as this broker has applied it.
    fn image(&self) -> Arc<MetadataImage> {
        self.image.peek(Arc::clone)
    }

    /// Sends a request to the controller. The error is for the client: it may try again.
    async fn controller_request<R: TryFrom<Response>>(
        &self,
        request: impl Into<Request>,
        timeout: Duration,
    ) -> Result<R, ErrorCode> {
        match self.runtime.timeout(timeout, registration::ask(&self.controller, request)).await {
            Some(Ok(response)) => Ok(response),
            Some(Err(error)) => {
                tracing::warn!("a request to the controller failed: {error}");
                Err(ErrorCode::NotController)
            }
            None => Err(ErrorCode::RequestTimedOut),
        }
    }

    /// Waits until this broker has applied metadata of which `holds` holds, or everything that the controller
    /// has said so far (somebody may have undone it meanwhile), or `timeout` passes.
    async fn wait_until_applied(&self, timeout: Duration, holds: impl Fn(&MetadataImage) -> bool) {
        let said = self.controller.log_end();
        let mut image = self.image.clone();
        let applied = image.wait_for(|image| holds(image) || image.offset.next() >= said);
        self.runtime.timeout(timeout, applied).await;
    }

    /// The brokers that clients may use, as the listener that they came through tells them.
    fn live_brokers(&self, listener: &str) -> Vec<NodeAddress> {
        let image = self.image();
        let live = image.cluster.brokers().filter(|broker| !broker.fenced);
        let address = live.filter_map(|broker| {
            let endpoint = broker.listener(listener)?;
            Some(NodeAddress {
                id: broker.id,
                host: endpoint.host.clone(),
                port: endpoint.port,
                rack: broker.rack.clone(),
            })
        });
        address.collect()
    }

    fn features(&self) -> Features {
        let image = self.image();
        let mut finalized: Vec<(Str, i16)> =
            image.features.iter().map(|(n, level)| (n.clone(), level)).collect();
        let kraft_version = self.controller.kraft_version();
        if kraft_version > 0 {
            finalized.push((KRAFT_VERSION.into(), kraft_version));
        }
        Features { supported: &SUPPORTED_FEATURES, finalized, epoch: image.offset.0 }
    }
}

/// Topics that brokers keep for themselves.
fn is_internal(topic: &str) -> bool {
    matches!(topic, "__consumer_offsets" | "__transaction_state" | "__share_group_state")
}
