//! From configuration to a serving broker, and back to directories that say they were closed cleanly.
//!
//! Order of a start: listeners are bound and directories locked (what is taken fails at once), the controller
//! comes up, logs are opened, the broker registers and is unfenced, and only then connections are accepted. A
//! stop goes the other way: leadership is given up, logs are closed, the controller writes its last record,
//! the locks go.

use super::connections::Connections;
use super::fetch_session::FetchSessions;
use super::producer_ids::ProducerIds;
use super::registration::{self, Registration, RegistrationError};
use super::server::{self, BindError, BoundListener};
use super::{Broker, storage};
use crate::config::{BrokerConfig, Endpoint};
use crate::controller::{Controller, ControllerStartError, MetadataUpdates};
use crate::metadata::{MetadataChanges, MetadataImage};
use crate::replication::{Replicas, close_all, maintain};
use crate::runtime::{Runtime, Task, watch};
use std::sync::Arc;
use std::time::Duration;

/// How long a stop waits for the controller to move leaders away.
const CONTROLLED_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// A broker that cannot be started. Its sentence says what happened, to what, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Storage(#[from] storage::StorageError),
    #[error(transparent)]
    Controller(#[from] ControllerStartError),
    #[error(transparent)]
    Registration(#[from] RegistrationError),
}

/// A broker that serves.
pub struct RunningBroker {
    broker: Arc<Broker>,
    registration: Registration,
    /// Where it listens, with the ports that were chosen.
    pub listeners: Vec<Endpoint>,
    tasks: Vec<Task>,
}

/// Starts a broker. When this returns, clients are served.
pub async fn start(runtime: Runtime, config: BrokerConfig) -> Result<RunningBroker, StartError> {
    let mut bound = Vec::new();
    for endpoint in config.broker_listeners() {
        bound.push(server::bind(&runtime, &endpoint).await?);
    }
    let listeners: Vec<Endpoint> = bound.iter().map(|listener| listener.endpoint.clone()).collect();
    let storage = storage::open(&runtime, &config, &listeners).await?;
    let node_id = storage.node_id;
    let cluster_id = storage.cluster_id.clone();
    let controller = Controller::start(&runtime, storage.controller_options(&config)).await?;
    let mut updates = controller.updates();
    let directory_ids = storage.directory_ids();
    let previous_epoch = storage.previous_broker_epoch();
    let replicas = Arc::new(Replicas::new(&runtime, node_id, &config, storage.into_log_dirs()));
    // A partition must be opened as the whole log says: in the image of the last snapshot it may belong to a
    // topic that was deleted since.
    let mut image = Arc::<MetadataImage>::default();
    while image.offset.next() < controller.log_end_at_start() {
        let Some(update) = updates.next().await else { break };
        image = update.image;
    }
    replicas.follow(&image, &MetadataChanges::all_of(&image)).await;

    let (applied, image) = watch::channel(image);
    let mut tasks = maintain(&runtime, &replicas, &config);
    tasks.push(runtime.spawn("metadata", follow(updates, replicas.clone(), applied)));
    let registering = registration::Identity {
        node_id,
        cluster_id: cluster_id.clone(),
        directory_ids,
        previous_epoch,
        endpoints: advertised(&config, &listeners),
        rack: config.text("broker.rack").map(Into::into),
    };
    let registration =
        registration::register(&runtime, &config, &controller, registering, image.clone()).await?;
    replicas.set_strays_aside(&image.peek(Arc::clone));
    let broker = Arc::new(Broker {
        node_id,
        cluster_id,
        replicas,
        controller,
        image,
        epoch: registration.epoch(),
        fetch_sessions: FetchSessions::new(config.long("max.incremental.fetch.session.cache.slots") as usize),
        producer_ids: ProducerIds::new(),
        connections: Connections::new(config.long("max.connections") as usize),
        runtime,
        config,
    });
    tasks.extend(bound.into_iter().map(|listener: BoundListener| server::serve(broker.clone(), listener)));
    Ok(RunningBroker { broker, registration, listeners, tasks })
}

impl RunningBroker {
    /// Stops cleanly: what was acknowledged is on the device, and either program can start on the
    /// directories.
    pub async fn stop(self) {
        let broker = &self.broker;
        let runtime = broker.runtime.clone();
        let handed_over = self.registration.shut_down(&runtime, &broker.controller);
        if runtime.timeout(CONTROLLED_SHUTDOWN_TIMEOUT, handed_over).await.is_none() {
            tracing::warn!("the controller did not release this broker in time; it stops all the same");
        }
        for task in &self.tasks {
            task.abort();
        }
        let epoch = broker.epoch;
        if let Err(error) = broker.controller.shutdown().await {
            tracing::error!("the metadata log was not closed cleanly: {error}");
        }
        close_all(&runtime, &broker.replicas, Some(epoch)).await;
    }
}

/// Applies metadata as it is committed, and shows it to the handlers once it is so.
async fn follow(
    mut updates: MetadataUpdates,
    replicas: Arc<Replicas>,
    applied: watch::Sender<Arc<MetadataImage>>,
) {
    while let Some(update) = updates.next().await {
        replicas.follow(&update.image, &update.changes).await;
        applied.send(update.image);
    }
}

/// What clients are told: `advertised.listeners`, or the listeners as they are. A listener on every interface
/// is told by its host name, as Kafka does; that name is `localhost` unless configured.
fn advertised(config: &BrokerConfig, listeners: &[Endpoint]) -> Vec<Endpoint> {
    let configured = config.advertised_listeners();
    listeners
        .iter()
        .map(|listener| {
            let named = configured.iter().find(|endpoint| endpoint.listener == listener.listener);
            let mut endpoint = named.unwrap_or(listener).clone();
            if endpoint.host.is_empty() || endpoint.host == "0.0.0.0" {
                endpoint.host = "localhost".to_owned();
            }
            if endpoint.port == 0 {
                endpoint.port = listener.port;
            }
            endpoint
        })
        .collect()
}
