//! Appending: what a leader takes from clients and coordinators, and what a follower takes from its leader.

use super::error::{LogError, is_no_space};
use super::partition_log::PartitionLog;
use super::producer_state::{ProducerError, Sequence};
use super::transaction_index::AbortedTransaction;
use crate::protocol::records::{
    BatchError, BatchHeader, EndTransactionMarker, RecordBatch, ValidatedBatch, batches,
};
use crate::runtime::Event;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use bytes::Bytes;
use std::io::IoSlice;

/// Whose batch a leader appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A producer's: its sequence numbers are checked.
    Client {
        /// Whether a producer that is not known here has to begin at sequence 0, as `transaction.version` 2
        /// demands of transactional batches.
        must_start_at_zero: bool,
    },
    /// The broker's own: coordinators, the quorum.
    Coordinator,
}

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record.
    pub first_offset: Offset,
    /// Offset of the last record.
    pub last_offset: Offset,
    /// The time of the append where the topic's records carry it; for a duplicate the largest timestamp of
    /// the original.
    pub log_append_time: Option<Timestamp>,
    /// Where the log begins.
    pub log_start: Offset,
    /// Whether nothing was written, because the batch was in the log already, at these offsets.
    pub duplicate: bool,
    /// Whether a segment was sealed: a flush up to here would be in order, off this thread.
    pub rolled: bool,
}

/// Why nothing was appended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The disk refused.
    #[error(transparent)]
    Storage(#[from] LogError),
    /// The producer's state refuses.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// The batch would not fit into a segment of its own (E18).
    #[error("a batch of {size} bytes does not fit into a segment, which segment.bytes limits to {max}")]
    TooLarge {
        /// Size of the batch.
        size: usize,
        /// `segment.bytes`.
        max: u32,
    },
    /// A batch from the leader begins in front of the end of the log, or of the batch before it.
    #[error("a batch from the leader begins at offset {first}, and {expected} was expected next")]
    UnexpectedOffset {
        /// Where it begins.
        first: Offset,
        /// The smallest that would do.
        expected: Offset,
    },
    /// A batch from the leader is no batch, or not the one that the leader wrote.
    #[error("a batch from the leader for offset {expected} is refused: {error}")]
    Corrupt {
        /// The offset that was expected.
        expected: Offset,
        /// What is wrong.
        error: BatchError,
    },
    /// A control batch from the leader holds no marker that can be read.
    #[error("the marker from the leader for offset {expected} cannot be read: {reason}")]
    BadMarker {
        /// The offset that was expected.
        expected: Offset,
        /// What is wrong.
        reason: String,
    },
}

impl PartitionLog {
    /// Appends one batch at the log end. Nothing has changed when this fails, unless the log went offline.
    pub fn append_as_leader(
        &mut self,
        batch: &ValidatedBatch,
        leader_epoch: LeaderEpoch,
        origin: AppendOrigin,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        self.check_online()?;
        let header = batch.header();
        if header.has_producer_id() {
            match origin {
                AppendOrigin::Client { must_start_at_zero } => {
                    let sequence = self.producers.check_batch(header, self.log_end, must_start_at_zero)?;
                    if let Sequence::Duplicate(original) = sequence {
                        self.runtime.observe(|| Event::Sometimes("a batch was sent again"));
                        return Ok(Appended {
                            first_offset: original.first_offset(),
                            last_offset: original.last_offset,
                            log_append_time: Some(original.timestamp),
                            log_start: self.log_start,
                            duplicate: true,
                            rolled: false,
                        });
                    }
                }
                AppendOrigin::Coordinator => self.producers.check_coordinator_batch(header)?,
            }
        }
        let rolled = self.make_room(batch, leader_epoch, now)?;
        let (header, head, rest) = batch.at(self.log_end, leader_epoch);
        self.write(&[IoSlice::new(&head), IoSlice::new(rest)])?;
        self.note_batch(&header, None);
        self.publish();
        Ok(self.appended(&header, batch.log_append_time(), rolled))
    }

    /// Appends the marker that ends a transaction of `producer_id`. With `bumps_epoch` (`transaction.version`
    /// 2) a marker needs a higher epoch than the transaction's batches had. Nothing has changed when this
    /// fails, unless the log went offline.
    pub fn append_marker(
        &mut self,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
        marker: EndTransactionMarker,
        bumps_epoch: bool,
        leader_epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        self.check_online()?;
        self.producers.check_marker(producer_id, producer_epoch, &marker, bumps_epoch)?;
        let batch = ValidatedBatch::made_here(&marker.to_batch(producer_id, producer_epoch, now));
        let rolled = self.make_room(&batch, leader_epoch, now)?;
        let (header, head, rest) = batch.at(self.log_end, leader_epoch);
        self.note_aborted(&header, &marker)?;
        if let Err(error) = self.write(&[IoSlice::new(&head), IoSlice::new(rest)]) {
            self.forget_aborted()?;
            return Err(error.into());
        }
        self.note_batch(&header, Some(&marker));
        self.publish();
        Ok(self.appended(&header, None, rolled))
    }

    /// Appends batches as the leader wrote them, offsets and epochs included; a batch that is cut short at
    /// the end is left out. None when there was no whole batch. When this fails, whole batches in front of
    /// the bad one may be in the log.
    pub fn append_as_follower(
        &mut self,
        records: &Bytes,
        now: Timestamp,
    ) -> Result<Option<Appended>, AppendError> {
        self.check_online()?;
        let found = self.check_from_leader(records)?;
        let (Some(first), Some(last)) = (found.first(), found.last()) else { return Ok(None) };
        let (first, last) = (first.base_offset(), last.last_offset());
        let segments = self.sealed.len();
        let (mut position, mut rest) = (0, &found[..]);
        while !rest.is_empty() {
            let result = self.append_run(&records[position..], rest, now);
            self.publish();
            let (written, behind) = rest.split_at(result?);
            position += written.iter().map(RecordBatch::size_in_bytes).sum::<usize>();
            rest = behind;
        }
        Ok(Some(Appended {
            first_offset: first,
            last_offset: last,
            log_append_time: None,
            log_start: self.log_start,
            duplicate: false,
            rolled: self.sealed.len() > segments,
        }))
    }

    /// The whole batches in `records`, each with a right CRC, and each behind the one before it.
    fn check_from_leader(&self, records: &Bytes) -> Result<Vec<RecordBatch>, AppendError> {
        let mut expected = self.log_end;
        let mut found = Vec::new();
        for batch in batches(records) {
            let batch = batch.and_then(|batch| batch.verify_crc().map(|()| batch));
            let batch = batch.map_err(|error| AppendError::Corrupt { expected, error })?;
            let (first, last) = (batch.base_offset(), batch.last_offset());
            if first < expected || last < first {
                return Err(AppendError::UnexpectedOffset { first, expected });
            }
            expected = last.next();
            found.push(batch);
        }
        Ok(found)
    }

    /// Writes as many of `found`, the batches at the front of `records`, as go into one segment, and returns
    /// how many.
    fn append_run(
        &mut self,
        records: &[u8],
        found: &[RecordBatch],
        now: Timestamp,
    ) -> Result<usize, AppendError> {
        let first = &found[0];
        if self.needs_roll(0, first.header(), now) {
            self.roll(first.base_offset(), now)?;
        }
        let mut bytes = 0;
        let mut count = 0;
        for batch in found {
            if count > 0 && (has_marker(batch) || self.needs_roll(bytes as u64, batch.header(), now)) {
                break;
            }
            bytes += batch.size_in_bytes();
            count += 1;
            if has_marker(batch) {
                break;
            }
        }
        let expected = self.log_end;
        let marker = if has_marker(first) { marker_of(first) } else { Ok(None) };
        let marker = marker.map_err(|reason| AppendError::BadMarker { expected, reason })?;
        if let Some(marker) = &marker {
            self.note_aborted(first.header(), marker)?;
        }
        if let Err(error) = self.write(&[IoSlice::new(&records[..bytes])]) {
            self.forget_aborted()?;
            return Err(error.into());
        }
        for batch in &found[..count] {
            self.note_batch(batch.header(), marker.as_ref());
        }
        Ok(count)
    }

    /// Refuses a batch that no segment can hold, and rolls if it has to go into a new one; tells whether it
    /// did.
    fn make_room(
        &mut self,
        batch: &ValidatedBatch,
        leader_epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<bool, AppendError> {
        let (size, max) = (batch.size_in_bytes(), self.config.segment_bytes);
        if size > max as usize {
            return Err(AppendError::TooLarge { size, max });
        }
        let (header, _, _) = batch.at(self.log_end, leader_epoch);
        let rolls = self.needs_roll(0, &header, now);
        if rolls {
            self.roll(self.log_end, now)?;
        }
        Ok(rolls)
    }

    /// Writes behind the active segment's bytes, or leaves it as it was.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> Result<(), LogError> {
        let segment = self.active.segment.clone();
        let Err(error) = segment.file().write_vectored_at(slices, self.active.size) else { return Ok(()) };
        let no_space = is_no_space(&error);
        let undone = segment.file().set_len(self.active.size);
        let error = LogError::io("append to", segment.path(), error);
        if !no_space || undone.is_err() {
            self.take_offline(&error.to_string());
        }
        Err(error)
    }

    /// Notes a batch that was just written behind the others.
    fn note_batch(&mut self, header: &BatchHeader, marker: Option<&EndTransactionMarker>) {
        let active = &mut self.active;
        let (position, size) = (active.size, header.size_in_bytes() as u64);
        let interval = self.config.index_interval_bytes;
        active.since_entry =
            active.segment.note_batch(&*self.disk, header, position, active.since_entry, interval);
        active.segment.note_checked(position, position + size);
        active.size += size;
        active.first_timestamp.get_or_insert(header.max_timestamp);
        self.log_end = header.next_offset();
        self.assign_epoch(header.partition_leader_epoch, header.base_offset);
        match marker {
            Some(marker) => drop(self.producers.note_marker(header, marker)),
            None if header.attributes.is_control() => {}
            None => self.producers.note_batch(header),
        }
        self.runtime.observe(|| Event::Append {
            partition: self.partition.clone(),
            first: header.base_offset,
            last: header.last_offset(),
            epoch: header.partition_leader_epoch,
        });
    }

    /// Enters the transaction that a marker is about to abort into the segment's index.
    fn note_aborted(&mut self, header: &BatchHeader, marker: &EndTransactionMarker) -> Result<(), LogError> {
        let completed = self.producers.transaction_ended_by(header, marker);
        let Some(completed) = completed.filter(|completed| !completed.committed) else { return Ok(()) };
        let aborted = AbortedTransaction::from(&completed);
        let noted = self.active.segment.note_aborted(&*self.disk, &aborted);
        self.durability.names = true;
        noted.map_err(|error| self.failed(error))
    }

    /// Takes back what [`Self::note_aborted`] did for a marker that was not written.
    fn forget_aborted(&mut self) -> Result<(), LogError> {
        let forgotten = self.active.segment.forget_aborted(&*self.disk, self.log_end);
        forgotten.map_err(|error| self.failed(error))
    }

    fn appended(&self, header: &BatchHeader, log_append_time: Option<Timestamp>, rolled: bool) -> Appended {
        Appended {
            first_offset: header.base_offset,
            last_offset: header.last_offset(),
            log_append_time,
            log_start: self.log_start,
            duplicate: false,
            rolled,
        }
    }
}

/// Whether a batch may hold the marker of a transaction.
pub(super) fn has_marker(batch: &RecordBatch) -> bool {
    batch.header().attributes.is_control() && batch.header().has_producer_id()
}

/// The marker in a control batch; none where compaction removed it, or where it is of another kind.
pub(super) fn marker_of(batch: &RecordBatch) -> Result<Option<EndTransactionMarker>, String> {
    let mut records = batch.records().map_err(|error| error.to_string())?;
    let Some(record) = records.next() else { return Ok(None) };
    let record = record.map_err(|error| error.to_string())?;
    EndTransactionMarker::parse(&record).map_err(|error| error.to_string())
}
