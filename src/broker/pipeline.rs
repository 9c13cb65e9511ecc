//! One client's connection: reads requests, lets them take effect in the order in which they came, and writes
//! their responses in that order.
//!
//! Invariant: a request whose response has to wait (for replication, for more data, for the disk) does not
//! hold up the requests behind it, only their responses. What one read brought is handled before one write
//! answers it. It must not know what a request means.

use super::dispatch::{self, Reply};
use super::{Broker, RequestContext};
use crate::connection::{FrameError, FrameReader, WriteQueue};
use crate::protocol::{Response, Writer};
use crate::runtime::{BoxFuture, Connection};
use crate::types::Instant;
use bytes::Bytes;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Requests of one connection that may wait for their responses; beyond it the connection is not read.
const MAX_IN_FLIGHT_REQUESTS: usize = 1_000;
/// Bytes of responses that may wait, for a client that does not read or behind one that is not ready; beyond
/// it no further request is handled.
const MAX_QUEUED_RESPONSE_BYTES: usize = 1024 * 1024;

/// Why a connection is closed by the broker.
#[derive(Debug, thiserror::Error)]
pub enum CloseReason {
    /// What came is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The socket failed.
    #[error("writing to the connection failed: {0}")]
    Write(io::Error),
    /// A request that is answered by closing, as Kafka does.
    #[error("{0}")]
    Refused(String),
    /// Nothing came for `connections.max.idle.ms`.
    #[error("nothing came for {0:?} (connections.max.idle.ms)")]
    Idle(Duration),
}

/// A response that is owed.
struct Owed {
    context: Arc<RequestContext>,
    state: State,
}

enum State {
    Ready(Box<Response>),
    Waiting(BoxFuture<'static, Response>),
    /// Like `Waiting`, and no later request is handled before it is ready.
    Exclusive(BoxFuture<'static, Response>),
}

/// The state of one connection.
pub struct Pipeline {
    broker: Arc<Broker>,
    connection: Connection,
    listener: Arc<str>,
    reader: FrameReader,
    owed: VecDeque<Owed>,
    /// Bytes of responses that are ready and wait behind others, see [`dispatch::weight`].
    held: usize,
    writer: Writer,
    queue: WriteQueue,
    read_closed: bool,
    /// Why the connection is closed once everything that is owed has been answered.
    closing: Option<CloseReason>,
    last_activity: Instant,
}

impl Pipeline {
    /// A pipeline for a connection that was accepted on `listener`.
    pub fn new(broker: Arc<Broker>, connection: Connection, listener: Arc<str>) -> Pipeline {
        let limit = broker.config.long("socket.request.max.bytes") as usize;
        Pipeline {
            last_activity: broker.runtime.now(),
            broker,
            connection,
            listener,
            reader: FrameReader::new(limit),
            owed: VecDeque::new(),
            writer: Writer::new(),
            queue: WriteQueue::new(),
            read_closed: false,
            closing: None,
            held: 0,
        }
    }

    /// Serves the connection until the client closes it (`Ok`) or the broker must.
    pub async fn run(mut self) -> Result<(), CloseReason> {
        let runtime = self.broker.runtime.clone();
        // Negative is never, as in Kafka.
        let idle_limit = u64::try_from(self.broker.config.long("connections.max.idle.ms"));
        let idle_limit = idle_limit.ok().map(Duration::from_millis);
        let mut idle_timer = idle_limit.map(|limit| sleep_until(&runtime, self.last_activity + limit));
        poll_fn(move |cx| {
            if let Poll::Ready(result) = self.poll(cx) {
                return Poll::Ready(result);
            }
            let (Some(limit), Some(timer)) = (idle_limit, &mut idle_timer) else { return Poll::Pending };
            // The timer is only moved when it fires: a busy connection pays nothing for it.
            while timer.as_mut().poll(cx).is_ready() {
                let deadline = self.last_activity + limit;
                let nobody_reads = self.owed.is_empty() || self.read_closed;
                if deadline <= runtime.now() && nobody_reads {
                    return Poll::Ready(Err(CloseReason::Idle(limit)));
                }
                *timer = sleep_until(&runtime, deadline.max(runtime.now() + IDLE_RECHECK));
            }
            Poll::Pending
        })
        .await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        loop {
            if self.closing.is_none() {
                // What came before a request that closes the connection is answered first.
                self.closing = self.handle_frames().err();
            }
            let was_full = !self.may_handle_more();
            let stopped_for_room = self.answer(cx)?;
            let flushing = self.queue.poll_flush(cx, &mut self.connection).map_err(CloseReason::Write)?;
            if flushing.is_pending() && self.queue.len() > MAX_QUEUED_RESPONSE_BYTES {
                return Poll::Pending;
            }
            // Nothing else wakes this task for responses that had no room, and for requests that have been
            // read and were not handled.
            if stopped_for_room || (was_full && self.may_handle_more()) {
                continue;
            }
            if self.read_closed || self.closing.is_some() {
                let done = self.owed.is_empty() && self.queue.is_empty();
                return if done {
                    Poll::Ready(self.closing.take().map_or(Ok(()), Err))
                } else {
                    Poll::Pending
                };
            }
            if !self.may_handle_more() {
                return Poll::Pending;
            }
            match self.reader.poll_read(cx, &mut self.connection)? {
                Poll::Ready(true) => self.last_activity = self.broker.runtime.now(),
                Poll::Ready(false) => self.read_closed = true,
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn may_handle_more(&self) -> bool {
        let exclusive = self.owed.back().is_some_and(|owed| matches!(owed.state, State::Exclusive(_)));
        let bytes = self.held + self.queue.len() + self.writer.len();
        !exclusive && self.owed.len() < MAX_IN_FLIGHT_REQUESTS && bytes <= MAX_QUEUED_RESPONSE_BYTES
    }

    /// Lets every request that has arrived take effect.
    fn handle_frames(&mut self) -> Result<(), CloseReason> {
        while self.may_handle_more() {
            let Some(frame) = self.reader.next_frame()? else { break };
            self.handle_frame(&frame)?;
        }
        Ok(())
    }

    fn handle_frame(&mut self, frame: &Bytes) -> Result<(), CloseReason> {
        let (context, request) = dispatch::decode(&self.broker, &self.listener, frame)?;
        let state = match dispatch::handle(&context, request) {
            Reply::Ready(response) => {
                self.held += dispatch::weight(&response);
                State::Ready(response)
            }
            Reply::Waiting(future) => State::Waiting(future),
            Reply::Exclusive(future) => State::Exclusive(future),
            Reply::Silent => return Ok(()),
            Reply::Close(reason) => return Err(CloseReason::Refused(reason)),
        };
        self.owed.push_back(Owed { context, state });
        Ok(())
    }

    /// Encodes the responses at the front that are ready. Whether one had to wait for room in the queue.
    fn answer(&mut self, cx: &mut Context<'_>) -> Result<bool, CloseReason> {
        let mut stopped_for_room = false;
        while let Some(front) = self.owed.front_mut() {
            if self.queue.len() + self.writer.len() > MAX_QUEUED_RESPONSE_BYTES {
                stopped_for_room = true;
                break;
            }
            if let State::Waiting(future) | State::Exclusive(future) = &mut front.state {
                let Poll::Ready(response) = Pin::new(future).poll(cx) else { break };
                self.held += dispatch::weight(&response);
                front.state = State::Ready(Box::new(response));
            }
            let Some(Owed { context, state: State::Ready(response) }) = self.owed.pop_front() else {
                unreachable!("the front was made ready above")
            };
            self.held -= dispatch::weight(&response);
            dispatch::encode(&context, &response, &mut self.writer)
                .map_err(|error| CloseReason::Refused(error.to_string()))?;
        }
        self.queue.push(self.writer.finish().chunks);
        Ok(stopped_for_room)
    }
}

/// How soon an idle connection that still owes a response is looked at again.
const IDLE_RECHECK: Duration = Duration::from_secs(1);

fn sleep_until(runtime: &crate::runtime::Runtime, deadline: Instant) -> BoxFuture<'static, ()> {
    let runtime = runtime.clone();
    Box::pin(async move { runtime.sleep_until(deadline).await })
}
