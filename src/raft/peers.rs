//! Whom a replica talks to: at most one request under way to each peer, with a timeout, and a wait after
//! failures.

use super::core::{Raft, Role};
use super::message::{Peer, Request, RequestId};
use crate::types::Instant;
use std::collections::BTreeMap;

/// What is under way to one peer.
#[derive(Debug, Clone)]
struct PeerState {
    in_flight: Option<(RequestId, Instant, Request)>,
    ready_at: Instant,
    failures: u32,
}

/// The requests under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Peers {
    by_peer: BTreeMap<Peer, PeerState>,
    next_request: u64,
    next_bootstrap: usize,
}

impl Peers {
    /// When something times out, or a peer that failed may be asked again.
    pub(super) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let waiting = self.by_peer.values().map(|peer| match &peer.in_flight {
            Some((_, deadline, _)) => *deadline,
            None => peer.ready_at,
        });
        waiting.filter(|at| *at > now).min()
    }

    /// Answers to everything sent so far are ignored.
    pub(super) fn forget(&mut self) {
        self.by_peer.clear();
    }
}

impl Raft {
    /// Sends unless something is under way to `peer` or it failed a moment ago.
    pub(super) fn send(&mut self, peer: Peer, request: Request) {
        let idle = PeerState { in_flight: None, ready_at: self.now, failures: 0 };
        let state = self.peers.by_peer.entry(peer.clone()).or_insert(idle);
        if state.in_flight.is_some() || state.ready_at > self.now {
            return;
        }
        let id = RequestId(self.peers.next_request);
        self.peers.next_request += 1;
        state.in_flight = Some((id, self.now + self.options.request_timeout, request.clone()));
        self.out.messages.push((id, peer, request));
    }

    /// Whether something may be sent to `peer` now.
    pub(super) fn is_ready(&self, peer: &Peer) -> bool {
        self.peers
            .by_peer
            .get(peer)
            .is_none_or(|state| state.in_flight.is_none() && state.ready_at <= self.now)
    }

    /// Ends the request `id` if it is still under way; a failed one makes its peer wait.
    pub(super) fn take_in_flight(&mut self, id: RequestId, answered: bool) -> Option<Request> {
        let is_it = |state: &PeerState| state.in_flight.as_ref().is_some_and(|(known, ..)| *known == id);
        let peer = self.peers.by_peer.iter().find(|(_, state)| is_it(state)).map(|(peer, _)| peer.clone())?;
        let state = self.peers.by_peer.get_mut(&peer).expect("just found");
        let (_, _, request) = state.in_flight.take().expect("just found");
        if answered {
            state.failures = 0;
        } else {
            self.back_off(&peer);
        }
        Some(request)
    }

    /// Makes `peer` wait before the next request, longer with each failure in a row.
    pub(super) fn back_off(&mut self, peer: &Peer) {
        let (base, max) = (self.options.retry_backoff, self.options.election_backoff_max);
        if let Some(state) = self.peers.by_peer.get_mut(peer) {
            let wait = base.saturating_mul(1 << state.failures.min(10)).min(max);
            state.failures = state.failures.saturating_add(1);
            state.ready_at = self.now + wait;
        }
    }

    pub(super) fn expire_requests(&mut self) {
        let overdue = self.peers.by_peer.values().filter_map(|state| state.in_flight.as_ref());
        let overdue: Vec<RequestId> =
            overdue.filter(|(_, deadline, _)| *deadline <= self.now).map(|(id, ..)| *id).collect();
        for id in overdue {
            self.take_in_flight(id, false);
        }
    }

    pub(super) fn on_unsupported(&mut self, id: RequestId) {
        let Some(request) = self.take_in_flight(id, false) else { return };
        // A voter that does not know pre-votes cannot be asked for one (KIP-996): run for election at once.
        if matches!(&request, Request::Vote(vote) if vote.pre_vote)
            && matches!(self.role, Role::Prospective(_))
        {
            self.become_candidate();
        }
    }

    /// The next bootstrap server in turn.
    pub(super) fn bootstrap_peer(&mut self) -> Option<Peer> {
        if self.options.bootstrap_servers == 0 {
            return None;
        }
        self.peers.next_bootstrap = (self.peers.next_bootstrap + 1) % self.options.bootstrap_servers;
        Some(Peer::Bootstrap(self.peers.next_bootstrap))
    }
}
