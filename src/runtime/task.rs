//! A running task: it can be waited for and aborted.

use std::future::poll_fn;
use std::task::{Context, Poll};

/// A task of the simulator.
pub trait SimulatedTask: Send + Sync {
    /// Stops the task at its next await.
    fn abort(&self);
    /// Whether the task has ended, and how.
    fn poll_join(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TaskPanicked>>;
}

/// The task ended by a panic, which is a bug; what it said is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a task panicked: this is a bug of the program, its message stands in the log above")]
pub struct TaskPanicked;

/// A handle to a spawned task. Dropping it lets the task run on.
pub struct Task(Inner);

enum Inner {
    #[cfg(feature = "real")]
    Real(tokio::task::JoinHandle<()>),
    Simulated(Box<dyn SimulatedTask>),
}

impl Task {
    #[cfg(feature = "real")]
    pub(super) fn real(handle: tokio::task::JoinHandle<()>) -> Task {
        Task(Inner::Real(handle))
    }

    pub(super) fn simulated(task: Box<dyn SimulatedTask>) -> Task {
        Task(Inner::Simulated(task))
    }

    /// Stops the task at its next await.
    pub fn abort(&self) {
        match &self.0 {
            #[cfg(feature = "real")]
            Inner::Real(handle) => handle.abort(),
            Inner::Simulated(task) => task.abort(),
        }
    }

    /// Waits until the task has ended; an aborted one counts as ended.
    pub async fn join(self) -> Result<(), TaskPanicked> {
        match self.0 {
            #[cfg(feature = "real")]
            Inner::Real(handle) => match handle.await {
                Err(error) if error.is_panic() => Err(TaskPanicked),
                _ => Ok(()),
            },
            Inner::Simulated(mut task) => poll_fn(|cx| task.poll_join(cx)).await,
        }
    }
}
