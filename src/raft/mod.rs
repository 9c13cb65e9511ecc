//! KRaft as a pure step machine: elections with pre-vote, replication by Fetch, high watermark, snapshots,
//! voter changes (KIP-595, 630, 853, 996). An input and the time go in, effects come out.
//!
//! Invariant: whoever runs it carries out `persist` before anything else leaves, then `truncate`, then
//! `append`, then sends. It must not know clocks, sockets, disks or what the records mean.

mod core;
mod election;
mod follower;
mod info;
mod leader;
mod log_view;
mod message;
mod peers;
pub mod quorum_state;
#[cfg(test)]
mod simulated;
mod types;
mod voters;

pub use core::{Append, Effects, Fatal, Input, NotLeader, Raft, RaftOptions, RoleName};
pub use info::{LeaderInfo, QuorumInfo, ReplicaInfo};
pub use log_view::{Agreement, LogView};
pub use message::{
    FetchOutcome, FetchRequest, Peer, ReplyToken, Request, RequestId, Response, ResponseBody, VoteRequest,
    VoterChange,
};
pub use types::{
    BatchSummary, ControlRecord, ElectionState, Endpoint, OffsetAndEpoch, ReplicaKey, Voter, VoterSet,
};
