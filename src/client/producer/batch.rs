//! A batch on its way: open to further records, sealed, in flight, or waiting for its next attempt.

use super::delivery::Outcome;
use crate::protocol::records::{BatchBuilder, BatchHeader, HEADER_BYTES, RecordBatch};
use crate::types::{Crc32c, Instant, ProducerEpoch, ProducerId};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// A producer's id and epoch, as the broker gave them or as they were raised since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
}

/// Under which identity and number a batch was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub identity: Identity,
    pub base_sequence: i32,
}

/// What a batch holds.
#[derive(Debug)]
pub(super) enum Contents {
    /// Takes further records, unless a younger batch stands behind it.
    Open(BatchBuilder),
    /// Was sent at least once.
    Sealed(RecordBatch),
    /// Is with the request that carries it.
    Taken,
}

/// One batch of one partition.
#[derive(Debug)]
pub(super) struct Batch {
    /// Counts the batches of the partition.
    pub number: u64,
    pub created: Instant,
    pub contents: Contents,
    /// Records in it.
    pub records: i32,
    /// Bytes of the producer's memory that it holds.
    pub charged: usize,
    /// Set when it is sent; taken back when sequences start again and it certainly is in no log.
    pub stamp: Option<Stamp>,
    /// Whether some attempt ended without telling if the broker appended it.
    pub maybe_appended: bool,
    pub in_flight: bool,
    /// When the next attempt may be made.
    pub not_before: Instant,
    pub attempts: u32,
    /// How the last attempt ended.
    pub last_error: Option<Arc<str>>,
    pub outcome: Arc<Outcome>,
}

impl Batch {
    /// Size as if it were not compressed, in bytes.
    pub fn size_in_bytes(&self) -> usize {
        match &self.contents {
            Contents::Open(builder) => builder.size_in_bytes(),
            Contents::Sealed(batch) => batch.size_in_bytes(),
            Contents::Taken => 0,
        }
    }
}

/// A batch that leaves with the next request.
#[derive(Debug)]
pub(super) struct Leaving {
    pub number: u64,
    pub contents: Contents,
    pub stamp: Option<Stamp>,
}

impl Leaving {
    /// The bytes to send: compressed on the first attempt, renumbered where the stamp is another than they
    /// carry.
    pub fn seal(self) -> RecordBatch {
        match self.contents {
            Contents::Open(builder) => match self.stamp {
                Some(Stamp { identity, base_sequence }) => {
                    builder.producer(identity.id, identity.epoch, base_sequence).build()
                }
                None => builder.build(),
            },
            Contents::Sealed(batch) => restamp(batch, self.stamp),
            Contents::Taken => panic!("a batch in flight cannot leave"),
        }
    }
}

/// The batch with another producer, epoch or sequence in its header.
fn restamp(batch: RecordBatch, stamp: Option<Stamp>) -> RecordBatch {
    let Some(Stamp { identity, base_sequence }) = stamp else { return batch };
    let old = *batch.header();
    let header =
        BatchHeader { producer_id: identity.id, producer_epoch: identity.epoch, base_sequence, ..old };
    if header == old {
        return batch;
    }
    let payload = batch.payload();
    let mut crc = Crc32c::default();
    crc.update(&header.to_bytes()[CRC_START..]);
    crc.update(&payload);
    let header = BatchHeader { crc: crc.value(), ..header };
    let mut bytes = BytesMut::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&header.to_bytes());
    bytes.extend_from_slice(&payload);
    let bytes: Bytes = bytes.freeze();
    let batch = RecordBatch::parse(&bytes).expect("a header of the same length before the same bytes");
    debug_assert_eq!(batch.verify_crc(), Ok(()));
    batch
}

/// Where the bytes under a batch's CRC begin: at its attributes.
const CRC_START: usize = 21;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::records::{Codec, Compression};
    use crate::types::Timestamp;

    #[test]
    fn a_restamped_batch_differs_in_its_stamp_alone() {
        for codec in Codec::ALL {
            let mut builder = BatchBuilder::new(Compression::new(codec));
            builder.append(Timestamp(5), Some(b"key"), Some(&[7; 300]), &[]);
            let stamp = |epoch, base_sequence| {
                let identity = Identity { id: ProducerId(9), epoch: ProducerEpoch(epoch) };
                Some(Stamp { identity, base_sequence })
            };
            let leaving = |contents, stamp| Leaving { number: 0, contents, stamp }.seal();
            let first = leaving(Contents::Open(builder), stamp(0, 77));
            assert_eq!((first.header().producer_epoch.0, first.header().base_sequence), (0, 77));
            let again = leaving(Contents::Sealed(first.clone()), stamp(0, 77));
            assert_eq!(again, first);
            let renumbered = leaving(Contents::Sealed(first.clone()), stamp(1, 0));
            assert_eq!(renumbered.verify_crc(), Ok(()));
            assert_eq!((renumbered.header().producer_epoch.0, renumbered.header().base_sequence), (1, 0));
            assert_eq!(renumbered.payload(), first.payload());
        }
    }
}
