//! What the outside may know of the quorum.

use super::types::{ReplicaKey, VoterSet};
use crate::types::{Instant, LeaderEpoch, NodeId, Offset};

/// The leader that is known, and where its epoch begins when this replica is the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderInfo {
    /// The newest epoch.
    pub epoch: LeaderEpoch,
    /// Its leader, where known.
    pub leader: Option<NodeId>,
    /// This replica leads, and the epoch's first record has this offset.
    pub leads_from: Option<Offset>,
}

/// One line of DescribeQuorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaInfo {
    /// Which replica.
    pub key: ReplicaKey,
    /// Its log end, as its last fetch said; -1 before the first.
    pub end: Offset,
    /// When it last fetched.
    pub last_fetch: Option<Instant>,
    /// When it last had everything that the leader had.
    pub last_caught_up: Option<Instant>,
}

/// What DescribeQuorum tells; only a leader knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumInfo {
    /// The leader's id.
    pub leader: NodeId,
    /// Its epoch.
    pub epoch: LeaderEpoch,
    /// The high watermark; -1 before the leader knows it.
    pub high_watermark: Offset,
    /// The voters' progress.
    pub voters: Vec<ReplicaInfo>,
    /// The progress of everyone else who fetches.
    pub observers: Vec<ReplicaInfo>,
    /// The voters with their endpoints.
    pub voter_set: VoterSet,
}
