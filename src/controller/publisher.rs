//! Committed metadata on its way to those who use it: the newest image for whoever looks, and every change,
//! merged while nobody fetches it, for whoever applies changes.

use crate::metadata::{MetadataImage, MetadataUpdate};
use crate::runtime::watch;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Publishes images.
pub(super) struct Publisher {
    images: watch::Sender<Arc<MetadataImage>>,
    slots: Mutex<Vec<Arc<Slot>>>,
}

struct Slot {
    state: Mutex<SlotState>,
    changed: Notify,
}

struct SlotState {
    pending: Option<MetadataUpdate>,
    closed: bool,
    /// The subscriber is gone.
    abandoned: bool,
}

/// Receives every change of the metadata, in order; changes that came in between are merged into one.
pub struct MetadataUpdates(Arc<Slot>);

impl Publisher {
    pub(super) fn new(image: Arc<MetadataImage>) -> Publisher {
        Publisher { images: watch::channel(image).0, slots: Mutex::new(Vec::new()) }
    }

    pub(super) fn images(&self) -> watch::Receiver<Arc<MetadataImage>> {
        self.images.subscribe()
    }

    /// A subscription that begins with everything there is, as changes against nothing.
    pub(super) fn subscribe(&self) -> MetadataUpdates {
        let mut slots = lock(&self.slots);
        let image = self.images.get();
        let changes = Arc::new(crate::metadata::MetadataChanges::all_of(&image));
        let pending = Some(MetadataUpdate { previous: Arc::default(), image, changes });
        let state = SlotState { pending, closed: false, abandoned: false };
        let slot = Arc::new(Slot { state: Mutex::new(state), changed: Notify::new() });
        slots.push(slot.clone());
        MetadataUpdates(slot)
    }

    pub(super) fn publish(&self, update: MetadataUpdate) {
        let mut slots = lock(&self.slots);
        self.images.send(update.image.clone());
        slots.retain(|slot| {
            let mut state = lock(&slot.state);
            state.pending = Some(match state.pending.take() {
                Some(earlier) => earlier.followed_by(&update),
                None => update.clone(),
            });
            slot.changed.notify_one();
            !state.abandoned
        });
    }

    /// Subscribers get what is pending, then the end.
    pub(super) fn close(&self) {
        for slot in lock(&self.slots).drain(..) {
            lock(&slot.state).closed = true;
            slot.changed.notify_one();
        }
    }
}

impl MetadataUpdates {
    /// The next change; `None` when the controller has stopped.
    pub async fn next(&mut self) -> Option<MetadataUpdate> {
        loop {
            {
                let mut state = lock(&self.0.state);
                if let Some(update) = state.pending.take() {
                    return Some(update);
                }
                if state.closed {
                    return None;
                }
            }
            self.0.changed.notified().await;
        }
    }
}

impl Drop for MetadataUpdates {
    fn drop(&mut self) {
        lock(&self.0.state).abandoned = true;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
