//! The log directories of this broker, and which partitions lie in them unopened.
//!
//! Invariant: a partition that was there at the start keeps what the checkpoints said of it until it is open,
//! set aside or deleted: damage must not be forgotten because a checkpoint was written without it.

use super::partition::Partition;
use crate::log::{Checkpoint, FoundKind, FoundLog, LogDir, LogError, Offsets};
use crate::metadata::METADATA_TOPIC;
use crate::types::{TopicPartition, Uuid};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A log directory, locked and read at the start.
pub struct OpenedDirectory {
    /// Its id in `meta.properties`.
    pub id: Uuid,
    /// The directory.
    pub logs: Arc<LogDir>,
    /// What lies in it.
    pub found: Vec<FoundLog>,
    /// Whether partitions are put into it: not where it is the metadata log's alone.
    pub takes_partitions: bool,
}

/// A log directory.
pub(super) struct Directory {
    pub(super) id: Uuid,
    pub(super) logs: Arc<LogDir>,
    pub(super) takes_partitions: bool,
    unopened: Mutex<BTreeSet<TopicPartition>>,
}

impl Directory {
    pub(super) fn new(opened: OpenedDirectory) -> Directory {
        let there = opened.found.into_iter().filter_map(|log| match log.kind {
            FoundKind::Partition(partition) => Some(partition),
            FoundKind::Future(_) | FoundKind::Stray(_) | FoundKind::Deleted => None,
        });
        let unopened = there.filter(|partition| &*partition.topic != METADATA_TOPIC).collect();
        Directory {
            id: opened.id,
            logs: opened.logs,
            takes_partitions: opened.takes_partitions,
            unopened: Mutex::new(unopened),
        }
    }

    /// Whether `partition` was there at the start, and is neither open nor set aside.
    pub(super) fn has_unopened(&self, partition: &TopicPartition) -> bool {
        self.unopened().contains(partition)
    }

    /// The partitions that are there and not open.
    pub(super) fn all_unopened(&self) -> Vec<TopicPartition> {
        self.unopened().iter().cloned().collect()
    }

    /// Notes that `partition` is open, or not there any more.
    pub(super) fn settle(&self, partition: &TopicPartition) {
        self.unopened().remove(partition);
    }

    /// Writes a checkpoint: of open partitions what `offset` finds, of others what it said at the start.
    pub(super) fn write_checkpoint(
        &self,
        which: Checkpoint,
        open: &dyn Fn() -> Vec<Arc<Partition>>,
        offset: fn(&Partition) -> Option<crate::types::Offset>,
    ) -> Result<(), LogError> {
        self.logs.write_checkpoint(which, &|| {
            let unopened = self.unopened().clone();
            let at_start = self.logs.checkpoint_at_start(which).iter();
            let kept = at_start.filter(|(partition, _)| unopened.contains(*partition));
            let mut offsets: Offsets = kept.map(|(partition, offset)| (partition.clone(), *offset)).collect();
            let open = open();
            offsets.extend(open.iter().filter_map(|p| Some((p.name().clone(), offset(p)?))));
            offsets
        })
    }

    fn unopened(&self) -> MutexGuard<'_, BTreeSet<TopicPartition>> {
        self.unopened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
