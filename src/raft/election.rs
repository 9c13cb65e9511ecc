//! Elections: who asks, who grants, and how leaders announce themselves and say goodbye.

use super::core::{Election, Raft, Role};
use super::message::{Peer, ReplyToken, Request, ResponseBody, VoteRequest};
use super::types::{Endpoint, ReplicaKey};
use crate::types::{ErrorCode, LeaderEpoch, NodeId};
use std::collections::BTreeSet;

impl Raft {
    /// Vote v0-2. Errors in Kafka's order: INVALID_REQUEST, FENCED_LEADER_EPOCH, INVALID_VOTER_KEY. A request
    /// from a newer epoch, pre-vote or not, first moves this replica there.
    pub(super) fn on_vote(&mut self, token: ReplyToken, vote: &VoteRequest) {
        let refused = ResponseBody::Vote { granted: false };
        let too_new =
            if vote.pre_vote { vote.last.epoch > vote.epoch } else { vote.last.epoch >= vote.epoch };
        if vote.last.offset.0 < 0 || vote.last.epoch.0 < 0 || vote.candidate.id.0 < 0 || too_new {
            return self.respond(token, ErrorCode::InvalidRequest, refused);
        }
        if vote.epoch < self.epoch {
            return self.respond(token, ErrorCode::FencedLeaderEpoch, refused);
        }
        if vote.epoch > self.epoch {
            self.become_unattached(vote.epoch);
        }
        if vote.voter.id != NodeId::NONE && !vote.voter.matches(self.options.local) {
            return self.respond(token, ErrorCode::InvalidVoterKey, refused);
        }
        let granted = self.may_grant(vote);
        if granted && !vote.pre_vote {
            self.voted = Some(vote.candidate);
            let deadline = self.now + self.random_timeout(self.options.election_timeout);
            if let Role::Unattached { election_deadline } = &mut self.role {
                *election_deadline = deadline;
            }
        }
        self.respond(token, ErrorCode::None, ResponseBody::Vote { granted });
    }

    /// The table of KIP-996: which role grants which vote.
    fn may_grant(&self, vote: &VoteRequest) -> bool {
        let up_to_date = vote.last.is_up_to_date_with(self.log.last());
        match &self.role {
            Role::Unattached { .. } | Role::Prospective(_) if !vote.pre_vote => match self.voted {
                Some(voted) => voted.matches(vote.candidate),
                None => self.leader.is_none() && up_to_date,
            },
            Role::Unattached { .. } | Role::Prospective(_) => up_to_date,
            Role::Candidate(_) | Role::Resigned { .. } => vote.pre_vote && up_to_date,
            Role::Follower(follower) => vote.pre_vote && !follower.has_fetched && up_to_date,
            Role::Leader(_) => false,
        }
    }

    fn new_election(&mut self) -> Election {
        let deadline = self.now + self.random_timeout(self.options.election_timeout);
        let granted = BTreeSet::from([self.options.local.id]);
        Election { granted, rejected: BTreeSet::new(), deadline }
    }

    /// Asks the voters whether they would elect this replica; the epoch stays.
    pub(super) fn become_prospective(&mut self) {
        assert!(self.is_voter(), "only voters run for election");
        if self.is_only_voter() {
            return self.become_candidate();
        }
        let election = self.new_election();
        self.change_role(Role::Prospective(election));
        self.send_votes();
    }

    /// Opens a new epoch and votes for itself; the only voter leads at once.
    pub(super) fn become_candidate(&mut self) {
        assert!(self.is_voter(), "only voters run for election");
        self.epoch = LeaderEpoch(self.epoch.0 + 1);
        self.leader = None;
        self.leader_endpoints.clear();
        self.voted = Some(self.options.local);
        let election = self.new_election();
        self.change_role(Role::Candidate(election));
        if self.is_only_voter() {
            self.become_leader(vec![self.options.local.id]);
        } else {
            self.send_votes();
        }
    }

    pub(super) fn drive_election(&mut self) {
        let (Role::Prospective(election) | Role::Candidate(election)) = &self.role else { return };
        if !self.is_voter() {
            return self.become_unattached(self.epoch);
        }
        if self.now < election.deadline {
            return self.send_votes();
        }
        match self.role {
            Role::Candidate(_) => self.become_prospective(),
            _ => self.give_up_pre_vote(),
        }
    }

    /// Back to the leader that was known, or to waiting for one.
    fn give_up_pre_vote(&mut self) {
        match self.leader.filter(|id| *id != self.options.local.id) {
            Some(leader) => self.become_follower(self.epoch, leader, Vec::new()),
            None => self.become_unattached(self.epoch),
        }
    }

    fn send_votes(&mut self) {
        let (election, pre_vote) = match &self.role {
            Role::Prospective(election) => (election.clone(), true),
            Role::Candidate(election) => (election.clone(), false),
            _ => return,
        };
        for voter in self.other_voters() {
            if election.granted.contains(&voter.id) || election.rejected.contains(&voter.id) {
                continue;
            }
            let (epoch, candidate, last) = (self.epoch, self.options.local, self.log.last());
            let vote = VoteRequest { epoch, candidate, voter, last, pre_vote };
            self.send(Peer::Node(voter.id), Request::Vote(vote));
        }
    }

    pub(super) fn on_vote_response(&mut self, vote: &VoteRequest, error: ErrorCode, granted: bool) {
        let majority = self.log.voters().majority();
        let voters = self.log.voters().len();
        let (election, pre_vote) = match &mut self.role {
            Role::Prospective(election) => (election, true),
            Role::Candidate(election) => (election, false),
            _ => return,
        };
        if pre_vote != vote.pre_vote || vote.epoch != self.epoch {
            return;
        }
        if error != ErrorCode::None {
            return self.back_off(&Peer::Node(vote.voter.id));
        }
        if granted {
            election.granted.insert(vote.voter.id);
        } else {
            election.rejected.insert(vote.voter.id);
        }
        let won = election.granted.len() >= majority;
        let lost = election.rejected.len() > voters - majority;
        let granting: Vec<NodeId> = election.granted.iter().copied().collect();
        match (pre_vote, won, lost) {
            (true, true, _) => self.become_candidate(),
            (false, true, _) => self.become_leader(granting),
            (true, _, true) => self.give_up_pre_vote(),
            (false, _, true) => {
                let wait = self.random_timeout(self.options.election_backoff_max / 2);
                if let Role::Candidate(election) = &mut self.role {
                    election.deadline = election.deadline.min(self.now + wait);
                }
            }
            _ => {}
        }
    }

    /// BeginQuorumEpoch v0-1: a leader announces itself. FENCED_LEADER_EPOCH, INVALID_VOTER_KEY.
    pub(super) fn on_begin_quorum_epoch(
        &mut self,
        token: ReplyToken,
        epoch: LeaderEpoch,
        leader: NodeId,
        voter: ReplicaKey,
        endpoints: Vec<Endpoint>,
    ) {
        let error = self.check_announcement(epoch, leader);
        if error == ErrorCode::None {
            let follows =
                matches!(&self.role, Role::Follower(f) if f.leader == leader && epoch == self.epoch);
            if !follows {
                self.become_follower(epoch, leader, endpoints);
            }
        }
        let error = match error {
            ErrorCode::None if voter.id != NodeId::NONE && !voter.matches(self.options.local) => {
                ErrorCode::InvalidVoterKey
            }
            error => error,
        };
        self.respond(token, error, ResponseBody::BeginQuorumEpoch);
    }

    /// EndQuorumEpoch v0-1: the leader goes; the first of its successors runs at once, the others wait the
    /// longer the later they come.
    pub(super) fn on_end_quorum_epoch(
        &mut self,
        token: ReplyToken,
        epoch: LeaderEpoch,
        leader: NodeId,
        preferred: &[ReplicaKey],
    ) {
        let error = self.check_announcement(epoch, leader);
        if error == ErrorCode::None {
            if !matches!(&self.role, Role::Follower(f) if f.leader == leader && epoch == self.epoch) {
                self.become_follower(epoch, leader, Vec::new());
            }
            let place = preferred.iter().position(|key| key.matches(self.options.local));
            let wait = match place {
                Some(0) => std::time::Duration::ZERO,
                Some(place) => {
                    let doubled = self.options.retry_backoff.saturating_mul(1 << place.min(10));
                    self.random_timeout(doubled.min(self.options.election_backoff_max))
                }
                None => self.random_timeout(self.options.election_timeout),
            };
            if let Role::Follower(follower) = &mut self.role {
                follower.fetch_deadline = self.now + wait;
                // The leader itself says that it is gone: pre-votes are welcome.
                follower.has_fetched = false;
            }
        }
        self.respond(token, error, ResponseBody::EndQuorumEpoch);
    }

    fn check_announcement(&self, epoch: LeaderEpoch, leader: NodeId) -> ErrorCode {
        let another_is_known = epoch == self.epoch && self.leader.is_some_and(|known| known != leader);
        if epoch < self.epoch {
            ErrorCode::FencedLeaderEpoch
        } else if leader.0 < 0 || leader == self.options.local.id || another_is_known {
            ErrorCode::InvalidRequest
        } else {
            ErrorCode::None
        }
    }

    /// Stops leading without a known successor; nobody gets this replica's vote in the epoch that it led.
    pub(super) fn resign(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let preferred = leader.successors(self.log.voters(), self.options.local.id);
        let unacknowledged = self.other_voters().iter().map(|key| key.id).collect();
        let election_deadline = self.now + self.random_timeout(self.options.election_timeout);
        self.change_role(Role::Resigned { election_deadline, unacknowledged, preferred });
        self.send_end_quorum_epoch();
    }

    pub(super) fn leave_resigned(&mut self) {
        if self.is_voter() { self.become_prospective() } else { self.become_unattached(self.epoch) }
    }

    /// Tells each voter once; one that cannot be reached finds out by its own timeout.
    pub(super) fn send_end_quorum_epoch(&mut self) {
        let epoch = self.epoch;
        let leader = self.options.local.id;
        let Role::Resigned { unacknowledged, preferred, .. } = &mut self.role else { return };
        let (voters, preferred) = (std::mem::take(unacknowledged), preferred.clone());
        for voter in voters {
            let request = Request::EndQuorumEpoch { epoch, leader, preferred: preferred.clone() };
            self.send(Peer::Node(voter), request);
        }
    }
}
