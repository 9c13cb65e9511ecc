//! Plain values that every room shares: ids, offsets, epochs, time, strings, error codes, checksums.
//! They hold no state and know nothing above them.

mod checksum;
mod error_code;
mod ids;
mod instant;
mod string;
mod uuid;

pub use checksum::{Crc32c, crc32c};
pub use error_code::ErrorCode;
pub use ids::{BrokerEpoch, LeaderEpoch, NodeId, Offset, ProducerEpoch, ProducerId, TopicPartition};
pub use instant::{Instant, Timestamp};
pub use string::Str;
pub use uuid::Uuid;
