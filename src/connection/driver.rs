//! The task behind a client's connection, which alone reads and writes its socket.
//!
//! Owns the table of requests that wait for their response. Invariant: a request is answered at most once, in
//! order; when the connection ends, all that wait are told why. It must not know what is inside a frame, but
//! for the correlation id.

use super::client::ConnectionError;
use super::frame::{FrameError, FrameReader, WriteQueue};
use crate::protocol::{ApiKey, Writer};
use crate::runtime::{BoxFuture, Connection, Runtime};
use crate::types::Instant;
use bytes::Bytes;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

pub(super) enum Awaits {
    Response(Expected),
    Nothing(Unanswered),
}

/// A request that gets no response.
pub(super) struct Unanswered {
    /// Hears of it once the request is written.
    pub(super) written: oneshot::Sender<()>,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// A request whose response has not come.
pub(super) struct Expected {
    pub(super) correlation_id: i32,
    pub(super) api: ApiKey,
    pub(super) deadline: Instant,
    pub(super) timeout: Duration,
    pub(super) reply: oneshot::Sender<Result<Bytes, ConnectionError>>,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// What callers and the driver share.
pub(super) struct Shared {
    pub(super) address: Arc<str>,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// Requests that were encoded and not yet taken by the driver.
    pub(super) writer: Writer,
    /// Requests that wait for their response, oldest first. Bounded by the permits that they hold.
    pub(super) expected: VecDeque<Expected>,
    /// Requests without a response, until they are written.
    pub(super) unanswered: Vec<Unanswered>,
    pub(super) next_correlation_id: i32,
    pub(super) driver: Option<Waker>,
    pub(super) abandoned: bool,
    /// Why the connection ended.
    pub(super) ended: Option<Arc<str>>,
}

impl State {
    pub(super) fn wake(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }
}

impl Shared {
    pub(super) fn new(address: Arc<str>) -> Shared {
        Shared { address, state: Mutex::default() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while encoding leaves at worst a broken frame, which the broker refuses.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn not_sent(&self, reason: &Arc<str>) -> ConnectionError {
        ConnectionError::NotSent { address: self.address.clone(), reason: reason.clone() }
    }

    pub(super) fn lost(&self, reason: impl Into<Arc<str>>) -> ConnectionError {
        ConnectionError::Lost { address: self.address.clone(), reason: reason.into() }
    }
}

/// The task that reads and writes the socket.
pub(super) struct Driver {
    runtime: Runtime,
    stream: Connection,
    reader: FrameReader,
    queue: WriteQueue,
    shared: Arc<Shared>,
    /// Permits of requests without a response that stand in the queue.
    written: Vec<Unanswered>,
    timer: Option<(Instant, BoxFuture<'static, ()>)>,
}

/// Why the driver stops.
enum End {
    /// Nobody holds the connection, and nothing is in flight.
    Abandoned,
    TimedOut,
    Failed(String),
}

impl Driver {
    pub(super) fn new(runtime: Runtime, stream: Connection, shared: Arc<Shared>, max_frame: usize) -> Driver {
        Driver {
            runtime,
            stream,
            reader: FrameReader::new(max_frame),
            queue: WriteQueue::new(),
            shared,
            written: Vec::new(),
            timer: None,
        }
    }

    pub(super) async fn run(mut self) {
        let end = poll_fn(|cx| self.poll(cx)).await;
        let reason: Arc<str> = match &end {
            End::Abandoned => "it was closed on this side".into(),
            End::TimedOut => "another request on it was not answered in time".into(),
            End::Failed(reason) => reason.as_str().into(),
        };
        let now = self.runtime.now();
        let mut state = self.shared.lock();
        state.ended = Some(reason.clone());
        state.unanswered.clear();
        state.writer = Writer::new();
        let expected = std::mem::take(&mut state.expected);
        drop(state);
        for request in expected {
            let error = if matches!(end, End::TimedOut) && request.deadline <= now {
                ConnectionError::TimedOut {
                    address: self.shared.address.clone(),
                    api: request.api,
                    timeout_ms: request.timeout.as_millis() as u64,
                }
            } else {
                self.shared.lost(reason.clone())
            };
            // A caller that went away does not want its answer.
            let _ = request.reply.send(Err(error));
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if let Poll::Ready(error) = self.poll_read(cx) {
            return Poll::Ready(End::Failed(error));
        }
        let (abandoned, deadline) = self.take_requests(cx);
        match self.queue.poll_flush(cx, &mut self.stream) {
            Poll::Ready(Ok(())) => {
                for request in self.written.drain(..) {
                    let _ = request.written.send(()); // A caller that went away does not want to know.
                }
            }
            Poll::Ready(Err(error)) => return Poll::Ready(End::Failed(format!("writing failed: {error}"))),
            Poll::Pending => {}
        }
        if abandoned && deadline.is_none() && self.queue.is_empty() {
            return Poll::Ready(End::Abandoned);
        }
        self.poll_timer(cx, deadline)
    }

    /// Takes what callers have encoded. Tells whether they are gone, and when the first response is due.
    fn take_requests(&mut self, cx: &mut Context<'_>) -> (bool, Option<Instant>) {
        let mut state = self.shared.lock();
        if state.driver.as_ref().is_none_or(|driver| !driver.will_wake(cx.waker())) {
            state.driver = Some(cx.waker().clone());
        }
        if !state.writer.is_empty() {
            self.queue.push(state.writer.finish().chunks);
        }
        self.written.append(&mut state.unanswered);
        (state.abandoned, state.expected.iter().map(|request| request.deadline).min())
    }

    /// Hands out responses until the socket has no more; ready only with what went wrong.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        loop {
            match self.reader.poll_read(cx, &mut self.stream) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => return Poll::Ready("the broker closed it".to_owned()),
                Poll::Ready(Err(error)) => return Poll::Ready(error.to_string()),
            }
            if let Err(error) = self.answer() {
                return Poll::Ready(error);
            }
        }
    }

    /// Gives the frames that were read to those who wait for them.
    fn answer(&mut self) -> Result<(), String> {
        while let Some(frame) = self.reader.next_frame().map_err(|error: FrameError| error.to_string())? {
            let Some(correlation_id) = frame.first_chunk::<4>() else {
                return Err("the broker sent a response without a header".to_owned());
            };
            let correlation_id = i32::from_be_bytes(*correlation_id);
            let oldest = self.shared.lock().expected.pop_front();
            match oldest {
                Some(request) if request.correlation_id == correlation_id => {
                    // A caller that went away does not want its answer.
                    let _ = request.reply.send(Ok(frame));
                }
                Some(request) => {
                    let reason = format!(
                        "the broker answered request {correlation_id} where {} was due",
                        request.correlation_id
                    );
                    let _ = request.reply.send(Err(self.shared.lost(reason.as_str())));
                    return Err(reason);
                }
                None => {
                    return Err(format!("the broker answered request {correlation_id}, which nobody sent"));
                }
            }
        }
        Ok(())
    }

    /// Ready when a response is overdue. The timer is only moved forward; when it rings for a request that
    /// was answered meanwhile, it is set for the next.
    fn poll_timer(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<End> {
        let Some(deadline) = deadline else { return Poll::Pending };
        loop {
            if deadline <= self.runtime.now() {
                return Poll::Ready(End::TimedOut);
            }
            if self.timer.as_ref().is_none_or(|(rings, _)| deadline < *rings) {
                let runtime = self.runtime.clone();
                let sleep = async move { runtime.sleep_until(deadline).await };
                self.timer = Some((deadline, Box::pin(sleep)));
            }
            let rang = self.timer.as_mut().is_some_and(|(_, sleep)| sleep.as_mut().poll(cx).is_ready());
            if !rang {
                return Poll::Pending;
            }
            self.timer = None;
        }
    }
}
