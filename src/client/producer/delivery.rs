//! What became of a record: a future that its sender may wait for, or drop.
//!
//! All records of a batch share one outcome, so that a delivery costs a pointer and a number. An outcome is
//! decided once.

use super::error::ProduceError;
use crate::types::{Offset, Timestamp, TopicPartition};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Where a record was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryReport {
    /// The partition that it went to.
    pub partition: TopicPartition,
    /// Its offset; not known with `acks` 0, or if the broker only remembers that it has the record.
    pub offset: Option<Offset>,
    /// Its timestamp: that of the producer, or of the append where the topic says so.
    pub timestamp: Timestamp,
}

/// Resolves when the broker has acknowledged the record, or it is certain that it will not, or that nobody
/// can tell. Dropping it does not stop the record.
#[must_use = "a delivery that nobody looks at may have failed"]
#[derive(Debug)]
pub struct Delivery {
    pub(super) outcome: Arc<Outcome>,
    pub(super) index: u32,
    pub(super) timestamp: Timestamp,
}

impl Delivery {
    /// The partition that the record goes to.
    pub fn partition(&self) -> &TopicPartition {
        &self.outcome.partition
    }

    /// The result, if it is there already.
    pub fn try_get(&self) -> Option<Result<DeliveryReport, ProduceError>> {
        let state = self.outcome.lock();
        let decided = state.decided.as_ref()?;
        Some(match decided {
            Ok(stored) => Ok(self.report(stored)),
            Err(error) => Err(error.clone()),
        })
    }

    fn report(&self, stored: &Stored) -> DeliveryReport {
        DeliveryReport {
            partition: self.outcome.partition.clone(),
            offset: stored.base_offset.map(|base| base + i64::from(self.index)),
            timestamp: stored.append_time.unwrap_or(self.timestamp),
        }
    }
}

impl Future for Delivery {
    type Output = Result<DeliveryReport, ProduceError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(result) = self.try_get() {
            return Poll::Ready(result);
        }
        // Decided between the two looks: the waker would never be called.
        let mut state = self.outcome.lock();
        if state.decided.is_none() {
            state.waiting.insert(self.index, cx.waker().clone());
            return Poll::Pending;
        }
        drop(state);
        Poll::Ready(self.try_get().expect("an outcome stays decided"))
    }
}

/// Where a batch was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    pub base_offset: Option<Offset>,
    pub append_time: Option<Timestamp>,
}

/// What became of a batch.
#[derive(Debug)]
pub(super) struct Outcome {
    pub partition: TopicPartition,
    state: Mutex<OutcomeState>,
}

#[derive(Debug, Default)]
struct OutcomeState {
    decided: Option<Result<Stored, ProduceError>>,
    /// Who waits for a record, by the record.
    waiting: BTreeMap<u32, Waker>,
    /// Who waits for the batch.
    flushing: Vec<Waker>,
}

impl Outcome {
    pub fn new(partition: TopicPartition) -> Outcome {
        Outcome { partition, state: Mutex::default() }
    }

    /// Decides the outcome and wakes everybody, in the order of the records.
    pub fn decide(&self, result: Result<Stored, ProduceError>) {
        let mut state = self.lock();
        assert!(state.decided.is_none(), "a batch has one outcome");
        state.decided = Some(result);
        let waiting = std::mem::take(&mut state.waiting);
        let flushing = std::mem::take(&mut state.flushing);
        drop(state);
        for waker in waiting.into_values().chain(flushing) {
            waker.wake();
        }
    }

    /// Waits until the outcome is decided, whatever it is.
    pub async fn decided(self: Arc<Self>) {
        std::future::poll_fn(|cx| {
            let mut state = self.lock();
            if state.decided.is_some() {
                return Poll::Ready(());
            }
            if !state.flushing.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.flushing.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    fn lock(&self) -> MutexGuard<'_, OutcomeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
