//! Runs one machine over one log: requests in, appends out, answers when they have committed.
//!
//! Invariant: records are appended and replayed under one lock, in one order; an answer leaves only when
//! everything that was replayed before it was given has committed.

use super::{AppendError, Input, LogState, Moment, Outcome, ReplicatedLog, ReplyKey, StateMachine};
use crate::runtime::{Either, Runtime, race, watch};
use crate::types::{Instant, LeaderEpoch, Offset};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// Requests that may wait for an answer at once; one more is refused.
const WAITING_MAX: usize = 100_000;
/// A timer whose records could not be appended fires again after this.
const TIMER_RETRY: Duration = Duration::from_secs(1);

/// A request was not answered by the machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Another replica leads, or none yet. What was asked may or may not have been done.
    #[error("this node does not lead; ask the leader")]
    NotLeader,
    /// The log is still being replayed.
    #[error("this node has become leader and still reads its log; ask again soon")]
    Loading,
    /// Too many requests wait.
    #[error("{WAITING_MAX} requests wait for an answer; ask again later")]
    Overloaded,
    /// Nothing was done: the records could not be appended.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// A machine and its log.
pub struct Host<M: StateMachine, L>(Arc<Shared<M, L>>);

impl<M: StateMachine, L> Clone for Host<M, L> {
    fn clone(&self) -> Self {
        Host(self.0.clone())
    }
}

struct Shared<M: StateMachine, L> {
    runtime: Runtime,
    log: Arc<L>,
    inner: Mutex<Inner<M>>,
    /// A timer was set that may be earlier than the one that is waited for.
    timers_changed: Notify,
}

type Waiting<M> = oneshot::Sender<Result<<M as StateMachine>::Response, HostError>>;

enum Phase<M> {
    Inactive,
    Loading,
    Active { epoch: LeaderEpoch, machine: M },
}

struct Inner<M: StateMachine> {
    phase: Phase<M>,
    /// The offset behind the last record that was replayed.
    replayed: Offset,
    committed: Offset,
    waiting: BTreeMap<ReplyKey, Waiting<M>>,
    /// Answers that wait for the log to commit up to an offset; the offsets never fall.
    parked: VecDeque<(Offset, ReplyKey, M::Response)>,
    timers: BTreeMap<M::Timer, Instant>,
    deadlines: BTreeSet<(Instant, M::Timer)>,
    /// When what a leader decides first is tried again; none once it is written.
    begins_at: Option<Instant>,
    next_key: u64,
}

impl<M, L> Host<M, L>
where
    M: StateMachine,
    L: ReplicatedLog<Record = M::Record>,
{
    /// A host whose machine comes to life, by `new_machine`, whenever this replica leads. [`Host::run`] must
    /// be spawned.
    pub fn new(runtime: Runtime, log: Arc<L>) -> Host<M, L> {
        let inner = Inner {
            phase: Phase::Inactive,
            replayed: Offset::ZERO,
            committed: Offset::ZERO,
            waiting: BTreeMap::new(),
            parked: VecDeque::new(),
            timers: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            begins_at: None,
            next_key: 0,
        };
        Host(Arc::new(Shared { runtime, log, inner: Mutex::new(inner), timers_changed: Notify::new() }))
    }

    /// Asks the machine. The decision is made before this returns; the future waits until the log has
    /// committed it.
    pub fn request(
        &self,
        request: M::Request,
    ) -> impl Future<Output = Result<M::Response, HostError>> + Send + use<M, L> {
        let asked = self.ask(request);
        async move { asked?.await.unwrap_or(Err(HostError::NotLeader)) }
    }

    /// Looks at the machine, where this replica leads.
    pub fn with_machine<R>(&self, look: impl FnOnce(&M) -> R) -> Option<R> {
        match &self.lock().phase {
            Phase::Active { machine, .. } => Some(look(machine)),
            _ => None,
        }
    }

    fn ask(
        &self,
        request: M::Request,
    ) -> Result<oneshot::Receiver<Result<M::Response, HostError>>, HostError> {
        let mut inner = self.lock();
        match inner.phase {
            Phase::Inactive => return Err(HostError::NotLeader),
            Phase::Loading => return Err(HostError::Loading),
            Phase::Active { .. } if inner.begins_at.is_some() => return Err(HostError::Loading),
            Phase::Active { .. } if inner.waiting.len() >= WAITING_MAX => return Err(HostError::Overloaded),
            Phase::Active { .. } => {}
        }
        let key = ReplyKey(inner.next_key);
        inner.next_key += 1;
        let (sender, receiver) = oneshot::channel();
        inner.waiting.insert(key, sender);
        if let Err(error) = self.decide(&mut inner, Input::Request(key, request))
            && let Some(waiting) = inner.waiting.remove(&key)
        {
            let _ = waiting.send(Err(error.into()));
        }
        Ok(receiver)
    }

    /// Runs the machine until the log is closed.
    pub async fn run(self, mut new_machine: impl FnMut() -> M + Send) {
        let mut state = self.0.log.state();
        loop {
            let now = state.get();
            self.follow(now, &mut new_machine).await;
            let deadline = self.lock().deadline();
            let timers = async {
                match deadline {
                    Some(at) => {
                        race(self.0.timers_changed.notified(), self.0.runtime.sleep_until(at)).await;
                    }
                    None => self.0.timers_changed.notified().await,
                }
            };
            match race(state.changed(), timers).await {
                Either::Left(Err(watch::Closed)) => return self.step_down(),
                Either::Left(Ok(())) => {}
                Either::Right(()) => self.fire_timers(),
            }
        }
    }

    /// Brings the machine in line with what the log says of leadership and commits.
    async fn follow(&self, state: LogState, new_machine: &mut (impl FnMut() -> M + Send)) {
        let leads = match &self.lock().phase {
            Phase::Active { epoch, .. } => Some(*epoch),
            _ => None,
        };
        if leads != state.leads {
            self.step_down();
            if let Some(epoch) = state.leads {
                self.load(epoch, new_machine()).await;
            }
        }
        let mut inner = self.lock();
        if state.committed > inner.committed {
            inner.committed = state.committed;
            inner.release();
            let begun = inner.begins_at.is_none();
            if begun && let Err(error) = self.decide(&mut inner, Input::Committed(state.committed)) {
                tracing::warn!("what followed from a commit was not written: {error}");
            }
        }
    }

    async fn load(&self, epoch: LeaderEpoch, mut machine: M) {
        self.lock().phase = Phase::Loading;
        let loaded = self.0.log.load(&mut |record| machine.replay(record)).await;
        let mut inner = self.lock();
        match loaded {
            Ok(end) => {
                inner.replayed = end;
                inner.phase = Phase::Active { epoch, machine };
                self.begin(&mut inner);
            }
            Err(error) => {
                inner.phase = Phase::Inactive;
                drop(inner);
                self.0.runtime.halt(&error.to_string());
            }
        }
    }

    /// What a leader decides first. Until that is written nothing else is decided: a request would meet a
    /// machine that has not begun.
    fn begin(&self, inner: &mut Inner<M>) {
        inner.begins_at = None;
        if let Err(error) = self.decide(inner, Input::Loaded) {
            tracing::warn!("a new leader could not write its first records, and tries again: {error}");
            inner.begins_at = Some(self.0.runtime.now() + TIMER_RETRY);
        }
    }

    /// Forgets everything; whoever waits is told to ask the leader.
    fn step_down(&self) {
        let mut inner = self.lock();
        inner.phase = Phase::Inactive;
        inner.parked.clear();
        inner.timers.clear();
        inner.deadlines.clear();
        inner.begins_at = None;
        for (_, waiting) in std::mem::take(&mut inner.waiting) {
            let _ = waiting.send(Err(HostError::NotLeader));
        }
    }

    fn fire_timers(&self) {
        let mut inner = self.lock();
        let now = self.0.runtime.now();
        if inner.begins_at.is_some_and(|at| at <= now) {
            self.begin(&mut inner);
        }
        while let Some((at, key)) = inner.deadlines.first().cloned()
            && at <= now
        {
            inner.set_timer(key.clone(), None);
            if let Err(error) = self.decide(&mut inner, Input::Timer(key.clone())) {
                tracing::warn!("what a timer decided was not written: {error}");
                inner.set_timer(key, Some(now + TIMER_RETRY));
            }
        }
    }

    /// One decision: handle, append, replay. On an error nothing recorded has changed.
    fn decide(&self, inner: &mut Inner<M>, input: Input<M::Request, M::Timer>) -> Result<(), AppendError> {
        let Phase::Active { epoch, machine } = &mut inner.phase else { return Ok(()) };
        let runtime = &self.0.runtime;
        let next_offset = self.0.log.next_offset();
        let at = Moment { now: runtime.now(), wall_clock: runtime.wall_clock(), next_offset };
        let Outcome { records, replies, timers } = machine.handle(at, input);
        if !records.is_empty() {
            inner.replayed = match self.0.log.append(*epoch, next_offset, &records) {
                Ok(end) => end,
                Err(error) => {
                    for (key, _) in replies {
                        if let Some(waiting) = inner.waiting.remove(&key) {
                            let _ = waiting.send(Err(error.clone().into()));
                        }
                    }
                    return Err(error);
                }
            };
            records.iter().for_each(|record| machine.replay(record));
        }
        let earliest = inner.deadlines.first().map(|(at, _)| *at);
        for (key, deadline) in timers {
            inner.set_timer(key, deadline);
        }
        if inner.deadlines.first().map(|(at, _)| *at) != earliest {
            self.0.timers_changed.notify_one();
        }
        let at = inner.replayed;
        inner.parked.extend(replies.into_iter().map(|(key, response)| (at, key, response)));
        inner.release();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner<M>> {
        match self.0.inner.lock() {
            Ok(inner) => inner,
            Err(poisoned) => {
                // The machine panicked half way: what it holds may be anything, and the log knows better.
                self.0
                    .runtime
                    .halt("a replicated state machine panicked; restart the node to read its log again");
                poisoned.into_inner()
            }
        }
    }
}

impl<M: StateMachine> Inner<M> {
    /// Sends the answers whose records have committed.
    fn release(&mut self) {
        while self.parked.front().is_some_and(|(offset, ..)| *offset <= self.committed) {
            let Some((_, key, response)) = self.parked.pop_front() else { return };
            if let Some(waiting) = self.waiting.remove(&key) {
                let _ = waiting.send(Ok(response)); // Whoever asked may be gone.
            }
        }
    }

    /// When time has something to do.
    fn deadline(&self) -> Option<Instant> {
        let timer = self.deadlines.first().map(|(at, _)| *at);
        self.begins_at.into_iter().chain(timer).min()
    }

    fn set_timer(&mut self, key: M::Timer, deadline: Option<Instant>) {
        if let Some(old) = self.timers.remove(&key) {
            self.deadlines.remove(&(old, key.clone()));
        }
        if let Some(at) = deadline {
            self.timers.insert(key.clone(), at);
            self.deadlines.insert((at, key));
        }
    }
}

#[cfg(all(test, feature = "real"))]
mod tests;
