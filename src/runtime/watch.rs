//! A value that one side replaces and many sides wait for. tokio's own `watch` wakes its receivers in an
//! order drawn from a counter of the whole process, which no seed controls; this one wakes them in the order
//! in which they began to wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Notify,
}

struct State<T> {
    value: T,
    version: u64,
    senders: usize,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // A panic in a closure of `update` leaves the value as the closure left it; receivers see what it
        // was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Replaces the value.
pub struct Sender<T>(Arc<Shared<T>>);

/// Sees the value and waits for its changes.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

/// All senders are gone: the value will not change again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the watched value will not change again: its last sender is gone")]
pub struct Closed;

/// A sender and a receiver that has seen `value`.
pub fn channel<T: Clone>(value: T) -> (Sender<T>, Receiver<T>) {
    let state = Mutex::new(State { value, version: 0, senders: 1 });
    let shared = Arc::new(Shared { state, changed: Notify::new() });
    (Sender(shared.clone()), Receiver { shared, seen: 0 })
}

impl<T: Clone> Sender<T> {
    /// Replaces the value and wakes every receiver.
    pub fn send(&self, value: T) {
        self.update(|current| {
            *current = value;
            true
        });
    }

    /// Edits the value in place; receivers are woken when `edit` says that it changed something.
    pub fn update(&self, edit: impl FnOnce(&mut T) -> bool) -> bool {
        let mut state = self.0.lock();
        let changed = edit(&mut state.value);
        if changed {
            state.version += 1;
            drop(state);
            self.0.changed.notify_waiters();
        }
        changed
    }

    /// The value now.
    pub fn get(&self) -> T {
        self.0.lock().value.clone()
    }

    /// A receiver that has seen the present value.
    pub fn subscribe(&self) -> Receiver<T> {
        let seen = self.0.lock().version;
        Receiver { shared: self.0.clone(), seen }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Sender(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.senders -= 1;
        let last = state.senders == 0;
        drop(state);
        if last {
            self.0.changed.notify_waiters();
        }
    }
}

impl<T: Clone> Receiver<T> {
    /// The value now; it counts as seen.
    pub fn get(&mut self) -> T {
        let state = self.shared.lock();
        self.seen = state.version;
        state.value.clone()
    }

    /// Looks at the value now without copying it, and without counting it as seen.
    pub fn peek<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.shared.lock().value)
    }

    /// Waits until the value is another one than was last seen, and counts it as seen.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        loop {
            let mut notified = std::pin::pin!(self.shared.changed.notified());
            notified.as_mut().enable();
            {
                let state = self.shared.lock();
                if state.version != self.seen {
                    self.seen = state.version;
                    return Ok(());
                }
                if state.senders == 0 {
                    return Err(Closed);
                }
            }
            notified.await;
        }
    }

    /// Waits until `condition` holds, and returns the value for which it does.
    pub async fn wait_for(&mut self, mut condition: impl FnMut(&T) -> bool) -> Result<T, Closed> {
        loop {
            {
                let state = self.shared.lock();
                self.seen = state.version;
                if condition(&state.value) {
                    return Ok(state.value.clone());
                }
            }
            self.changed().await?;
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Receiver { shared: self.shared.clone(), seen: self.seen }
    }
}
