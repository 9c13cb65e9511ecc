//! Changing the voters one at a time (KIP-853). The new set counts from the moment its record is appended.

use super::core::{Raft, Role};
use super::leader::PendingChange;
use super::message::{ReplyToken, ResponseBody, VoterChange};
use super::types::{ControlRecord, ReplicaKey, Voter, VoterSet};
use crate::types::{ErrorCode, Offset};
use std::time::Duration;

/// A replica that has not been caught up within this time is not made a voter.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(3600);

impl Raft {
    /// AddRaftVoter, RemoveRaftVoter, UpdateRaftVoter. NOT_LEADER_OR_FOLLOWER, UNSUPPORTED_VERSION at
    /// kraft.version 0, REQUEST_TIMED_OUT while another change or the leader's own epoch has not committed,
    /// DUPLICATE_VOTER, VOTER_NOT_FOUND, INVALID_REQUEST.
    pub(super) fn on_change_voters(&mut self, token: ReplyToken, change: VoterChange) {
        let checked = self.check_change(&change).and_then(|()| self.changed_voters(&change));
        let voters = match checked {
            Ok(voters) => voters,
            Err(error) => return self.respond(token, error, ResponseBody::VoterChange),
        };
        let offset = self.append_control(vec![ControlRecord::Voters(voters)]);
        let at_once = matches!(change, VoterChange::Add { ack_when_committed: false, .. });
        if at_once {
            self.respond(token, ErrorCode::None, ResponseBody::VoterChange);
        }
        let deadline = self.now + self.check_quorum_timeout();
        if let Role::Leader(leader) = &mut self.role {
            leader.begin_quorum_check(deadline); // The new majority gets the whole time to fetch.
            leader.pending_change = Some(PendingChange { offset, token: (!at_once).then_some(token) });
        }
        self.update_leader_high_watermark();
    }

    fn check_change(&self, change: &VoterChange) -> Result<(), ErrorCode> {
        let Role::Leader(leader) = &self.role else { return Err(ErrorCode::NotLeaderOrFollower) };
        if let VoterChange::Update { epoch, .. } = change
            && *epoch != self.epoch
        {
            let is_old = *epoch < self.epoch;
            return Err(if is_old { ErrorCode::FencedLeaderEpoch } else { ErrorCode::UnknownLeaderEpoch });
        }
        // Until a record of this epoch has committed, an older leader's change may still be undecided.
        let epoch_committed = self.high_watermark.is_some_and(|hw| hw > leader.epoch_start);
        if !epoch_committed || leader.pending_change.is_some() || !self.voters_committed() {
            return Err(ErrorCode::RequestTimedOut);
        }
        if self.log.kraft_version() < 1 {
            return Err(ErrorCode::UnsupportedVersion);
        }
        Ok(())
    }

    fn voters_committed(&self) -> bool {
        self.high_watermark.is_some_and(|committed| self.log.voters_offset() < committed)
    }

    fn changed_voters(&self, change: &VoterChange) -> Result<VoterSet, ErrorCode> {
        let voters = self.log.voters();
        match change {
            VoterChange::Add { voter, .. } => {
                if voters.get(voter.key.id).is_some() {
                    return Err(ErrorCode::DuplicateVoter);
                }
                self.check_voter(voter)?;
                if !self.is_caught_up(voter.key) {
                    return Err(ErrorCode::RequestTimedOut);
                }
                Ok(voters.with(voter.clone()))
            }
            VoterChange::Remove { key } => {
                if voters.get(key.id).is_none_or(|voter| voter.key != *key) {
                    return Err(ErrorCode::VoterNotFound);
                }
                if voters.len() == 1 {
                    return Err(ErrorCode::InvalidRequest); // Nobody would be left to elect a leader.
                }
                Ok(voters.without(key.id))
            }
            VoterChange::Update { voter, .. } => {
                if voters.get(voter.key.id).is_none_or(|known| !known.key.matches(voter.key)) {
                    return Err(ErrorCode::VoterNotFound);
                }
                self.check_voter(voter)?;
                Ok(voters.with(voter.clone()))
            }
        }
    }

    fn check_voter(&self, voter: &Voter) -> Result<(), ErrorCode> {
        let supported = voter.min_kraft_version..=voter.max_kraft_version;
        match supported.contains(&self.log.kraft_version()) {
            true if voter.endpoints.is_empty() => Err(ErrorCode::InvalidRequest),
            true => Ok(()),
            false => Err(ErrorCode::InvalidRequest),
        }
    }

    fn is_caught_up(&self, key: ReplicaKey) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        let caught_up = leader.progress.get(&key).and_then(|progress| progress.last_caught_up);
        caught_up.is_some_and(|at| self.now.since(at) < CAUGHT_UP_WITHIN)
    }

    /// Answers the change whose record has committed; a leader that removed itself goes.
    pub(super) fn finish_voter_change(&mut self, committed: Offset) {
        let Role::Leader(leader) = &mut self.role else { return };
        let is_done = leader.pending_change.as_ref().is_some_and(|change| change.offset < committed);
        if is_done && let Some(token) = leader.pending_change.take().and_then(|change| change.token) {
            self.respond(token, ErrorCode::None, ResponseBody::VoterChange);
        }
        if !self.is_voter() && self.voters_committed() {
            self.resign();
        }
    }
}
