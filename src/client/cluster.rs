//! The connections to a cluster and the picture of it: what producers, consumers and admins have in common.
//!
//! Invariant: at most one connection per broker, opened by one task while others wait for it, and never twice
//! within the backoff. It must not know records, positions or sequences.

use super::error::ClientError;
use super::metadata::ClusterMetadata;
use super::settings::{Address, ClientSettings};
use crate::connection::{ClientConnection, ConnectionError};
use crate::protocol::api::metadata::{Metadata, MetadataRequest, MetadataRequestTopic};
use crate::protocol::{Api, ApiKey};
use crate::runtime::{Runtime, watch};
use crate::types::{ErrorCode, Instant, LeaderEpoch, NodeId, Str, TopicPartition};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Which topics a refresh asks for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Topics<'a> {
    /// All that there are.
    All,
    /// These, which the broker may create if its configuration says so and `create` does too.
    Named { names: &'a [Arc<str>], create: bool },
}

/// A client's view of one cluster. Clones share connections and metadata.
#[derive(Clone)]
pub(super) struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: Runtime,
    settings: Arc<ClientSettings>,
    bootstrap: Vec<Address>,
    links: Mutex<BTreeMap<Peer, Arc<Link>>>,
    metadata: watch::Sender<Arc<ClusterMetadata>>,
}

/// Whom a connection leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Peer {
    Broker(NodeId),
    Bootstrap(usize),
}

/// The way to one peer.
#[derive(Default)]
struct Link {
    state: Mutex<LinkState>,
    /// Held while a connection is being opened.
    opening: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct LinkState {
    connection: Option<(Address, ClientConnection)>,
    failures: u32,
    not_before: Option<Instant>,
}

impl Cluster {
    pub fn new(runtime: &Runtime, settings: &Arc<ClientSettings>) -> Result<Cluster, ClientError> {
        let (metadata, _) = watch::channel(Arc::new(ClusterMetadata::default()));
        Ok(Cluster {
            inner: Arc::new(Inner {
                runtime: runtime.clone(),
                settings: settings.clone(),
                bootstrap: Address::parse_list(&settings.bootstrap_servers)?,
                links: Mutex::default(),
                metadata,
            }),
        })
    }

    pub fn runtime(&self) -> &Runtime {
        &self.inner.runtime
    }

    pub fn settings(&self) -> &ClientSettings {
        &self.inner.settings
    }

    /// The picture as of the last refresh.
    pub fn metadata(&self) -> Arc<ClusterMetadata> {
        self.inner.metadata.get()
    }

    /// Asks a broker for metadata and takes it over.
    pub async fn refresh(&self, topics: Topics<'_>) -> Result<Arc<ClusterMetadata>, ClientError> {
        let named = |name: &Arc<str>| MetadataRequestTopic {
            name: Some(Str::from(&**name)),
            ..MetadataRequestTopic::default()
        };
        let (list, create) = match topics {
            Topics::All => (None, false),
            Topics::Named { names, create } => (Some(names.iter().map(named).collect()), create),
        };
        let request =
            MetadataRequest { topics: list, allow_auto_topic_creation: create, ..Default::default() };
        let connection = self.any_connection().await?;
        let response = connection.request::<Metadata>(&request).await?;
        ClientError::check(ApiKey::Metadata, "the cluster", response.error_code, None)?;
        if response.brokers.is_empty() {
            let subject = "any broker".into();
            return Err(ClientError::Unanswered { api: ApiKey::Metadata, subject });
        }
        // In one step: another refresh may have brought other topics meanwhile.
        self.inner.metadata.update(|metadata| {
            *metadata = Arc::new(metadata.after(&response, matches!(topics, Topics::All)));
            true
        });
        self.forget_bootstrap();
        Ok(self.metadata())
    }

    /// Takes over what a broker said about a partition's leader while it refused a request (KIP-951).
    pub fn learn_leader(&self, partition: &TopicPartition, leader: i32, epoch: i32) {
        self.inner.metadata.update(|metadata| {
            let mut next = ClusterMetadata::clone(metadata);
            let news = next.learn_leader(partition, NodeId(leader), LeaderEpoch(epoch));
            if news {
                *metadata = Arc::new(next);
            }
            news
        });
    }

    /// The connection to a broker, opened if there is none. Waits out the backoff after a failure.
    pub async fn connection(&self, node: NodeId) -> Result<ClientConnection, ClientError> {
        let metadata = self.metadata();
        let broker = metadata.brokers.get(&node).ok_or(ClientError::BrokerAway(node.0))?;
        let address = Address { host: broker.host.to_string(), port: broker.port };
        let link = self.link(Peer::Broker(node));
        if let Some(open) = link.open(&address) {
            return Ok(open);
        }
        let _opening = link.opening.lock().await;
        if let Some(open) = link.open(&address) {
            return Ok(open);
        }
        let not_before = link.lock().not_before;
        if let Some(not_before) = not_before {
            self.inner.runtime.sleep_until(not_before).await;
        }
        Ok(self.open(&link, &address).await?)
    }

    /// Sends a request to any broker and waits for the response.
    pub async fn request_any<A: Api>(&self, request: &A::Request) -> Result<A::Response, ClientError> {
        Ok(self.any_connection().await?.request::<A>(request).await?)
    }

    /// Starts an operation that is tried again until it succeeds or its time is over.
    pub fn retry(&self, what: impl Into<Arc<str>>) -> Retry<'_> {
        let timeout = self.settings().operation_timeout;
        let deadline = self.inner.runtime.now() + timeout;
        Retry { cluster: self, what: what.into(), timeout, deadline, failures: 0 }
    }

    /// The pause after `failures` failed attempts.
    pub fn backoff(&self, failures: u32) -> Duration {
        self.settings().backoff(failures, self.inner.runtime.random_u64())
    }

    /// An open connection if there is one, else the first that can be opened: brokers that are known before
    /// the bootstrap servers, each kind from a random one on.
    async fn any_connection(&self) -> Result<ClientConnection, ClientError> {
        let metadata = self.metadata();
        let known: Vec<_> = metadata.brokers.values().collect();
        let mut candidates = Vec::with_capacity(known.len() + self.inner.bootstrap.len());
        for broker in self.random_rotation(&known) {
            let address = Address { host: broker.host.to_string(), port: broker.port };
            candidates.push((Peer::Broker(broker.id), address));
        }
        let servers: Vec<_> = self.inner.bootstrap.iter().enumerate().collect();
        for (index, address) in self.random_rotation(&servers) {
            candidates.push((Peer::Bootstrap(*index), (*address).clone()));
        }
        for (peer, address) in &candidates {
            if let Some(open) = self.link(*peer).open(address) {
                return Ok(open);
            }
        }
        let mut reason = None;
        for (peer, address) in &candidates {
            let link = self.link(*peer);
            let _opening = link.opening.lock().await;
            if let Some(open) = link.open(address) {
                return Ok(open);
            }
            match self.open(&link, address).await {
                Ok(connection) => return Ok(connection),
                Err(error) => reason = Some(error),
            }
        }
        Err(ClientError::NoBroker {
            servers: self.inner.settings.bootstrap_servers.as_str().into(),
            reason: reason.map_or_else(|| "none is known".into(), |error| error.to_string().into()),
        })
    }

    async fn open(&self, link: &Link, address: &Address) -> Result<ClientConnection, ConnectionError> {
        let settings = self.settings().connection();
        let opened =
            ClientConnection::open(&self.inner.runtime, &address.host, address.port, &settings).await;
        let mut state = link.lock();
        match opened {
            Ok(connection) => {
                let open = Some((address.clone(), connection.clone()));
                *state = LinkState { connection: open, failures: 0, not_before: None };
                Ok(connection)
            }
            Err(error) => {
                state.failures += 1;
                state.not_before = Some(self.inner.runtime.now() + self.backoff(state.failures));
                tracing::debug!("{error}");
                Err(error)
            }
        }
    }

    fn link(&self, peer: Peer) -> Arc<Link> {
        self.links().entry(peer).or_default().clone()
    }

    fn links(&self) -> MutexGuard<'_, BTreeMap<Peer, Arc<Link>>> {
        self.inner.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the connections that were made before any broker was known by its id.
    fn forget_bootstrap(&self) {
        self.links().retain(|peer, _| matches!(peer, Peer::Broker(_)));
    }

    fn random_rotation<'a, T>(&self, list: &'a [T]) -> impl Iterator<Item = &'a T> + use<'a, T> {
        let start = if list.len() < 2 { 0 } else { self.inner.runtime.random_u64() as usize % list.len() };
        list[start..].iter().chain(&list[..start])
    }
}

impl Link {
    fn lock(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open connection, unless the broker has moved since.
    fn open(&self, address: &Address) -> Option<ClientConnection> {
        let state = self.lock();
        let (at, connection) = state.connection.as_ref()?;
        (at == address && connection.is_open()).then(|| connection.clone())
    }
}

/// The attempts of one operation.
pub(super) struct Retry<'a> {
    cluster: &'a Cluster,
    what: Arc<str>,
    timeout: Duration,
    deadline: Instant,
    failures: u32,
}

impl Retry<'_> {
    /// Waits until it is time for the next attempt. An error that will not go away, or comes when the time is
    /// over, is given back.
    pub async fn pause(&mut self, error: ClientError) -> Result<(), ClientError> {
        if !error.is_retriable() {
            return Err(error);
        }
        self.failures += 1;
        let runtime = self.cluster.runtime();
        let wake = runtime.now() + self.cluster.backoff(self.failures);
        if wake >= self.deadline {
            return Err(ClientError::TimedOut {
                what: self.what.clone(),
                timeout_ms: self.timeout.as_millis() as u64,
                last: Box::new(error),
            });
        }
        tracing::debug!("{} is tried again: {error}", self.what);
        runtime.sleep_until(wake).await;
        Ok(())
    }
}

/// Whether the error means that the partition's leader is another one than was thought, or its topic is.
pub(super) fn means_stale_metadata(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::UnknownTopicOrPartition
            | ErrorCode::UnknownTopicId
            | ErrorCode::InconsistentTopicId
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::ReplicaNotAvailable
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::UnknownLeaderEpoch
            | ErrorCode::KafkaStorageError
    )
}
