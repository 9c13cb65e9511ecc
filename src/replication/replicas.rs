//! All partitions of this broker, by topic id and index. They follow the metadata: what it gives to this
//! broker is opened or created, what it takes away is set aside.
//!
//! Invariant: a partition is in the table from when its log is open until its topic is deleted; what the
//! table does not hold, no request can reach.

use super::directories::{Directory, OpenedDirectory};
use super::error::PartitionError;
use super::maintenance::{write_all_checkpoints, write_checkpoints};
use super::partition::{Leadership, Partition, PartitionConfig};
use crate::config::{BrokerConfig, CompressionType, Layers, TimestampType, TopicConfig};
use crate::log::{Checkpoint, LogConfig, LogDir, LogError, PartitionLog};
use crate::metadata::{
    ConfigResource, ConfigResourceType, MetadataChanges, MetadataImage, PartitionImage, TopicImage,
};
use crate::protocol::records::{self, Codec, Compression, MAX_DECOMPRESSED_BATCH_BYTES, ValidationRules};
use crate::runtime::Runtime;
use crate::types::{NodeId, TopicPartition, Uuid};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

/// Logs that are opened or created at a time, so that their syncs overlap.
const PARALLEL_OPENS: usize = 8;

/// The partitions of a broker.
pub struct Replicas {
    runtime: Runtime,
    node_id: NodeId,
    config: BrokerConfig,
    directories: Vec<Directory>,
    topics: RwLock<BTreeMap<Uuid, BTreeMap<i32, Arc<Partition>>>>,
}

/// A partition that is to be opened or created.
struct Opening {
    directory: usize,
    name: TopicPartition,
    topic_id: Uuid,
    leadership: Leadership,
    config: Arc<PartitionConfig>,
    log_config: Arc<LogConfig>,
}

impl Replicas {
    /// No partitions yet.
    pub fn new(
        runtime: &Runtime,
        node_id: NodeId,
        config: &BrokerConfig,
        directories: Vec<OpenedDirectory>,
    ) -> Replicas {
        assert!(directories.iter().any(|d| d.takes_partitions), "a broker has a log directory");
        Replicas {
            runtime: runtime.clone(),
            node_id,
            config: config.clone(),
            directories: directories.into_iter().map(Directory::new).collect(),
            topics: RwLock::default(),
        }
    }

    /// The partition `index` of a topic.
    pub fn get(&self, topic_id: Uuid, index: i32) -> Result<Arc<Partition>, PartitionError> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(&topic_id).and_then(|topic| topic.get(&index)).cloned().ok_or(PartitionError::Unknown)
    }

    /// Every partition, in the order of topic ids.
    pub fn all(&self) -> Vec<Arc<Partition>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.values().flat_map(BTreeMap::values).cloned().collect()
    }

    /// The directories that partitions are put into, with those that are open in each.
    pub fn by_directory(&self) -> Vec<(Arc<LogDir>, Vec<Arc<Partition>>)> {
        let taking = self.directories.iter().filter(|directory| directory.takes_partitions);
        taking.map(|directory| (directory.logs.clone(), self.inside(directory))).collect()
    }

    pub(super) fn directories(&self) -> &[Directory] {
        &self.directories
    }

    /// The open partitions of one directory.
    pub(super) fn inside(&self, directory: &Directory) -> Vec<Arc<Partition>> {
        let mut partitions = self.all();
        partitions.retain(|partition| Arc::ptr_eq(partition.log_dir(), &directory.logs));
        partitions
    }

    /// Makes this broker's partitions what the metadata says. What cannot be opened is logged and stays out
    /// of reach; the rest goes on.
    pub async fn follow(self: &Arc<Self>, image: &MetadataImage, changes: &MetadataChanges) {
        self.remove_topics(changes.deleted_topics.values()).await;
        let configured =
            changes.configs.iter().filter(|resource| resource.resource_type == ConfigResourceType::Topic);
        let configured = configured.filter_map(|resource| image.topics.by_name(&resource.name));
        let mut touched: BTreeSet<Uuid> = configured.map(|topic| topic.id).collect();
        touched.extend(changes.topics.keys());
        let brokers = [ConfigResource::all_brokers(), ConfigResource::broker(self.node_id)];
        if brokers.iter().any(|resource| changes.configs.contains(resource)) {
            touched.extend(image.topics.iter().map(|topic| topic.id));
        }
        let mut openings = VecDeque::new();
        let mut counts: Vec<usize> = self.directories.iter().map(|d| self.inside(d).len()).collect();
        for topic in touched.into_iter().filter_map(|id| image.topics.by_id(id)) {
            let (config, log_config) = self.config_of(image, topic);
            for (&index, partition) in topic.partitions.iter().filter(|(_, p)| p.is_replica(self.node_id)) {
                let leadership = leadership(partition);
                match self.get(topic.id, index) {
                    Ok(open) => open.apply(leadership, config.clone(), log_config.clone()),
                    Err(_) => {
                        let name = TopicPartition::new(topic.name.clone(), index);
                        let directory = self.directory_of(&name, partition, &counts);
                        counts[directory] += 1;
                        openings.push_back(Opening {
                            directory,
                            name,
                            topic_id: topic.id,
                            leadership,
                            config: config.clone(),
                            log_config: log_config.clone(),
                        });
                    }
                }
            }
        }
        self.open_all(openings).await;
    }

    /// Sets aside the directories of partitions that the metadata does not know. To be called once, after the
    /// first [`Replicas::follow`].
    pub fn set_strays_aside(&self, image: &MetadataImage) {
        let is_known = |partition: &TopicPartition| {
            let topic = image.topics.by_name(&partition.topic);
            let known = topic.and_then(|topic| topic.partitions.get(&partition.partition));
            known.is_some_and(|known| known.is_replica(self.node_id))
        };
        for directory in &self.directories {
            for partition in directory.all_unopened().iter().filter(|partition| !is_known(partition)) {
                self.set_aside(directory, partition);
            }
        }
    }

    /// Writes where the logs begin, so that deleted records stay deleted.
    pub fn checkpoint_log_starts(&self) -> Result<(), LogError> {
        write_checkpoints(self, Checkpoint::LogStarts)
    }

    /// Takes topics out of use; their files go later.
    async fn remove_topics(self: &Arc<Self>, deleted: impl Iterator<Item = &Arc<TopicImage>>) {
        let mut removed = Vec::new();
        for topic in deleted {
            let partitions = {
                let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
                topics.remove(&topic.id).unwrap_or_default()
            };
            removed.extend(partitions.into_values());
            // What could not be opened must not be taken for a topic that gets this name later.
            for directory in &self.directories {
                let unopened = directory.all_unopened();
                for partition in unopened.iter().filter(|partition| *partition.topic == *topic.name) {
                    self.set_aside(directory, partition);
                }
            }
        }
        if removed.is_empty() {
            return;
        }
        removed.iter().for_each(|partition| partition.retire());
        let delay = removed.iter().map(|partition| partition.log().config().file_delete_delay).max();
        let replicas = self.clone();
        let doomed = self.runtime.offload("delete topics", move || replicas.mark_deleted(&removed)).await;
        let runtime = self.runtime.clone();
        self.runtime.spawn("remove deleted logs", async move {
            runtime.sleep(delay.unwrap_or_default()).await;
            let remove = move || {
                for (logs, path) in doomed {
                    if let Err(error) = logs.remove_partition(&path) {
                        tracing::error!("what is left of a deleted topic stays: {error}");
                    }
                }
            };
            runtime.offload("remove deleted logs", remove).await;
        });
    }

    /// Gives the directories of partitions names that say that they are deleted; returns which to remove.
    fn mark_deleted(&self, removed: &[Arc<Partition>]) -> Vec<(Arc<LogDir>, PathBuf)> {
        // A topic that gets this name later must not inherit what the checkpoints say of this one: a start
        // behind its end, or a recovery point that makes damage of a torn tail.
        write_all_checkpoints(self);
        let mut doomed = Vec::new();
        for partition in removed {
            let logs = partition.log_dir().clone();
            match logs.mark_deleted(&mut partition.log(), self.runtime.random_uuid()) {
                Ok(path) => doomed.push((logs, path)),
                Err(error) => tracing::error!("the directory of {} stays: {error}", partition.name()),
            }
        }
        doomed
    }

    fn set_aside(&self, directory: &Directory, partition: &TopicPartition) {
        match directory.logs.set_aside(partition, self.runtime.random_uuid()) {
            Ok(path) => {
                directory.settle(partition);
                tracing::warn!("the metadata knows no such {partition}; it was kept as {}", path.display());
            }
            Err(error) => tracing::error!("the stray directory of {partition} stays in the way: {error}"),
        }
    }

    /// The directory that the replica already lies in; else the one that the metadata gives it, or the one
    /// that has the fewest partitions.
    fn directory_of(&self, name: &TopicPartition, partition: &PartitionImage, counts: &[usize]) -> usize {
        let lies_in = self.directories.iter().position(|directory| directory.has_unopened(name));
        let assigned = || {
            let id = partition.directory(self.node_id)?;
            self.directories.iter().position(|directory| directory.id == id)
        };
        let emptiest = || {
            let taking = (0..counts.len()).filter(|index| self.directories[*index].takes_partitions);
            taking.min_by_key(|index| counts[*index]).expect("a broker has a log directory")
        };
        lies_in.or_else(assigned).unwrap_or_else(emptiest)
    }

    fn config_of(&self, image: &MetadataImage, topic: &TopicImage) -> (Arc<PartitionConfig>, Arc<LogConfig>) {
        let own = image.configs.of(&ConfigResource::topic(&topic.name));
        let of_this_broker = image.configs.of(&ConfigResource::broker(self.node_id));
        let of_all_brokers = image.configs.of(&ConfigResource::all_brokers());
        let layers = Layers::new(&self.config, &of_this_broker, &of_all_brokers);
        let config = TopicConfig::resolve(layers, |name| own.get(name).map(|value| value.as_str()));
        let log_config = log_config(&config, self.config.long("producer.id.expiration.ms"));
        let rules = rules(&config);
        (Arc::new(PartitionConfig { topic: config, rules }), Arc::new(log_config))
    }

    /// Opens or creates logs, several at a time, and takes the partitions in.
    async fn open_all(self: &Arc<Self>, openings: VecDeque<Opening>) {
        let created_in: BTreeSet<usize> = openings.iter().map(|opening| opening.directory).collect();
        let workers = PARALLEL_OPENS.min(openings.len());
        let queue = Arc::new(Mutex::new(openings));
        let tasks: Vec<_> = (0..workers)
            .map(|_| {
                let (replicas, queue) = (self.clone(), queue.clone());
                self.runtime.spawn("open logs", async move {
                    let runtime = replicas.runtime.clone();
                    let work = move || {
                        loop {
                            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                            let Some(opening) = next else { break };
                            replicas.open(opening);
                        }
                    };
                    runtime.offload("open logs", work).await;
                })
            })
            .collect();
        for task in tasks {
            if task.join().await.is_err() {
                self.runtime.halt("a log could not be opened because of a bug; its message stands above");
            }
        }
        for index in created_in {
            let logs = self.directories[index].logs.clone();
            if let Err(error) = self.runtime.offload("sync log directory", move || logs.sync_names()).await {
                self.runtime.halt(&format!("what was created in a log directory may be lost: {error}"));
            }
        }
    }

    fn open(&self, opening: Opening) {
        let directory = &self.directories[opening.directory];
        let log = match self.open_log(directory, &opening) {
            Ok(log) => log,
            Err(error) => {
                tracing::error!("the partition {} stays offline: {error}", opening.name);
                return;
            }
        };
        let Opening { topic_id, leadership, config, log_config, .. } = opening;
        let logs = directory.logs.clone();
        let partition = Partition::new(&self.runtime, self.node_id, topic_id, log, config.clone(), logs);
        partition.apply(leadership, config, log_config);
        let index = partition.name().partition;
        let name = partition.name().clone();
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let before = topics.entry(topic_id).or_default().insert(index, Arc::new(partition));
        assert!(before.is_none(), "a partition is opened once");
        drop(topics);
        // In this order a checkpoint finds it in at least one of the two places.
        directory.settle(&name);
    }

    fn open_log(&self, directory: &Directory, opening: &Opening) -> Result<PartitionLog, LogError> {
        let now = self.runtime.wall_clock();
        let path = directory.logs.partition_path(&opening.name);
        // Since the start it may have been deleted. A disk that cannot tell cannot open it either.
        let is_there = || self.runtime.disk().exists(&path).unwrap_or(true);
        if directory.has_unopened(&opening.name) && is_there() {
            let how = directory.logs.how_to_open(&opening.name);
            let (log, recovered) = PartitionLog::open(
                &self.runtime,
                &path,
                opening.name.clone(),
                opening.log_config.clone(),
                how,
                now,
            )?;
            if recovered.bytes_cut > 0 {
                let why = recovered.cut_because.unwrap_or_default();
                tracing::warn!("{}: recovery cut {} bytes: {why}", opening.name, recovered.bytes_cut);
            }
            if log.topic_id().is_none_or(|id| id == opening.topic_id) {
                return Ok(log);
            }
            // The topic was deleted and created again under its name while this broker was down.
            drop(log);
            self.set_aside(directory, &opening.name);
        }
        PartitionLog::create(
            &self.runtime,
            &path,
            opening.name.clone(),
            opening.topic_id,
            opening.log_config.clone(),
            now,
        )
    }
}

fn leadership(partition: &PartitionImage) -> Leadership {
    Leadership {
        leader: partition.leader.unwrap_or(NodeId::NONE),
        epoch: partition.leader_epoch,
        in_sync: partition.isr.len(),
        replicas: partition.replicas.len(),
    }
}

fn log_config(config: &TopicConfig, producer_id_expiration_ms: i64) -> LogConfig {
    LogConfig {
        segment_bytes: config.segment_bytes as u32,
        segment_ms: config.segment_ms,
        segment_jitter_ms: config.segment_jitter_ms,
        segment_index_bytes: config.segment_index_bytes as u32,
        index_interval_bytes: config.index_interval_bytes as u32,
        retention_ms: config.retention_ms,
        retention_bytes: config.retention_bytes,
        delete: config.cleanup_policy.delete,
        compact: config.cleanup_policy.compact,
        flush_messages: config.flush_messages,
        flush_ms: config.flush_ms,
        file_delete_delay: Duration::from_millis(config.file_delete_delay_ms as u64),
        preallocate: config.preallocate,
        producer_id_expiration_ms,
    }
}

fn rules(config: &TopicConfig) -> ValidationRules {
    let compression = match config.compression_type {
        CompressionType::Producer => None,
        CompressionType::Uncompressed => Some(Compression::NONE),
        CompressionType::Gzip => Some(Compression::with_level(Codec::Gzip, config.compression_gzip_level)),
        CompressionType::Snappy => Some(Compression::new(Codec::Snappy)),
        CompressionType::Lz4 => Some(Compression::with_level(Codec::Lz4, config.compression_lz4_level)),
        CompressionType::Zstd => Some(Compression::with_level(Codec::Zstd, config.compression_zstd_level)),
    };
    ValidationRules {
        timestamp_type: match config.message_timestamp_type {
            TimestampType::CreateTime => records::TimestampType::CreateTime,
            TimestampType::LogAppendTime => records::TimestampType::LogAppendTime,
        },
        timestamp_before_max_ms: config.message_timestamp_before_max_ms,
        timestamp_after_max_ms: config.message_timestamp_after_max_ms,
        compression,
        compacted: config.cleanup_policy.compact,
        max_message_bytes: config.max_message_bytes.max(0) as usize,
        max_decompressed_bytes: MAX_DECOMPRESSED_BATCH_BYTES,
        zstd_allowed: true,
    }
}
