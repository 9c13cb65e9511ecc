//! A world: nodes with their lives, a network between them, one clock, one seed.
//!
//! Invariant: everything that happens in a world follows from its seed. A run has an operating-system thread
//! of its own, because the standard library seeds the keys of its hash maps once per thread. At the end all
//! nodes are killed and a millisecond passes, or their tasks would never be dropped.

use crate::clock::Clock;
use crate::disk::NodeDisk;
use crate::environment::NodeEnvironment;
use crate::messages;
use crate::network::Network;
use crate::node::{Crash, Node, NodeId, Parts};
use crate::random::Random;
use crate::trace::{Summary, Trace};
use madsim::runtime::{Handle, NodeHandle};
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use vltava::runtime::{BoxFuture, Event, Runtime};

/// A run that takes longer than this, in virtual time, fails.
const TIME_LIMIT: Duration = Duration::from_secs(24 * 3600);
/// Bytes of stack of the thread that runs a seed.
const STACK: usize = 8 << 20;
/// Clocks of nodes differ by less than this from the true time.
const SKEW_MS: u64 = 200;
/// 2026-01-01, in milliseconds since 1970.
const YEAR_2026_MS: i64 = 1_767_225_600_000;

/// A program of a node: called once for each of its lives.
type Program = Arc<dyn Fn(Runtime) -> BoxFuture<'static, ()> + Send + Sync>;

/// A handle to a world; clones mean the same one.
#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    seed: u64,
    epoch_ms: i64,
    clock: Clock,
    trace: Arc<Trace>,
    network: Arc<Network>,
    handle: Handle,
    kernel: NodeHandle,
    nodes: Mutex<Vec<Arc<Node>>>,
    observers: Arc<Observers>,
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome<T> {
    /// What the scenario returned, or the sentence with which the run failed.
    pub result: Result<T, String>,
    /// What happened.
    pub trace: Summary,
    /// How often each named situation was reached.
    pub sometimes: BTreeMap<&'static str, u64>,
    /// Virtual nanoseconds that the run took.
    pub nanos: u64,
}

impl World {
    /// Runs `scenario` in the world of `seed`. `text` keeps the text of the trace. A panic anywhere fails the
    /// run.
    pub fn run<T, F>(seed: u64, text: bool, scenario: impl FnOnce(World) -> F + Send + 'static) -> Outcome<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, String>> + 'static,
    {
        #[expect(clippy::disallowed_methods, reason = "hash keys are seeded once per thread")]
        let thread = std::thread::Builder::new()
            .name(format!("seed {seed}"))
            .stack_size(STACK)
            .spawn(move || World::run_here(seed, text, scenario))
            .expect("the system has a thread for each core");
        thread.join().expect("panics of the run are caught inside")
    }

    fn run_here<T, F>(seed: u64, text: bool, scenario: impl FnOnce(World) -> F) -> Outcome<T>
    where
        F: Future<Output = Result<T, String>>,
    {
        let mut runtime = madsim::runtime::Runtime::with_seed_and_config(seed, madsim::Config::default());
        runtime.set_time_limit(TIME_LIMIT);
        let handle = runtime.handle().clone();
        let kernel = runtime.create_node().name("kernel").build();
        let (clock, trace) = runtime.block_on(async {
            let clock = Clock::new(madsim::time::TimeHandle::current());
            (clock.clone(), Arc::new(Trace::new(clock, text)))
        });
        let observers = Arc::new(Observers::default());
        let world = World(Arc::new(Inner {
            seed,
            epoch_ms: YEAR_2026_MS + Random::stream(seed, "epoch", 0).below(1 << 35) as i64,
            network: Arc::new(Network::new(seed, clock.clone(), trace.clone())),
            clock: clock.clone(),
            trace: trace.clone(),
            handle,
            kernel,
            nodes: Mutex::default(),
            observers: observers.clone(),
        }));
        let run = || {
            runtime.block_on(async {
                let result = scenario(world.clone()).await;
                world.end().await;
                result
            })
        };
        let run = std::panic::catch_unwind(AssertUnwindSafe(|| {
            if text { messages::collect(trace.clone(), run) } else { run() }
        }));
        let result = run.unwrap_or_else(|panic| {
            // Tasks that were never told to stop would run their destructors outside of the executor.
            std::mem::forget(runtime);
            Err(format!("panic: {}", told(&*panic)))
        });
        Outcome { result, trace: trace.finish(), sometimes: observers.sometimes(), nanos: clock.now() }
    }

    /// Kills everything and lets the executor drop it.
    async fn end(&self) {
        for node in self.nodes().clone() {
            node.current_life().crash(Crash::Process, "end of the run");
        }
        self.0.handle.kill(self.0.kernel.id());
        self.0.clock.sleep(crate::clock::MILLISECOND).await;
        self.nodes().clear();
        self.0.observers.clear();
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// The stream of random numbers called `name`.
    pub fn random(&self, name: &str) -> Random {
        Random::stream(self.0.seed, name, 0)
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.0.network
    }

    /// The record of the run.
    pub fn trace(&self) -> &Trace {
        &self.0.trace
    }

    /// Creates a node called `name` and starts `program` on it, which runs anew in each life. The node goes
    /// down when the program ends.
    pub fn node<F>(&self, name: &str, program: impl Fn(Runtime) -> F + Send + Sync + 'static) -> NodeId
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let inner = &self.0;
        let id = inner.network.add_host(name);
        let skew = Random::stream(inner.seed, "skew", id.number()).below(2 * SKEW_MS) as i64 - SKEW_MS as i64;
        let node = Arc::new(Node::new(Parts {
            id,
            name: name.to_owned(),
            clock: inner.clock.clone(),
            trace: inner.trace.clone(),
            network: inner.network.clone(),
            disk: Arc::new(NodeDisk::new(inner.seed, id, inner.trace.clone())),
            handle: inner.handle.clone(),
            kernel: inner.kernel.clone(),
            observers: inner.observers.clone(),
            skew_ms: skew,
        }));
        self.nodes().push(node.clone());
        node.begin_life();
        let program: Program = Arc::new(move |runtime| Box::pin(program(runtime)));
        // The executor keeps this closure for the whole run: it must not keep the world.
        let (weak, observers) = (Arc::downgrade(&node), inner.observers.clone());
        let (seed, epoch_ms) = (inner.seed, inner.epoch_ms);
        let start = move || {
            let life = weak.upgrade().map(|node| node.current_life());
            let (program, observers) = (program.clone(), observers.clone());
            async move {
                let Some(life) = life else { return };
                let tasks = life.node.spawner();
                let environment = NodeEnvironment::new(life.clone(), tasks, seed, epoch_ms, observers);
                program(Runtime::Simulated(Arc::new(environment))).await;
                life.crash(Crash::Process, "its program ended");
            }
        };
        let built = inner.handle.create_node().name(name).init(start).build();
        node.set_executor_id(built.id());
        id
    }

    /// The node `id`.
    pub fn get(&self, id: NodeId) -> Arc<Node> {
        self.nodes()[id.0 as usize].clone()
    }

    /// The disk of the node `id`.
    pub fn disk(&self, id: NodeId) -> Arc<NodeDisk> {
        self.get(id).disk.clone()
    }

    /// Crashes a node, if it is up.
    pub fn crash(&self, id: NodeId, how: Crash) {
        self.get(id).current_life().crash(how, "by the scenario");
    }

    /// Starts the program of a node that is down.
    pub fn restart(&self, id: NodeId) {
        self.get(id).restart();
    }

    /// Stops all tasks of a node until it is resumed.
    pub fn pause(&self, id: NodeId) {
        self.0.trace.numbers("node.pause", &[("node", id.number())]);
        self.get(id).pause();
    }

    /// Lets a paused node go on.
    pub fn resume(&self, id: NodeId) {
        self.0.trace.numbers("node.resume", &[("node", id.number())]);
        self.get(id).resume();
    }

    /// Notes that a named situation was reached, which a campaign of seeds must reach sometimes.
    pub fn sometimes(&self, name: &'static str) {
        self.0.observers.reached(name);
    }

    /// Calls `observer` with every event that a living node observes.
    pub fn on_event(&self, observer: impl FnMut(NodeId, &Event) + Send + 'static) {
        self.0.observers.lock().watching.push(Box::new(observer));
    }

    /// Calls `observer` whenever a life ends, in the moment in which it does: it must not call into the
    /// world.
    pub fn on_crash(&self, observer: impl FnMut(NodeId, Crash) + Send + 'static) {
        self.0.observers.lock().mourning.push(Box::new(observer));
    }

    fn nodes(&self) -> MutexGuard<'_, Vec<Arc<Node>>> {
        self.0.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever wants to know what nodes observe.
#[derive(Default)]
pub(crate) struct Observers(Mutex<Observing>);

type Observer = Box<dyn FnMut(NodeId, &Event) + Send>;

#[derive(Default)]
struct Observing {
    watching: Vec<Observer>,
    mourning: Vec<Box<dyn FnMut(NodeId, Crash) + Send>>,
    sometimes: BTreeMap<&'static str, u64>,
}

impl Observers {
    pub(crate) fn tell(&self, node: NodeId, event: &Event) {
        if let Event::Sometimes(name) = event {
            self.reached(name);
        }
        let mut observing = self.lock();
        for observer in &mut observing.watching {
            observer(node, event);
        }
    }

    pub(crate) fn reached(&self, name: &'static str) {
        *self.lock().sometimes.entry(name).or_default() += 1;
    }

    pub(crate) fn crashed(&self, node: NodeId, how: Crash) {
        for observer in &mut self.lock().mourning {
            observer(node, how);
        }
    }

    fn sometimes(&self) -> BTreeMap<&'static str, u64> {
        self.lock().sometimes.clone()
    }

    fn clear(&self) {
        let mut observing = self.lock();
        observing.watching.clear();
        observing.mourning.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Observing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a panic said.
fn told(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}
