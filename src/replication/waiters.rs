//! Who waits for a partition to grow. A partition that nobody waits on pays one look at an empty list.

use indexmap::IndexMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::Notify;

/// The fetches that wait on one partition. One [`Notify`] is shared by all the partitions of a fetch.
#[derive(Default)]
pub struct Waiters(Mutex<IndexMap<usize, Weak<Notify>>>);

impl Waiters {
    /// From now on, one wake reaches `waiter`, however often it registers.
    pub fn register(&self, waiter: &Arc<Notify>) {
        let mut waiters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiters.len() == waiters.capacity() {
            // Before the list grows, those that went away leave: it is never much longer than those who wait.
            waiters.retain(|_, waiter| waiter.strong_count() > 0);
        }
        // The address stays taken for as long as the list holds a weak pointer to it, and orders nothing.
        waiters.entry(Arc::as_ptr(waiter) as usize).or_insert_with(|| Arc::downgrade(waiter));
    }

    /// Wakes everyone who registered since the last wake, in that order.
    pub fn wake(&self) {
        let mut waiters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, waiter) in waiters.drain(..) {
            if let Some(waiter) = waiter.upgrade() {
                waiter.notify_one();
            }
        }
    }
}
