//! Leading: the first batch of an epoch, answering fetches, the high watermark, check quorum.
//!
//! Invariant: the high watermark is what a majority of the voters has on its device, and moves only once it
//! includes a record of this epoch.

use super::core::{Raft, Role};
use super::info::{LeaderInfo, QuorumInfo, ReplicaInfo};
use super::log_view::Agreement;
use super::message::{FetchOutcome, FetchRequest, Peer, ReplyToken, Request, ResponseBody};
use super::types::{BatchSummary, ControlRecord, OffsetAndEpoch, ReplicaKey, Voter, VoterSet};
use crate::types::{ErrorCode, Instant, LeaderEpoch, NodeId, Offset};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Fetches that may wait for news at once; one more is answered empty.
const PARKED_FETCHES_MAX: usize = 10_000;
/// An observer that has not fetched for this long is forgotten.
const OBSERVER_SESSION: Duration = Duration::from_secs(300);

/// What a leader knows of one other replica.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    pub(super) end: Offset,
    pub(super) last_fetch: Instant,
    pub(super) last_caught_up: Option<Instant>,
    /// Where the leader's log ended at the last fetch.
    leader_end: Offset,
}

#[derive(Debug, Clone)]
struct Parked {
    token: ReplyToken,
    fetch: FetchRequest,
    deadline: Instant,
}

/// A change of the voters that waits for its record to commit.
#[derive(Debug, Clone)]
pub(super) struct PendingChange {
    pub(super) offset: Offset,
    pub(super) token: Option<ReplyToken>,
}

#[derive(Debug, Clone)]
pub(super) struct LeaderState {
    pub(super) epoch_start: Offset,
    pub(super) progress: BTreeMap<ReplicaKey, Progress>,
    pub(super) pending_change: Option<PendingChange>,
    /// Voters that have not yet heard of this leader.
    unannounced: BTreeSet<NodeId>,
    parked: Vec<Parked>,
    /// Voters that fetched since the deadline was last moved.
    fetched: BTreeSet<NodeId>,
    check_quorum_deadline: Instant,
}

impl LeaderState {
    pub(super) fn next_deadline(&self, checks_quorum: bool) -> Option<Instant> {
        let parked = self.parked.iter().map(|parked| parked.deadline).min();
        checks_quorum.then_some(self.check_quorum_deadline).into_iter().chain(parked).min()
    }

    /// Waits until `deadline` for fetches of a majority.
    pub(super) fn begin_quorum_check(&mut self, deadline: Instant) {
        self.fetched.clear();
        self.check_quorum_deadline = deadline;
    }

    /// The other voters, those with the longest log first.
    pub(super) fn successors(&self, voters: &VoterSet, local: NodeId) -> Vec<ReplicaKey> {
        let mut keys: Vec<ReplicaKey> =
            voters.iter().map(|voter| voter.key).filter(|k| k.id != local).collect();
        keys.sort_by_key(|key| std::cmp::Reverse(self.progress.get(key).map_or(Offset(-1), |p| p.end)));
        keys
    }
}

impl Raft {
    /// Takes office: nothing is committed in this epoch before its first control batch is.
    pub(super) fn become_leader(&mut self, granting: Vec<NodeId>) {
        let local = self.options.local;
        self.leader = Some(local.id);
        // As Kafka writes it: with the leader known, nobody else gets a vote in this epoch.
        self.voted = None;
        let state = LeaderState {
            epoch_start: self.log.end(),
            progress: BTreeMap::new(),
            pending_change: None,
            unannounced: self.other_voters().iter().map(|key| key.id).collect(),
            parked: Vec::new(),
            fetched: BTreeSet::new(),
            check_quorum_deadline: self.now + self.check_quorum_timeout(),
        };
        self.change_role(Role::Leader(Box::new(state)));
        let voters = self.log.voters().ids().collect();
        let mut records = vec![ControlRecord::LeaderChange { leader: local.id, voters, granting }];
        if self.log.kraft_version() >= 1
            && let Some(voters) = self.voters_to_log()
        {
            records.push(ControlRecord::KRaftVersion(self.log.kraft_version()));
            records.push(ControlRecord::Voters(voters));
        }
        self.append_control(records);
        self.drive_leader();
    }

    /// The voter set that a new leader writes: when none was ever logged, or its own endpoints are others
    /// than recorded.
    fn voters_to_log(&self) -> Option<VoterSet> {
        let voters = self.log.voters();
        let own = voters.get(self.options.local.id)?;
        let moved = !self.options.endpoints.is_empty() && own.endpoints != self.options.endpoints;
        if self.log.voters_offset() >= Offset::ZERO && !moved {
            return None;
        }
        let endpoints = if moved { self.options.endpoints.clone() } else { own.endpoints.clone() };
        Some(voters.with(Voter { endpoints, ..own.clone() }))
    }

    pub(super) fn check_quorum_timeout(&self) -> Duration {
        self.options.fetch_timeout * 3 / 2
    }

    /// How many other voters must fetch for a majority.
    pub(super) fn needed_fetches(&self) -> usize {
        self.log.voters().majority() - usize::from(self.is_voter())
    }

    pub(super) fn drive_leader(&mut self) {
        let needed = self.needed_fetches();
        let Role::Leader(leader) = &mut self.role else { return };
        if needed > 0 && self.now >= leader.check_quorum_deadline {
            return self.resign(); // A majority may already follow another leader (KIP-835).
        }
        let now = self.now;
        leader.progress.retain(|_, progress| now.since(progress.last_fetch) < OBSERVER_SESSION);
        let due: Vec<Parked> = leader.parked.extract_if(.., |parked| parked.deadline <= now).collect();
        let unannounced: Vec<NodeId> = leader.unannounced.iter().copied().collect();
        for parked in due {
            self.answer_fetch(parked.token, &parked.fetch);
        }
        let (epoch, leader) = (self.epoch, self.options.local.id);
        for id in unannounced {
            let Some(voter) = self.log.voters().get(id).map(|voter| voter.key) else { continue };
            let endpoints = self.options.endpoints.clone();
            self.send(Peer::Node(id), Request::BeginQuorumEpoch { epoch, leader, voter, endpoints });
        }
    }

    pub(super) fn on_begin_quorum_epoch_response(&mut self, voter: ReplicaKey, error: ErrorCode) {
        if error != ErrorCode::None {
            return self.back_off(&Peer::Node(voter.id));
        }
        if let Role::Leader(leader) = &mut self.role {
            leader.unannounced.remove(&voter.id);
        }
    }

    pub(super) fn on_appended(&mut self, batch: &BatchSummary) {
        assert!(matches!(self.role, Role::Leader(_)), "only the leader appends its own batches");
        assert!(batch.epoch == self.epoch, "a leader appends under its own epoch");
        self.log.append(batch);
        self.answer_parked();
    }

    /// Fetch as KRaft means it. INVALID_REQUEST, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH,
    /// NOT_LEADER_OR_FOLLOWER.
    pub(super) fn on_fetch(&mut self, token: ReplyToken, fetch: FetchRequest) {
        let error = self.check_fetch(&fetch);
        if error != ErrorCode::None {
            let outcome = FetchOutcome::Records { from: fetch.offset, batches: Vec::new() };
            let log_start = self.log.start();
            let body = ResponseBody::Fetch { high_watermark: self.high_watermark, log_start, outcome };
            return self.respond(token, error, body);
        }
        let agreement = self.log.agreement(fetch.offset, fetch.last_fetched_epoch);
        if agreement == Agreement::Same {
            self.note_fetch(fetch.replica, fetch.offset);
        }
        let knows_all = fetch.high_watermark.is_none_or(|known| Some(known) >= self.high_watermark);
        let deadline = self.now + fetch.max_wait.min(self.options.fetch_max_wait);
        let at_end = fetch.offset == self.log.end();
        if agreement == Agreement::Same
            && at_end
            && knows_all
            && deadline > self.now
            && let Role::Leader(leader) = &mut self.role
            && leader.parked.len() < PARKED_FETCHES_MAX
        {
            leader.parked.push(Parked { token, fetch, deadline });
            return;
        }
        self.answer_fetch(token, &fetch);
    }

    fn check_fetch(&self, fetch: &FetchRequest) -> ErrorCode {
        if fetch.offset.0 < 0 || fetch.last_fetched_epoch.0 < 0 || fetch.last_fetched_epoch > fetch.epoch {
            return ErrorCode::InvalidRequest;
        }
        self.check_leader(fetch.epoch)
    }

    fn check_leader(&self, epoch: LeaderEpoch) -> ErrorCode {
        match self.role {
            _ if epoch < self.epoch => ErrorCode::FencedLeaderEpoch,
            _ if epoch > self.epoch => ErrorCode::UnknownLeaderEpoch,
            Role::Leader(_) => ErrorCode::None,
            _ => ErrorCode::NotLeaderOrFollower,
        }
    }

    fn answer_fetch(&mut self, token: ReplyToken, fetch: &FetchRequest) {
        let outcome = match self.log.agreement(fetch.offset, fetch.last_fetched_epoch) {
            Agreement::Same => FetchOutcome::Records { from: fetch.offset, batches: Vec::new() },
            Agreement::Diverging(end) => FetchOutcome::Diverging(end),
            Agreement::Snapshot(snapshot) => FetchOutcome::Snapshot(snapshot),
        };
        let log_start = self.log.start();
        let body = ResponseBody::Fetch { high_watermark: self.high_watermark, log_start, outcome };
        self.respond(token, ErrorCode::None, body);
    }

    fn answer_parked(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        for parked in std::mem::take(&mut leader.parked) {
            self.answer_fetch(parked.token, &parked.fetch);
        }
    }

    /// Fetches that waited for a leader that is none any more.
    pub(super) fn refuse_parked(&mut self, leader: LeaderState) {
        for parked in leader.parked {
            let outcome = FetchOutcome::Records { from: parked.fetch.offset, batches: Vec::new() };
            let log_start = self.log.start();
            let body = ResponseBody::Fetch { high_watermark: None, log_start, outcome };
            self.respond(parked.token, ErrorCode::NotLeaderOrFollower, body);
        }
        if let Some(token) = leader.pending_change.and_then(|change| change.token) {
            self.respond(token, ErrorCode::NotLeaderOrFollower, ResponseBody::VoterChange);
        }
    }

    /// A fetch at `end` acknowledges everything below it.
    fn note_fetch(&mut self, replica: ReplicaKey, end: Offset) {
        if replica.id.0 < 0 {
            return; // A tool that reads the log, not a replica.
        }
        let voter = self.log.voters().get(replica.id).filter(|voter| voter.key.matches(replica));
        let key = voter.map_or(replica, |voter| voter.key);
        let (is_voter, needed) = (voter.is_some(), self.needed_fetches());
        let (now, log_end, timeout) = (self.now, self.log.end(), self.check_quorum_timeout());
        let Role::Leader(leader) = &mut self.role else { return };
        let before = leader.progress.get(&key).copied();
        let last_caught_up = match before {
            _ if end >= log_end => Some(now),
            Some(before) if end >= before.leader_end => Some(before.last_fetch),
            Some(before) => before.last_caught_up,
            None => None,
        };
        leader.progress.insert(key, Progress { end, last_fetch: now, last_caught_up, leader_end: log_end });
        if is_voter {
            leader.unannounced.remove(&key.id);
            leader.fetched.insert(key.id);
            if leader.fetched.len() >= needed {
                leader.begin_quorum_check(now + timeout);
            }
            self.update_leader_high_watermark();
        }
    }

    pub(super) fn update_leader_high_watermark(&mut self) {
        let local = self.options.local;
        let Role::Leader(leader) = &self.role else { return };
        let epoch_start = leader.epoch_start;
        let end_of = |voter: &Voter| match voter.key.matches(local) {
            true => self.log.flushed(),
            false => leader.progress.get(&voter.key).map_or(Offset(-1), |progress| progress.end),
        };
        let mut ends: Vec<Offset> = self.log.voters().iter().map(end_of).collect();
        if ends.is_empty() {
            return;
        }
        ends.sort_unstable_by(|a, b| b.cmp(a));
        let committed = ends[self.log.voters().majority() - 1].min(self.log.end());
        if committed > epoch_start && self.raise_high_watermark(committed) {
            self.answer_parked();
            self.finish_voter_change(committed);
        }
    }

    /// FetchSnapshot v0-1. FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, NOT_LEADER_OR_FOLLOWER,
    /// SNAPSHOT_NOT_FOUND. The shell checks the position and adds the bytes.
    pub(super) fn on_fetch_snapshot(
        &mut self,
        token: ReplyToken,
        replica: ReplicaKey,
        epoch: LeaderEpoch,
        snapshot: OffsetAndEpoch,
        position: u64,
    ) {
        let error = match self.check_leader(epoch) {
            ErrorCode::None if snapshot == OffsetAndEpoch::ZERO || !self.log.has_snapshot(snapshot) => {
                ErrorCode::SnapshotNotFound
            }
            error => error,
        };
        let voter = self.log.voters().contains(replica);
        let (needed, timeout) = (self.needed_fetches(), self.check_quorum_timeout());
        if let (Role::Leader(leader), true, ErrorCode::None) = (&mut self.role, voter, error) {
            leader.fetched.insert(replica.id);
            if leader.fetched.len() >= needed {
                leader.begin_quorum_check(self.now + timeout);
            }
        }
        self.respond(token, error, ResponseBody::FetchSnapshot { snapshot, size: 0, position, length: 0 });
    }

    /// What DescribeQuorum tells, on the leader.
    pub fn describe(&self) -> Result<QuorumInfo, LeaderInfo> {
        let Role::Leader(leader) = &self.role else { return Err(self.leader_info()) };
        let local = self.options.local;
        let line = |key: ReplicaKey| match leader.progress.get(&key) {
            _ if key.id == local.id => ReplicaInfo {
                key,
                end: self.log.end(),
                last_fetch: Some(self.now),
                last_caught_up: Some(self.now),
            },
            Some(progress) => ReplicaInfo {
                key,
                end: progress.end,
                last_fetch: Some(progress.last_fetch),
                last_caught_up: progress.last_caught_up,
            },
            None => ReplicaInfo { key, end: Offset(-1), last_fetch: None, last_caught_up: None },
        };
        let is_voter = |key: &ReplicaKey| self.log.voters().contains(*key);
        Ok(QuorumInfo {
            leader: local.id,
            epoch: self.epoch,
            high_watermark: self.high_watermark.filter(|hw| *hw > leader.epoch_start).unwrap_or(Offset(-1)),
            voters: self.log.voters().iter().map(|voter| line(voter.key)).collect(),
            observers: leader.progress.keys().copied().filter(|key| !is_voter(key)).map(line).collect(),
            voter_set: self.log.voters().clone(),
        })
    }
}
