//! What the replicas of the quorum say to each other, as values. Bytes, sockets and the cluster id check are
//! the shell's.

use super::types::{BatchSummary, Endpoint, OffsetAndEpoch, ReplicaKey, Voter};
use crate::types::{ErrorCode, LeaderEpoch, NodeId, Offset};
use std::time::Duration;

/// Names one request that came in, so that its answer finds the way back. The shell chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyToken(pub u64);

/// Names one request that went out. The quorum chooses it; an answer to a forgotten request is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// To whom a request goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// A node whose endpoints are known from the voter set or from its own announcement.
    Node(NodeId),
    /// The n-th of `controller.quorum.bootstrap.servers`, whoever that is.
    Bootstrap(usize),
}

/// A request between replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Asks for a vote (KIP-595), or whether one would be given (pre-vote, KIP-996).
    Vote(VoteRequest),
    /// The leader of a new epoch announces itself to the voters.
    BeginQuorumEpoch { epoch: LeaderEpoch, leader: NodeId, voter: ReplicaKey, endpoints: Vec<Endpoint> },
    /// The leader steps down and names its successors, best first.
    EndQuorumEpoch { epoch: LeaderEpoch, leader: NodeId, preferred: Vec<ReplicaKey> },
    /// Asks for what follows `offset`, and thereby acknowledges everything below it.
    Fetch(FetchRequest),
    /// Asks for bytes of a snapshot, from `position`.
    FetchSnapshot {
        replica: ReplicaKey,
        epoch: LeaderEpoch,
        snapshot: OffsetAndEpoch,
        position: u64,
        max_bytes: u32,
    },
}

/// The body of Vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoteRequest {
    /// The candidate's epoch: the new one, or for a pre-vote its present one.
    pub epoch: LeaderEpoch,
    /// Who asks.
    pub candidate: ReplicaKey,
    /// Who is asked, as the candidate knows it.
    pub voter: ReplicaKey,
    /// Where the candidate's log ends.
    pub last: OffsetAndEpoch,
    /// Only asking whether a vote would be given.
    pub pre_vote: bool,
}

/// The body of Fetch between replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    /// Who asks; a negative id for a tool.
    pub replica: ReplicaKey,
    /// The epoch that it believes in.
    pub epoch: LeaderEpoch,
    /// Its log end, everything below is on its device.
    pub offset: Offset,
    /// The epoch of its last record, 0 when it has none.
    pub last_fetched_epoch: LeaderEpoch,
    /// Its own high watermark, where it told it (Fetch v18).
    pub high_watermark: Option<Offset>,
    /// How long the leader may keep it waiting for news.
    pub max_wait: Duration,
}

/// An answer between replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// What went wrong, or `None`.
    pub error: ErrorCode,
    /// The answerer's epoch.
    pub epoch: LeaderEpoch,
    /// The leader of that epoch, where known.
    pub leader: Option<NodeId>,
    /// Where that leader can be reached.
    pub endpoints: Vec<Endpoint>,
    /// The part that only this kind of request has.
    pub body: ResponseBody,
}

/// The part of an answer that differs by request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseBody {
    /// To Vote.
    Vote { granted: bool },
    /// To BeginQuorumEpoch.
    BeginQuorumEpoch,
    /// To EndQuorumEpoch.
    EndQuorumEpoch,
    /// To Fetch.
    Fetch { high_watermark: Option<Offset>, log_start: Offset, outcome: FetchOutcome },
    /// To FetchSnapshot: the shell adds the bytes and the snapshot's size on the way out.
    FetchSnapshot { snapshot: OffsetAndEpoch, size: u64, position: u64, length: u64 },
    /// To a change of the voters.
    VoterChange,
}

/// What a Fetch brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchOutcome {
    /// Batches from `from` on, perhaps none. On the way out the quorum leaves `batches` empty: the shell
    /// reads the bytes.
    Records { from: Offset, batches: Vec<BatchSummary> },
    /// The logs differ: the leader's records of `epoch` end at `offset`.
    Diverging(OffsetAndEpoch),
    /// What was asked for is no longer in the log: fetch this snapshot first.
    Snapshot(OffsetAndEpoch),
}

/// A change of the voter set (KIP-853).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VoterChange {
    /// AddRaftVoter, after the shell asked the new voter for its versions.
    Add { voter: Voter, ack_when_committed: bool },
    /// RemoveRaftVoter.
    Remove { key: ReplicaKey },
    /// UpdateRaftVoter: new endpoints or versions of a voter.
    Update { epoch: LeaderEpoch, voter: Voter },
}
