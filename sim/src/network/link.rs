//! How bytes travel from one node to another, one way.

use super::State;
use crate::clock::{MILLISECOND, SECOND};
use crate::node::NodeId;
use std::collections::BTreeMap;
use std::ops::Range;

/// Properties of one direction between two nodes; times in nanoseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Nothing gets through; what is sent waits, up to the window.
    pub clogged: bool,
    /// Time a segment is on its way.
    pub latency: Range<u64>,
    /// Shared by all connections of this direction.
    pub bytes_per_second: u64,
    /// Probability that a segment is lost and sent again: 200 ms later, then twice as much each time.
    pub loss: f64,
    /// Probability that a segment is held up.
    pub stall: f64,
    /// For how long.
    pub stall_nanos: Range<u64>,
    /// Probability that a write is cut at a random byte by a reset of its connection.
    pub reset: f64,
    /// Bytes that may be on their way or unread; further writes wait.
    pub window: usize,
}

impl Default for Link {
    /// A good network within one building.
    fn default() -> Link {
        Link {
            clogged: false,
            latency: MILLISECOND / 5..MILLISECOND,
            bytes_per_second: 125_000_000,
            loss: 0.0,
            stall: 0.0,
            stall_nanos: 10 * MILLISECOND..SECOND,
            reset: 0.0,
            window: 256 * 1024,
        }
    }
}

/// What a node needs to reach itself.
const LOOPBACK_NANOS: u64 = 5_000;
/// The first retransmission comes after this time.
pub(super) const RETRANSMISSION_NANOS: u64 = 200 * MILLISECOND;
/// A retransmission waits at most this long.
const RETRANSMISSION_MAX_NANOS: u64 = 60 * SECOND;

/// All links.
#[derive(Default)]
pub(super) struct Links {
    pub(super) default: Link,
    used: BTreeMap<(NodeId, NodeId), Used>,
}

#[derive(Default)]
struct Used {
    /// `None` behaves as the default link.
    link: Option<Link>,
    /// When the last byte that was sent has left.
    busy_until: u64,
    /// Bytes until a reset.
    reset_after: Option<u64>,
}

impl Links {
    /// The link, to read.
    pub(super) fn get(&self, from: NodeId, to: NodeId) -> &Link {
        let edited = self.used.get(&(from, to)).and_then(|used| used.link.as_ref());
        edited.unwrap_or(&self.default)
    }

    /// The link, to change; from now on the default does not touch it.
    pub(super) fn get_mut(&mut self, from: NodeId, to: NodeId) -> &mut Link {
        let used = self.used.entry((from, to)).or_default();
        used.link.get_or_insert_with(|| self.default.clone())
    }

    /// Which links were changed.
    pub(super) fn edited(&self) -> Vec<(NodeId, NodeId)> {
        self.used.iter().filter(|(_, used)| used.link.is_some()).map(|(key, _)| *key).collect()
    }

    pub(super) fn reset_after(&mut self, from: NodeId, to: NodeId, bytes: u64) {
        self.used.entry((from, to)).or_default().reset_after = Some(bytes);
    }

    /// Counts `bytes` against a reset that was ordered; how many of them still get through, if it strikes.
    pub(super) fn cut(&mut self, from: NodeId, to: NodeId, bytes: u64) -> Option<u64> {
        let left = &mut self.used.get_mut(&(from, to))?.reset_after;
        let before = (*left)?;
        *left = before.checked_sub(bytes);
        left.is_none().then_some(before)
    }
}

impl State {
    /// When `bytes` that are sent now arrive; `None` while the link is clogged.
    pub(super) fn travel(&mut self, from: NodeId, to: NodeId, bytes: u64, now: u64) -> Option<u64> {
        if from == to {
            return Some(now + LOOPBACK_NANOS);
        }
        let State { links: Links { default, used }, random, .. } = self;
        let used = used.entry((from, to)).or_default();
        let link = used.link.as_ref().unwrap_or(default);
        if link.clogged {
            return None;
        }
        used.busy_until = used.busy_until.max(now) + bytes * SECOND / link.bytes_per_second.max(1);
        let mut arrival = used.busy_until + random.range(&link.latency);
        if random.chance(link.stall) {
            arrival += random.range(&link.stall_nanos);
        }
        let mut again = RETRANSMISSION_NANOS;
        while random.chance(link.loss) && again < RETRANSMISSION_MAX_NANOS {
            arrival += again;
            again *= 2;
        }
        Some(arrival)
    }
}
