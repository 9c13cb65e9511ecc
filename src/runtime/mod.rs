//! The only door to time, tasks, sockets, disk and randomness. The handle is passed in, never global: the
//! same broker runs on real tokio sockets and disks or inside the simulator, and cannot tell which.
//!
//! Invariant: nothing outside `runtime/real` calls the operating system. It knows nothing of what runs on it.

mod disk;
mod event;
mod future;
mod net;
#[cfg(feature = "real")]
mod real;
mod task;
pub mod watch;

pub use disk::{DirectoryEntry, Disk, DiskLock, File, Metadata, OpenOptions, SimulatedFile, Space};
pub use event::Event;
pub use future::{BoxFuture, Either, race};
pub use net::{Connection, Listener, SimulatedConnection, SimulatedListener};
#[cfg(feature = "real")]
pub use real::{RealRuntime, StopSignals};
pub use task::{SimulatedTask, Task, TaskPanicked};

use crate::types::{Instant, Timestamp, Uuid};
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// What a simulator implements, once. Everything a node does to the outside passes through it.
pub trait Environment: Send + Sync + 'static {
    /// Monotonic time of this node.
    fn now(&self) -> Instant;
    /// The node's wall clock, which may be skewed, drift or jump.
    fn wall_clock(&self) -> Timestamp;
    /// Resolves at `deadline`.
    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()>;
    /// Runs `future` as a task of this node; it dies with the node.
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) -> Box<dyn SimulatedTask>;
    /// Passes the time until another thread takes work over; the work itself then runs inline.
    fn offload(&self, name: &'static str) -> BoxFuture<'static, ()>;
    /// Passes the time that the offloaded work, which has just run, took.
    fn offloaded(&self) -> BoxFuture<'static, ()>;
    /// The next number of this node's stream.
    fn random_u64(&self) -> u64;
    /// Listens on a port of this node; 0 chooses one.
    fn bind(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Box<dyn SimulatedListener>>>;
    /// Connects to another node.
    fn connect(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Box<dyn SimulatedConnection>>>;
    /// This node's disk, as this incarnation may use it.
    fn disk(&self) -> Arc<dyn Disk>;
    /// Tells the oracles what happened.
    fn observe(&self, event: Event);
    /// Ends the node: it is killed at its next yield.
    fn halt(&self, reason: &str);
}

/// The runtime that a node was started with. Clones are cheap and mean the same node.
#[derive(Clone)]
pub enum Runtime {
    /// tokio, the operating system's sockets and disks.
    #[cfg(feature = "real")]
    Real(RealRuntime),
    /// A node of the simulator.
    Simulated(Arc<dyn Environment>),
}

/// Calls the same method on whichever runtime this is.
macro_rules! each {
    ($runtime:expr, $inner:ident => $call:expr) => {
        match $runtime {
            #[cfg(feature = "real")]
            Runtime::Real($inner) => $call,
            Runtime::Simulated($inner) => $call,
        }
    };
}

impl Runtime {
    /// Monotonic time since this node's runtime began.
    #[inline]
    pub fn now(&self) -> Instant {
        each!(self, r => r.now())
    }

    /// Wall-clock time.
    #[inline]
    pub fn wall_clock(&self) -> Timestamp {
        each!(self, r => r.wall_clock())
    }

    /// Resolves after `duration`.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now() + duration).await;
    }

    /// Resolves at `deadline`; at once when it has passed.
    pub async fn sleep_until(&self, deadline: Instant) {
        each!(self, r => r.sleep_until(deadline).await)
    }

    /// The output of `future`, or `None` when `duration` passes first.
    pub async fn timeout<F: Future>(&self, duration: Duration, future: F) -> Option<F::Output> {
        match race(future, self.sleep(duration)).await {
            Either::Left(output) => Some(output),
            Either::Right(()) => None,
        }
    }

    /// Runs `future` beside the others. Dropping the task does not stop it.
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) -> Task {
        match self {
            #[cfg(feature = "real")]
            Runtime::Real(real) => real.spawn(name, future),
            Runtime::Simulated(environment) => Task::simulated(environment.spawn(name, Box::pin(future))),
        }
    }

    /// Runs blocking `work` (fsync, cold reads, recovery, cleaning, large recompression) off this thread and
    /// waits for it. Simulated, it sleeps a drawn latency and runs inline. A panic inside `work` panics here.
    pub async fn offload<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        match self {
            #[cfg(feature = "real")]
            Runtime::Real(real) => real.offload(work).await,
            Runtime::Simulated(environment) => {
                environment.offload(name).await;
                let output = work();
                environment.offloaded().await;
                output
            }
        }
    }

    /// 64 random bits; a reproducible stream when simulated.
    pub fn random_u64(&self) -> u64 {
        each!(self, r => r.random_u64())
    }

    /// A new id from the runtime's random bits.
    pub fn random_uuid(&self) -> Uuid {
        Uuid::from_random(self.random_u64(), self.random_u64())
    }

    /// Listens on `host:port`; port 0 chooses a free one.
    pub async fn bind(&self, host: &str, port: u16) -> io::Result<Listener> {
        match self {
            #[cfg(feature = "real")]
            Runtime::Real(_) => real::net::bind(host, port).await.map(Listener::Real),
            Runtime::Simulated(environment) => environment.bind(host, port).await.map(Listener::Simulated),
        }
    }

    /// Connects to `host:port`.
    pub async fn connect(&self, host: &str, port: u16) -> io::Result<Connection> {
        match self {
            #[cfg(feature = "real")]
            Runtime::Real(_) => real::net::connect(host, port).await.map(Connection::Real),
            Runtime::Simulated(environment) => {
                environment.connect(host, port).await.map(Connection::Simulated)
            }
        }
    }

    /// The disk of this node.
    pub fn disk(&self) -> Arc<dyn Disk> {
        each!(self, r => r.disk())
    }

    /// Tells the simulator's oracles what happened. Real, `event` is not even built.
    #[inline]
    pub fn observe(&self, event: impl FnOnce() -> Event) {
        match self {
            #[cfg(feature = "real")]
            Runtime::Real(_) => {}
            Runtime::Simulated(environment) => environment.observe(event()),
        }
    }

    /// Ends the process, because going on could break a promise: `reason` is a sentence that says what
    /// happened, to what, and what to do. Simulated it returns, and the node is killed at its next yield.
    pub fn halt(&self, reason: &str) {
        tracing::error!("{reason}");
        match self {
            #[cfg(feature = "real")]
            Runtime::Real(_) => real::halt(),
            Runtime::Simulated(environment) => environment.halt(reason),
        }
    }
}
