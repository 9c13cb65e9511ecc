//! The quorum's nouns: replicas, voters, snapshots, the election state. Plain values.

use crate::types::{LeaderEpoch, NodeId, Offset, Str, Uuid};
use std::collections::BTreeMap;
use std::fmt;

/// A replica of the metadata log: its node and the directory that holds the log. A wiped disk makes another
/// replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaKey {
    /// The node's `node.id`.
    pub id: NodeId,
    /// `directory.id` of its metadata directory; [`Uuid::ZERO`] where it is not known (kraft.version 0).
    pub directory: Uuid,
}

impl ReplicaKey {
    /// Replica `id` whose directory is not known.
    pub const fn of(id: NodeId) -> ReplicaKey {
        ReplicaKey { id, directory: Uuid::ZERO }
    }

    /// Whether `other` may be this replica: the same node, and the same directory where both know theirs.
    pub fn matches(self, other: ReplicaKey) -> bool {
        self.id == other.id
            && (self.directory == other.directory
                || self.directory == Uuid::ZERO
                || other.directory == Uuid::ZERO)
    }
}

impl fmt::Display for ReplicaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (directory {})", self.id, self.directory)
    }
}

/// Where a voter's controller listener can be reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The listener's name, such as `CONTROLLER`.
    pub name: Str,
    /// Host name or address.
    pub host: Str,
    /// TCP port.
    pub port: u16,
}

/// One voter as the VotersRecord describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voter {
    /// Who it is.
    pub key: ReplicaKey,
    /// Its controller listeners; at least one, except at kraft.version 0.
    pub endpoints: Vec<Endpoint>,
    /// The lowest kraft.version that it supports.
    pub min_kraft_version: i16,
    /// The highest kraft.version that it supports.
    pub max_kraft_version: i16,
}

/// Who elects the leader and whose majority commits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VoterSet(BTreeMap<NodeId, Voter>);

impl VoterSet {
    /// The set of `voters`; of two with one id the last counts.
    pub fn new(voters: impl IntoIterator<Item = Voter>) -> VoterSet {
        VoterSet(voters.into_iter().map(|voter| (voter.key.id, voter)).collect())
    }

    /// Whether there are no voters: nobody can be elected.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many voters there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// How many voters are a majority.
    pub fn majority(&self) -> usize {
        self.0.len() / 2 + 1
    }

    /// Whether `key` is a voter: its id is, and its directory is the one recorded where both are known.
    pub fn contains(&self, key: ReplicaKey) -> bool {
        self.0.get(&key.id).is_some_and(|voter| voter.key.matches(key))
    }

    /// The voter with node id `id`.
    pub fn get(&self, id: NodeId) -> Option<&Voter> {
        self.0.get(&id)
    }

    /// The voters by ascending id.
    pub fn iter(&self) -> impl Iterator<Item = &Voter> {
        self.0.values()
    }

    /// The voters' ids, ascending.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.0.keys().copied()
    }

    /// This set with `voter` added or replaced.
    pub fn with(&self, voter: Voter) -> VoterSet {
        let mut voters = self.0.clone();
        voters.insert(voter.key.id, voter);
        VoterSet(voters)
    }

    /// This set without the voter `id`.
    pub fn without(&self, id: NodeId) -> VoterSet {
        let mut voters = self.0.clone();
        voters.remove(&id);
        VoterSet(voters)
    }
}

/// An offset together with the epoch of the record before it: names a snapshot, and a point of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OffsetAndEpoch {
    /// The offset behind the last record contained.
    pub offset: Offset,
    /// The epoch of that last record.
    pub epoch: LeaderEpoch,
}

impl OffsetAndEpoch {
    /// The empty log, and the snapshot that `format` writes.
    pub const ZERO: OffsetAndEpoch = OffsetAndEpoch { offset: Offset::ZERO, epoch: LeaderEpoch(0) };

    /// Whether a log that ends here is at least as new as one that ends at `other`: epochs are compared
    /// first.
    pub fn is_up_to_date_with(self, other: OffsetAndEpoch) -> bool {
        (self.epoch, self.offset) >= (other.epoch, other.offset)
    }
}

/// What a replica must remember of elections across a crash; the file `quorum-state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ElectionState {
    /// The newest epoch that it has heard of.
    pub epoch: LeaderEpoch,
    /// Who leads that epoch, where known.
    pub leader: Option<NodeId>,
    /// Whom it voted for in that epoch.
    pub voted: Option<ReplicaKey>,
}

impl ElectionState {
    /// Before the first election.
    pub const INITIAL: ElectionState = ElectionState { epoch: LeaderEpoch(0), leader: None, voted: None };
}

/// A record of the quorum itself; it travels in control batches and takes effect when appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlRecord {
    /// The first record of every leader.
    LeaderChange { leader: NodeId, voters: Vec<NodeId>, granting: Vec<NodeId> },
    /// The level of the feature kraft.version.
    KRaftVersion(i16),
    /// The voters from here on.
    Voters(VoterSet),
}

/// What the quorum needs to know of one batch; its bytes stay with the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchSummary {
    /// Offset of its first record.
    pub base: Offset,
    /// Offset behind its last record.
    pub end: Offset,
    /// The leader epoch that wrote it.
    pub epoch: LeaderEpoch,
    /// Its control records with their offsets; empty for data.
    pub control: Vec<(Offset, ControlRecord)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_matches_where_directories_are_equal_or_unknown() {
        let a = ReplicaKey { id: NodeId(1), directory: Uuid([1; 16]) };
        let b = ReplicaKey { id: NodeId(1), directory: Uuid([2; 16]) };
        assert!(a.matches(a) && a.matches(ReplicaKey::of(NodeId(1))) && ReplicaKey::of(NodeId(1)).matches(b));
        assert!(!a.matches(b) && !a.matches(ReplicaKey::of(NodeId(2))));
    }

    #[test]
    fn logs_are_compared_by_epoch_first() {
        let point = |epoch, offset| OffsetAndEpoch { offset: Offset(offset), epoch: LeaderEpoch(epoch) };
        assert!(point(2, 1).is_up_to_date_with(point(1, 100)));
        assert!(!point(1, 100).is_up_to_date_with(point(2, 1)));
        assert!(point(2, 5).is_up_to_date_with(point(2, 5)));
    }
}
