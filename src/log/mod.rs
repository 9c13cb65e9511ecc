//! The log on disk: one directory for each partition, in Kafka's layout, names and bytes.
//!
//! Owns segments, indexes, checkpoints, leader epochs, producer state, recovery and retention.
//! [`PartitionLog`] is the only writer of a partition's directory; readers use the [`LogView`] that it
//! publishes. All of it is synchronous; what may wait for the device says so, and is run where waiting is
//! allowed.
//!
//! Invariant: what lies below the recovery point survives every crash; damage is never silent.
//! `specs/durability.md` says what is synced when. It must not know requests, leadership or the network.

mod access;
mod append;
mod checked;
pub mod checkpoint;
mod config;
mod epoch_cache;
mod epochs_file;
mod error;
mod flush;
mod index_file;
mod leftovers;
mod log_dir;
mod lost_write;
mod offset_index;
mod partition_log;
pub mod producer_snapshot;
mod producer_state;
mod producers_at;
mod reader;
mod recovery;
mod retention;
mod scan;
mod search;
mod segment;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod time_index;
mod transaction_index;
mod truncation;
mod view;

pub use append::{AppendError, AppendOrigin, Appended};
pub use config::LogConfig;
pub use epoch_cache::{EpochCache, EpochEnd, EpochEntry};
pub use error::{Damage, DamageKind, LogError, MalformedFile};
pub use flush::{FlushPlan, FlushStep, flush};
pub use log_dir::{Checkpoint, FoundKind, FoundLog, LogDir, Offsets};
pub use partition_log::PartitionLog;
pub use producer_state::{CompletedTransaction, ProducerError, ProducerState, ProducerStates, SentBatch};
pub use reader::{
    ColdRead, Fetched, FetchedRecords, FoundTimestamp, Read, ReadBound, ReadError, ReadRequest,
};
pub use recovery::{OpenLog, Recovered};
pub use retention::{DoomedFiles, LogStartError};
pub use transaction_index::AbortedTransaction;
pub use truncation::Truncated;
pub use view::{LogReader, LogView};
