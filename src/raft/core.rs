//! The machine itself: its inputs and effects, its roles and the ways between them, and whom it talks to.
//!
//! Invariant: the epoch never falls, one leader is known per epoch, and the high watermark only rises. The
//! rules of each role stand in `election`, `leader`, `follower` and `voters`.

use super::info::LeaderInfo;
use super::leader::LeaderState;
use super::log_view::LogView;
use super::message::{Peer, ReplyToken, Request, RequestId, Response, ResponseBody, VoterChange};
use super::peers::Peers;
use super::types::{
    BatchSummary, ControlRecord, ElectionState, Endpoint, OffsetAndEpoch, ReplicaKey, VoterSet,
};
use crate::types::{ErrorCode, Instant, LeaderEpoch, NodeId, Offset};
use std::collections::BTreeSet;
use std::time::Duration;

/// What one replica is told once.
#[derive(Debug, Clone)]
pub struct RaftOptions {
    /// Who it is.
    pub local: ReplicaKey,
    /// Where its own controller listener is; empty on a broker that only observes.
    pub endpoints: Vec<Endpoint>,
    /// How many `controller.quorum.bootstrap.servers` there are.
    pub bootstrap_servers: usize,
    /// `controller.quorum.election.timeout.ms`: wait this to twice this long before an election.
    pub election_timeout: Duration,
    /// `controller.quorum.fetch.timeout.ms`: without a good fetch for this long the leader counts as gone.
    pub fetch_timeout: Duration,
    /// `controller.quorum.request.timeout.ms`: an answer that takes longer is given up.
    pub request_timeout: Duration,
    /// `controller.quorum.retry.backoff.ms`, doubled with each failure up to `election_backoff_max`.
    pub retry_backoff: Duration,
    /// `controller.quorum.election.backoff.max.ms`.
    pub election_backoff_max: Duration,
    /// How long the leader may hold a fetch without news.
    pub fetch_max_wait: Duration,
    /// Seed of the random waits.
    pub seed: u64,
}

impl RaftOptions {
    /// Kafka's defaults for replica `local`.
    pub fn new(local: ReplicaKey, seed: u64) -> RaftOptions {
        RaftOptions {
            local,
            endpoints: Vec::new(),
            bootstrap_servers: 0,
            election_timeout: Duration::from_millis(1000),
            fetch_timeout: Duration::from_millis(2000),
            request_timeout: Duration::from_millis(2000),
            retry_backoff: Duration::from_millis(20),
            election_backoff_max: Duration::from_millis(1000),
            fetch_max_wait: Duration::from_millis(500),
            seed,
        }
    }
}

/// Something that happened to the replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Time passed; due at [`Raft::next_deadline`] at the latest.
    Tick,
    /// A request came in.
    Request(ReplyToken, Request),
    /// An answer came in.
    Response(RequestId, Response),
    /// A request got no answer: connection refused, reset, or timed out.
    Failed(RequestId),
    /// The asked node does not know this request or version; a voter without pre-vote.
    Unsupported(RequestId),
    /// The leader's shell appended a data batch at the end of the log.
    Appended(BatchSummary),
    /// Everything below this offset is on the device.
    Flushed(Offset),
    /// A snapshot of the committed state was written and synced.
    SnapshotWritten(OffsetAndEpoch),
    /// Bytes of the snapshot that is being fetched were written; `complete` brings what it contains.
    SnapshotProgress { snapshot: OffsetAndEpoch, position: u64, complete: Option<(VoterSet, i16)> },
    /// Everything before this offset was deleted, covered by a snapshot.
    DeletedBefore(Offset),
    /// An operator or a voter itself asks for another voter set.
    ChangeVoters(ReplyToken, VoterChange),
    /// The node is shutting down: a leader hands over.
    Resign,
}

/// One batch to append, already part of the quorum's view of its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Append {
    /// The leader's own control batch, which the shell encodes.
    Control(BatchSummary),
    /// A batch of the Fetch answer at hand.
    Fetched(BatchSummary),
}

/// What the shell must do now, field by field in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// Going on would break a promise: end the process.
    pub fatal: Option<Fatal>,
    /// Write and fsync `quorum-state`; nothing below may leave before that.
    pub persist: Option<ElectionState>,
    /// Cut the log to this end.
    pub truncate: Option<Offset>,
    /// Replace the whole log by this snapshot, whose bytes are complete and synced.
    pub reset_to_snapshot: Option<OffsetAndEpoch>,
    /// Append these, fsync, and report [`Input::Flushed`].
    pub append: Vec<Append>,
    /// The high watermark rose to this offset.
    pub high_watermark: Option<Offset>,
    /// Requests to send.
    pub messages: Vec<(RequestId, Peer, Request)>,
    /// Answers to send.
    pub replies: Vec<(ReplyToken, Response)>,
}

/// A broken promise that the replica noticed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fatal {
    /// The leader's log lacks records that were committed.
    #[error(
        "the leader of epoch {epoch} asks to cut the metadata log to {to}, below the high watermark \
         {high_watermark}: \
         committed records would be lost; compare the metadata directories of all controllers"
    )]
    TruncationBelowHighWatermark { epoch: LeaderEpoch, to: Offset, high_watermark: Offset },
    /// Two leaders in one epoch.
    #[error("epoch {epoch} has two leaders, {known} and {other}: a voter lost its quorum-state file")]
    TwoLeaders { epoch: LeaderEpoch, known: NodeId, other: NodeId },
}

/// This replica may not append: it does not lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this controller does not lead the quorum")]
pub struct NotLeader;

/// The role by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RoleName {
    /// Knows no leader, or none that it may follow yet.
    Unattached,
    /// Gave up leading and waits for another leader.
    Resigned,
    /// Asks whether it would be elected (KIP-996).
    Prospective,
    /// Asks to be elected.
    Candidate,
    /// Fetches from a leader.
    Follower,
    /// Leads.
    Leader,
}

/// One election that this replica runs for.
#[derive(Debug, Clone)]
pub(super) struct Election {
    pub(super) granted: BTreeSet<NodeId>,
    pub(super) rejected: BTreeSet<NodeId>,
    pub(super) deadline: Instant,
}

/// A snapshot that is being fetched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Download {
    pub(super) snapshot: OffsetAndEpoch,
    pub(super) position: u64,
    /// The last bytes that came have been written; the next may be asked for.
    pub(super) ready: bool,
}

#[derive(Debug, Clone)]
pub(super) struct FollowerState {
    pub(super) leader: NodeId,
    pub(super) fetch_deadline: Instant,
    pub(super) has_fetched: bool,
    pub(super) download: Option<Download>,
}

#[derive(Debug, Clone)]
pub(super) enum Role {
    Unattached { election_deadline: Instant },
    Resigned { election_deadline: Instant, unacknowledged: BTreeSet<NodeId>, preferred: Vec<ReplicaKey> },
    Prospective(Election),
    Candidate(Election),
    Follower(FollowerState),
    Leader(Box<LeaderState>),
}

/// One replica of the quorum: voter or observer.
#[derive(Debug, Clone)]
pub struct Raft {
    pub(super) options: RaftOptions,
    pub(super) now: Instant,
    pub(super) epoch: LeaderEpoch,
    /// The leader of `epoch`; of a resigned leader itself.
    pub(super) leader: Option<NodeId>,
    pub(super) leader_endpoints: Vec<Endpoint>,
    pub(super) voted: Option<ReplicaKey>,
    pub(super) role: Role,
    pub(super) log: LogView,
    pub(super) high_watermark: Option<Offset>,
    pub(super) out: Effects,
    persisted: ElectionState,
    pub(super) peers: Peers,
    random: u64,
    stopping: bool,
}

impl Raft {
    /// The replica as a start finds it: its election state and log. [`Raft::start`] sets it going.
    pub fn new(options: RaftOptions, now: Instant, persisted: ElectionState, log: LogView) -> Raft {
        let mut raft = Raft {
            random: options.seed,
            now,
            epoch: persisted.epoch.max(log.last_epoch()),
            leader: None,
            leader_endpoints: Vec::new(),
            voted: None,
            role: Role::Unattached { election_deadline: now },
            high_watermark: log.latest_snapshot().map(|snapshot| snapshot.offset),
            log,
            out: Effects::default(),
            persisted,
            peers: Peers::default(),
            stopping: false,
            options,
        };
        if raft.epoch == persisted.epoch {
            raft.leader = persisted.leader;
            raft.voted = persisted.voted;
        }
        raft
    }

    /// Begins: the only voter elects itself at once, everyone else waits for a leader.
    pub fn start(&mut self, now: Instant) -> Effects {
        self.now = now;
        let timeout = self.random_timeout(self.options.election_timeout);
        let election_deadline = now + timeout;
        self.role = match self.leader {
            Some(leader) if leader == self.options.local.id => {
                Role::Resigned { election_deadline, unacknowledged: BTreeSet::new(), preferred: Vec::new() }
            }
            Some(leader) if self.log.voters().get(leader).is_some() => self.follower_role(leader),
            _ => Role::Unattached { election_deadline },
        };
        if self.is_only_voter() {
            self.become_candidate();
        }
        self.finish()
    }

    /// Takes one input at time `now` and says what to do.
    pub fn step(&mut self, now: Instant, input: Input) -> Effects {
        assert!(now >= self.now, "time does not run backwards");
        self.now = now;
        match input {
            Input::Tick => {}
            Input::Request(token, request) => self.on_request(token, request),
            Input::Response(id, response) => self.on_response(id, response),
            Input::Failed(id) => {
                self.take_in_flight(id, false);
            }
            Input::Unsupported(id) => self.on_unsupported(id),
            Input::Appended(batch) => self.on_appended(&batch),
            Input::Flushed(offset) => {
                self.log.flush(offset);
                self.update_leader_high_watermark();
            }
            Input::SnapshotWritten(snapshot) => self.log.add_snapshot(snapshot),
            Input::SnapshotProgress { snapshot, position, complete } => {
                self.on_snapshot_progress(snapshot, position, complete);
            }
            Input::DeletedBefore(offset) => self.log.delete_before(offset),
            Input::ChangeVoters(token, change) => self.on_change_voters(token, change),
            Input::Resign => self.on_resign(),
        }
        self.finish()
    }

    /// When [`Input::Tick`] is due at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        let role = match &self.role {
            Role::Unattached { election_deadline } => self.is_voter().then_some(*election_deadline),
            Role::Resigned { election_deadline, .. } => (!self.stopping).then_some(*election_deadline),
            Role::Prospective(election) | Role::Candidate(election) => Some(election.deadline),
            Role::Follower(follower) => Some(follower.fetch_deadline),
            Role::Leader(leader) => leader.next_deadline(self.needed_fetches() > 0),
        };
        role.into_iter().chain(self.peers.next_deadline(self.now)).min()
    }

    /// Where the next batch of the leader goes, and under which epoch.
    pub fn next_append(&self) -> Result<(LeaderEpoch, Offset), NotLeader> {
        match self.role {
            Role::Leader(_) => Ok((self.epoch, self.log.end())),
            _ => Err(NotLeader),
        }
    }

    /// The leader as far as it is known.
    pub fn leader_info(&self) -> LeaderInfo {
        let leads_from = match &self.role {
            Role::Leader(leader) => Some(leader.epoch_start),
            _ => None,
        };
        LeaderInfo { epoch: self.epoch, leader: self.announced_leader(), leads_from }
    }

    /// The role by name.
    pub fn role(&self) -> RoleName {
        match self.role {
            Role::Unattached { .. } => RoleName::Unattached,
            Role::Resigned { .. } => RoleName::Resigned,
            Role::Prospective(_) => RoleName::Prospective,
            Role::Candidate(_) => RoleName::Candidate,
            Role::Follower(_) => RoleName::Follower,
            Role::Leader(_) => RoleName::Leader,
        }
    }

    /// Everything below is committed, where known.
    pub fn high_watermark(&self) -> Option<Offset> {
        self.high_watermark
    }

    /// The view of the log.
    pub fn log(&self) -> &LogView {
        &self.log
    }

    /// Where `peer` can be reached, where the quorum knows it; bootstrap servers are the shell's.
    pub fn endpoints_of(&self, id: NodeId) -> Vec<Endpoint> {
        match self.log.voters().get(id) {
            Some(voter) if !voter.endpoints.is_empty() => voter.endpoints.clone(),
            _ if self.leader == Some(id) => self.leader_endpoints.clone(),
            _ => Vec::new(),
        }
    }

    /// Ends a step: sends what is due, and notes whether the election state must be written.
    fn finish(&mut self) -> Effects {
        self.drive();
        let state = ElectionState { epoch: self.epoch, leader: self.leader, voted: self.voted };
        if state != self.persisted {
            assert!(state.epoch >= self.persisted.epoch, "the epoch never falls");
            self.persisted = state;
            self.out.persist = Some(state);
        }
        std::mem::take(&mut self.out)
    }

    /// Lets due timers fire and sends what this role sends.
    fn drive(&mut self) {
        self.expire_requests();
        match &self.role {
            Role::Unattached { election_deadline } => {
                if self.is_voter() && self.now >= *election_deadline && !self.stopping {
                    self.become_prospective();
                } else {
                    self.look_for_leader();
                }
            }
            Role::Resigned { election_deadline, .. } => {
                if self.now >= *election_deadline && !self.stopping {
                    self.leave_resigned();
                } else {
                    self.send_end_quorum_epoch();
                }
            }
            Role::Prospective(_) | Role::Candidate(_) => self.drive_election(),
            Role::Follower(_) => self.drive_follower(),
            Role::Leader(_) => self.drive_leader(),
        }
    }

    fn on_request(&mut self, token: ReplyToken, request: Request) {
        match request {
            Request::Vote(vote) => self.on_vote(token, &vote),
            Request::BeginQuorumEpoch { epoch, leader, voter, endpoints } => {
                self.on_begin_quorum_epoch(token, epoch, leader, voter, endpoints);
            }
            Request::EndQuorumEpoch { epoch, leader, preferred } => {
                self.on_end_quorum_epoch(token, epoch, leader, &preferred);
            }
            Request::Fetch(fetch) => self.on_fetch(token, fetch),
            Request::FetchSnapshot { replica, epoch, snapshot, position, .. } => {
                self.on_fetch_snapshot(token, replica, epoch, snapshot, position);
            }
        }
    }

    fn on_response(&mut self, id: RequestId, response: Response) {
        let Some(request) = self.take_in_flight(id, true) else { return };
        if response.epoch < self.epoch {
            return; // An answer from an older epoch says nothing about this one.
        }
        if response.epoch > self.epoch || (response.leader.is_some() && self.may_follow()) {
            self.learn(response.epoch, response.leader, response.endpoints);
            return;
        }
        match (request, response.body) {
            (Request::Vote(vote), ResponseBody::Vote { granted }) => {
                self.on_vote_response(&vote, response.error, granted);
            }
            (Request::BeginQuorumEpoch { voter, .. }, ResponseBody::BeginQuorumEpoch) => {
                self.on_begin_quorum_epoch_response(voter, response.error);
            }
            (Request::EndQuorumEpoch { .. }, ResponseBody::EndQuorumEpoch) => {}
            (Request::Fetch(_), ResponseBody::Fetch { high_watermark, outcome, .. }) => {
                self.on_fetch_response(response.error, high_watermark, outcome);
            }
            (Request::FetchSnapshot { snapshot, .. }, ResponseBody::FetchSnapshot { snapshot: sent, .. }) => {
                self.on_fetch_snapshot_response(snapshot, sent, response.error);
            }
            _ => {} // An answer of another kind: the peer is confused, the request is tried again.
        }
    }

    /// Takes over what an answer or announcement says about a newer epoch, or about this epoch's leader.
    pub(super) fn learn(&mut self, epoch: LeaderEpoch, leader: Option<NodeId>, endpoints: Vec<Endpoint>) {
        match leader.filter(|id| *id != self.options.local.id) {
            Some(leader) => self.become_follower(epoch, leader, endpoints),
            None if epoch > self.epoch => self.become_unattached(epoch),
            None => {}
        }
    }

    /// Whether news of this epoch's leader makes this replica follow it. A prospective one already knows who
    /// it lost.
    fn may_follow(&self) -> bool {
        match self.role {
            Role::Unattached { .. } => true,
            Role::Prospective(_) | Role::Candidate(_) => self.leader.is_none(),
            _ => false,
        }
    }

    /// The leader that answers name: a resigned one names nobody.
    pub(super) fn announced_leader(&self) -> Option<NodeId> {
        match self.role {
            Role::Resigned { .. } => None,
            _ => self.leader,
        }
    }

    /// An answer with this epoch and leader.
    pub(super) fn respond(&mut self, token: ReplyToken, error: ErrorCode, body: ResponseBody) {
        let leader = self.announced_leader();
        let endpoints = match leader {
            Some(id) if id == self.options.local.id => self.options.endpoints.clone(),
            Some(id) => self.endpoints_of(id),
            None => Vec::new(),
        };
        let response = Response { error, epoch: self.epoch, leader, endpoints, body };
        self.out.replies.push((token, response));
    }

    pub(super) fn is_voter(&self) -> bool {
        self.log.voters().contains(self.options.local)
    }

    pub(super) fn is_only_voter(&self) -> bool {
        self.is_voter() && self.log.voters().len() == 1
    }

    /// Ids of the other voters.
    pub(super) fn other_voters(&self) -> Vec<ReplicaKey> {
        let local = self.options.local.id;
        self.log.voters().iter().map(|voter| voter.key).filter(|key| key.id != local).collect()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }

    fn on_resign(&mut self) {
        self.stopping = true;
        if matches!(self.role, Role::Leader(_)) {
            self.resign();
        }
    }

    pub(super) fn become_unattached(&mut self, epoch: LeaderEpoch) {
        assert!(epoch >= self.epoch, "the epoch never falls");
        if epoch > self.epoch {
            self.epoch = epoch;
            self.voted = None;
            self.leader = None;
            self.leader_endpoints.clear();
        }
        let election_deadline = self.now + self.random_timeout(self.options.election_timeout);
        self.change_role(Role::Unattached { election_deadline });
    }

    pub(super) fn become_follower(&mut self, epoch: LeaderEpoch, leader: NodeId, endpoints: Vec<Endpoint>) {
        assert!(epoch >= self.epoch, "the epoch never falls");
        assert!(leader != self.options.local.id, "nobody follows itself");
        if epoch == self.epoch
            && let Some(known) = self.leader
            && known != leader
        {
            self.out.fatal = Some(Fatal::TwoLeaders { epoch, known, other: leader });
            return;
        }
        if epoch > self.epoch {
            self.epoch = epoch;
            self.voted = None;
        }
        self.leader = Some(leader);
        if !endpoints.is_empty() {
            self.leader_endpoints = endpoints;
        }
        let role = self.follower_role(leader);
        self.change_role(role);
    }

    fn follower_role(&self, leader: NodeId) -> Role {
        let fetch_deadline = self.now + self.options.fetch_timeout;
        Role::Follower(FollowerState { leader, fetch_deadline, has_fetched: false, download: None })
    }

    /// Every change of role passes here: requests under way belonged to the old role, and parked ones are
    /// answered.
    pub(super) fn change_role(&mut self, role: Role) {
        let old = std::mem::replace(&mut self.role, role);
        self.peers.forget();
        if let Role::Leader(leader) = old {
            self.refuse_parked(*leader);
        }
    }

    /// A wait between `base` and twice `base`.
    pub(super) fn random_timeout(&mut self, base: Duration) -> Duration {
        let nanos = u64::try_from(base.as_nanos()).unwrap_or(u64::MAX / 4).max(1);
        base + Duration::from_nanos(self.random() % nanos)
    }

    /// The next number of a SplitMix64 sequence.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Appends a control batch of the leader.
    pub(super) fn append_control(&mut self, records: Vec<ControlRecord>) -> Offset {
        let base = self.log.end();
        let end = base + records.len() as i64;
        let control = records.into_iter().enumerate().map(|(i, record)| (base + i as i64, record)).collect();
        let batch = BatchSummary { base, end, epoch: self.epoch, control };
        self.log.append(&batch);
        self.out.append.push(Append::Control(batch));
        base
    }

    /// Raises the high watermark.
    pub(super) fn raise_high_watermark(&mut self, offset: Offset) -> bool {
        if self.high_watermark.is_some_and(|known| known >= offset) {
            return false;
        }
        assert!(offset <= self.log.end(), "nothing behind the log's end is committed");
        self.high_watermark = Some(offset);
        self.out.high_watermark = Some(offset);
        true
    }
}
