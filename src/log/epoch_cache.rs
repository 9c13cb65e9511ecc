//! Which leader epoch each stretch of a log was written in (KIP-101, KIP-279, KIP-320).
//!
//! Invariant: epochs and start offsets both rise strictly from entry to entry, and where the log holds
//! batches the entries say what the batches say. An epoch without batches has an entry too, made when its
//! leader was elected. It must not know files: [`super::checkpoint`] keeps the entries.

use crate::types::{LeaderEpoch, Offset};

/// The first offset of a leader epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEntry {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// The log end when its leader was elected, or the base of its first batch.
    pub start_offset: Offset,
}

/// The leader epochs of one log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EpochCache {
    entries: Vec<EpochEntry>,
}

impl EpochCache {
    /// The cache that holds `entries`, in their order; an entry that does not fit behind the one in front of
    /// it drops those that it contradicts, as an assignment would.
    pub fn from_entries(entries: impl IntoIterator<Item = EpochEntry>) -> EpochCache {
        let mut cache = EpochCache::default();
        for entry in entries {
            cache.assign(entry.epoch, entry.start_offset);
        }
        cache
    }

    /// All entries, oldest first.
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// The newest epoch.
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|entry| entry.epoch)
    }

    /// The epoch that the record at `offset` was written in, or will be if it is next.
    pub fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        let behind = self.entries.partition_point(|entry| entry.start_offset <= offset);
        behind.checked_sub(1).map(|index| self.entries[index].epoch)
    }

    /// Notes that `epoch` begins at `start_offset`; tells whether that changed anything. Entries of this or a
    /// later epoch, and entries that start there or behind it, contradict the new one and go. A known epoch
    /// is left as it is.
    pub fn assign(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> bool {
        if epoch < LeaderEpoch(0) || start_offset < Offset::ZERO {
            return false;
        }
        if let Some(last) = self.entries.last()
            && last.epoch == epoch
            && last.start_offset <= start_offset
        {
            return false;
        }
        self.entries.retain(|entry| entry.epoch < epoch && entry.start_offset < start_offset);
        self.entries.push(EpochEntry { epoch, start_offset });
        true
    }

    /// The end of `epoch` in a log that ends at `log_end`: the largest known epoch that is not above it, and
    /// the offset at which the next one begins. None when `epoch` is newer than all that are known, or
    /// "none".
    pub fn end_offset_for(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<EpochEnd> {
        let latest = self.latest()?;
        if epoch == latest {
            return Some(EpochEnd { epoch, end_offset: log_end });
        }
        if epoch < LeaderEpoch(0) || epoch > latest {
            return None;
        }
        let higher = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let end_offset = self.entries[higher].start_offset;
        // Older than everything that is left of the log: that epoch ended where the log begins.
        let epoch = higher.checked_sub(1).map_or(epoch, |index| self.entries[index].epoch);
        Some(EpochEnd { epoch, end_offset })
    }

    /// Forgets epochs that begin at `end` or behind it; tells whether there were any.
    pub fn truncate_from_end(&mut self, end: Offset) -> bool {
        let keep = self.entries.partition_point(|entry| entry.start_offset < end);
        let changed = keep < self.entries.len();
        self.entries.truncate(keep);
        changed
    }

    /// Forgets epochs that end at `start` or in front of it; the one that `start` lies in now begins there.
    /// Tells whether anything changed.
    pub fn truncate_from_start(&mut self, start: Offset) -> bool {
        let behind = self.entries.partition_point(|entry| entry.start_offset <= start);
        let Some(current) = behind.checked_sub(1) else { return false };
        let changed = current > 0 || self.entries[current].start_offset < start;
        self.entries[current].start_offset = start;
        self.entries.drain(..current);
        changed
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

/// Where an epoch ends in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch that was found: the one asked for, or the largest below it.
    pub epoch: LeaderEpoch,
    /// The offset behind its last record.
    pub end_offset: Offset,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cache(entries: &[(i32, i64)]) -> EpochCache {
        EpochCache::from_entries(
            entries
                .iter()
                .map(|&(epoch, start)| EpochEntry { epoch: LeaderEpoch(epoch), start_offset: Offset(start) }),
        )
    }

    fn end(cache: &EpochCache, epoch: i32, log_end: i64) -> Option<(i32, i64)> {
        let end = cache.end_offset_for(LeaderEpoch(epoch), Offset(log_end));
        end.map(|end| (end.epoch.0, end.end_offset.0))
    }

    #[test]
    fn epoch_ends_are_where_the_next_epoch_begins() {
        let epochs = cache(&[(0, 0), (2, 10), (5, 20)]);
        assert_eq!(end(&epochs, 0, 30), Some((0, 10)), "epoch 0 counts like any other");
        assert_eq!(end(&epochs, 1, 30), Some((0, 10)));
        assert_eq!(end(&epochs, 2, 30), Some((2, 20)));
        assert_eq!(end(&epochs, 4, 30), Some((2, 20)));
        assert_eq!(end(&epochs, 5, 30), Some((5, 30)));
        assert_eq!(end(&epochs, 6, 30), None);
        assert_eq!(end(&epochs, -1, 30), None);
        assert_eq!(end(&cache(&[]), 0, 30), None);
        assert_eq!(end(&cache(&[(3, 7)]), 1, 30), Some((1, 7)), "older than the log");
    }

    #[test]
    fn assigning_drops_what_it_contradicts() {
        let mut epochs = cache(&[(0, 0), (2, 10)]);
        assert!(!epochs.assign(LeaderEpoch(2), Offset(15)), "known");
        assert!(epochs.assign(LeaderEpoch(3), Offset(10)), "the empty epoch 2 gives way");
        assert_eq!(epochs, cache(&[(0, 0), (3, 10)]));
        assert!(epochs.assign(LeaderEpoch(1), Offset(12)), "an older epoch behind a newer one");
        assert_eq!(epochs, cache(&[(0, 0), (1, 12)]));
    }

    #[test]
    fn truncation_cuts_both_ends() {
        let mut epochs = cache(&[(0, 0), (2, 10), (5, 20)]);
        assert!(!epochs.truncate_from_end(Offset(21)));
        assert!(epochs.truncate_from_end(Offset(20)), "an epoch that begins at the end has nothing left");
        assert_eq!(epochs, cache(&[(0, 0), (2, 10)]));
        assert!(epochs.truncate_from_start(Offset(12)));
        assert_eq!(epochs, cache(&[(2, 12)]));
        assert!(!epochs.truncate_from_start(Offset(12)));
        assert!(!epochs.truncate_from_start(Offset(3)));
        assert_eq!(epochs.epoch_for_offset(Offset(11)), None);
        assert_eq!(epochs.epoch_for_offset(Offset(12)), Some(LeaderEpoch(2)));
    }

    proptest! {
        #[test]
        fn entries_always_rise(steps in prop::collection::vec((0..3u8, 0..8i32, 0..40i64), 0..60)) {
            let mut epochs = EpochCache::default();
            for (step, epoch, offset) in steps {
                match step {
                    0 => { epochs.assign(LeaderEpoch(epoch), Offset(offset)); }
                    1 => { epochs.truncate_from_end(Offset(offset)); }
                    _ => { epochs.truncate_from_start(Offset(offset)); }
                }
                let rises = |pair: &[EpochEntry]| {
                    pair[0].epoch < pair[1].epoch && pair[0].start_offset < pair[1].start_offset
                };
                prop_assert!(epochs.entries().windows(2).all(rises), "{:?}", epochs);
            }
        }
    }
}
