//! One direction of a connection, and what the kernels at its ends do with it.

use super::State;
use super::link::RETRANSMISSION_NANOS;
use crate::node::NodeId;
use crate::trace::Trace;
use bytes::Bytes;
use std::collections::VecDeque;
use std::task::Waker;

/// An end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The one that connected.
    Client,
    /// The one that accepted.
    Server,
}

impl Side {
    pub(super) fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

/// What a segment carries.
#[derive(Debug, Clone)]
pub(super) enum What {
    Data(Bytes),
    /// The sender writes no more.
    Finish,
    /// The connection is gone.
    Reset,
}

/// A segment on its way, or arrived and unread. Ends of the stream stay in the pipe, so that each read sees
/// them.
#[derive(Debug)]
pub(super) struct Segment {
    /// `None` while its link is clogged.
    pub(super) arrival: Option<u64>,
    pub(super) what: What,
}

/// Who takes what arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Receiver {
    /// A socket.
    Open,
    /// A kernel that knows of no such connection: it answers with a reset.
    Closed,
    /// A machine without power.
    Silent,
}

/// One direction of a connection.
pub(super) struct Pipe {
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    pub(super) segments: VecDeque<Segment>,
    /// Bytes on their way or unread.
    pub(super) in_flight: usize,
    /// Nothing overtakes the segment before it.
    last_arrival: u64,
    receiver: Receiver,
    /// The sender has sent its end of the stream.
    pub(super) finished: bool,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

impl Pipe {
    pub(super) fn new(from: NodeId, to: NodeId) -> Pipe {
        Pipe {
            from,
            to,
            segments: VecDeque::new(),
            in_flight: 0,
            last_arrival: 0,
            receiver: Receiver::Open,
            finished: false,
            reader: None,
            writer: None,
        }
    }

    /// Whether something waits for a clogged link.
    pub(super) fn is_held(&self) -> bool {
        self.segments.iter().any(|segment| segment.arrival.is_none())
    }

    /// The machine came back without its memory; whether something was sent that it must refuse now.
    pub(super) fn forget(&mut self) -> bool {
        let unanswered = self.receiver == Receiver::Silent && self.in_flight > 0;
        if self.receiver == Receiver::Silent {
            self.receiver = Receiver::Closed;
        }
        unanswered
    }

    /// Takes what is on its way away from behind the first `keep` segments that have not arrived.
    fn lose(&mut self, keep: u64, now: u64) {
        let arrived = self.segments.iter().take_while(|s| s.arrival.is_some_and(|at| at <= now)).count();
        for lost in self.segments.drain((arrived + keep as usize).min(self.segments.len())..) {
            if let What::Data(data) = lost.what {
                self.in_flight -= data.len();
            }
        }
    }

    fn has_unread(&self, now: u64) -> bool {
        let unread = |s: &Segment| s.arrival.is_some_and(|at| at <= now) && matches!(s.what, What::Data(_));
        self.segments.front().is_some_and(unread)
    }

    /// The receiving socket is gone.
    fn close_receiver(&mut self, receiver: Receiver) {
        self.receiver = receiver;
        self.segments.clear();
        if receiver == Receiver::Closed {
            self.in_flight = 0;
        }
        wake(&mut self.writer);
    }
}

/// Two pipes, one each way.
pub(super) struct Connection {
    /// Indexed by the side that sends.
    pipes: [Pipe; 2],
    /// Sides whose socket is gone.
    closed: [bool; 2],
    /// When a reset reaches each side: from then on its writes fail.
    reset_at: [Option<u64>; 2],
}

impl Connection {
    pub(super) fn new(pipes: [Pipe; 2]) -> Connection {
        Connection { pipes, closed: [false; 2], reset_at: [None; 2] }
    }

    /// The pipe in which `side` writes.
    pub(super) fn pipe_from(&self, side: Side) -> &Pipe {
        &self.pipes[side as usize]
    }

    /// The pipe in which `side` writes.
    pub(super) fn pipe_from_mut(&mut self, side: Side) -> &mut Pipe {
        &mut self.pipes[side as usize]
    }

    /// The pipe from which `side` reads.
    pub(super) fn pipe_to(&mut self, side: Side) -> &mut Pipe {
        &mut self.pipes[side.other() as usize]
    }

    /// When writes of `side` begin to fail.
    pub(super) fn reset_at(&self, side: Side) -> Option<u64> {
        self.reset_at[side as usize]
    }

    /// Lets what `side` sent into a clogged link arrive from `arrival` on.
    pub(super) fn release(&mut self, side: Side, arrival: u64) {
        let pipe = &mut self.pipes[side as usize];
        let arrival = arrival.max(pipe.last_arrival);
        let mut reset = false;
        for segment in pipe.segments.iter_mut().filter(|segment| segment.arrival.is_none()) {
            segment.arrival = Some(arrival);
            reset |= matches!(segment.what, What::Reset);
        }
        pipe.last_arrival = arrival;
        wake(&mut pipe.reader);
        if reset {
            self.announce_reset(side, arrival);
        }
    }

    fn announce_reset(&mut self, from: Side, arrival: u64) {
        let at = &mut self.reset_at[from.other() as usize];
        *at = Some(at.map_or(arrival, |earlier| earlier.min(arrival)));
        wake(&mut self.pipe_from_mut(from.other()).writer);
    }
}

impl State {
    /// Every connection that `node` has an end of, with that end.
    pub(super) fn sides_of(&self, node: NodeId) -> Vec<(u64, Side)> {
        let mut sides = Vec::new();
        for (id, connection) in &self.connections {
            for side in [Side::Client, Side::Server] {
                if connection.pipe_from(side).from == node {
                    sides.push((*id, side));
                }
            }
        }
        sides
    }

    /// `side` sends a segment.
    pub(super) fn push(&mut self, id: u64, side: Side, what: What, now: u64, trace: &Trace) {
        let Some(connection) = self.connections.get(&id) else { return };
        let pipe = connection.pipe_from(side);
        let (from, to, blocked) = (pipe.from, pipe.to, pipe.is_held());
        let length = if let What::Data(data) = &what { data.len() } else { 0 };
        let arrival = self.travel(from, to, super::BARE_SEGMENT + length as u64, now);
        self.segments += 1;
        self.bytes += length as u64;
        let connection = self.connections.get_mut(&id).expect("it was there a moment ago");
        let pipe = connection.pipe_from_mut(side);
        pipe.in_flight += length;
        if pipe.receiver == Receiver::Silent {
            return;
        }
        let arrival = arrival.filter(|_| !blocked).map(|at| at.max(pipe.last_arrival));
        if let (Receiver::Closed, Some(arrival)) = (pipe.receiver, arrival) {
            // The other kernel answers data, and nothing else, with a reset.
            if length > 0 {
                self.refuse(id, side, arrival, trace);
            }
            return;
        }
        pipe.last_arrival = arrival.unwrap_or(pipe.last_arrival);
        let reset = matches!(what, What::Reset);
        let kind = if reset { "net.reset" } else { "net.finish" };
        pipe.segments.push_back(Segment { arrival, what });
        wake(&mut pipe.reader);
        if length == 0 {
            trace.numbers(kind, &[("connection", id), ("side", side as u64)]);
        }
        if let (true, Some(arrival)) = (reset, arrival) {
            connection.announce_reset(side, arrival);
        }
    }

    /// The kernel that should have got what `side` sent knows no such connection.
    fn refuse(&mut self, id: u64, side: Side, arrival: u64, trace: &Trace) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.pipe_from_mut(side).in_flight = 0;
        if connection.reset_at(side).is_none() {
            self.push(id, side.other(), What::Reset, arrival, trace);
        }
    }

    /// Sends what waited for the link from `from` to `to`, each pipe in its order, with the delay of a
    /// retransmission.
    pub(super) fn release(&mut self, from: NodeId, to: NodeId, now: u64, trace: &Trace) {
        for (id, side) in self.sides_of(from) {
            let Some(connection) = self.connections.get(&id) else { continue };
            let pipe = connection.pipe_from(side);
            if pipe.to != to || !pipe.is_held() {
                continue;
            }
            let bytes = pipe.in_flight as u64;
            let resumed = now + self.random.below(RETRANSMISSION_NANOS);
            let Some(arrival) = self.travel(from, to, bytes, resumed) else { return };
            let connection = self.connections.get_mut(&id).expect("it was there a moment ago");
            if connection.pipe_from(side).receiver == Receiver::Closed {
                connection.pipe_from_mut(side).segments.clear();
                self.refuse(id, side, arrival, trace);
            } else {
                connection.release(side, arrival);
            }
        }
    }

    /// The socket at `side` was closed by its program, which lives on.
    pub(super) fn close(&mut self, id: u64, side: Side, now: u64, trace: &Trace) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let unread = connection.pipe_to(side).has_unread(now);
        self.close_with(id, side, unread, now, trace);
    }

    /// The program behind `side` died and its kernel closes the socket: what it had written is still sent,
    /// unless a reset overtakes it.
    pub(super) fn close_dead(&mut self, id: u64, side: Side, now: u64, trace: &Trace) {
        let reset = self.random.chance(0.5);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.closed[side as usize] {
            return;
        }
        let reset = reset || connection.pipe_to(side).has_unread(now);
        if reset {
            let waiting = connection.pipe_from(side).segments.len() as u64;
            let keep = self.random.below(waiting + 1);
            let connection = self.connections.get_mut(&id).expect("it was there a moment ago");
            connection.pipe_from_mut(side).lose(keep, now);
        }
        self.close_with(id, side, reset, now, trace);
    }

    fn close_with(&mut self, id: u64, side: Side, reset: bool, now: u64, trace: &Trace) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if std::mem::replace(&mut connection.closed[side as usize], true) {
            return;
        }
        let on_its_way = !connection.pipe_to(side).segments.is_empty();
        connection.pipe_to(side).close_receiver(Receiver::Closed);
        let finished = std::mem::replace(&mut connection.pipe_from_mut(side).finished, true);
        if reset {
            self.push(id, side, What::Reset, now, trace);
        } else {
            if !finished {
                self.push(id, side, What::Finish, now, trace);
            }
            if on_its_way {
                // It arrives at a socket that is gone.
                self.push(id, side, What::Reset, now, trace);
            }
        }
        self.reap(id);
    }

    /// The machine of `side` has lost its power: what it had sent may still arrive, and then there is
    /// silence.
    pub(super) fn go_silent(&mut self, id: u64, side: Side, now: u64) {
        let Some(connection) = self.connections.get(&id) else { return };
        let sending = connection.pipe_from(side);
        let travelling = sending.segments.iter().take_while(|segment| segment.arrival.is_some()).count();
        let keep = self.random.below(travelling as u64 + 1);
        let connection = self.connections.get_mut(&id).expect("it was there a moment ago");
        connection.pipe_from_mut(side).lose(keep, now);
        connection.pipe_from_mut(side).finished = true;
        connection.pipe_to(side).close_receiver(Receiver::Silent);
        connection.closed[side as usize] = true;
        self.reap(id);
    }

    /// Forgets a connection that has no socket left.
    fn reap(&mut self, id: u64) {
        if self.connections.get(&id).is_some_and(|connection| connection.closed == [true; 2]) {
            self.connections.remove(&id);
        }
    }
}

pub(super) fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}
