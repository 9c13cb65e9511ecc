//! What a partition knows of its idempotent and transactional producers: their last five batches, against
//! duplicates and gaps (KIP-98), and their open transactions, which hold back the last stable offset.
//!
//! A batch is first checked, then written, then noted: noting cannot fail, so that memory never lags behind
//! the file. It must not know files ([`super::producer_snapshot`] does) or whether a coordinator exists.

use crate::protocol::records::{BatchHeader, EndTransactionMarker, TransactionResult, increment_sequence};
use crate::types::{Offset, ProducerEpoch, ProducerId, Timestamp};
use std::collections::BTreeMap;

/// Batches of each producer that are remembered: as many as a producer may have in flight.
pub const BATCHES_KEPT: usize = 5;

/// Why a batch of a producer is refused. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    /// E45: the batch does not begin where the producer's last one ended.
    #[error(
        "producer {producer_id} sent sequence {sequence} in epoch {epoch} at offset {offset}; \
         {expected} was expected"
    )]
    OutOfOrderSequence {
        /// The producer.
        producer_id: ProducerId,
        /// Its epoch.
        epoch: ProducerEpoch,
        /// The first sequence of the batch.
        sequence: i32,
        /// The sequence that would have been next.
        expected: i32,
        /// The offset that the batch would have had.
        offset: Offset,
    },
    /// E47: the producer was fenced by one with a higher epoch.
    #[error("producer {producer_id} has epoch {current}; a batch or marker of epoch {epoch} comes too late")]
    InvalidProducerEpoch {
        /// The producer.
        producer_id: ProducerId,
        /// The epoch of the batch.
        epoch: ProducerEpoch,
        /// The epoch that is known.
        current: ProducerEpoch,
    },
    /// E48: a batch outside of any transaction while the producer has one open.
    #[error(
        "producer {producer_id} has a transaction open since offset {since} and sent a batch outside of it"
    )]
    InvalidTransactionState {
        /// The producer.
        producer_id: ProducerId,
        /// Where the transaction began.
        since: Offset,
    },
    /// E52: a marker of a transaction coordinator that was replaced.
    #[error(
        "a marker for producer {producer_id} came from coordinator epoch {epoch}, which {current} replaced"
    )]
    CoordinatorFenced {
        /// The producer.
        producer_id: ProducerId,
        /// The epoch of the marker.
        epoch: i32,
        /// The epoch that is known.
        current: i32,
    },
}

/// One batch of a producer that is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentBatch {
    /// Sequence number of its last record.
    pub last_sequence: i32,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Records in front of the last: last offset less first.
    pub offset_delta: i32,
    /// Its largest timestamp.
    pub timestamp: Timestamp,
}

impl SentBatch {
    /// Offset of its first record.
    pub fn first_offset(&self) -> Offset {
        self.last_offset + -i64::from(self.offset_delta)
    }

    /// Sequence number of its first record.
    pub fn first_sequence(&self) -> i32 {
        let first = i64::from(self.last_sequence) - i64::from(self.offset_delta);
        (if first < 0 { first + i64::from(i32::MAX) + 1 } else { first }) as i32
    }
}

/// The newest batches of a producer, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct RecentBatches {
    kept: [Option<SentBatch>; BATCHES_KEPT],
}

impl RecentBatches {
    fn push(&mut self, batch: SentBatch) {
        match self.kept.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(batch),
            None => {
                self.kept.rotate_left(1);
                self.kept[BATCHES_KEPT - 1] = Some(batch);
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = &SentBatch> {
        self.kept.iter().flatten()
    }

    fn last(&self) -> Option<&SentBatch> {
        self.iter().last()
    }
}

/// What is known of one producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerState {
    /// Its newest epoch.
    pub epoch: ProducerEpoch,
    /// The epoch of the coordinator that wrote its last marker; -1 for none.
    pub coordinator_epoch: i32,
    /// The timestamp of its last batch or marker.
    pub last_timestamp: Timestamp,
    /// The first offset of its open transaction.
    pub transaction_start: Option<Offset>,
    batches: RecentBatches,
}

impl ProducerState {
    pub(super) fn new(epoch: ProducerEpoch) -> ProducerState {
        ProducerState {
            epoch,
            coordinator_epoch: -1,
            last_timestamp: Timestamp::NONE,
            transaction_start: None,
            batches: RecentBatches::default(),
        }
    }

    /// Its newest batch of this epoch.
    pub fn last_batch(&self) -> Option<&SentBatch> {
        self.batches.last()
    }

    /// The sequence number that was last used in this epoch, or -1.
    pub fn last_sequence(&self) -> i32 {
        self.batches.last().map_or(-1, |batch| batch.last_sequence)
    }

    /// The batch with exactly these sequence numbers in exactly this epoch.
    fn duplicate_of(&self, header: &BatchHeader) -> Option<SentBatch> {
        if header.producer_epoch != self.epoch {
            return None;
        }
        let (first, last) = (header.base_sequence, header.last_sequence());
        self.batches
            .iter()
            .find(|batch| batch.first_sequence() == first && batch.last_sequence == last)
            .copied()
    }

    pub(super) fn note_batch(&mut self, epoch: ProducerEpoch, batch: SentBatch) {
        self.note_epoch(epoch);
        self.batches.push(batch);
        self.last_timestamp = batch.timestamp;
    }

    fn note_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches = RecentBatches::default();
        }
    }
}

/// What a check of a batch found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequence {
    /// It is the producer's next one.
    Next,
    /// It was written before.
    Duplicate(SentBatch),
}

/// A transaction that ended with at least one record in this partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompletedTransaction {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its first record.
    pub first_offset: Offset,
    /// Its marker.
    pub last_offset: Offset,
    /// How it ended.
    pub committed: bool,
    /// The first offset of the oldest other open transaction, else the one behind the marker.
    pub last_stable_offset: Offset,
}

/// All producers of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProducerStates {
    producers: BTreeMap<ProducerId, ProducerState>,
    /// Open transactions, by their first offset.
    open: BTreeMap<Offset, ProducerId>,
    /// Ended transactions whose markers are not below the high watermark: first offset to marker.
    unreplicated: BTreeMap<Offset, Offset>,
}

impl ProducerStates {
    /// Every producer, by id.
    pub fn iter(&self) -> impl Iterator<Item = (ProducerId, &ProducerState)> {
        self.producers.iter().map(|(id, state)| (*id, state))
    }

    /// How many producers are known.
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// Whether no producer is known.
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// One producer.
    pub fn get(&self, id: ProducerId) -> Option<&ProducerState> {
        self.producers.get(&id)
    }

    /// The first offset that a reader of committed records may not see yet: of the oldest transaction that is
    /// open, or that ended with a marker that is not replicated.
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        let open = self.open.first_key_value().map(|(&first, _)| first);
        let unreplicated = self.unreplicated.first_key_value().map(|(&first, _)| first);
        open.into_iter().chain(unreplicated).min()
    }

    /// Checks a client's data batch that would be written at `offset`. With `must_start_at_zero` an unknown
    /// producer may not begin in the middle, as `transaction.version` 2 demands of transactional batches.
    pub fn check_batch(
        &self,
        header: &BatchHeader,
        offset: Offset,
        must_start_at_zero: bool,
    ) -> Result<Sequence, ProducerError> {
        let producer_id = header.producer_id;
        let out_of_order = |expected| ProducerError::OutOfOrderSequence {
            producer_id,
            epoch: header.producer_epoch,
            sequence: header.base_sequence,
            expected,
            offset,
        };
        let Some(state) = self.get(producer_id) else {
            return if must_start_at_zero && header.base_sequence != 0 {
                Err(out_of_order(0))
            } else {
                Ok(Sequence::Next)
            };
        };
        if let Some(batch) = state.duplicate_of(header) {
            return Ok(Sequence::Duplicate(batch));
        }
        Self::check_epoch(producer_id, header.producer_epoch, state)?;
        let expected = if header.producer_epoch == state.epoch {
            state.batches.last().map_or(0, |last| increment_sequence(last.last_sequence, 1))
        } else {
            0
        };
        // An epoch of none is what a marker of an unknown producer would leave; it fences nothing.
        if header.base_sequence != expected && state.epoch != ProducerEpoch::NONE {
            return Err(out_of_order(expected));
        }
        Self::check_transaction(header, state)?;
        Ok(Sequence::Next)
    }

    /// Checks a data batch of the broker's own coordinators: they carry an epoch, but no sequence.
    pub fn check_coordinator_batch(&self, header: &BatchHeader) -> Result<(), ProducerError> {
        let Some(state) = self.get(header.producer_id) else { return Ok(()) };
        Self::check_epoch(header.producer_id, header.producer_epoch, state)?;
        Self::check_transaction(header, state)
    }

    /// Checks a marker of `producer_id` in `epoch`. With `bumps_epoch` (`transaction.version` 2, KIP-890) the
    /// epoch of a producer rises with every transaction that ends.
    pub fn check_marker(
        &self,
        producer_id: ProducerId,
        epoch: ProducerEpoch,
        marker: &EndTransactionMarker,
        bumps_epoch: bool,
    ) -> Result<(), ProducerError> {
        let Some(state) = self.get(producer_id) else { return Ok(()) };
        // With rising epochs the marker's is always higher; only a retry of one that was written has the
        // same.
        let stale = if bumps_epoch && state.transaction_start.is_some() {
            epoch <= state.epoch
        } else {
            epoch < state.epoch
        };
        if stale {
            return Err(ProducerError::InvalidProducerEpoch { producer_id, epoch, current: state.epoch });
        }
        let (epoch, current) = (marker.coordinator_epoch, state.coordinator_epoch);
        if epoch < current {
            return Err(ProducerError::CoordinatorFenced { producer_id, epoch, current });
        }
        Ok(())
    }

    fn check_epoch(
        producer_id: ProducerId,
        epoch: ProducerEpoch,
        state: &ProducerState,
    ) -> Result<(), ProducerError> {
        if epoch < state.epoch {
            return Err(ProducerError::InvalidProducerEpoch { producer_id, epoch, current: state.epoch });
        }
        Ok(())
    }

    fn check_transaction(header: &BatchHeader, state: &ProducerState) -> Result<(), ProducerError> {
        match state.transaction_start {
            Some(since) if !header.attributes.is_transactional() => {
                Err(ProducerError::InvalidTransactionState { producer_id: header.producer_id, since })
            }
            _ => Ok(()),
        }
    }

    /// Notes a data batch that is in the log at the offsets in its header. Batches without a producer are
    /// passed over.
    pub fn note_batch(&mut self, header: &BatchHeader) {
        if !header.has_producer_id() {
            return;
        }
        let epoch = header.producer_epoch;
        let state = self.producers.entry(header.producer_id).or_insert_with(|| ProducerState::new(epoch));
        state.note_batch(
            epoch,
            SentBatch {
                last_sequence: header.last_sequence(),
                last_offset: header.last_offset(),
                offset_delta: header.last_offset_delta,
                timestamp: header.max_timestamp,
            },
        );
        if header.attributes.is_transactional() && state.transaction_start.is_none() {
            state.transaction_start = Some(header.base_offset);
            self.open.insert(header.base_offset, header.producer_id);
        }
    }

    /// Notes a marker that is in the log, and returns the transaction that it ended, if there was one.
    pub fn note_marker(
        &mut self,
        header: &BatchHeader,
        marker: &EndTransactionMarker,
    ) -> Option<CompletedTransaction> {
        let completed = self.transaction_ended_by(header, marker);
        let epoch = header.producer_epoch;
        let state = self.producers.entry(header.producer_id).or_insert_with(|| ProducerState::new(epoch));
        state.note_epoch(epoch);
        state.coordinator_epoch = marker.coordinator_epoch;
        state.last_timestamp = header.max_timestamp;
        if let Some(first) = state.transaction_start.take() {
            self.open.remove(&first);
            self.unreplicated.insert(first, header.last_offset());
        }
        completed
    }

    /// The transaction that a marker would end.
    pub fn transaction_ended_by(
        &self,
        header: &BatchHeader,
        marker: &EndTransactionMarker,
    ) -> Option<CompletedTransaction> {
        let first_offset = self.get(header.producer_id)?.transaction_start?;
        let oldest_other = self.open.keys().find(|&&first| first != first_offset);
        Some(CompletedTransaction {
            producer_id: header.producer_id,
            first_offset,
            last_offset: header.last_offset(),
            committed: marker.result == TransactionResult::Commit,
            last_stable_offset: oldest_other.copied().unwrap_or(header.next_offset()),
        })
    }

    /// Lets go of ended transactions whose markers are below the high watermark.
    pub fn note_high_watermark(&mut self, high_watermark: Offset) {
        self.unreplicated.retain(|_, marker| *marker >= high_watermark);
    }

    /// Forgets producers that are idle for longer than `expiration_ms` and have no open transaction; tells
    /// how many.
    pub fn remove_expired(&mut self, now: Timestamp, expiration_ms: i64) -> usize {
        let before = self.len();
        self.producers.retain(|_, state| !is_expired(state, now, expiration_ms));
        before - self.len()
    }

    /// Puts a producer in, as a snapshot has it.
    pub(super) fn insert(&mut self, id: ProducerId, state: ProducerState) {
        if let Some(first) = state.transaction_start {
            self.open.insert(first, id);
        }
        self.producers.insert(id, state);
    }
}

/// Whether a producer may be forgotten.
pub(super) fn is_expired(state: &ProducerState, now: Timestamp, expiration_ms: i64) -> bool {
    state.transaction_start.is_none() && now - state.last_timestamp >= expiration_ms
}
