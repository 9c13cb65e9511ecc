//! The cluster's controller: a state machine over the metadata log, the quorum that replicates that log, and
//! the handle by which a broker in the same process uses both.
//!
//! Invariant: what a broker sees has committed; what was answered survives every crash. It must not know
//! sockets, nor how brokers use the metadata.

mod alter_partition;
mod configs;
mod create_topics;
mod features;
mod heartbeat;
mod machine;
mod partition_change;
mod placement;
mod publisher;
mod quorum;
mod registration;
mod topics;

pub use publisher::MetadataUpdates;
pub use quorum::{QuorumError, QuorumOptions, SnapshotOptions};

use crate::config::BrokerConfig;
use crate::machine::{Host, HostError, ReplicatedLog};
use crate::metadata::{
    BOOTSTRAP_CHECKPOINT, ListenerEndpoint, METADATA_DIRECTORY, MetadataImage, MetadataVersion,
    SnapshotError, read_snapshot,
};
use crate::protocol::metadata_records::{FeatureLevelRecord, MetadataRecord};
use crate::protocol::{ApiKey, Request, Response};
use crate::raft::{Endpoint, LeaderInfo, QuorumInfo, RaftOptions, ReplicaKey, Voter, VoterSet};
use crate::runtime::{Runtime, Task, watch};
use crate::types::{NodeId, Offset, Str, Uuid};
use machine::{ControllerMachine, Settings};
use quorum::Quorum;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The largest `bootstrap.checkpoint` that is read.
const BOOTSTRAP_MAX_BYTES: u64 = 64 << 20;

/// What the controller of one node is told once.
#[derive(Debug, Clone)]
pub struct ControllerOptions {
    /// The node.
    pub node_id: NodeId,
    /// The cluster, as `meta.properties` says.
    pub cluster_id: Str,
    /// `metadata.log.dir`, or the first of `log.dirs`.
    pub metadata_log_dir: PathBuf,
    /// The `directory.id` of that directory.
    pub metadata_directory_id: Uuid,
    /// Directory ids of all log directories whose locks this process holds: an earlier run of this node that
    /// had them is over, and is fenced at once. Empty on a controller without a broker.
    pub locked_directories: Vec<Uuid>,
    /// The controller listeners that others are told.
    pub endpoints: Vec<ListenerEndpoint>,
    /// The node's configuration.
    pub config: Arc<BrokerConfig>,
}

/// Why the controller cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ControllerStartError {
    /// The metadata log or its directory.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    /// `bootstrap.checkpoint` cannot be read.
    #[error("{}: {error}", path.display())]
    Bootstrap { path: PathBuf, error: SnapshotError },
    /// `controller.quorum.voters` is malformed.
    #[error("controller.quorum.voters has {0:?}, but id@host:port was expected")]
    Voters(String),
}

/// Why the controller did not answer a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControllerError {
    /// No request of this kind goes to a controller.
    #[error("{0:?} is no request for a controller")]
    NotServed(ApiKey),
    /// It does not lead, still loads, or cannot write. `NotLeader`, `Loading` and refused appends are
    /// NOT_CONTROLLER on the wire: ask again.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Starts controllers.
pub struct Controller;

/// A running controller. Clones are the same one.
#[derive(Clone)]
pub struct ControllerHandle(Arc<Running>);

struct Running {
    quorum: Quorum,
    host: Host<ControllerMachine, Quorum>,
    tasks: Mutex<Vec<Task>>,
}

impl Controller {
    /// Opens the metadata log, takes part in the quorum and begins to serve. With one voter, this node leads
    /// when it returns, and requests are answered as soon as the log has been replayed.
    pub async fn start(
        runtime: &Runtime,
        options: ControllerOptions,
    ) -> Result<ControllerHandle, ControllerStartError> {
        let quorum = Quorum::open(runtime, quorum_options(runtime, &options)?).await?;
        let config = &options.config;
        let millis = |name| Duration::from_millis(config.long(name).max(0) as u64);
        let settings = Arc::new(Settings {
            node_id: options.node_id,
            cluster_id: options.cluster_id.clone(),
            incarnation: runtime.random_uuid(),
            endpoints: options.endpoints.clone(),
            locked_directories: options.locked_directories.clone(),
            bootstrap: bootstrap_records(runtime, &options.metadata_log_dir)?,
            kraft_version: quorum.kraft_version(),
            session_timeout: millis("broker.session.timeout.ms"),
            idle_interval: millis("metadata.max.idle.interval.ms"),
            config: options.config.clone(),
        });
        let host: Host<ControllerMachine, Quorum> = Host::new(runtime.clone(), Arc::new(quorum.clone()));
        let seeds = runtime.clone();
        let new_machine = move || ControllerMachine::new(settings.clone(), seeds.random_u64());
        let tasks = vec![
            runtime.spawn("quorum", quorum.clone().run()),
            runtime.spawn("controller", host.clone().run(new_machine)),
        ];
        Ok(ControllerHandle(Arc::new(Running { quorum, host, tasks: Mutex::new(tasks) })))
    }
}

impl ControllerHandle {
    /// Asks the controller; the answer comes when what it did has committed. Errors of the request itself are
    /// in the response, as the protocol has them.
    pub fn request(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Response, ControllerError>> + Send + use<> {
        let key = request.key();
        let asked = is_served(key).then(|| self.0.host.request(request));
        async move {
            match asked {
                Some(asked) => Ok(asked.await?),
                None => Err(ControllerError::NotServed(key)),
            }
        }
    }

    /// The newest committed image, and its replacement whenever there is one.
    pub fn images(&self) -> watch::Receiver<Arc<MetadataImage>> {
        self.0.quorum.publisher().images()
    }

    /// Every change of the committed metadata in order, beginning with all that there is. Each subscription
    /// stands for itself; changes that come while nobody takes them are merged.
    pub fn updates(&self) -> MetadataUpdates {
        self.0.quorum.publisher().subscribe()
    }

    /// Where the metadata log ended when it was opened: what lies in front of it has been, everywhere.
    pub fn log_end_at_start(&self) -> Offset {
        self.0.quorum.log_end_at_start()
    }

    /// Where the metadata log ends here.
    pub fn log_end(&self) -> Offset {
        self.0.quorum.next_offset()
    }

    /// The leader of the quorum, as far as this node knows.
    pub fn leader(&self) -> LeaderInfo {
        self.0.quorum.leader_info()
    }

    /// What DescribeQuorum tells, where this node leads; else who does.
    pub fn describe_quorum(&self) -> Result<QuorumInfo, LeaderInfo> {
        self.0.quorum.describe()
    }

    /// The finalised level of kraft.version.
    pub fn kraft_version(&self) -> i16 {
        self.0.quorum.kraft_version()
    }

    /// Stops: nothing is accepted any more, and the log is closed as a clean stop leaves it. A broker of this
    /// node says goodbye first, by heartbeats that want to shut down.
    pub async fn shutdown(&self) -> Result<(), QuorumError> {
        let closed = self.0.quorum.close().await;
        let tasks = std::mem::take(&mut *self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            task.abort();
            let _ = task.join().await; // What it said, if it panicked, is in the log.
        }
        closed
    }
}

/// Whether the active controller answers this request by its state machine.
fn is_served(key: ApiKey) -> bool {
    matches!(
        key,
        ApiKey::BrokerRegistration
            | ApiKey::BrokerHeartbeat
            | ApiKey::UnregisterBroker
            | ApiKey::CreateTopics
            | ApiKey::DeleteTopics
            | ApiKey::CreatePartitions
            | ApiKey::AlterPartition
            | ApiKey::ElectLeaders
            | ApiKey::AssignReplicasToDirs
            | ApiKey::AlterPartitionReassignments
            | ApiKey::ListPartitionReassignments
            | ApiKey::IncrementalAlterConfigs
            | ApiKey::AlterConfigs
            | ApiKey::AllocateProducerIds
            | ApiKey::UpdateFeatures
            | ApiKey::ControllerRegistration
    )
}

fn quorum_options(
    runtime: &Runtime,
    options: &ControllerOptions,
) -> Result<QuorumOptions, ControllerStartError> {
    let config = &options.config;
    let millis = |name| Duration::from_millis(config.long(name).max(0) as u64);
    let local = ReplicaKey { id: options.node_id, directory: options.metadata_directory_id };
    let endpoint =
        |e: &ListenerEndpoint| Endpoint { name: e.name.clone(), host: e.host.clone(), port: e.port };
    let raft = RaftOptions {
        endpoints: options.endpoints.iter().map(endpoint).collect(),
        election_timeout: millis("controller.quorum.election.timeout.ms"),
        fetch_timeout: millis("controller.quorum.fetch.timeout.ms"),
        request_timeout: millis("controller.quorum.request.timeout.ms"),
        retry_backoff: millis("controller.quorum.retry.backoff.ms"),
        election_backoff_max: millis("controller.quorum.election.backoff.max.ms"),
        ..RaftOptions::new(local, runtime.random_u64())
    };
    Ok(QuorumOptions {
        raft,
        directory: options.metadata_log_dir.join(METADATA_DIRECTORY),
        static_voters: static_voters(config)?,
        segment_bytes: segment_bytes(config),
        segment_ms: config.long("metadata.log.segment.ms"),
        snapshots: snapshot_options(config),
    })
}

fn segment_bytes(config: &BrokerConfig) -> u32 {
    let for_tests = config.text("internal.metadata.log.segment.bytes").and_then(|text| text.parse().ok());
    let bytes: i64 = for_tests.unwrap_or_else(|| config.long("metadata.log.segment.bytes"));
    bytes.clamp(1, i64::from(i32::MAX)) as u32
}

fn snapshot_options(config: &BrokerConfig) -> SnapshotOptions {
    let limit = |name| u64::try_from(config.long(name)).ok();
    SnapshotOptions {
        max_bytes_between: limit("metadata.log.max.record.bytes.between.snapshots").unwrap_or(u64::MAX),
        max_interval: limit("metadata.log.max.snapshot.interval.ms")
            .filter(|interval| *interval > 0)
            .map(Duration::from_millis),
        retention_bytes: limit("metadata.max.retention.bytes"),
        retention: limit("metadata.max.retention.ms").map(Duration::from_millis),
    }
}

/// The voters of `controller.quorum.voters`: `id@host:port`, separated by commas.
fn static_voters(config: &BrokerConfig) -> Result<VoterSet, ControllerStartError> {
    let listener = config.controller_listener().map_or("CONTROLLER".into(), |e| Str::from(e.listener));
    let voters = crate::config::list(config.text("controller.quorum.voters").unwrap_or_default());
    let voter = |text: &str| {
        let malformed = || ControllerStartError::Voters(text.to_owned());
        let (id, address) = text.split_once('@').ok_or_else(malformed)?;
        let (host, port) = address.rsplit_once(':').ok_or_else(malformed)?;
        let endpoint = Endpoint {
            name: listener.clone(),
            host: host.into(),
            port: port.parse().map_err(|_| malformed())?,
        };
        Ok(Voter {
            key: ReplicaKey::of(NodeId(id.trim().parse().map_err(|_| malformed())?)),
            endpoints: vec![endpoint],
            min_kraft_version: 0,
            max_kraft_version: 0,
        })
    };
    Ok(VoterSet::new(voters.map(voter).collect::<Result<Vec<_>, ControllerStartError>>()?))
}

/// The records of `bootstrap.checkpoint`; without that file, the features that this release begins with.
fn bootstrap_records(
    runtime: &Runtime,
    directory: &Path,
) -> Result<Vec<MetadataRecord>, ControllerStartError> {
    let path = directory.join(BOOTSTRAP_CHECKPOINT);
    let bytes = match runtime.disk().read(&path, BOOTSTRAP_MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let level = |(name, feature_level): (&str, i16)| {
                FeatureLevelRecord { name: name.into(), feature_level, ..Default::default() }.into()
            };
            return Ok(MetadataVersion::LATEST.default_features().into_iter().map(level).collect());
        }
        Err(error) => return Err(ControllerStartError::Bootstrap { path, error: error.into() }),
    };
    let mut records = Vec::new();
    let mut image = MetadataImage::default();
    let mut take = |record: MetadataRecord| {
        // Replayed once, so that a feature that is too new is refused before anything is written.
        image.replay(&record, &mut Default::default())?;
        records.push(record);
        Ok(())
    };
    match read_snapshot(&bytes.into(), &mut take) {
        Ok(_) => Ok(records),
        Err(error) => Err(ControllerStartError::Bootstrap { path, error }),
    }
}

#[cfg(all(test, feature = "real"))]
mod tests;
