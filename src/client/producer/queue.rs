//! The batches of one partition, oldest first, and the sequence numbers they carry. Pure: time comes in as a
//! value.
//!
//! Invariants, on which idempotence rests:
//! - batches never change places, so they are numbered, sent, retried and renumbered in the order of their
//!   records;
//! - a batch that some attempt may have appended keeps its stamp: it is retried as it is, or given up as
//!   unknown, but never numbered anew, so no record can be in the log twice;
//! - until the broker has acknowledged one batch of an identity, one batch is in flight. A broker takes any
//!   sequence from a producer it does not know, so a second one could overtake a first one that was refused
//!   for the moment;
//! - batches in flight are with one broker at a time, and a batch that failed is alone in flight when it is
//!   sent again;
//! - sequences start again at 0, under a new identity, only when nothing is in flight under the old one.
//!
//! It must not know brokers, requests or other partitions.

use super::batch::{Batch, Contents, Identity, Leaving, Stamp};
use super::delivery::{Outcome, Stored};
use super::error::ProduceError;
use crate::protocol::records::{BatchBuilder, Compression, Header, RecordBatch, increment_sequence};
use crate::types::{Instant, NodeId, Timestamp, TopicPartition};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// What holds for all partitions of a producer.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub idempotent: bool,
    /// Batches of one partition without an answer.
    pub max_in_flight: usize,
    pub batch_bytes: usize,
    pub linger: Duration,
    pub delivery_timeout: Duration,
    pub compression: Compression,
    /// Where sequences start under the first identity; 0 but for tests of what happens behind the largest.
    pub first_sequence: i32,
}

/// What can be done for a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing until an answer or another record comes.
    Nothing,
    /// Nothing before this time.
    At(Instant),
    /// Its identity is missing.
    NeedsIdentity,
    /// A batch can be sent, of this size before compression.
    Send(usize),
}

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Verdict {
    Stored(Stored),
    /// The next attempt may succeed.
    Again {
        maybe_appended: bool,
    },
    /// The broker has other sequences in mind; the batch was not appended by this attempt.
    OutOfOrder,
    /// The broker does not take this identity any more; the batch was not appended by this attempt.
    IdentityRefused,
    /// No attempt will succeed.
    Refused {
        error: ProduceError,
        maybe_appended: bool,
    },
}

/// The identity that sequences need when they start again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Renewal {
    /// The same producer id in its next epoch.
    NextEpoch,
    /// Another producer id.
    NewId,
}

/// A record as it is added.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewRecord<'a> {
    pub timestamp: Timestamp,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [Header<'a>],
    /// Bytes of the producer's memory that it holds.
    pub charge: usize,
}

/// The batches of one partition.
#[derive(Debug)]
pub(super) struct PartitionQueue {
    partition: TopicPartition,
    batches: VecDeque<Batch>,
    next_number: u64,
    /// Where the batches in flight are.
    leader: Option<NodeId>,
    identity: Option<Identity>,
    next_sequence: i32,
    /// Whether the broker has acknowledged a batch of this identity.
    acknowledged: bool,
    /// Whether a numbered batch was given up, so that those behind it may be refused.
    gap: bool,
    restart: Option<Renewal>,
    /// Bytes of the producer's memory that decided batches have left.
    released: usize,
}

impl PartitionQueue {
    pub fn new(partition: TopicPartition, first_sequence: i32) -> PartitionQueue {
        PartitionQueue {
            partition,
            batches: VecDeque::new(),
            next_number: 0,
            leader: None,
            identity: None,
            next_sequence: first_sequence,
            acknowledged: false,
            gap: false,
            restart: None,
            released: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Bytes of memory that became free since this was last asked.
    pub fn take_released(&mut self) -> usize {
        std::mem::take(&mut self.released)
    }

    /// The outcomes that are not decided.
    pub fn outcomes(&self) -> impl Iterator<Item = Arc<Outcome>> {
        self.batches.iter().map(|batch| batch.outcome.clone())
    }

    /// Adds a record to the youngest batch, or to a new one. Tells its outcome, its place in the batch, and
    /// whether there is something new to send: a first batch, or one that is full now.
    pub fn append(
        &mut self,
        record: NewRecord<'_>,
        now: Instant,
        rules: &Rules,
    ) -> (Arc<Outcome>, u32, bool) {
        let NewRecord { timestamp, key, value, headers, charge } = record;
        let youngest = self.batches.back_mut();
        let open = youngest.and_then(|batch| match &mut batch.contents {
            Contents::Open(builder) => {
                let fits = builder.size_with(timestamp, key, value, headers) <= rules.batch_bytes;
                fits.then_some((&mut batch.records, &mut batch.charged, builder, &batch.outcome))
            }
            _ => None,
        });
        if let Some((records, charged, builder, outcome)) = open {
            builder.append(timestamp, key, value, headers);
            let index = *records as u32;
            *records += 1;
            *charged += charge;
            return (outcome.clone(), index, builder.size_in_bytes() >= rules.batch_bytes);
        }
        let mut builder = BatchBuilder::new(rules.compression);
        builder.append(timestamp, key, value, headers);
        let outcome = Arc::new(Outcome::new(self.partition.clone()));
        self.batches.push_back(Batch {
            number: self.next_number,
            created: now,
            contents: Contents::Open(builder),
            records: 1,
            charged: charge,
            stamp: None,
            maybe_appended: false,
            in_flight: false,
            not_before: now,
            attempts: 0,
            last_error: None,
            outcome: outcome.clone(),
        });
        self.next_number += 1;
        (outcome, 0, true)
    }

    /// What can be done now for the partition, whose leader is `leader`. `hurry` sends batches that are not
    /// full at once.
    pub fn next_step(
        &self,
        now: Instant,
        rules: &Rules,
        identity: Option<Identity>,
        leader: NodeId,
        hurry: bool,
    ) -> Step {
        let Some(index) = self.batches.iter().position(|batch| !batch.in_flight) else {
            return Step::Nothing;
        };
        let batch = &self.batches[index];
        let elsewhere = index > 0 && self.leader != Some(leader);
        if index >= rules.max_in_flight || elsewhere || self.restart.is_some() {
            return Step::Nothing;
        }
        if batch.attempts > 0 && batch.stamp.is_some() {
            let alone = !self.batches.iter().any(|batch| batch.in_flight);
            if index > 0 || !alone {
                return Step::Nothing;
            }
        } else if rules.idempotent {
            let same = self.identity == identity;
            if index > 0 && (!same || !self.acknowledged || self.gap) {
                return Step::Nothing;
            }
            if identity.is_none() {
                return Step::NeedsIdentity;
            }
        }
        let full = index + 1 < self.batches.len() || batch.size_in_bytes() >= rules.batch_bytes;
        let lingers = batch.attempts == 0 && !full && !hurry;
        let ready = if lingers { batch.created + rules.linger } else { batch.not_before };
        if ready > now { Step::At(ready) } else { Step::Send(batch.size_in_bytes()) }
    }

    /// Takes the batch that [`PartitionQueue::next_step`] said can be sent, numbers it if it has no number,
    /// and counts it as in flight to `leader`.
    pub fn take(&mut self, rules: &Rules, identity: Option<Identity>, leader: NodeId) -> Leaving {
        let index = self.batches.iter().position(|batch| !batch.in_flight).expect("a batch can be sent");
        self.leader = Some(leader);
        let batch = &mut self.batches[index];
        if rules.idempotent && batch.stamp.is_none() {
            let identity = identity.expect("there is an identity where a batch can be sent");
            if self.identity != Some(identity) {
                assert_eq!(index, 0, "nothing is in flight when sequences start again");
                if self.identity.is_some() {
                    self.next_sequence = 0;
                }
                self.identity = Some(identity);
                self.acknowledged = false;
                self.gap = false;
            }
            batch.stamp = Some(Stamp { identity, base_sequence: self.next_sequence });
            self.next_sequence = increment_sequence(self.next_sequence, batch.records);
        }
        batch.in_flight = true;
        batch.attempts += 1;
        let contents = std::mem::replace(&mut batch.contents, Contents::Taken);
        Leaving { number: batch.number, contents, stamp: batch.stamp }
    }

    /// Notes how the attempt to send batch `number` ended. `sealed` are the bytes that were sent; `backoff`
    /// tells the pause after so many attempts. What it returns is asked of the producer's identity at once.
    pub fn settle(
        &mut self,
        number: u64,
        sealed: RecordBatch,
        verdict: Verdict,
        last_error: Option<Arc<str>>,
        now: Instant,
        backoff: impl FnOnce(u32) -> Duration,
    ) -> Option<Renewal> {
        let index = self.batches.iter().position(|batch| batch.number == number);
        let index = index.expect("a batch in flight stays in the queue");
        let batch = &mut self.batches[index];
        assert!(batch.in_flight, "an attempt ends once");
        batch.in_flight = false;
        batch.contents = Contents::Sealed(sealed);
        batch.last_error = last_error;
        match verdict {
            Verdict::Stored(stored) => {
                self.acknowledged = true;
                self.gap = false;
                self.decide(index, Ok(stored));
            }
            Verdict::Again { maybe_appended } => {
                batch.maybe_appended |= maybe_appended;
                batch.not_before = now + backoff(batch.attempts);
            }
            Verdict::OutOfOrder => {
                batch.not_before = now;
                // Behind one that failed it is refused for that reason, and is next when that one has
                // succeeded.
                if index == 0 {
                    self.ask_restart(Renewal::NextEpoch);
                }
            }
            Verdict::IdentityRefused => {
                batch.not_before = now + backoff(batch.attempts);
                self.ask_restart(Renewal::NewId);
            }
            Verdict::Refused { error, maybe_appended } => {
                let unknown = batch.maybe_appended || maybe_appended;
                let result = if unknown { Err(unknown_outcome(&self.partition, batch)) } else { Err(error) };
                self.give_up(index, result);
            }
        }
        self.try_restart()
    }

    /// Gives up the batches whose time is over.
    pub fn expire(&mut self, now: Instant, rules: &Rules) -> Option<Renewal> {
        while let Some(batch) = self.batches.front()
            && !batch.in_flight
            && batch.created + rules.delivery_timeout <= now
        {
            let error = if batch.maybe_appended {
                unknown_outcome(&self.partition, batch)
            } else {
                let last = batch.last_error.clone();
                ProduceError::Expired {
                    partition: self.partition.clone(),
                    timeout_ms: rules.delivery_timeout.as_millis() as u64,
                    last: last.unwrap_or_else(|| "its partition had no leader that could be reached".into()),
                }
            };
            self.give_up(0, Err(error));
        }
        self.try_restart()
    }

    /// When the oldest batch expires, if it is not in flight.
    pub fn expires_at(&self, rules: &Rules) -> Option<Instant> {
        let oldest = self.batches.front().filter(|batch| !batch.in_flight)?;
        Some(oldest.created + rules.delivery_timeout)
    }

    /// Gives up every batch, in flight or not: the producer ends.
    pub fn fail_all(&mut self, error: &ProduceError) {
        while let Some(batch) = self.batches.front() {
            let unknown = batch.maybe_appended || batch.in_flight;
            let error = if unknown { unknown_outcome(&self.partition, batch) } else { error.clone() };
            self.decide(0, Err(error));
        }
    }

    fn ask_restart(&mut self, renewal: Renewal) {
        self.restart = self.restart.max(Some(renewal));
    }

    fn give_up(&mut self, index: usize, result: Result<Stored, ProduceError>) {
        let numbered = self.batches[index].stamp.is_some();
        self.decide(index, result);
        self.gap |= numbered;
        if self.gap && !self.batches.iter().any(|batch| batch.stamp.is_some()) {
            self.ask_restart(Renewal::NextEpoch);
        }
    }

    fn decide(&mut self, index: usize, result: Result<Stored, ProduceError>) {
        let batch = self.batches.remove(index).expect("the caller found it");
        self.released += batch.charged;
        batch.outcome.decide(result);
    }

    /// Starts sequences again once nothing is in flight: what certainly is in no log will be numbered anew,
    /// in order; what may be in one is given up.
    fn try_restart(&mut self) -> Option<Renewal> {
        if self.restart.is_none() || self.batches.iter().any(|batch| batch.in_flight) {
            return None;
        }
        let mut index = 0;
        while let Some(batch) = self.batches.get_mut(index) {
            if batch.stamp.is_some() && batch.maybe_appended {
                let error = unknown_outcome(&self.partition, batch);
                self.decide(index, Err(error));
            } else {
                batch.stamp = None;
                index += 1;
            }
        }
        self.gap = false;
        self.restart.take()
    }

    /// The identity of the numbered batches.
    pub fn identity(&self) -> Option<Identity> {
        self.identity
    }
}

fn unknown_outcome(partition: &TopicPartition, batch: &Batch) -> ProduceError {
    let last = batch.last_error.clone().unwrap_or_else(|| "the producer was closed".into());
    ProduceError::OutcomeUnknown { partition: partition.clone(), last }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
