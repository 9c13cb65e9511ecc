//! The log directories at start: locked, formatted where they are new, and all of one node of one cluster.

use crate::config::{BrokerConfig, Endpoint, SecurityProtocol};
use crate::controller::ControllerOptions;
use crate::log::{FoundKind, LogDir, LogError};
use crate::metadata::{
    self, FormatError, FormatOptions, FormatVoters, ListenerEndpoint, LogDirectories, MetaProperties,
    MetadataVersion, PropertiesError,
};
use crate::replication::OpenedDirectory;
use crate::runtime::Runtime;
use crate::types::{BrokerEpoch, NodeId, Str, Uuid};
use std::path::PathBuf;
use std::sync::Arc;

/// The directories cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Properties(#[from] PropertiesError),
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// Opened directories.
pub struct Storage {
    /// The cluster.
    pub cluster_id: String,
    /// The node.
    pub node_id: NodeId,
    directories: Vec<OpenedDirectory>,
    metadata_log_dir: PathBuf,
    controller_endpoint: (String, String, u16),
}

/// Locks the directories, formats those that are new, and reads whose they are.
pub async fn open(
    runtime: &Runtime,
    config: &BrokerConfig,
    listeners: &[Endpoint],
) -> Result<Storage, StorageError> {
    let (within, config, listeners) = (runtime.clone(), config.clone(), listeners.to_vec());
    runtime.offload("open log directories", move || open_blocking(&within, &config, &listeners)).await
}

/// Formats the log directories of `config`, as the single voter of a cluster, and tells which; those that are
/// formatted already are refused, or left alone with `ignore_formatted`.
pub fn format(
    runtime: &Runtime,
    config: &BrokerConfig,
    cluster_id: Option<Str>,
    ignore_formatted: bool,
) -> Result<Vec<PathBuf>, StorageError> {
    let paths = directories(config);
    let _locked = lock(runtime, &paths)?;
    let mut options = format_options(runtime, config, &paths, &config.broker_listeners());
    options.cluster_id = cluster_id.unwrap_or(options.cluster_id);
    options.ignore_formatted = ignore_formatted;
    Ok(metadata::format(runtime, &options)?)
}

/// The log directories, and the metadata log directory where it is another one.
fn directories(config: &BrokerConfig) -> Vec<PathBuf> {
    let mut paths = config.log_dirs();
    let metadata_log_dir = config.metadata_log_dir();
    if !paths.contains(&metadata_log_dir) {
        paths.push(metadata_log_dir);
    }
    paths
}

fn lock(runtime: &Runtime, paths: &[PathBuf]) -> Result<Vec<Arc<LogDir>>, LogError> {
    paths.iter().map(|path| LogDir::open(runtime, path).map(Arc::new)).collect()
}

fn open_blocking(
    runtime: &Runtime,
    config: &BrokerConfig,
    listeners: &[Endpoint],
) -> Result<Storage, StorageError> {
    let disk = runtime.disk();
    let metadata_log_dir = config.metadata_log_dir();
    let paths = directories(config);
    let locked = lock(runtime, &paths)?;
    let mut formatted = false;
    for path in &paths {
        formatted |= MetaProperties::read(&*disk, path)?.is_some();
    }
    if !formatted {
        let options = format_options(runtime, config, &paths, listeners);
        metadata::format(runtime, &options)?;
        let names = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        tracing::info!("formatted {names} for the new cluster {}", options.cluster_id);
    }
    let mut new_id = || runtime.random_uuid();
    let loaded = LogDirectories::load(&*disk, &paths, &metadata_log_dir, config.node_id(), &mut new_id)?;
    let mut directories = Vec::new();
    for ((_, id), logs) in loaded.directories.into_iter().zip(locked) {
        let found = logs.scan()?;
        for doomed in found.iter().filter(|log| log.kind == FoundKind::Deleted) {
            logs.remove_partition(&doomed.directory)?;
        }
        let takes_partitions = config.log_dirs().iter().any(|path| path == logs.path());
        directories.push(OpenedDirectory { id, logs, found, takes_partitions });
    }
    Ok(Storage {
        cluster_id: loaded.cluster_id.to_string(),
        node_id: loaded.node_id,
        directories,
        metadata_log_dir,
        controller_endpoint: controller_endpoint(config, listeners),
    })
}

fn format_options(
    runtime: &Runtime,
    config: &BrokerConfig,
    paths: &[PathBuf],
    listeners: &[Endpoint],
) -> FormatOptions {
    let (listener, host, port) = controller_endpoint(config, listeners);
    let voters = if config.text("controller.quorum.voters").is_some_and(|voters| !voters.is_empty()) {
        FormatVoters::Elsewhere
    } else {
        FormatVoters::Standalone { listener: listener.into(), host: host.into(), port }
    };
    FormatOptions {
        cluster_id: runtime.random_uuid().to_string().into(),
        node_id: config.node_id(),
        log_dirs: paths.to_vec(),
        metadata_log_dir: config.metadata_log_dir(),
        metadata_version: MetadataVersion::LATEST,
        features: Vec::new(),
        voters,
        ignore_formatted: false,
    }
}

/// Where the quorum reaches this node. Without a port of its own, it is the one behind that of the first
/// listener, as people choose it; nothing listens there yet.
fn controller_endpoint(config: &BrokerConfig, listeners: &[Endpoint]) -> (String, String, u16) {
    let first = listeners.first().map_or(0, |listener| listener.port);
    let endpoint = config.controller_listener();
    let (name, host, port) = endpoint.map_or_else(
        || ("CONTROLLER".to_owned(), String::new(), 0),
        |endpoint| (endpoint.listener, endpoint.host, endpoint.port),
    );
    let host = if host.is_empty() { "localhost".to_owned() } else { host };
    (name, host, if port == 0 { first.wrapping_add(1).max(1) } else { port })
}

impl Storage {
    /// Ids of the directories for partitions, in the order of the configuration.
    pub fn directory_ids(&self) -> Vec<Uuid> {
        self.directories.iter().filter(|opened| opened.takes_partitions).map(|opened| opened.id).collect()
    }

    /// The broker's epoch at its last stop, if every directory was closed cleanly by the same broker
    /// (KIP-966).
    pub fn previous_broker_epoch(&self) -> Option<BrokerEpoch> {
        let taking = self.directories.iter().filter(|opened| opened.takes_partitions);
        let mut epochs = taking.map(|opened| opened.logs.clean_shutdown()?.broker_epoch);
        let first = epochs.next()??;
        epochs.all(|epoch| epoch == Some(first)).then_some(first)
    }

    /// What the controller starts from.
    pub fn controller_options(&self, config: &BrokerConfig) -> ControllerOptions {
        let metadata_directory =
            self.directories.iter().find(|opened| opened.logs.path() == self.metadata_log_dir);
        let metadata_directory_id = metadata_directory.expect("it is one of the directories").id;
        let (name, host, port) = &self.controller_endpoint;
        ControllerOptions {
            node_id: self.node_id,
            cluster_id: self.cluster_id.as_str().into(),
            metadata_log_dir: self.metadata_log_dir.clone(),
            metadata_directory_id,
            locked_directories: self.directory_ids(),
            endpoints: vec![ListenerEndpoint {
                name: name.as_str().into(),
                host: host.as_str().into(),
                port: *port,
                security_protocol: SecurityProtocol::Plaintext as i16,
            }],
            config: Arc::new(config.clone()),
        }
    }

    /// The directories, for the partitions.
    pub fn into_log_dirs(self) -> Vec<OpenedDirectory> {
        self.directories
    }
}
