//! State that a replicated log keeps: the cluster controller, the coordinators. The machine decides, the host
//! appends what it decided, replays it at once, and lets the answers go when the log has committed it.
//!
//! Invariant: recorded state is a function of the log alone; nothing is answered that a crash of the leader
//! could undo. It must not know what runs on it, nor how the log replicates.

mod host;

pub use host::{Host, HostError};

use crate::runtime::{BoxFuture, watch};
use crate::types::{Instant, LeaderEpoch, Offset, Timestamp};

/// Names one request that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyKey(pub u64);

/// When and where a decision is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Monotonic time.
    pub now: Instant,
    /// Wall-clock time, for timestamps inside records.
    pub wall_clock: Timestamp,
    /// The offset that the first record of this decision gets.
    pub next_offset: Offset,
}

/// What a machine reacts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<R, T> {
    /// The whole log has been replayed and this replica leads it: requests come next.
    Loaded,
    /// Somebody asks; the answer goes out under this key, now or later.
    Request(ReplyKey, R),
    /// A timer that an earlier outcome set is due.
    Timer(T),
    /// Everything below this offset has committed.
    Committed(Offset),
}

/// What a machine decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome<C, R, T> {
    /// Records to append as one batch: all of them count, or none.
    pub records: Vec<C>,
    /// Answers to requests, this one or parked ones; they leave when the records have committed.
    pub replies: Vec<(ReplyKey, R)>,
    /// Timers to set, or with `None` to clear. They fire once, and are gone when leadership is.
    pub timers: Vec<(T, Option<Instant>)>,
}

impl<C, R, T> Default for Outcome<C, R, T> {
    fn default() -> Self {
        Outcome { records: Vec::new(), replies: Vec::new(), timers: Vec::new() }
    }
}

impl<C, R, T> Outcome<C, R, T> {
    /// Only an answer.
    pub fn reply(key: ReplyKey, response: R) -> Self {
        Outcome { replies: vec![(key, response)], ..Outcome::default() }
    }

    /// Records, and an answer when they have committed.
    pub fn records(records: Vec<C>, key: ReplyKey, response: R) -> Self {
        Outcome { records, replies: vec![(key, response)], timers: Vec::new() }
    }
}

/// State that a log replicates.
pub trait StateMachine: Send + 'static {
    /// What it is asked.
    type Request: Send + 'static;
    /// What it answers.
    type Response: Send + 'static;
    /// What it writes.
    type Record: Send + Sync + 'static;
    /// What names its timers.
    type Timer: Clone + Ord + Send + 'static;

    /// Decides. It may change soft state (sessions, parked requests), but recorded state only by the records
    /// that it returns: they may be refused, and then nothing of them has happened.
    fn handle(
        &mut self,
        at: Moment,
        input: Input<Self::Request, Self::Timer>,
    ) -> Outcome<Self::Record, Self::Response, Self::Timer>;

    /// Takes in a record, while loading and after each decision: the only way in which recorded state
    /// changes. It cannot fail; a record that makes no sense is a bug or damage, and a panic.
    fn replay(&mut self, record: &Self::Record);
}

/// A log as this replica sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogState {
    /// The epoch that this replica leads, once everything of earlier epochs has committed.
    pub leads: Option<LeaderEpoch>,
    /// Everything below has committed.
    pub committed: Offset,
}

/// A batch could not be appended; nothing of it is in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Another replica leads, or the quorum chose again.
    #[error("this replica does not lead epoch {0} any more")]
    NotLeader(LeaderEpoch),
    /// Something else was appended first.
    #[error("the log ends at {actual}, not at {expected}")]
    MovedOn { expected: Offset, actual: Offset },
    /// The records cannot be written, or make a batch that is too large.
    #[error("the records cannot be written: {0}")]
    Refused(String),
    /// The disk failed.
    #[error("the log cannot be written: {0}")]
    Storage(String),
}

/// A log could not be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log cannot be replayed: {0}")]
pub struct LoadError(pub String);

/// A log that many replicas keep and one at a time appends to.
pub trait ReplicatedLog: Send + Sync + 'static {
    /// What it holds.
    type Record: Send + Sync + 'static;

    /// Appends `records` as one batch that begins at `at`, under `epoch`; returns the offset behind it.
    /// Whether it has committed, [`ReplicatedLog::state`] tells.
    fn append(&self, epoch: LeaderEpoch, at: Offset, records: &[Self::Record])
    -> Result<Offset, AppendError>;

    /// Where the next batch goes.
    fn next_offset(&self) -> Offset;

    /// Leadership and commits.
    fn state(&self) -> watch::Receiver<LogState>;

    /// Hands every record of the log to `replay`, in order, to its present end; returns that end.
    fn load<'a>(
        &'a self,
        replay: &'a mut (dyn FnMut(&Self::Record) + Send),
    ) -> BoxFuture<'a, Result<Offset, LoadError>>;
}
