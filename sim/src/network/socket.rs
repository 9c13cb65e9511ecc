//! The two ends that programs hold: listeners and connections.

use super::pipe::{Side, What, wake};
use super::{Network, State};
use crate::clock::Timer;
use crate::node::Life;
use bytes::{Buf, Bytes};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use vltava::runtime::{BoxFuture, SimulatedConnection, SimulatedListener};

/// Probability that a read returns fewer bytes than there are.
const SHORT_READ: f64 = 0.1;
/// Probability that a write takes fewer bytes than there is room for.
const SHORT_WRITE: f64 = 0.05;

/// A listening socket.
pub struct SimulatedListening {
    network: Arc<Network>,
    life: Life,
    address: SocketAddr,
}

impl SimulatedListening {
    pub(super) fn new(network: Arc<Network>, life: Life, address: SocketAddr) -> SimulatedListening {
        SimulatedListening { network, life, address }
    }

    fn poll_accept(&self, timer: &mut Timer, cx: &mut Context<'_>) -> Poll<io::Result<SimulatedSocket>> {
        if !self.life.is_alive() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let mut state = self.network.lock();
        let key = (self.life.node.id, self.address.port());
        let listening = state.listeners.get_mut(&key).expect("a living listener is registered");
        listening.waker = Some(cx.waker().clone());
        let Some((arrival, _)) = listening.queue.front() else { return Poll::Pending };
        if timer.poll(&self.network.clock, *arrival, cx).is_pending() {
            return Poll::Pending;
        }
        let accepted = listening.queue.pop_front().map(|(_, socket)| socket);
        Poll::Ready(accepted.ok_or_else(|| io::ErrorKind::WouldBlock.into()))
    }
}

impl SimulatedListener for SimulatedListening {
    fn accept(&self) -> BoxFuture<'_, io::Result<Box<dyn SimulatedConnection>>> {
        let mut timer = Timer::default();
        Box::pin(poll_fn(move |cx| {
            let accepted = self.poll_accept(&mut timer, cx);
            accepted.map_ok(|socket| Box::new(socket) as Box<dyn SimulatedConnection>)
        }))
    }

    fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for SimulatedListening {
    fn drop(&mut self) {
        if self.life.is_alive() {
            let key = (self.life.node.id, self.address.port());
            let gone = self.network.lock().listeners.remove(&key);
            // Dropping the sockets in its queue locks the network again.
            drop(gone);
        }
    }
}

/// One end of a connection.
pub struct SimulatedSocket {
    network: Arc<Network>,
    life: Life,
    connection: u64,
    side: Side,
    peer: SocketAddr,
    read_timer: Timer,
    write_timer: Timer,
}

impl SimulatedSocket {
    pub(super) fn new(
        network: Arc<Network>,
        life: Life,
        connection: u64,
        side: Side,
        peer: SocketAddr,
    ) -> SimulatedSocket {
        let (read_timer, write_timer) = (Timer::default(), Timer::default());
        SimulatedSocket { network, life, connection, side, peer, read_timer, write_timer }
    }

    fn check_life(&self) -> io::Result<()> {
        if self.life.is_alive() { Ok(()) } else { Err(io::ErrorKind::ConnectionAborted.into()) }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.check_life()?;
        let now = self.network.clock.now();
        let mut state = self.network.lock();
        let Some(connection) = state.connections.get_mut(&self.connection) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let reset_at = connection.reset_at(self.side);
        if reset_at.is_some_and(|at| at <= now) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let pipe = connection.pipe_from_mut(self.side);
        if pipe.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let (from, to, in_flight) = (pipe.from, pipe.to, pipe.in_flight);
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        let room = state.links.get(from, to).window.saturating_sub(in_flight);
        if wanted > 0 && room == 0 {
            let connection = state.connections.get_mut(&self.connection).expect("it was there a moment ago");
            connection.pipe_from_mut(self.side).writer = Some(cx.waker().clone());
            if let Some(at) = reset_at {
                let pending = self.write_timer.poll(&self.network.clock, at, cx);
                assert!(pending.is_pending(), "the reset is still to come");
            }
            return Poll::Pending;
        }
        let mut length = wanted.min(room);
        if length > 1 && state.random.chance(SHORT_WRITE) {
            length = 1 + state.random.below(length as u64 - 1) as usize;
        }
        if length > 0 {
            self.send(&mut state, gather(slices, length), now);
        }
        Poll::Ready(Ok(length))
    }

    /// Sends `data`, or what a reset leaves of it. The writer does not learn of the reset from this call.
    fn send(&self, state: &mut State, mut data: Bytes, now: u64) {
        let (id, side) = (self.connection, self.side);
        let trace = &self.network.trace;
        let crc = u64::from(crc32c::crc32c(&data));
        let numbers = [("connection", id), ("side", side as u64), ("bytes", data.len() as u64), ("crc", crc)];
        trace.numbers("net.send", &numbers);
        let pipe = state.connections[&id].pipe_from(side);
        let (from, to) = (pipe.from, pipe.to);
        let mut cut = state.links.cut(from, to, data.len() as u64);
        let reset = state.links.get(from, to).reset;
        if cut.is_none() && state.random.chance(reset) {
            cut = Some(state.random.below(data.len() as u64));
        }
        let Some(cut) = cut else { return state.push(id, side, What::Data(data), now, trace) };
        data.truncate(cut as usize);
        if !data.is_empty() {
            state.push(id, side, What::Data(data), now, trace);
        }
        state.push(id, side, What::Reset, now, trace);
        state.push(id, side.other(), What::Reset, now, trace);
    }
}

impl SimulatedConnection for SimulatedSocket {
    fn peer_addr(&self) -> SocketAddr {
        self.peer
    }
}

impl AsyncRead for SimulatedSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check_life()?;
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let now = this.network.clock.now();
        let mut state = this.network.lock();
        let State { connections, random, .. } = &mut *state;
        let Some(connection) = connections.get_mut(&this.connection) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        let pipe = connection.pipe_to(this.side);
        let arrival = pipe.segments.front().map(|segment| segment.arrival);
        if let Some(Some(arrival)) = arrival
            && arrival > now
        {
            pipe.reader = Some(cx.waker().clone());
            let pending = this.read_timer.poll(&this.network.clock, arrival, cx);
            assert!(pending.is_pending(), "the segment is still on its way");
            return Poll::Pending;
        }
        let (Some(Some(_)), Some(segment)) = (arrival, pipe.segments.front_mut()) else {
            pipe.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let data = match &mut segment.what {
            What::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            What::Finish => return Poll::Ready(Ok(())),
            What::Data(data) => data,
        };
        let mut length = data.len().min(buffer.remaining());
        if length > 1 && random.chance(SHORT_READ) {
            length = 1 + random.below(length as u64 - 1) as usize;
        }
        buffer.put_slice(&data[..length]);
        data.advance(length);
        if data.is_empty() {
            pipe.segments.pop_front();
        }
        pipe.in_flight -= length;
        wake(&mut pipe.writer);
        let numbers = [("connection", this.connection), ("side", this.side as u64), ("bytes", length as u64)];
        this.network.trace.numbers("net.read", &numbers);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SimulatedSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.check_life())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_life()?;
        let now = self.network.clock.now();
        let mut state = self.network.lock();
        if let Some(connection) = state.connections.get_mut(&self.connection)
            && !std::mem::replace(&mut connection.pipe_from_mut(self.side).finished, true)
        {
            state.push(self.connection, self.side, What::Finish, now, &self.network.trace);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimulatedSocket {
    fn drop(&mut self) {
        // Of a dead life the kernel has closed everything already.
        if self.life.is_alive() {
            let now = self.network.clock.now();
            self.network.lock().close(self.connection, self.side, now, &self.network.trace);
        }
    }
}

/// The first `length` bytes of `slices` in one piece.
fn gather(slices: &[IoSlice<'_>], length: usize) -> Bytes {
    let mut data = Vec::with_capacity(length);
    for slice in slices {
        let left = length - data.len();
        data.extend_from_slice(&slice[..slice.len().min(left)]);
    }
    Bytes::from(data)
}
