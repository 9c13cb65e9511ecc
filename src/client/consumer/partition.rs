//! One assigned partition: where it is read, what was fetched ahead, and what has to be found out first.
//! Pure.
//!
//! Invariants: what was fetched for a position that the caller has left is dropped; after an error nothing is
//! returned until the caller seeks; the position is never changed by anybody but the caller and the records
//! returned.

use super::Position;
use super::error::ConsumeError;
use super::fetched::{ConsumerRecord, Fetched};
use crate::client::metadata::ClusterMetadata;
use crate::types::{Instant, LeaderEpoch, NodeId, Offset, TopicPartition, Uuid};
use std::collections::VecDeque;

/// Fetches of one partition that are held without having been read to their end.
const MAX_FETCHED_AHEAD: usize = 2;

/// What a partition needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing before something happens.
    Nothing,
    /// Nothing before this time.
    Pause(Instant),
    /// Its leader is not known.
    Metadata,
    /// The offset that its position stands for.
    Lookup(Position),
    /// To know whether the new leader's log still holds what was read.
    Validation { leader: NodeId, leader_epoch: LeaderEpoch, epoch: LeaderEpoch },
    /// More records, from this offset on.
    Fetch { leader: NodeId, leader_epoch: LeaderEpoch, offset: Offset, topic_id: Uuid },
}

/// What the partition is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Lookup(Position),
    Reading,
    /// An error was returned.
    Stopped,
}

/// An assigned partition.
#[derive(Debug)]
pub(super) struct AssignedPartition {
    partition: TopicPartition,
    phase: Phase,
    pub paused: bool,
    /// Goes up with every seek; answers to older questions are dropped.
    pub generation: u64,
    /// Whether an answer is waited for.
    pub asking: bool,
    not_before: Option<Instant>,
    failures: u32,
    /// The next offset to return.
    position: Offset,
    /// The next offset to fetch, and the leader epoch of the batch before it.
    fetch_offset: Offset,
    fetched_epoch: LeaderEpoch,
    /// The leader epoch under which the log was last known to hold what was read.
    valid_epoch: LeaderEpoch,
    /// The topic that is being read; zero before the first fetch.
    topic_id: Uuid,
    fetched: VecDeque<Fetched>,
    error: Option<ConsumeError>,
    pub high_watermark: Option<Offset>,
}

impl AssignedPartition {
    pub fn new(partition: TopicPartition, position: Position) -> AssignedPartition {
        let mut assigned = AssignedPartition {
            partition,
            phase: Phase::Reading,
            paused: false,
            generation: 0,
            asking: false,
            not_before: None,
            failures: 0,
            position: Offset::ZERO,
            fetch_offset: Offset::ZERO,
            fetched_epoch: LeaderEpoch::NONE,
            valid_epoch: LeaderEpoch::NONE,
            topic_id: Uuid::ZERO,
            fetched: VecDeque::new(),
            error: None,
            high_watermark: None,
        };
        assigned.seek(position);
        assigned
    }

    /// Goes on at `position`, and forgets everything that was read from elsewhere.
    pub fn seek(&mut self, position: Position) {
        self.generation += 1;
        self.asking = false;
        self.not_before = None;
        self.failures = 0;
        self.fetched.clear();
        self.error = None;
        self.fetched_epoch = LeaderEpoch::NONE;
        self.topic_id = Uuid::ZERO;
        match position {
            Position::Offset(offset) => self.start(offset),
            position => self.phase = Phase::Lookup(position),
        }
    }

    fn start(&mut self, offset: Offset) {
        self.phase = Phase::Reading;
        self.position = offset;
        self.fetch_offset = offset;
    }

    /// The offset that a lookup found.
    pub fn found(&mut self, offset: Offset) {
        self.asking = false;
        self.start(offset);
    }

    /// The next offset to be returned; none while it is being looked up.
    pub fn position(&self) -> Option<Offset> {
        (!matches!(self.phase, Phase::Lookup(_))).then_some(self.position)
    }

    /// What has to be done for it.
    pub fn need(&self, now: Instant, metadata: &ClusterMetadata) -> Need {
        if self.asking || self.phase == Phase::Stopped || self.error.is_some() {
            return Need::Nothing;
        }
        if let Some(time) = self.not_before.filter(|time| *time > now) {
            return Need::Pause(time);
        }
        if let Phase::Lookup(position) = self.phase {
            return Need::Lookup(position);
        }
        if self.paused || self.fetched.len() >= MAX_FETCHED_AHEAD {
            return Need::Nothing;
        }
        let Some((leader, leader_epoch)) = metadata.leader(&self.partition) else { return Need::Metadata };
        if leader_epoch > self.valid_epoch && self.fetched_epoch != LeaderEpoch::NONE {
            return Need::Validation { leader, leader_epoch, epoch: self.fetched_epoch };
        }
        let topic_id = metadata.topics.get(&self.partition.topic).map_or(Uuid::ZERO, |topic| topic.id);
        Need::Fetch { leader, leader_epoch, offset: self.fetch_offset, topic_id }
    }

    /// Whether the topic is still the one that was read; it becomes the one if none was.
    pub fn is_same_topic(&mut self, topic_id: Uuid) -> bool {
        if self.topic_id == Uuid::ZERO {
            self.topic_id = topic_id;
        }
        topic_id == Uuid::ZERO || self.topic_id == topic_id
    }

    /// The leader's log holds what was read, as of `leader_epoch`.
    pub fn validated(&mut self, leader_epoch: LeaderEpoch) {
        self.asking = false;
        self.valid_epoch = leader_epoch;
    }

    /// The leader's log parts from what was read at `diverges_at`; none where the leader does not know.
    pub fn diverged(&mut self, leader_epoch: LeaderEpoch, diverges_at: Option<Offset>) {
        if diverges_at.is_some_and(|offset| offset >= self.fetch_offset) {
            return self.validated(leader_epoch);
        }
        let (partition, offset) = (self.partition.clone(), self.fetch_offset);
        self.fail(ConsumeError::Truncated { partition, offset, diverges_at });
    }

    /// Takes what a fetch brought: nothing, or whole batches.
    pub fn arrived(&mut self, fetched: Fetched, is_empty: bool, leader_epoch: LeaderEpoch) {
        self.asking = false;
        self.failures = 0;
        self.valid_epoch = self.valid_epoch.max(leader_epoch);
        match fetched.end() {
            Some((end, epoch)) => {
                self.fetch_offset = self.fetch_offset.max(end);
                self.fetched_epoch = epoch;
                self.fetched.push_back(fetched);
            }
            None if is_empty => {}
            // What came is no whole batch, or none at all: reading it tells which.
            None => self.fetched.push_back(fetched),
        }
    }

    /// Tries again after `pause`, counted from `now`.
    pub fn again(&mut self, now: Instant, backoff: impl FnOnce(u32) -> std::time::Duration) {
        self.asking = false;
        self.failures += 1;
        self.not_before = Some(now + backoff(self.failures));
    }

    /// Returns `error` behind the records that were read before it.
    pub fn fail(&mut self, error: ConsumeError) {
        self.asking = false;
        self.error = Some(error);
    }

    /// The next record that was fetched.
    pub fn next(&mut self) -> Option<Result<ConsumerRecord, ConsumeError>> {
        if self.paused || self.phase != Phase::Reading {
            return None;
        }
        while let Some(fetched) = self.fetched.front_mut() {
            let next = fetched.next();
            self.position = self.position.max(fetched.position());
            match next {
                Some(Ok(record)) => return Some(Ok(record)),
                Some(Err(error)) => return Some(Err(self.stop(error))),
                None => {
                    let stuck = fetched.end().is_none();
                    self.fetched.pop_front();
                    if stuck {
                        let (partition, offset) = (self.partition.clone(), self.position);
                        return Some(Err(self.stop(ConsumeError::NoWholeBatch { partition, offset })));
                    }
                }
            }
        }
        let error = self.error.take()?;
        Some(Err(self.stop(error)))
    }

    /// Takes an error back, to return it with the next call.
    pub fn hold(&mut self, error: ConsumeError) {
        self.phase = Phase::Reading;
        self.error = Some(error);
    }

    fn stop(&mut self, error: ConsumeError) -> ConsumeError {
        self.phase = Phase::Stopped;
        self.fetched.clear();
        error
    }
}
