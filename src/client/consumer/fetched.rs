//! The records in what one fetch brought for one partition. Pure.
//!
//! Invariants: the position goes forward only, over every offset that is not returned: control records,
//! records of aborted transactions, gaps that compaction left; and it never passes what could not be read.

use super::error::ConsumeError;
use crate::client::offsets::Isolation;
use crate::protocol::api::fetch::AbortedTransaction;
use crate::protocol::records::{
    Batches, EndTransactionMarker, RecordBatch, RecordHeaders, RecordIter, TransactionResult, batches,
};
use crate::types::{LeaderEpoch, Offset, ProducerId, Timestamp, TopicPartition};
use bytes::Bytes;
use std::collections::BTreeSet;

/// A record that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerRecord {
    /// The partition that it was read from.
    pub partition: TopicPartition,
    /// Its position there.
    pub offset: Offset,
    /// The epoch of the leader that appended it, or -1 in batches of old formats.
    pub leader_epoch: LeaderEpoch,
    /// Its time.
    pub timestamp: Timestamp,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Option<Bytes>,
    /// Its headers.
    pub headers: RecordHeaders,
}

/// What one fetch brought for one partition.
#[derive(Debug)]
pub(super) struct Fetched {
    partition: TopicPartition,
    batches: Batches,
    current: Option<(RecordBatch, RecordIter)>,
    aborted: Aborted,
    position: Offset,
    end: Option<(Offset, LeaderEpoch)>,
    check_crcs: bool,
    isolation: Isolation,
}

impl Fetched {
    /// `bytes` from `position` on, together with the transactions in them that were aborted.
    pub fn new(
        partition: TopicPartition,
        bytes: &Bytes,
        position: Offset,
        aborted: Vec<AbortedTransaction>,
        isolation: Isolation,
        check_crcs: bool,
    ) -> Fetched {
        let batches = batches(bytes);
        let last = batches.clone().map_while(Result::ok).last();
        Fetched {
            partition,
            end: last.map(|last| (last.next_offset(), last.header().partition_leader_epoch)),
            batches,
            current: None,
            aborted: Aborted::new(aborted),
            position,
            check_crcs,
            isolation,
        }
    }

    /// The offset behind everything that was read or passed over.
    pub fn position(&self) -> Offset {
        self.position
    }

    /// The offset behind the last whole batch, and the leader epoch of that batch; none if there is no whole
    /// batch.
    pub fn end(&self) -> Option<(Offset, LeaderEpoch)> {
        self.end
    }

    /// The next record that the reader may see. After an error the position stands before what could not be
    /// read.
    pub fn next(&mut self) -> Option<Result<ConsumerRecord, ConsumeError>> {
        loop {
            if let Some((batch, records)) = &mut self.current {
                match records.next() {
                    Some(Ok(record)) if record.offset < self.position => continue,
                    Some(Ok(record)) => {
                        self.position = record.offset.next();
                        return Some(Ok(ConsumerRecord {
                            partition: self.partition.clone(),
                            offset: record.offset,
                            leader_epoch: batch.header().partition_leader_epoch,
                            timestamp: record.timestamp,
                            key: record.key,
                            value: record.value,
                            headers: record.headers,
                        }));
                    }
                    Some(Err(problem)) => {
                        let (partition, offset) = (self.partition.clone(), self.position);
                        return Some(Err(ConsumeError::DamagedRecord { partition, offset, problem }));
                    }
                    None => {
                        self.position = self.position.max(batch.next_offset());
                        self.current = None;
                    }
                }
            }
            match self.open_batch() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Goes to the next batch. `false`: there is none.
    fn open_batch(&mut self) -> Result<bool, ConsumeError> {
        let (partition, offset) = (&self.partition, self.position);
        let damaged = |problem| ConsumeError::DamagedBatch { partition: partition.clone(), offset, problem };
        let unreadable =
            |problem| ConsumeError::DamagedRecord { partition: partition.clone(), offset, problem };
        let Some(batch) = self.batches.next() else { return Ok(false) };
        let batch = batch.map_err(damaged)?;
        if self.check_crcs {
            batch.verify_crc().map_err(damaged)?;
        }
        let header = batch.header();
        let (attributes, producer) = (header.attributes, header.producer_id);
        self.aborted.reach(batch.last_offset());
        if attributes.is_control() {
            if let Some(record) = batch.records().map_err(unreadable)?.next() {
                let marker = EndTransactionMarker::parse(&record.map_err(unreadable)?);
                let marker = marker.map_err(|problem| ConsumeError::DamagedControl {
                    partition: partition.clone(),
                    offset,
                    problem,
                })?;
                if marker.is_some_and(|marker| marker.result == TransactionResult::Abort) {
                    self.aborted.end(producer);
                }
            }
            self.position = self.position.max(batch.next_offset());
            return Ok(true);
        }
        let committed = self.isolation == Isolation::ReadCommitted;
        if committed && attributes.is_transactional() && self.aborted.contains(producer) {
            self.position = self.position.max(batch.next_offset());
            return Ok(true);
        }
        let records = batch.records().map_err(unreadable)?;
        self.current = Some((batch, records));
        Ok(true)
    }
}

/// The producers whose transaction, at this point of the log, was aborted.
#[derive(Debug)]
struct Aborted {
    /// Those that begin later, the next one last.
    ahead: Vec<AbortedTransaction>,
    open: BTreeSet<ProducerId>,
}

impl Aborted {
    /// Brokers give the list in the order of their index, which is that of the markers, not of the first
    /// offsets.
    fn new(mut list: Vec<AbortedTransaction>) -> Aborted {
        list.sort_by_key(|transaction| {
            std::cmp::Reverse((transaction.first_offset, transaction.producer_id))
        });
        Aborted { ahead: list, open: BTreeSet::new() }
    }

    fn reach(&mut self, offset: Offset) {
        while let Some(next) = self.ahead.last().filter(|next| next.first_offset <= offset.0) {
            self.open.insert(ProducerId(next.producer_id));
            self.ahead.pop();
        }
    }

    fn end(&mut self, producer: ProducerId) {
        self.open.remove(&producer);
    }

    fn contains(&self, producer: ProducerId) -> bool {
        self.open.contains(&producer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::records::{BatchBuilder, BatchError, Codec, Compression};
    use crate::types::ProducerEpoch;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn batch(base: i64, producer: Option<i64>, values: &[u32]) -> Bytes {
        let mut builder = BatchBuilder::new(Compression::new(Codec::Lz4)).base_offset(Offset(base));
        if let Some(id) = producer {
            builder = builder.producer(ProducerId(id), ProducerEpoch(0), 0).transactional(true);
        }
        for value in values {
            builder.append(Timestamp(1), None, Some(&value.to_be_bytes()), &[]);
        }
        builder.build().into_bytes()
    }

    fn marker(base: i64, producer: i64, result: TransactionResult) -> Bytes {
        let marker = EndTransactionMarker { result, coordinator_epoch: 0 };
        let batch = marker.to_batch(ProducerId(producer), ProducerEpoch(0), Timestamp(1));
        batch.with_offset(Offset(base), LeaderEpoch(0)).into_bytes()
    }

    fn read(
        bytes: Vec<u8>,
        position: i64,
        aborted: Vec<AbortedTransaction>,
        isolation: Isolation,
    ) -> (Vec<i64>, Offset) {
        let partition = TopicPartition::new("t", 0);
        let bytes = Bytes::from(bytes);
        let mut fetched = Fetched::new(partition, &bytes, Offset(position), aborted, isolation, true);
        let mut offsets = Vec::new();
        while let Some(record) = fetched.next() {
            offsets.push(record.unwrap().offset.0);
        }
        (offsets, fetched.position())
    }

    fn aborted(producer_id: i64, first_offset: i64) -> AbortedTransaction {
        AbortedTransaction { producer_id, first_offset, ..Default::default() }
    }

    #[test]
    fn the_first_batch_may_begin_before_the_position_and_the_last_be_cut_short() {
        let mut log = [batch(10, None, &[0, 1, 2]), batch(13, None, &[3, 4])].concat();
        assert_eq!(
            read(log.clone(), 11, vec![], Isolation::ReadUncommitted),
            (vec![11, 12, 13, 14], Offset(15))
        );
        log.pop();
        assert_eq!(read(log.clone(), 11, vec![], Isolation::ReadUncommitted), (vec![11, 12], Offset(13)));
        log.truncate(20);
        assert_eq!(read(log, 11, vec![], Isolation::ReadUncommitted), (vec![], Offset(11)));
    }

    #[test]
    fn compaction_gaps_and_emptied_batches_are_passed_over() {
        let mut builder = BatchBuilder::new(Compression::NONE).base_offset(Offset(5)).last_offset(Offset(20));
        builder.append_at(Offset(9), Timestamp(0), Some(b"k"), None, &[]);
        let sparse = builder.build();
        let empty = RecordBatch::emptied(sparse.header()).with_offset(Offset(21), LeaderEpoch(3));
        let log = [sparse.into_bytes(), empty.into_bytes()].concat();
        assert_eq!(read(log, 6, vec![], Isolation::ReadCommitted), (vec![9], Offset(37)));
    }

    #[test]
    fn a_flipped_bit_is_an_error_and_the_position_stays_before_it() {
        let mut log = [batch(0, None, &[0]), batch(1, None, &[1])].concat();
        *log.last_mut().unwrap() ^= 1;
        let (bytes, partition) = (Bytes::from(log), TopicPartition::new("t", 0));
        let mut fetched =
            Fetched::new(partition, &bytes, Offset(0), vec![], Isolation::ReadUncommitted, true);
        assert_eq!(fetched.next().unwrap().unwrap().offset, Offset(0));
        assert!(matches!(
            fetched.next(),
            Some(Err(ConsumeError::DamagedBatch {
                offset: Offset(1),
                problem: BatchError::BadCrc { .. },
                ..
            }))
        ));
        assert_eq!(fetched.position(), Offset(1));
    }

    /// A step of one of three transactional producers.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Write(i64),
        End(i64, bool),
    }

    proptest! {
        /// The aborted list comes in any order, and covers transactions that began before the fetch.
        #[test]
        fn readers_of_committed_data_see_exactly_the_committed(
            steps in prop::collection::vec(
                prop_oneof![
                    3 => (0i64..3).prop_map(Step::Write),
                    1 => (0i64..3, any::<bool>()).prop_map(|(producer, abort)| Step::End(producer, abort)),
                ],
                0..60,
            ),
            shuffle in any::<prop::sample::Index>(),
            start in any::<prop::sample::Index>(),
        ) {
            let (mut log, mut offset) = (Vec::new(), 0);
            let mut open: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
            let (mut list, mut committed) = (Vec::new(), Vec::new());
            let closing = (0..3).map(|producer| Step::End(producer, true));
            for step in steps.into_iter().chain(closing) {
                match step {
                    Step::Write(producer) => {
                        log.push((offset, batch(offset, Some(producer), &[0])));
                        open.entry(producer).or_default().push(offset);
                    }
                    Step::End(producer, abort) => {
                        let Some(written) = open.remove(&producer) else { continue };
                        let result = if abort { TransactionResult::Abort } else { TransactionResult::Commit };
                        log.push((offset, marker(offset, producer, result)));
                        match abort {
                            true => list.push((offset, aborted(producer, written[0]))),
                            false => committed.extend(written),
                        }
                    }
                }
                offset += 1;
            }
            committed.sort();
            if !list.is_empty() {
                let by = shuffle.index(list.len());
                list.rotate_left(by);
            }
            let from = if offset == 0 { 0 } else { start.index(offset as usize) as i64 };
            // The broker tells the transactions that end at or behind where the fetch begins.
            list.retain(|(end, _)| *end >= from);
            let list: Vec<_> = list.into_iter().map(|(_, transaction)| transaction).collect();
            let bytes: Vec<u8> =
                log.iter().filter(|(at, _)| *at >= from).flat_map(|(_, bytes)| bytes.to_vec()).collect();
            committed.retain(|at| *at >= from);
            let all = read(bytes.clone(), from, vec![], Isolation::ReadUncommitted);
            prop_assert_eq!(all.1.0, offset.max(from));
            let seen = read(bytes, from, list, Isolation::ReadCommitted);
            prop_assert_eq!(seen, (committed, Offset(offset.max(from))));
        }
    }
}
