//! What the tasks behind producers and consumers wait for: futures polled in the order in which they were
//! begun, pauses after failures, questions that are asked once at a time.

use super::cluster::Cluster;
use crate::runtime::BoxFuture;
use crate::types::Instant;
use std::future::poll_fn;
use std::task::Poll;

/// Futures that run beside each other, polled in the order in which they were begun: what they do first
/// thing, such as putting a request in line, happens in that order too.
pub(super) struct Begun<T> {
    futures: Vec<BoxFuture<'static, T>>,
}

impl<T> Begun<T> {
    pub fn new() -> Begun<T> {
        Begun { futures: Vec::new() }
    }

    /// Adds a future; it is first polled by [`Begun::ended`].
    pub fn begin(&mut self, future: impl Future<Output = T> + Send + 'static) {
        self.futures.push(Box::pin(future));
    }

    /// Waits until some of them have ended. Cancelling it loses nothing.
    pub async fn ended(&mut self) -> Vec<T> {
        poll_fn(|cx| {
            let mut ended = Vec::new();
            self.futures.retain_mut(|future| match future.as_mut().poll(cx) {
                Poll::Ready(output) => {
                    ended.push(output);
                    false
                }
                Poll::Pending => true,
            });
            if ended.is_empty() { Poll::Pending } else { Poll::Ready(ended) }
        })
        .await
    }
}

/// When something that failed may be tried again.
#[derive(Default)]
pub(super) struct Pause {
    failures: u32,
    not_before: Option<Instant>,
}

impl Pause {
    /// Notes a failure: the next attempt is due after the backoff.
    pub fn failed(&mut self, cluster: &Cluster) {
        self.failures += 1;
        self.not_before = Some(cluster.runtime().now() + cluster.backoff(self.failures));
    }

    /// Whether it is over; notes in `wake_at` when it will be.
    pub fn is_over(&self, now: Instant, wake_at: &mut Option<Instant>) -> bool {
        match self.not_before {
            Some(time) if time > now => {
                *wake_at = Some(wake_at.map_or(time, |wake| wake.min(time)));
                false
            }
            _ => true,
        }
    }
}

/// Something that is asked for once at a time.
#[derive(Default)]
pub(super) struct Question {
    /// Whether the answer is needed.
    pub wanted: bool,
    asking: bool,
    pause: Pause,
}

impl Question {
    /// Whether to ask now.
    pub fn ask(&mut self, now: Instant, wake_at: &mut Option<Instant>) -> bool {
        let ask = self.wanted && !self.asking && self.pause.is_over(now, wake_at);
        self.asking |= ask;
        ask
    }

    /// Whether an answer is waited for.
    pub fn is_asking(&self) -> bool {
        self.asking
    }

    /// Notes the answer.
    pub fn answered(&mut self, good: bool, cluster: &Cluster) {
        self.asking = false;
        self.wanted = !good;
        if good {
            self.pause = Pause::default();
        } else {
            self.pause.failed(cluster);
        }
    }
}
