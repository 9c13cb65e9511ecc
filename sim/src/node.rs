//! Nodes and their lives. A node is a machine with an address, a disk and a clock; a life is one run of the
//! program on it.
//!
//! Invariant: what a life started (files, sockets, tasks, events) is worth nothing once the life is over.
//! Tasks of a dead life are dropped by the executor in random order, so every handle asks its [`Life`] before
//! it touches anything.

use crate::clock::Clock;
use crate::disk::{Loss, NodeDisk};
use crate::network::Network;
use crate::situation;
use crate::trace::Trace;
use crate::world::Observers;
use madsim::runtime::{Handle, NodeHandle};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::Notify;

/// A node of a world: 0 is the first that was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The number, as traces and random streams use it.
    pub fn number(self) -> u64 {
        u64::from(self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.0)
    }
}

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process dies and the machine goes on: the page cache survives, peers see FIN or RST.
    Process,
    /// The machine loses power: unsynced data may be lost, peers see silence until it is back.
    Power,
}

/// Inline disk work adds up to this many nanoseconds before the node is paused for it: one pause per
/// operation would cost more than it models.
const PAUSE_STEP: u64 = 100_000;

/// A machine.
pub struct Node {
    pub(crate) id: NodeId,
    name: String,
    pub(crate) clock: Clock,
    pub(crate) trace: Arc<Trace>,
    pub(crate) network: Arc<Network>,
    pub(crate) disk: Arc<NodeDisk>,
    handle: Handle,
    /// Runs what the machine does without its program, such as waking it from a pause.
    kernel: NodeHandle,
    observers: Arc<Observers>,
    executor_id: OnceLock<madsim::task::NodeId>,
    life: AtomicU64,
    alive: AtomicBool,
    /// Offset of its wall clock.
    skew_ms: AtomicI64,
    activity: Mutex<Activity>,
    changed: Notify,
}

/// What keeps a life busy, and why it ended.
#[derive(Default)]
struct Activity {
    /// How many reasons there are to stand still.
    pauses: u32,
    /// Nanoseconds of inline disk work that the node has not paid for yet.
    debt: u64,
    /// Nanoseconds of disk work of the offloaded closure that runs now.
    offloaded: Option<u64>,
    /// The sentence with which the node halted itself.
    halted: Option<String>,
}

/// What a node is made of.
pub(crate) struct Parts {
    pub id: NodeId,
    pub name: String,
    pub clock: Clock,
    pub trace: Arc<Trace>,
    pub network: Arc<Network>,
    pub disk: Arc<NodeDisk>,
    pub handle: Handle,
    pub kernel: NodeHandle,
    pub observers: Arc<Observers>,
    pub skew_ms: i64,
}

impl Node {
    pub(crate) fn new(parts: Parts) -> Node {
        Node {
            id: parts.id,
            name: parts.name,
            clock: parts.clock,
            trace: parts.trace,
            network: parts.network,
            disk: parts.disk,
            handle: parts.handle,
            kernel: parts.kernel,
            observers: parts.observers,
            executor_id: OnceLock::new(),
            life: AtomicU64::new(0),
            alive: AtomicBool::new(false),
            skew_ms: AtomicI64::new(parts.skew_ms),
            activity: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Its name, by which other nodes find it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its program runs.
    pub fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }

    /// The sentence with which its last life halted itself.
    pub fn halted(&self) -> Option<String> {
        self.activity().halted.clone()
    }

    /// Sets its wall clock off by `millis`.
    pub fn set_skew_ms(&self, millis: i64) {
        self.skew_ms.store(millis, Ordering::Relaxed);
    }

    pub(crate) fn skew_ms(&self) -> i64 {
        self.skew_ms.load(Ordering::Relaxed)
    }

    /// Resolves when no program runs on it.
    pub async fn until_down(&self) {
        loop {
            let notified = self.changed.notified();
            if !self.is_alive() {
                return;
            }
            notified.await;
        }
    }

    /// Tells the node how the executor calls it.
    pub(crate) fn set_executor_id(&self, id: madsim::task::NodeId) {
        assert!(self.executor_id.set(id).is_ok(), "a node is built once");
    }

    fn executor_id(&self) -> madsim::task::NodeId {
        *self.executor_id.get().expect("a node is built before it runs")
    }

    /// Begins the next life; the executor must be told to start it.
    pub(crate) fn begin_life(self: &Arc<Self>) -> Life {
        assert!(!self.is_alive(), "{} runs already", self.id);
        let number = self.life.load(Ordering::Relaxed) + 1;
        self.life.store(number, Ordering::Relaxed);
        *self.activity() = Activity::default();
        self.disk.begin_life(number);
        self.network.power_on(self.id);
        self.alive.store(true, Ordering::Relaxed);
        self.trace.numbers("node.start", &[("node", self.id.number()), ("life", number)]);
        Life { node: self.clone(), number }
    }

    /// The life that is going on or was the last.
    pub(crate) fn current_life(self: &Arc<Self>) -> Life {
        Life { node: self.clone(), number: self.life.load(Ordering::Relaxed) }
    }

    /// Starts the program again.
    pub(crate) fn restart(self: &Arc<Self>) {
        self.begin_life();
        self.handle.restart(self.executor_id());
    }

    /// The executor's handle for spawning tasks of the current life. It must not be asked while the executor
    /// builds the node.
    pub(crate) fn spawner(&self) -> NodeHandle {
        self.handle.get_node(self.executor_id()).expect("a node stays for the whole run")
    }

    /// Stops all tasks until `resume`. Its kernel still takes what the network brings, as far as the windows
    /// reach.
    pub(crate) fn pause(&self) {
        let mut activity = self.activity();
        activity.pauses += 1;
        if activity.pauses == 1 {
            self.handle.pause(self.executor_id());
        }
    }

    /// Takes one reason to stand still away.
    pub(crate) fn resume(&self) {
        let mut activity = self.activity();
        activity.pauses = activity.pauses.saturating_sub(1);
        if activity.pauses == 0 && self.is_alive() {
            self.handle.resume(self.executor_id());
        }
    }

    fn activity(&self) -> std::sync::MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One run of the program on a node.
#[derive(Clone)]
pub struct Life {
    pub(crate) node: Arc<Node>,
    pub(crate) number: u64,
}

impl Life {
    /// Whether it goes on. A dead life's operations fail and nothing that it does is seen.
    pub fn is_alive(&self) -> bool {
        self.node.is_alive() && self.node.life.load(Ordering::Relaxed) == self.number
    }

    /// Ends the life, at once for all that others can see of it; the tasks are dropped at the next yield. No
    /// lock of network or disk may be held.
    pub(crate) fn crash(&self, how: Crash, cause: &str) {
        if !self.is_alive() {
            return;
        }
        let node = &self.node;
        node.alive.store(false, Ordering::Relaxed);
        node.trace.text("node.down", format_args!("{} {how:?} {cause}", node.id));
        node.network.crash(node.id, how);
        if node.disk.crash(how) == Loss::Partial {
            node.observers.reached(situation::TORN);
        }
        node.activity().pauses = 0;
        node.handle.kill(node.executor_id());
        node.observers.crashed(node.id, how);
        node.changed.notify_waiters();
    }

    /// Ends the life because the program said so.
    pub(crate) fn halt(&self, reason: &str) {
        if self.is_alive() {
            self.node.activity().halted = Some(reason.to_owned());
            self.crash(Crash::Process, reason);
        }
    }

    /// Charges `nanos` of disk work. Offloaded work is paid by the task that offloaded it; inline work pauses
    /// the node at its next yield, because the thread that would run its tasks is held up.
    pub(crate) fn charge(&self, nanos: u64) {
        let mut activity = self.node.activity();
        if let Some(offloaded) = &mut activity.offloaded {
            *offloaded += nanos;
            return;
        }
        activity.debt += nanos;
        if activity.debt < PAUSE_STEP || !self.is_alive() {
            return;
        }
        let due = self.node.clock.now() + std::mem::take(&mut activity.debt);
        drop(activity);
        self.node.pause();
        let life = self.clone();
        self.node.kernel.spawn(async move {
            life.node.clock.sleep_until(due).await;
            if life.is_alive() {
                life.node.resume();
            }
        });
    }

    /// From now to [`Life::end_offload`] disk work belongs to an offloaded closure. Nothing yields in
    /// between.
    pub(crate) fn begin_offload(&self) {
        self.node.activity().offloaded = Some(0);
    }

    /// Nanoseconds of disk work that the offloaded closure did.
    pub(crate) fn end_offload(&self) -> u64 {
        self.node.activity().offloaded.take().unwrap_or(0)
    }
}
