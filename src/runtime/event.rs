//! What a node tells the simulator's oracles. A real node tells nobody.

use crate::types::{LeaderEpoch, Offset, TopicPartition};

/// One step of a node that a guarantee speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Batches were appended to a log.
    Append { partition: TopicPartition, first: Offset, last: Offset, epoch: LeaderEpoch },
    /// A log was cut: its end is now `end`.
    Truncate { partition: TopicPartition, end: Offset },
    /// Everything below `offset` is on the device.
    Flush { partition: TopicPartition, offset: Offset },
    /// The high watermark moved.
    HighWatermark { partition: TopicPartition, offset: Offset },
    /// The log start moved.
    LogStart { partition: TopicPartition, offset: Offset },
    /// This node became leader of a partition.
    Leader { partition: TopicPartition, epoch: LeaderEpoch },
    /// A named situation that a campaign of seeds must reach sometimes.
    Sometimes(&'static str),
}
