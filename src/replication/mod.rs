//! The partitions of this broker: who leads them, what is committed, and when an append is as durable as was
//! asked. It knows logs and metadata, no sockets and no requests.

mod directories;
mod error;
mod maintenance;
mod offsets;
mod partition;
mod replicas;
mod waiters;

pub use directories::OpenedDirectory;
pub use error::PartitionError;
pub use maintenance::{close_all, maintain};
pub use offsets::{OffsetAtTime, OffsetQuery};
pub use partition::{
    Acks, Leadership, Partition, PartitionConfig, PartitionRead, Produced, ReaderEpochs, bound,
};
pub use replicas::Replicas;
pub use waiters::Waiters;
