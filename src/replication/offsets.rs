//! Offsets that are looked for by what they mean or by time.

use super::error::PartitionError;
use super::partition::Partition;
use crate::log::{FoundTimestamp, LogView, ReadBound};
use crate::types::{LeaderEpoch, Offset, Timestamp};

/// Which offset is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetQuery {
    /// The end, as far as the reader may see.
    Latest,
    /// The start.
    Earliest,
    /// The first record with the largest timestamp.
    MaxTimestamp,
    /// The first record that is not older.
    AtTime(Timestamp),
    /// What this broker never has.
    Nothing,
}

/// An offset that was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetAtTime {
    /// Time of the record, where a record was looked for; otherwise -1.
    pub timestamp: Timestamp,
    /// The offset; -1 if there is none.
    pub offset: Offset,
    /// Epoch of the record, or of the leader; -1 if there is none.
    pub epoch: LeaderEpoch,
}

impl OffsetAtTime {
    /// There is no such offset.
    pub const NOTHING: OffsetAtTime =
        OffsetAtTime { timestamp: Timestamp::NONE, offset: Offset(-1), epoch: LeaderEpoch::NONE };
}

impl Partition {
    /// Looks an offset up. By time it may wait for the device: not for a connection's own thread.
    pub fn look_up_offset(
        &self,
        query: OffsetQuery,
        bound: ReadBound,
    ) -> Result<OffsetAtTime, PartitionError> {
        let view = self.view();
        view.check_online()?;
        let found = match query {
            OffsetQuery::Latest => {
                return Ok(self.at(view.bound(bound), self.leadership().epoch));
            }
            OffsetQuery::Earliest => {
                let start = view.log_start();
                let epoch = view.epochs().epoch_for_offset(start).unwrap_or(self.leadership().epoch);
                return Ok(self.at(start, epoch));
            }
            OffsetQuery::MaxTimestamp => view.max_timestamp()?,
            OffsetQuery::AtTime(timestamp) => self.first_from(&view, timestamp, bound)?,
            OffsetQuery::Nothing => None,
        };
        Ok(found.map_or(OffsetAtTime::NOTHING, |found| OffsetAtTime {
            timestamp: found.timestamp,
            offset: found.offset,
            epoch: found.leader_epoch,
        }))
    }

    fn first_from(
        &self,
        view: &LogView,
        timestamp: Timestamp,
        bound: ReadBound,
    ) -> Result<Option<FoundTimestamp>, PartitionError> {
        Ok(view.offset_for_timestamp(timestamp, view.bound(bound))?)
    }

    fn at(&self, offset: Offset, epoch: LeaderEpoch) -> OffsetAtTime {
        OffsetAtTime { timestamp: Timestamp::NONE, offset, epoch }
    }
}
