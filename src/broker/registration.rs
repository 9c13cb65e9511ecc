//! The broker's side of its membership: it registers with the controller, beats its heart, and asks to leave
//! (KIP-631).

use crate::config::{BrokerConfig, Endpoint};
use crate::controller::{ControllerError, ControllerHandle};
use crate::metadata::{MetadataImage, SUPPORTED_FEATURES};
use crate::protocol::api::broker_heartbeat::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};
use crate::protocol::api::broker_registration::{
    BrokerRegistrationRequest, BrokerRegistrationResponse, Feature, Listener,
};
use crate::protocol::{Request, Response};
use crate::runtime::{Runtime, Task, watch};
use crate::types::{BrokerEpoch, ErrorCode, NodeId, Str, Uuid};
use std::sync::Arc;
use std::time::Duration;

/// Pause before a registration that was refused is tried again, doubled each time up to `RETRY_MAX`: the
/// controller of this process needs a moment to become active, and an earlier life of this broker may still
/// hold its session.
const RETRY: Duration = Duration::from_millis(2);
const RETRY_MAX: Duration = Duration::from_millis(100);
/// How long a broker tries to register (`initial.broker.registration.timeout.ms` of Kafka is the same).
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(60);

/// The controller does not take this broker.
#[derive(Debug, thiserror::Error)]
#[error("the controller refuses to register broker {node_id}: {error}; {hint}")]
pub struct RegistrationError {
    node_id: NodeId,
    error: ErrorCode,
    hint: &'static str,
}

/// Who registers.
pub struct Identity {
    /// The node.
    pub node_id: NodeId,
    /// The cluster that its directories belong to.
    pub cluster_id: String,
    /// Ids of its log directories.
    pub directory_ids: Vec<Uuid>,
    /// Its epoch when it last stopped cleanly.
    pub previous_epoch: Option<BrokerEpoch>,
    /// Where clients reach it.
    pub endpoints: Vec<Endpoint>,
    /// Its rack.
    pub rack: Option<Str>,
}

/// A broker that is registered and beats its heart.
pub struct Registration {
    node_id: NodeId,
    epoch: BrokerEpoch,
    image: watch::Receiver<Arc<MetadataImage>>,
    heart: Task,
}

/// Registers, and waits until the broker is unfenced and has applied the metadata that says so.
pub async fn register(
    runtime: &Runtime,
    config: &BrokerConfig,
    controller: &ControllerHandle,
    identity: Identity,
    mut image: watch::Receiver<Arc<MetadataImage>>,
) -> Result<Registration, RegistrationError> {
    let node_id = identity.node_id;
    let request = registration_request(identity, runtime.random_uuid());
    let deadline = runtime.now() + REGISTRATION_TIMEOUT;
    let mut pause = RETRY;
    let epoch = loop {
        let response: Result<BrokerRegistrationResponse, _> = ask(controller, request.clone()).await;
        let error = match &response {
            Ok(response) => ErrorCode::from_i16(response.error_code),
            Err(_) => ErrorCode::NotController,
        };
        match response {
            Ok(response) if error == ErrorCode::None => break BrokerEpoch(response.broker_epoch),
            _ if runtime.now() < deadline && is_temporary(error) => {
                runtime.sleep(pause).await;
                pause = RETRY_MAX.min(pause * 2);
            }
            _ => return Err(RegistrationError { node_id, error, hint: hint(error) }),
        }
    };
    let interval = Duration::from_millis(config.long("broker.heartbeat.interval.ms").max(1) as u64);
    let heart = runtime.spawn(
        "heartbeat",
        beat(runtime.clone(), controller.clone(), node_id, epoch, image.clone(), interval),
    );
    let unfenced = |image: &Arc<MetadataImage>| {
        image.cluster.broker(node_id).is_some_and(|broker| broker.epoch == epoch && !broker.fenced)
    };
    let waited = runtime.timeout(REGISTRATION_TIMEOUT, image.wait_for(unfenced)).await;
    if !matches!(waited, Some(Ok(_))) {
        let error = ErrorCode::RequestTimedOut;
        return Err(RegistrationError { node_id, error, hint: hint(error) });
    }
    Ok(Registration { node_id, epoch, image, heart })
}

impl Registration {
    /// The epoch that the controller gave.
    pub fn epoch(&self) -> BrokerEpoch {
        self.epoch
    }

    /// Asks to leave, and waits until the controller has given its leaders to others and fenced it.
    pub async fn shut_down(&self, runtime: &Runtime, controller: &ControllerHandle) {
        self.heart.abort();
        loop {
            let request = heartbeat(self.node_id, self.epoch, &self.image, true);
            match ask::<BrokerHeartbeatResponse>(controller, request).await {
                Ok(response) if response.should_shut_down => return,
                _ => runtime.sleep(RETRY_MAX).await,
            }
        }
    }
}

/// Asks the controller, whose answer is always that of the API that was asked.
pub async fn ask<R: TryFrom<Response>>(
    controller: &ControllerHandle,
    request: impl Into<Request>,
) -> Result<R, ControllerError> {
    let response = controller.request(request.into()).await?;
    Ok(R::try_from(response).unwrap_or_else(|_| unreachable!("the controller answers what it was asked")))
}

async fn beat(
    runtime: Runtime,
    controller: ControllerHandle,
    node_id: NodeId,
    epoch: BrokerEpoch,
    mut image: watch::Receiver<Arc<MetadataImage>>,
    interval: Duration,
) {
    loop {
        let request = heartbeat(node_id, epoch, &image, false);
        let fenced = match ask::<BrokerHeartbeatResponse>(&controller, request).await {
            Ok(response) => response.is_fenced,
            Err(error) => {
                tracing::warn!("the heartbeat of broker {node_id} failed: {error}");
                true
            }
        };
        if fenced {
            // Until it is unfenced, each step of the metadata is a reason to ask again.
            runtime.timeout(interval, image.changed()).await;
        } else {
            runtime.sleep(interval).await;
        }
    }
}

fn heartbeat(
    node_id: NodeId,
    epoch: BrokerEpoch,
    image: &watch::Receiver<Arc<MetadataImage>>,
    want_shut_down: bool,
) -> BrokerHeartbeatRequest {
    BrokerHeartbeatRequest {
        broker_id: node_id.0,
        broker_epoch: epoch.0,
        current_metadata_offset: image.peek(|image| image.offset.0),
        want_shut_down,
        cordoned_log_dirs: Some(Vec::new()),
        ..Default::default()
    }
}

fn registration_request(identity: Identity, incarnation_id: Uuid) -> BrokerRegistrationRequest {
    let listener = |endpoint: Endpoint| Listener {
        name: endpoint.listener.into(),
        host: endpoint.host.into(),
        port: endpoint.port,
        security_protocol: endpoint.protocol as i16,
        ..Default::default()
    };
    let features = SUPPORTED_FEATURES.iter().map(|feature| Feature {
        name: feature.name.into(),
        min_supported_version: feature.min,
        max_supported_version: feature.max,
        ..Default::default()
    });
    BrokerRegistrationRequest {
        broker_id: identity.node_id.0,
        cluster_id: identity.cluster_id.into(),
        incarnation_id,
        listeners: identity.endpoints.into_iter().map(listener).collect(),
        features: features.collect(),
        rack: identity.rack,
        log_dirs: identity.directory_ids,
        previous_broker_epoch: identity.previous_epoch.map_or(-1, |epoch| epoch.0),
        ..Default::default()
    }
}

fn is_temporary(error: ErrorCode) -> bool {
    matches!(error, ErrorCode::DuplicateBrokerRegistration | ErrorCode::NotController)
}

fn hint(error: ErrorCode) -> &'static str {
    match error {
        ErrorCode::DuplicateBrokerRegistration => {
            "another broker with this node.id is alive: stop it, or change node.id"
        }
        ErrorCode::InconsistentClusterId => "its log directories belong to another cluster",
        ErrorCode::UnsupportedVersion => {
            "the cluster uses features that this version does not have: upgrade it"
        }
        _ => "look at the controller's log",
    }
}
