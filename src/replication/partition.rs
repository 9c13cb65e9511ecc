//! One partition on this broker: its log, who leads it, what is committed.
//!
//! Invariants: the log is changed under its mutex only, for one synchronous step; readers use the view that
//! was published last. The high watermark never passes the log of a member of the in-sync set; with one
//! replica it is the log's end.

use super::error::PartitionError;
use super::waiters::Waiters;
use crate::config::TopicConfig;
use crate::log::{
    AbortedTransaction, AppendOrigin, EpochEnd, Fetched, FetchedRecords, LogDir, LogError, LogReader,
    LogView, PartitionLog, Read, ReadBound, ReadRequest, flush,
};
use crate::protocol::records::{ValidationRules, validate};
use crate::runtime::{Event, Runtime};
use crate::types::{LeaderEpoch, NodeId, Offset, Timestamp, TopicPartition, Uuid};
use bytes::Bytes;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many replicas must have a batch before the producer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// 0: nobody is told.
    None,
    /// 1: the leader.
    Leader,
    /// -1: every member of the in-sync set.
    All,
}

impl Acks {
    /// The meaning of the wire's number; `None` if it has none.
    pub fn from_i16(acks: i16) -> Option<Acks> {
        match acks {
            0 => Some(Acks::None),
            1 => Some(Acks::Leader),
            -1 => Some(Acks::All),
            _ => None,
        }
    }
}

/// Who leads a partition, as the metadata says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leadership {
    /// The leader; none while there is none.
    pub leader: NodeId,
    /// Its epoch.
    pub epoch: LeaderEpoch,
    /// How many replicas are in sync.
    pub in_sync: usize,
    /// How many replicas there are.
    pub replicas: usize,
}

/// What a topic's configuration means for its partitions.
#[derive(Debug)]
pub struct PartitionConfig {
    /// All of it.
    pub topic: TopicConfig,
    /// The rules for what clients produce.
    pub rules: ValidationRules,
}

/// What a reader of one partition is told.
#[derive(Debug, Clone)]
pub struct PartitionRead {
    /// Batches, the first of which may begin below the offset that was asked for.
    pub records: Bytes,
    /// The high watermark.
    pub high_watermark: Offset,
    /// The last stable offset.
    pub last_stable_offset: Offset,
    /// The log start offset.
    pub log_start_offset: Offset,
    /// Aborted transactions that overlap with the records, for readers of committed ones.
    pub aborted: Option<Vec<AbortedTransaction>>,
    /// Where the reader's log parts from this one: the last common epoch, and where it ends here (KIP-595).
    pub diverging: Option<EpochEnd>,
}

/// What a reader says of its place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderEpochs {
    /// The epoch that it believes in; -1 if it does not say.
    pub current: LeaderEpoch,
    /// The epoch of the record before the offset that it asks for; -1 if it does not say.
    pub last_fetched: LeaderEpoch,
}

/// Where a batch was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Produced {
    /// The first offset; that of the first append for a duplicate.
    pub base_offset: Offset,
    /// The time of the append where the topic's records carry it; otherwise -1.
    pub log_append_time: Timestamp,
    /// The log start offset.
    pub log_start_offset: Offset,
    /// The producer may be told once [`Partition::settled`] has reached this; `None`: at once.
    pub settled_at: Option<Offset>,
}

/// A partition that this broker has a replica of.
pub struct Partition {
    runtime: Runtime,
    node_id: NodeId,
    name: TopicPartition,
    topic_id: Uuid,
    log: Arc<Mutex<PartitionLog>>,
    reader: LogReader,
    state: Mutex<State>,
    fetch_waiters: Waiters,
    log_dir: Arc<LogDir>,
}

struct State {
    leadership: Leadership,
    config: Arc<PartitionConfig>,
    /// Since the partition was opened: how much more there is to fetch than a moment ago.
    appended_bytes: u64,
    /// Up to where somebody sees to it that the log gets to the device, without anybody waiting.
    unattended: Option<Offset>,
}

impl Partition {
    /// A partition whose log is open and that nobody leads yet.
    pub fn new(
        runtime: &Runtime,
        node_id: NodeId,
        topic_id: Uuid,
        log: PartitionLog,
        config: Arc<PartitionConfig>,
        log_dir: Arc<LogDir>,
    ) -> Partition {
        let leadership =
            Leadership { leader: NodeId::NONE, epoch: LeaderEpoch::NONE, in_sync: 0, replicas: 0 };
        Partition {
            runtime: runtime.clone(),
            node_id,
            name: log.partition().clone(),
            topic_id,
            reader: log.reader(),
            log: Arc::new(Mutex::new(log)),
            state: Mutex::new(State { leadership, config, appended_bytes: 0, unattended: None }),
            fetch_waiters: Waiters::default(),
            log_dir,
        }
    }

    /// Topic and index.
    pub fn name(&self) -> &TopicPartition {
        &self.name
    }

    /// The topic's id.
    pub fn topic_id(&self) -> Uuid {
        self.topic_id
    }

    /// Who leads.
    pub fn leadership(&self) -> Leadership {
        self.state().leadership
    }

    /// The topic's configuration.
    pub fn config(&self) -> Arc<PartitionConfig> {
        self.state().config.clone()
    }

    /// The directory that its log is in.
    pub fn log_dir(&self) -> &Arc<LogDir> {
        &self.log_dir
    }

    /// Who waits for the partition to grow.
    pub fn fetch_waiters(&self) -> &Waiters {
        &self.fetch_waiters
    }

    /// Bytes appended since the partition was opened.
    pub fn appended_bytes(&self) -> u64 {
        self.state().appended_bytes
    }

    /// The newest view of the log.
    pub fn view(&self) -> Arc<LogView> {
        self.reader.view()
    }

    /// The log itself, for one step under its lock.
    pub fn log(&self) -> MutexGuard<'_, PartitionLog> {
        PartitionLog::lock(&self.log)
    }

    /// Takes what the metadata says. On becoming leader the epoch begins at the log's end, and everything
    /// that the only replica has is committed.
    pub fn apply(
        &self,
        leadership: Leadership,
        config: Arc<PartitionConfig>,
        log: Arc<crate::log::LogConfig>,
    ) {
        let mut writer = self.log();
        writer.set_config(log);
        let mut state = self.state();
        let before = std::mem::replace(&mut state.leadership, leadership);
        state.config = config;
        drop(state);
        if leadership.leader == self.node_id && leadership.epoch > before.epoch {
            writer.begin_leader_epoch(leadership.epoch);
            self.runtime.observe(|| Event::Leader { partition: self.name.clone(), epoch: leadership.epoch });
            let end = writer.log_end();
            writer.set_high_watermark(end);
        }
        drop(writer);
        self.fetch_waiters.wake();
    }

    /// Ends this broker's leadership for good: the topic is deleted.
    pub(super) fn retire(&self) {
        self.state().leadership.leader = NodeId::NONE;
        self.fetch_waiters.wake();
    }

    /// Refuses unless this broker leads in the epoch that the client believes in; -1 if the client does not
    /// say.
    pub fn check_leader(&self, current: LeaderEpoch) -> Result<Leadership, PartitionError> {
        let leadership = self.leadership();
        if current != LeaderEpoch::NONE && current < leadership.epoch {
            return Err(PartitionError::FencedEpoch);
        }
        if current > leadership.epoch {
            return Err(PartitionError::UnknownEpoch);
        }
        if leadership.leader != self.node_id {
            return Err(PartitionError::NotLeader);
        }
        Ok(leadership)
    }

    /// Appends what a client produced.
    pub fn append_as_leader(
        self: &Arc<Self>,
        records: &Bytes,
        acks: Acks,
        zstd: bool,
    ) -> Result<Produced, PartitionError> {
        let now = self.runtime.wall_clock();
        let config = self.config();
        let rules = &config.rules;
        let batch = if zstd {
            validate(records, rules, now)
        } else {
            validate(records, &ValidationRules { zstd_allowed: false, ..rules.clone() }, now)
        };
        let batch = batch.map_err(|error| PartitionError::Invalid {
            log_start: if error.carries_log_start_offset() { self.view().log_start() } else { Offset(-1) },
            error,
        })?;
        let mut log = self.log();
        let leadership = self.check_leader(LeaderEpoch::NONE)?;
        if acks == Acks::All {
            let needed = (config.topic.min_insync_replicas.max(1) as usize).min(leadership.replicas);
            if leadership.in_sync < needed {
                return Err(PartitionError::NotEnoughReplicas { in_sync: leadership.in_sync, needed });
            }
        }
        let origin = AppendOrigin::Client { must_start_at_zero: false };
        let appended = log.append_as_leader(&batch, leadership.epoch, origin, now)?;
        let end = log.log_end();
        log.set_high_watermark(end);
        let needs_flush = log.needs_flush();
        drop(log);
        if appended.rolled {
            // The sealed segment goes to the device in the background: recovery need not read it then.
            self.settle_unattended(appended.first_offset);
        }
        if !appended.duplicate {
            self.state().appended_bytes += batch.size_in_bytes() as u64;
            self.fetch_waiters.wake();
        }
        Ok(Produced {
            base_offset: appended.first_offset,
            log_append_time: appended.log_append_time.unwrap_or(Timestamp::NONE),
            log_start_offset: appended.log_start,
            settled_at: needs_flush.then(|| appended.last_offset.next()),
        })
    }

    /// Waits until everything in front of `upto` is on the device. A flush that others wait for too serves
    /// all of them.
    pub async fn settled(&self, upto: Offset) -> Result<(), PartitionError> {
        Ok(flush(&self.runtime, self.log_dir.flush_permits(), &self.log, upto).await?)
    }

    /// Sees to it that everything in front of `upto` gets to the device, for a producer that does not wait.
    ///
    /// One task at a time does that for a partition, however many batches come while a flush is under way.
    pub fn settle_unattended(self: &Arc<Self>, upto: Offset) {
        {
            let mut state = self.state();
            let is_running = state.unattended.is_some();
            state.unattended = state.unattended.max(Some(upto));
            if is_running {
                return;
            }
        }
        let partition = self.clone();
        self.runtime.spawn("flush", async move {
            let mut upto = upto;
            loop {
                if let Err(error) = partition.settled(upto).await {
                    tracing::error!("{}: {error}", partition.name);
                }
                let mut state = partition.state();
                match state.unattended {
                    Some(wanted) if wanted > upto => upto = wanted,
                    _ => return state.unattended = None,
                }
            }
        });
    }

    /// Reads for a consumer or replica. With `may_wait` it reads from the device; otherwise bytes that are
    /// not in memory are [`PartitionError::Cold`].
    pub fn read(
        &self,
        request: &ReadRequest,
        epochs: ReaderEpochs,
        may_wait: bool,
    ) -> Result<PartitionRead, PartitionError> {
        self.check_leader(epochs.current)?;
        let view = self.view();
        let told = |fetched: Fetched, diverging: Option<EpochEnd>| PartitionRead {
            records: match fetched.records {
                FetchedRecords::Bytes(bytes) => bytes,
                FetchedRecords::File { .. } => unreachable!("only bytes were asked for"),
            },
            high_watermark: view.high_watermark(),
            last_stable_offset: view.last_stable(),
            log_start_offset: view.log_start(),
            aborted: fetched.aborted,
            diverging,
        };
        let nothing = Fetched { records: FetchedRecords::Bytes(Bytes::new()), aborted: None };
        if epochs.last_fetched != LeaderEpoch::NONE {
            let common =
                view.end_offset_for_epoch(epochs.last_fetched).ok_or(PartitionError::OffsetOutOfRange)?;
            if common.epoch < epochs.last_fetched || common.end_offset < request.offset {
                return Ok(told(nothing, Some(common)));
            }
        }
        let fetched = if may_wait {
            view.read_blocking(request)?
        } else {
            match view.read(request)? {
                Read::Ready(fetched) => fetched,
                Read::Cold(_) => return Err(PartitionError::Cold),
            }
        };
        Ok(told(fetched, None))
    }

    /// Where the largest epoch that is not above `epoch` ends; `None` if there is none, or the epoch is newer
    /// than the log.
    pub fn end_of_epoch(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        self.view().end_offset_for_epoch(epoch)
    }

    /// Deletes the records in front of `upto`, or of the high watermark; returns the log start.
    pub fn delete_records(&self, upto: Option<Offset>) -> Result<Offset, PartitionError> {
        let mut log = self.log();
        self.check_leader(LeaderEpoch::NONE)?;
        Ok(log.delete_records(upto)?)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `isolation_level` and `replica_id` of a request mean: up to where its sender may see.
pub fn bound(replica_id: i32, isolation_level: i8) -> ReadBound {
    match (replica_id, isolation_level) {
        (-1, 0) => ReadBound::HighWatermark,
        (-1, _) => ReadBound::LastStable,
        _ => ReadBound::LogEnd,
    }
}

impl From<LogError> for PartitionError {
    fn from(error: LogError) -> PartitionError {
        PartitionError::Storage(error)
    }
}
