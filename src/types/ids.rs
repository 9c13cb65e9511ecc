//! Newtypes for the numbers that must not be mixed up. On the wire they are plain integers.

use std::fmt;
use std::sync::Arc;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A broker's or controller's `node.id`; -1 on the wire means none.
    NodeId(i32)
}
number! {
    /// A record's position in its partition, from 0.
    Offset(i64)
}
number! {
    /// How many times a partition (or the quorum) has elected a leader; -1 on the wire means unknown.
    LeaderEpoch(i32)
}
number! {
    /// An idempotent or transactional producer; -1 on the wire means none.
    ProducerId(i64)
}
number! {
    /// The generation of a producer id; a higher one fences the lower.
    ProducerEpoch(i16)
}
number! {
    /// One registration of a broker with the controller: the offset of its record in the metadata log.
    BrokerEpoch(i64)
}

impl NodeId {
    /// No node: no leader, no controller.
    pub const NONE: NodeId = NodeId(-1);
}

impl LeaderEpoch {
    /// Not known, or not asked for.
    pub const NONE: LeaderEpoch = LeaderEpoch(-1);
}

impl ProducerId {
    /// A batch without a producer id.
    pub const NONE: ProducerId = ProducerId(-1);
}

impl ProducerEpoch {
    /// A batch without a producer id.
    pub const NONE: ProducerEpoch = ProducerEpoch(-1);
}

impl Offset {
    /// Where every log begins.
    pub const ZERO: Offset = Offset(0);
    /// The largest offset; a bound that excludes nothing.
    pub const MAX: Offset = Offset(i64::MAX);

    /// The offset behind this one.
    pub fn next(self) -> Offset {
        Offset(self.0 + 1)
    }
}

impl std::ops::Add<i64> for Offset {
    type Output = Offset;

    fn add(self, records: i64) -> Offset {
        Offset(self.0 + records)
    }
}

impl std::ops::Sub<Offset> for Offset {
    type Output = i64;

    fn sub(self, other: Offset) -> i64 {
        self.0 - other.0
    }
}

/// One partition of a topic, by name. Displays as Kafka names its directory: `topic-0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's index, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> TopicPartition {
        TopicPartition { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}
