//! The doors of `vltava::runtime`, opened for one life of a node.

use crate::clock::MILLISECOND;
use crate::disk::DiskOf;
use crate::node::Life;
use crate::random::Random;
use crate::world::Observers;
use madsim::runtime::NodeHandle;
use madsim::task::JoinHandle;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use vltava::runtime::{
    BoxFuture, Disk, Environment, Event, SimulatedConnection, SimulatedListener, SimulatedTask, TaskPanicked,
};
use vltava::types::{Instant, Timestamp};

/// What a node's program sees of the world.
pub(crate) struct NodeEnvironment {
    life: Life,
    tasks: NodeHandle,
    random: Mutex<Random>,
    /// Wall-clock time at which the run began, in milliseconds since 1970.
    epoch_ms: i64,
    observers: Arc<Observers>,
}

/// How long work that leaves its thread waits for another one, in nanoseconds.
const OFFLOAD_NANOS: std::ops::Range<u64> = 20_000..MILLISECOND / 2;

impl NodeEnvironment {
    pub(crate) fn new(
        life: Life,
        tasks: NodeHandle,
        seed: u64,
        epoch_ms: i64,
        observers: Arc<Observers>,
    ) -> NodeEnvironment {
        let stream = life.node.id.number() << 32 | life.number;
        let random = Mutex::new(Random::stream(seed, "node", stream));
        NodeEnvironment { life, tasks, random, epoch_ms, observers }
    }

    fn with_random<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut self.random.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Environment for NodeEnvironment {
    fn now(&self) -> Instant {
        Instant(self.life.node.clock.now())
    }

    fn wall_clock(&self) -> Timestamp {
        let millis = (self.life.node.clock.now() / MILLISECOND) as i64;
        Timestamp(self.epoch_ms + millis + self.life.node.skew_ms())
    }

    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        let clock = self.life.node.clock.clone();
        Box::pin(async move { clock.sleep_until(deadline.0).await })
    }

    fn spawn(&self, _name: &'static str, future: BoxFuture<'static, ()>) -> Box<dyn SimulatedTask> {
        Box::new(RunningTask(self.tasks.spawn(future)))
    }

    fn offload(&self, _name: &'static str) -> BoxFuture<'static, ()> {
        let nanos = self.with_random(|random| random.range(&OFFLOAD_NANOS));
        let life = self.life.clone();
        Box::pin(async move {
            life.node.clock.sleep(nanos).await;
            life.begin_offload();
        })
    }

    fn offloaded(&self) -> BoxFuture<'static, ()> {
        let nanos = self.life.end_offload();
        let clock = self.life.node.clock.clone();
        Box::pin(async move { clock.sleep(nanos).await })
    }

    fn random_u64(&self) -> u64 {
        self.with_random(Random::next_u64)
    }

    fn bind(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Box<dyn SimulatedListener>>> {
        let listening = self.life.node.network.bind(self.life.clone(), host, port);
        Box::pin(async move { Ok(Box::new(listening?) as Box<dyn SimulatedListener>) })
    }

    fn connect(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Box<dyn SimulatedConnection>>> {
        let (life, host) = (self.life.clone(), host.to_owned());
        Box::pin(async move {
            let network = life.node.network.clone();
            let socket = network.connect(life, &host, port).await?;
            Ok(Box::new(socket) as Box<dyn SimulatedConnection>)
        })
    }

    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(DiskOf(self.life.clone()))
    }

    fn observe(&self, event: Event) {
        if self.life.is_alive() {
            self.life.node.trace.text("observe", format_args!("{} {event:?}", self.life.node.id));
            self.observers.tell(self.life.node.id, &event);
        }
    }

    fn halt(&self, reason: &str) {
        self.life.halt(reason);
    }
}

/// A task of a node.
struct RunningTask(JoinHandle<()>);

impl SimulatedTask for RunningTask {
    fn abort(&self) {
        self.0.abort();
    }

    fn poll_join(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TaskPanicked>> {
        // A panic ends the whole run, so that a task that is over has ended well or was aborted.
        Pin::new(&mut self.0).poll(cx).map(|_| Ok(()))
    }
}
