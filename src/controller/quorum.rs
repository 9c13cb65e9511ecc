//! The shell around the quorum's step machine: its log and files, its timers, and who may append.
//!
//! Invariant: inputs are taken one at a time, and what one of them demands of the disk is done before
//! anything else of it leaves; only what is on the device counts as acknowledged. It must not know what the
//! records mean, beyond the image that it publishes of those that have committed.

mod convert;
mod snapshots;
mod storage;

pub use snapshots::SnapshotOptions;

use super::publisher::Publisher;
use crate::log::{FlushStep, LogError, PartitionLog};
use crate::machine::{AppendError, LoadError, LogState, ReplicatedLog};
use crate::metadata::{
    BatchContent, MetadataDelta, MetadataImage, MetadataVersion, RecordsError, SnapshotError, encode_control,
    encode_data,
};
use crate::protocol::metadata_records::{BeginTransactionRecord, MetadataRecord};
use crate::protocol::records::RecordBatch;
use crate::raft::quorum_state::QuorumStateError;
use crate::raft::{
    self, Append, BatchSummary, Effects, Input, LeaderInfo, QuorumInfo, Raft, RaftOptions, ReplyToken,
    VoterSet,
};
use crate::runtime::{BoxFuture, Either, Runtime, race, watch};
use crate::types::{Instant, LeaderEpoch, NodeId, Offset};
use snapshots::Snapshots;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use storage::TailBatch;
use tokio::sync::{Notify, oneshot};

/// What the quorum of one node is told once.
#[derive(Debug, Clone)]
pub struct QuorumOptions {
    /// Who it is, and its timeouts.
    pub raft: RaftOptions,
    /// `<metadata.log.dir>/__cluster_metadata-0`.
    pub directory: PathBuf,
    /// The voters of `controller.quorum.voters`; they count only where no snapshot lists any.
    pub static_voters: VoterSet,
    /// `metadata.log.segment.bytes`.
    pub segment_bytes: u32,
    /// `metadata.log.segment.ms`.
    pub segment_ms: i64,
    /// When snapshots are written, and how much is kept.
    pub snapshots: SnapshotOptions,
}

/// Why the quorum cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum QuorumError {
    /// A file or directory failed.
    #[error("{} cannot be used: {error}", path.display())]
    Io { path: PathBuf, error: std::io::Error },
    /// The log cannot be opened or written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A batch of the log cannot be understood.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// The log cannot be read back.
    #[error("the metadata log cannot be read: {0}")]
    Read(String),
    /// A snapshot cannot be used.
    #[error("{}: {error}", path.display())]
    Snapshot { path: PathBuf, error: SnapshotError },
    /// The election state is lost.
    #[error("{}: {error}", path.display())]
    Election { path: PathBuf, error: QuorumStateError },
    /// Records are missing between snapshot and log.
    #[error(
        "the metadata log begins at {start}, but the newest snapshot ends at {snapshot}: records are \
         missing; restore the directory from another controller"
    )]
    Gap { start: Offset, snapshot: Offset },
    /// A snapshot ends inside a batch, or offsets jump.
    #[error("no batch of the metadata log begins at {offset}: the log is damaged; restore it")]
    Misaligned { offset: Offset },
    /// Nobody votes.
    #[error("no voters are known: format with --standalone, or set controller.quorum.voters")]
    NoVoters,
    /// A quorum of several, for which this release has no network.
    #[error(
        "the quorum has the voters {voters}, and this release runs a quorum of one voter only: format a new \
         directory with --standalone, or name only this node in controller.quorum.voters"
    )]
    SeveralVoters { voters: String },
    /// This node may not vote.
    #[error("node {node} with directory {directory} is no voter of this quorum, whose voters are {voters}")]
    NotAVoter { node: NodeId, directory: crate::types::Uuid, voters: String },
}

/// The quorum as this node sees it. Clones are the same one.
#[derive(Clone)]
pub struct Quorum(Arc<Shared>);

struct Shared {
    runtime: Runtime,
    options: QuorumOptions,
    inner: Mutex<Inner>,
    /// Held while one input is taken and carried out.
    turn: tokio::sync::Mutex<()>,
    state: watch::Sender<LogState>,
    publisher: Publisher,
    flush_wanted: Notify,
    deadline_moved: Notify,
    snapshot_due: Notify,
    log_end_at_start: Offset,
    stopped: watch::Sender<bool>,
}

struct Inner {
    raft: Raft,
    log: PartitionLog,
    /// Batches whose records are not in the published image, oldest first.
    tail: VecDeque<TailBatch>,
    delta: MetadataDelta,
    snapshots: Snapshots,
    /// The level under which the next records are written.
    metadata_version: MetadataVersion,
    /// What a leader's append asks to be sent; carried out by whoever takes the next input.
    deferred: Effects,
    waiting: BTreeMap<ReplyToken, oneshot::Sender<raft::Response>>,
    /// The deadline that the timer waits for.
    armed: Option<Instant>,
}

impl Quorum {
    /// Opens the log and takes part in the quorum; the only voter leads when this returns. [`Quorum::run`]
    /// must be spawned.
    pub async fn open(runtime: &Runtime, options: QuorumOptions) -> Result<Quorum, QuorumError> {
        let (for_open, opening) = (options.clone(), runtime.clone());
        let opened = runtime.offload("open the metadata log", move || storage::open(&opening, &for_open));
        let storage::Opened { log, view, image, tail, snapshots, election } = opened.await?;
        check_voters(&options, view.voters())?;
        let image = Arc::new(image);
        let mut metadata_version = image.features.metadata_version();
        for batch in &tail {
            metadata_version = version_after(metadata_version, &batch.content);
        }
        let raft = Raft::new(options.raft.clone(), runtime.now(), election, view);
        let committed = raft.high_watermark().unwrap_or(Offset::ZERO);
        let log_end_at_start = raft.log().end();
        let inner = Inner {
            raft,
            log,
            tail,
            delta: MetadataDelta::new(image.clone()),
            snapshots: Snapshots::new(snapshots, runtime.now()),
            metadata_version,
            deferred: Effects::default(),
            waiting: BTreeMap::new(),
            armed: None,
        };
        let quorum = Quorum(Arc::new(Shared {
            runtime: runtime.clone(),
            options,
            inner: Mutex::new(inner),
            turn: tokio::sync::Mutex::new(()),
            state: watch::channel(LogState { leads: None, committed }).0,
            publisher: Publisher::new(image),
            flush_wanted: Notify::new(),
            deadline_moved: Notify::new(),
            snapshot_due: Notify::new(),
            log_end_at_start,
            stopped: watch::channel(false).0,
        }));
        let turn = quorum.0.turn.lock().await;
        let effects = {
            let mut inner = quorum.lock();
            inner.raft.start(runtime.now())
        };
        quorum.carry_out(effects).await;
        drop(turn);
        Ok(quorum)
    }

    /// Runs timers and flushes until [`Quorum::close`].
    pub async fn run(self) {
        let mut stopped = self.0.stopped.subscribe();
        let stop = async { stopped.wait_for(|stopped| *stopped).await };
        let work = race(self.flush_when_wanted(), race(self.keep_time(), self.keep_snapshots()));
        race(stop, work).await;
    }

    /// Who leads, as far as this node knows.
    pub fn leader_info(&self) -> LeaderInfo {
        self.lock().raft.leader_info()
    }

    /// What DescribeQuorum tells, where this node leads.
    pub fn describe(&self) -> Result<QuorumInfo, LeaderInfo> {
        self.lock().raft.describe()
    }

    /// The level of kraft.version at the end of the log.
    pub fn kraft_version(&self) -> i16 {
        self.lock().raft.log().kraft_version()
    }

    /// Where the log ended when it was opened.
    pub fn log_end_at_start(&self) -> Offset {
        self.0.log_end_at_start
    }

    pub(super) fn publisher(&self) -> &Publisher {
        &self.0.publisher
    }

    /// Ends the use of the log: everything is written, and nothing can be appended any more.
    pub async fn close(&self) -> Result<(), QuorumError> {
        self.0.stopped.send(true);
        let _turn = self.0.turn.lock().await;
        self.0.state.update(|state| state.leads.take().is_some());
        let shared = self.0.clone();
        let closed = self.0.runtime.offload("close the metadata log", move || {
            let mut inner = lock(&shared);
            inner.log.close()
        });
        closed.await?;
        self.0.publisher.close();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.0)
    }

    /// Takes one input and carries out what follows.
    async fn process(&self, input: Input) {
        let _turn = self.0.turn.lock().await;
        let effects = {
            let mut inner = self.lock();
            let now = self.0.runtime.now();
            inner.raft.step(now, input)
        };
        self.carry_out(effects).await;
    }

    /// Everything that one input demands, in the order that the quorum's promises need.
    async fn carry_out(&self, effects: Effects) {
        if let Some(fatal) = effects.fatal {
            return self.0.runtime.halt(&fatal.to_string());
        }
        if let Some(state) = effects.persist {
            let (voters, version) = {
                let inner = self.lock();
                (inner.raft.log().voters().clone(), inner.raft.log().kraft_version())
            };
            let (disk, directory) = (self.0.runtime.disk(), self.0.options.directory.clone());
            let written = self.0.runtime.offload("write the election state", move || {
                storage::write_election(&*disk, &directory, &state, &voters, version)
            });
            if let Err(error) = written.await {
                return self.0.runtime.halt(&error.to_string());
            }
        }
        let deferred = {
            let mut inner = self.lock();
            if let Err(error) = inner.append_control(&self.0.runtime, &effects.append) {
                drop(inner);
                return self.0.runtime.halt(&error.to_string());
            }
            std::mem::take(&mut inner.deferred)
        };
        if !effects.append.is_empty() {
            self.0.flush_wanted.notify_one();
        }
        if effects.high_watermark.is_some() {
            self.publish();
        }
        self.answer(deferred.replies.into_iter().chain(effects.replies));
        self.announce();
    }

    /// Moves committed batches into the image and shows it.
    fn publish(&self) {
        let mut inner = self.lock();
        let committed = inner.raft.high_watermark().unwrap_or(Offset::ZERO);
        inner.log.set_high_watermark(committed);
        while inner.tail.front().is_some_and(|batch| batch.summary.end <= committed) {
            let Some(batch) = inner.tail.pop_front() else { break };
            if inner.snapshots.note(batch.bytes, batch.timestamp, &self.0.options.snapshots) {
                self.0.snapshot_due.notify_one();
            }
            if let Err(error) = inner.take_into_image(&batch) {
                drop(inner);
                return self.0.runtime.halt(&error.to_string());
            }
        }
        if let Some(update) = inner.delta.take() {
            self.0.publisher.publish(update);
        }
    }

    fn answer(&self, replies: impl Iterator<Item = (ReplyToken, raft::Response)>) {
        let mut inner = self.lock();
        for (token, response) in replies {
            if let Some(waiting) = inner.waiting.remove(&token) {
                let _ = waiting.send(response); // Whoever asked may be gone.
            }
        }
    }

    /// Tells the state machine's host of leadership and commits, and the timer of an earlier deadline.
    fn announce(&self) {
        let mut inner = self.lock();
        let info = inner.raft.leader_info();
        let committed = inner.raft.high_watermark().unwrap_or(Offset::ZERO);
        let leads = info.leads_from.filter(|start| committed > *start).map(|_| info.epoch);
        let deadline = inner.raft.next_deadline();
        let earlier = match (deadline, inner.armed) {
            (Some(next), Some(armed)) => next < armed,
            (next, _) => next.is_some(),
        };
        if earlier {
            inner.armed = deadline;
            self.0.deadline_moved.notify_one();
        }
        drop(inner);
        let is_stopped = self.0.stopped.get();
        let now = LogState { leads: leads.filter(|_| !is_stopped), committed };
        self.0.state.update(|state| std::mem::replace(state, now) != now);
    }

    /// One sync at a time serves all appends that came before it began.
    async fn flush_when_wanted(&self) {
        loop {
            self.0.flush_wanted.notified().await;
            let step = {
                let mut inner = self.lock();
                let end = inner.log.log_end();
                inner.log.begin_flush(end)
            };
            let flushed = match step {
                Err(error) => Err(error),
                Ok(FlushStep::Done) => Ok(()),
                Ok(FlushStep::Wait(mut finished)) => {
                    let _ = finished.changed().await;
                    self.0.flush_wanted.notify_one();
                    continue;
                }
                Ok(FlushStep::Run(plan)) => {
                    let work = self.0.runtime.offload("sync the metadata log", move || {
                        let result = plan.run();
                        (plan, result)
                    });
                    let (plan, result) = work.await;
                    self.lock().log.finish_flush(plan, result)
                }
            };
            if let Err(error) = flushed {
                // Nothing that this node says about the log can be trusted after a failed sync.
                return self.0.runtime.halt(&error.to_string());
            }
            let durable = self.lock().log.recovery_point();
            self.process(Input::Flushed(durable)).await;
        }
    }

    async fn keep_time(&self) {
        loop {
            let deadline = {
                let mut inner = self.lock();
                inner.armed = inner.raft.next_deadline();
                inner.armed
            };
            let moved = self.0.deadline_moved.notified();
            let due = match deadline {
                Some(at) => race(moved, self.0.runtime.sleep_until(at)).await,
                None => {
                    moved.await;
                    Either::Left(())
                }
            };
            if due == Either::Right(()) {
                self.process(Input::Tick).await;
            }
        }
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, Inner> {
    match shared.inner.lock() {
        Ok(inner) => inner,
        Err(poisoned) => {
            shared.runtime.halt("the quorum panicked; restart the node to read its log again");
            poisoned.into_inner()
        }
    }
}

fn check_voters(options: &QuorumOptions, voters: &VoterSet) -> Result<(), QuorumError> {
    if voters.is_empty() {
        return Err(QuorumError::NoVoters);
    }
    let listed = || voters.iter().map(|voter| voter.key.to_string()).collect::<Vec<_>>().join(", ");
    if voters.len() > 1 {
        return Err(QuorumError::SeveralVoters { voters: listed() });
    }
    if options.static_voters.len() > 1 {
        // The directory's own voters count; but whoever lists several does not mean one.
        let named: Vec<String> = options.static_voters.iter().map(|voter| voter.key.to_string()).collect();
        return Err(QuorumError::SeveralVoters { voters: named.join(", ") });
    }
    let local = options.raft.local;
    if !voters.contains(local) {
        let (node, directory) = (local.id, local.directory);
        return Err(QuorumError::NotAVoter { node, directory, voters: listed() });
    }
    Ok(())
}

/// The metadata version after the records of a batch.
fn version_after(version: MetadataVersion, content: &BatchContent) -> MetadataVersion {
    let BatchContent::Data(records) = content else { return version };
    let levels = records.iter().filter_map(|(_, record)| match record {
        MetadataRecord::FeatureLevel(record) if record.name == *crate::metadata::METADATA_VERSION => {
            Some(MetadataVersion(record.feature_level))
        }
        _ => None,
    });
    levels.last().unwrap_or(version)
}

impl Inner {
    /// Writes the control batches that the quorum itself appends.
    fn append_control(&mut self, runtime: &Runtime, appends: &[Append]) -> Result<(), QuorumError> {
        for append in appends {
            let Append::Control(summary) = append else {
                unreachable!("only a follower appends what it fetched, and nothing is fetched here");
            };
            let records: Vec<_> =
                summary.control.iter().map(|(_, record)| convert::quorum_record(record)).collect();
            let now = runtime.wall_clock();
            let batch = encode_control(summary.base, summary.epoch, now, &records)?;
            self.log.append_as_follower(batch.bytes(), now).map_err(log_error)?;
            self.tail.push_back(TailBatch::decode(&batch)?);
        }
        Ok(())
    }

    fn take_into_image(&mut self, batch: &TailBatch) -> Result<(), RecordsError> {
        let epoch = batch.summary.epoch;
        match &batch.content {
            BatchContent::Data(records) => {
                for (offset, record) in records {
                    self.delta.replay(*offset, epoch, record)?;
                }
            }
            BatchContent::Control(_) => self.delta.advance(Offset(batch.summary.end.0 - 1), epoch),
        }
        Ok(())
    }
}

fn log_error(error: crate::log::AppendError) -> QuorumError {
    match error {
        crate::log::AppendError::Storage(error) => QuorumError::Log(error),
        other => QuorumError::Read(other.to_string()),
    }
}

impl ReplicatedLog for Quorum {
    type Record = MetadataRecord;

    fn append(
        &self,
        epoch: LeaderEpoch,
        at: Offset,
        records: &[MetadataRecord],
    ) -> Result<Offset, AppendError> {
        let mut inner = self.lock();
        let (leads, end) = inner.raft.next_append().map_err(|_| AppendError::NotLeader(epoch))?;
        if leads != epoch || self.0.state.get().leads != Some(epoch) {
            return Err(AppendError::NotLeader(epoch));
        }
        if end != at {
            return Err(AppendError::MovedOn { expected: at, actual: end });
        }
        let now = self.0.runtime.wall_clock();
        let batch: RecordBatch = encode_data(at, epoch, now, inner.metadata_version, records)
            .map_err(|error| AppendError::Refused(error.to_string()))?;
        if let Err(error) = inner.log.append_as_follower(batch.bytes(), now) {
            let is_lost = inner.log.check_online().is_err();
            drop(inner);
            if is_lost {
                // Without its metadata log this node cannot keep any promise.
                self.0.runtime.halt(&error.to_string());
            }
            return Err(AppendError::Storage(error.to_string()));
        }
        let end = batch.next_offset();
        let content = BatchContent::Data(
            records.iter().enumerate().map(|(i, record)| (at + i as i64, record.clone())).collect(),
        );
        inner.metadata_version = version_after(inner.metadata_version, &content);
        let summary = BatchSummary { base: at, end, epoch, control: Vec::new() };
        let (bytes, timestamp) = (batch.bytes().len() as u64, batch.header().max_timestamp);
        inner.tail.push_back(TailBatch { summary: summary.clone(), content, bytes, timestamp });
        let now = self.0.runtime.now();
        let effects = inner.raft.step(now, Input::Appended(summary));
        assert!(effects.persist.is_none() && effects.append.is_empty(), "an append changes no role");
        inner.deferred.replies.extend(effects.replies);
        drop(inner);
        self.0.flush_wanted.notify_one();
        Ok(end)
    }

    fn next_offset(&self) -> Offset {
        self.lock().raft.log().end()
    }

    fn state(&self) -> watch::Receiver<LogState> {
        self.0.state.subscribe()
    }

    fn load<'a>(
        &'a self,
        replay: &'a mut (dyn FnMut(&MetadataRecord) + Send),
    ) -> BoxFuture<'a, Result<Offset, LoadError>> {
        Box::pin(async move {
            let inner = self.lock();
            let (image, in_transaction) = inner.delta.stable();
            write_image(&image, replay);
            if in_transaction {
                // The machine sees an open transaction and aborts it.
                replay(&BeginTransactionRecord::default().into());
            }
            for batch in &inner.tail {
                if let BatchContent::Data(records) = &batch.content {
                    records.iter().for_each(|(_, record)| replay(record));
                }
            }
            Ok(inner.raft.log().end())
        })
    }
}

fn write_image(image: &MetadataImage, replay: &mut (dyn FnMut(&MetadataRecord) + Send)) {
    image.write(&mut |record| replay(&record));
}
