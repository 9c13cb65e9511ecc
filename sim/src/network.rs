//! The network: TCP as an application sees it. A connection is two pipes of segments; each segment has an
//! arrival time, or none while its link is clogged. Loss shows as the delay of a retransmission, since TCP
//! hides it.
//!
//! Invariant: bytes arrive in the order in which they were written, none twice, until an end of the stream or
//! a reset. Not simulated: packets, keepalive, and the quarter of an hour after which TCP gives up on a
//! silent peer.

mod link;
mod pipe;
mod socket;

pub use link::Link;
pub use socket::{SimulatedListening, SimulatedSocket};

use crate::clock::Clock;
use crate::node::{Crash, Life, NodeId};
use crate::random::Random;
use crate::trace::Trace;
use link::Links;
use pipe::{Connection, Pipe, Side, What};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// Connections that a listener holds before it accepts them; further ones are not answered.
const BACKLOG: usize = 128;
/// Ports below are never chosen by the network itself.
const FIRST_EPHEMERAL_PORT: u16 = 32_768;
/// Attempts to connect before giving up; the first waits a second, each further one twice as long.
const CONNECT_ATTEMPTS: u32 = 6;
/// Bytes of a segment that carries no data.
const BARE_SEGMENT: u64 = 40;

/// The network of a world.
pub struct Network {
    pub(crate) clock: Clock,
    trace: Arc<Trace>,
    state: Mutex<State>,
}

struct State {
    random: Random,
    hosts: Vec<Host>,
    links: Links,
    listeners: BTreeMap<(NodeId, u16), Listening>,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    segments: u64,
    bytes: u64,
}

struct Host {
    name: String,
    address: IpAddr,
    powered: bool,
    next_port: u16,
}

struct Listening {
    life: Life,
    /// Connections with the time at which they arrive.
    queue: VecDeque<(u64, SimulatedSocket)>,
    waker: Option<Waker>,
}

/// What an attempt to connect came to, after the request had reached the other side.
enum Attempt {
    Connected(SimulatedSocket),
    Refused,
    Unanswered,
}

impl Network {
    pub(crate) fn new(seed: u64, clock: Clock, trace: Arc<Trace>) -> Network {
        let state = State {
            random: Random::stream(seed, "network", 0),
            hosts: Vec::new(),
            links: Links::default(),
            listeners: BTreeMap::new(),
            connections: BTreeMap::new(),
            next_connection: 0,
            segments: 0,
            bytes: 0,
        };
        Network { clock, trace, state: Mutex::new(state) }
    }

    /// Segments and bytes that were sent so far.
    pub fn statistics(&self) -> (u64, u64) {
        let state = self.lock();
        (state.segments, state.bytes)
    }

    /// How links behave that were not edited.
    pub fn set_default_link(&self, link: Link) {
        self.lock().links.default = link;
    }

    /// Changes the link from `from` to `to`, one way. What a clogged link held back travels on once it is
    /// open.
    pub fn edit_link(&self, from: NodeId, to: NodeId, edit: impl FnOnce(&mut Link)) {
        let now = self.clock.now();
        let mut state = self.lock();
        let link = state.links.get_mut(from, to);
        edit(link);
        let clogged = link.clogged;
        let numbers = [("from", from.number()), ("to", to.number()), ("clogged", clogged.into())];
        self.trace.numbers("net.link", &numbers);
        if !clogged {
            state.release(from, to, now, &self.trace);
        }
    }

    /// Cuts or opens both ways between `node` and every other node.
    pub fn isolate(&self, node: NodeId, cut: bool) {
        let hosts = self.lock().hosts.len() as u32;
        for other in (0..hosts).map(NodeId).filter(|other| *other != node) {
            self.edit_link(node, other, |link| link.clogged = cut);
            self.edit_link(other, node, |link| link.clogged = cut);
        }
    }

    /// All links are as `link` says again; what was held back travels on.
    pub fn heal(&self, link: Link) {
        self.set_default_link(link.clone());
        let edited = self.lock().links.edited();
        for (from, to) in edited {
            self.edit_link(from, to, |edited| *edited = link.clone());
        }
    }

    /// Resets the connection that carries the byte after the next `bytes` bytes from `from` to `to`: the
    /// receiver gets what comes before it.
    pub fn reset_after(&self, from: NodeId, to: NodeId, bytes: u64) {
        self.lock().links.reset_after(from, to, bytes);
    }

    pub(crate) fn add_host(&self, name: &str) -> NodeId {
        let mut state = self.lock();
        let id = NodeId(state.hosts.len() as u32);
        let [_, high, middle, low] = (id.0 + 1).to_be_bytes();
        state.hosts.push(Host {
            name: name.to_owned(),
            address: Ipv4Addr::new(10, high, middle, low).into(),
            powered: false,
            next_port: FIRST_EPHEMERAL_PORT,
        });
        id
    }

    /// The machine is up: it answers segments of connections that it forgot with resets.
    pub(crate) fn power_on(&self, node: NodeId) {
        let now = self.clock.now();
        let mut state = self.lock();
        state.hosts[node.0 as usize].powered = true;
        for (id, side) in state.sides_of(node) {
            let Some(connection) = state.connections.get_mut(&id) else { continue };
            let unanswered = connection.pipe_to(side).forget();
            if unanswered {
                state.push(id, side, What::Reset, now, &self.trace);
            }
        }
    }

    /// Ends what `node` had open, as its kernel or the loss of its power does.
    pub(crate) fn crash(&self, node: NodeId, how: Crash) {
        let now = self.clock.now();
        let mut state = self.lock();
        state.hosts[node.0 as usize].powered = how == Crash::Process;
        let (start, end) = ((node, 0), (node, u16::MAX));
        let ports: Vec<_> = state.listeners.range(start..=end).map(|(key, _)| *key).collect();
        // Dropping what waits in the queues locks the network again, so it happens at the end.
        let gone: Vec<_> = ports.iter().filter_map(|key| state.listeners.remove(key)).collect();
        for (id, side) in state.sides_of(node) {
            match how {
                Crash::Process => state.close_dead(id, side, now, &self.trace),
                Crash::Power => state.go_silent(id, side, now),
            }
        }
        drop(state);
        drop(gone);
    }

    pub(crate) fn bind(
        self: &Arc<Self>,
        life: Life,
        host: &str,
        port: u16,
    ) -> io::Result<SimulatedListening> {
        if !life.is_alive() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let mut state = self.lock();
        let node = life.node.id;
        let any = matches!(host, "0.0.0.0" | "::" | "");
        if !any && state.resolve(host, node)? != node {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let port = if port == 0 { state.free_port(node) } else { port };
        if state.listeners.contains_key(&(node, port)) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let listening = Listening { life: life.clone(), queue: VecDeque::new(), waker: None };
        state.listeners.insert((node, port), listening);
        let address = SocketAddr::new(state.hosts[node.0 as usize].address, port);
        self.trace.numbers("net.bind", &[("node", node.number()), ("port", port.into())]);
        Ok(SimulatedListening::new(self.clone(), life, address))
    }

    pub(crate) async fn connect(
        self: &Arc<Self>,
        life: Life,
        host: &str,
        port: u16,
    ) -> io::Result<SimulatedSocket> {
        let from = life.node.id;
        let to = self.lock().resolve(host, from)?;
        let mut patience = crate::clock::SECOND;
        for _ in 0..CONNECT_ATTEMPTS {
            if !life.is_alive() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            let there = self.lock().travel(from, to, BARE_SEGMENT, self.clock.now());
            let attempt = match there {
                None => Attempt::Unanswered,
                Some(arrival) => {
                    self.clock.sleep_until(arrival).await;
                    self.arrive(&life, to, port)
                }
            };
            let back = self.lock().travel(to, from, BARE_SEGMENT, self.clock.now());
            match (attempt, back) {
                (Attempt::Connected(socket), Some(arrival)) => {
                    self.clock.sleep_until(arrival).await;
                    return Ok(socket);
                }
                (Attempt::Refused, Some(arrival)) => {
                    self.clock.sleep_until(arrival).await;
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                // Nobody answers, or the answer is lost: then the other side sees the half-open connection
                // end.
                (attempt, _) => {
                    drop(attempt);
                    self.clock.sleep(patience).await;
                }
            }
            patience *= 2;
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    /// The request to connect is at its target: the kernel there answers it.
    fn arrive(self: &Arc<Self>, life: &Life, to: NodeId, port: u16) -> Attempt {
        let now = self.clock.now();
        let mut state = self.lock();
        if !state.hosts[to.0 as usize].powered {
            return Attempt::Unanswered;
        }
        let Some(listening) = state.listeners.get(&(to, port)) else { return Attempt::Refused };
        if listening.queue.len() >= BACKLOG {
            return Attempt::Unanswered;
        }
        let server_life = listening.life.clone();
        let from = life.node.id;
        let id = state.next_connection;
        state.next_connection += 1;
        let client_port = state.free_port(from);
        let client = SocketAddr::new(state.hosts[from.0 as usize].address, client_port);
        let server = SocketAddr::new(state.hosts[to.0 as usize].address, port);
        let pipes = [Pipe::new(from, to), Pipe::new(to, from)];
        state.connections.insert(id, Connection::new(pipes));
        let near = SimulatedSocket::new(self.clone(), life.clone(), id, Side::Client, server);
        let far = SimulatedSocket::new(self.clone(), server_life, id, Side::Server, client);
        let listening = state.listeners.get_mut(&(to, port)).expect("it was there a moment ago");
        listening.queue.push_back((now, far));
        if let Some(waker) = listening.waker.take() {
            waker.wake();
        }
        let numbers =
            [("from", from.number()), ("to", to.number()), ("port", port.into()), ("connection", id)];
        self.trace.numbers("net.connect", &numbers);
        Attempt::Connected(near)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The node that `host`, a name or an address, means to `asking`.
    fn resolve(&self, host: &str, asking: NodeId) -> io::Result<NodeId> {
        if matches!(host, "localhost" | "127.0.0.1" | "::1") {
            return Ok(asking);
        }
        let address: Option<IpAddr> = host.parse().ok();
        let found = self.hosts.iter().position(|h| h.name == host || Some(h.address) == address);
        match found {
            Some(index) => Ok(NodeId(index as u32)),
            None => Err(io::Error::new(io::ErrorKind::NotFound, format!("no node is called {host}"))),
        }
    }

    /// A port of `node` on which nobody listens.
    fn free_port(&mut self, node: NodeId) -> u16 {
        let State { hosts, listeners, .. } = self;
        let next = &mut hosts[node.0 as usize].next_port;
        loop {
            let port = *next;
            *next = next.checked_add(1).unwrap_or(FIRST_EPHEMERAL_PORT);
            if !listeners.contains_key(&(node, port)) {
                return port;
            }
        }
    }
}
