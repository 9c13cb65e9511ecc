//! What the quorum knows of its log without holding a byte of it: where it starts and ends, what is on the
//! device, where each epoch began, which snapshots exist, and which voters were in force from which offset
//! on.
//!
//! Invariant: epochs and offsets rise; `start <= flushed <= end` once something was flushed.

use super::types::{BatchSummary, ControlRecord, OffsetAndEpoch, VoterSet};
use crate::types::{LeaderEpoch, Offset};
use std::collections::BTreeSet;

/// How a follower's point of the log relates to this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreement {
    /// This log holds that point.
    Same,
    /// The records of the asked epoch (or the newest older one) end at this point here.
    Diverging(OffsetAndEpoch),
    /// That point lies before this log: the follower must take this snapshot.
    Snapshot(OffsetAndEpoch),
}

/// The quorum's view of its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogView {
    start: Offset,
    end: Offset,
    flushed: Offset,
    /// First offset of each epoch, both rising.
    epochs: Vec<(LeaderEpoch, Offset)>,
    snapshots: BTreeSet<OffsetAndEpoch>,
    /// Voter sets by the offset of their record; -1 for those of the snapshot that `format` wrote.
    voters: Vec<(Offset, VoterSet)>,
    kraft_versions: Vec<(Offset, i16)>,
}

impl LogView {
    /// An empty log with the voters that configuration or the 0-0 snapshot gives.
    pub fn new(voters: VoterSet, kraft_version: i16) -> LogView {
        LogView {
            start: Offset::ZERO,
            end: Offset::ZERO,
            flushed: Offset::ZERO,
            epochs: Vec::new(),
            snapshots: BTreeSet::new(),
            voters: vec![(Offset(-1), voters)],
            kraft_versions: vec![(Offset(-1), kraft_version)],
        }
    }

    /// The whole log and all older snapshots are replaced by a snapshot with these voters.
    pub fn reset_to_snapshot(&mut self, snapshot: OffsetAndEpoch, voters: VoterSet, kraft_version: i16) {
        self.snapshots = BTreeSet::from([snapshot]);
        self.start = snapshot.offset;
        self.end = snapshot.offset;
        self.flushed = snapshot.offset;
        self.epochs.clear();
        let at = Offset(snapshot.offset.0 - 1);
        self.voters = vec![(at, voters)];
        self.kraft_versions = vec![(at, kraft_version)];
    }

    /// First offset still in the log.
    pub fn start(&self) -> Offset {
        self.start
    }

    /// Offset behind the last record.
    pub fn end(&self) -> Offset {
        self.end
    }

    /// Everything below is on the device.
    pub fn flushed(&self) -> Offset {
        self.flushed
    }

    /// The epoch of the last record; that of the snapshot where the log is empty; else 0.
    pub fn last_epoch(&self) -> LeaderEpoch {
        match self.epochs.last() {
            Some((epoch, _)) => *epoch,
            None => self.snapshots.last().map_or(LeaderEpoch(0), |snapshot| snapshot.epoch),
        }
    }

    /// Where the log ends, as a Vote carries it.
    pub fn last(&self) -> OffsetAndEpoch {
        OffsetAndEpoch { offset: self.end, epoch: self.last_epoch() }
    }

    /// The newest snapshot.
    pub fn latest_snapshot(&self) -> Option<OffsetAndEpoch> {
        self.snapshots.last().copied()
    }

    /// The oldest snapshot that is kept.
    pub fn earliest_snapshot(&self) -> Option<OffsetAndEpoch> {
        self.snapshots.first().copied()
    }

    /// Whether `snapshot` is there.
    pub fn has_snapshot(&self, snapshot: OffsetAndEpoch) -> bool {
        self.snapshots.contains(&snapshot)
    }

    /// The voters in force at the end of the log, committed or not.
    pub fn voters(&self) -> &VoterSet {
        &self.voters.last().expect("the first entry is never removed").1
    }

    /// The offset of the record that brought the present voters; -1 for those of `format`.
    pub fn voters_offset(&self) -> Offset {
        self.voters.last().expect("the first entry is never removed").0
    }

    /// The level of kraft.version at the end of the log.
    pub fn kraft_version(&self) -> i16 {
        self.kraft_versions.last().expect("the first entry is never removed").1
    }

    /// Voters and kraft.version in force just before `offset`: what a snapshot that ends there must contain.
    pub fn voters_before(&self, offset: Offset) -> (&VoterSet, i16) {
        let voters = self.voters.iter().rev().find(|(at, _)| *at < offset).unwrap_or(&self.voters[0]);
        let version =
            self.kraft_versions.iter().rev().find(|(at, _)| *at < offset).unwrap_or(&self.kraft_versions[0]);
        (&voters.1, version.1)
    }

    /// Notes a batch that was appended at the end.
    pub fn append(&mut self, batch: &BatchSummary) {
        assert!(
            batch.base == self.end,
            "a batch at {} cannot follow a log that ends at {}",
            batch.base,
            self.end
        );
        assert!(batch.end > batch.base, "a batch holds at least one offset");
        assert!(batch.epoch >= self.last_epoch(), "epochs never fall along a log");
        if self.epochs.last().is_none_or(|(epoch, _)| *epoch < batch.epoch) {
            self.epochs.push((batch.epoch, batch.base));
        }
        self.end = batch.end;
        for (offset, record) in &batch.control {
            match record {
                ControlRecord::Voters(voters) => self.voters.push((*offset, voters.clone())),
                ControlRecord::KRaftVersion(version) => self.kraft_versions.push((*offset, *version)),
                ControlRecord::LeaderChange { .. } => {}
            }
        }
    }

    /// Notes that everything below `offset` is on the device.
    pub fn flush(&mut self, offset: Offset) {
        self.flushed = self.flushed.max(offset.min(self.end));
    }

    /// Cuts the log so that it ends at `end`.
    pub fn truncate(&mut self, end: Offset) {
        assert!(end >= self.start, "a log that starts at {} cannot be cut to {end}", self.start);
        self.end = self.end.min(end);
        self.flushed = self.flushed.min(end);
        self.epochs.retain(|(_, start)| *start < end);
        retain_before(&mut self.voters, end);
        retain_before(&mut self.kraft_versions, end);
    }

    /// Notes a snapshot that was written here.
    pub fn add_snapshot(&mut self, snapshot: OffsetAndEpoch) {
        self.snapshots.insert(snapshot);
    }

    /// Notes that everything before `start` was deleted, and every snapshot that ends before it.
    pub fn delete_before(&mut self, start: Offset) {
        assert!(self.snapshots.iter().any(|s| s.offset >= start), "a log starts where a snapshot reaches");
        self.start = self.start.max(start);
        self.snapshots.retain(|snapshot| snapshot.offset >= start);
        let first_kept = self.epochs.partition_point(|(_, at)| *at <= start).saturating_sub(1);
        self.epochs.drain(..first_kept);
        if let Some((_, at)) = self.epochs.first_mut() {
            *at = (*at).max(start);
        }
    }

    /// Where the records of `epoch` end here; of the newest older epoch where there are none.
    pub fn end_of_epoch(&self, epoch: LeaderEpoch) -> OffsetAndEpoch {
        let later = self.epochs.partition_point(|(known, _)| *known <= epoch);
        let offset = self.epochs.get(later).map_or(self.end, |(_, start)| *start);
        let before_log = || match self.earliest_snapshot() {
            Some(snapshot) if snapshot.offset == self.start => snapshot,
            _ => OffsetAndEpoch { offset: self.start, epoch: LeaderEpoch(0) },
        };
        match later.checked_sub(1).map(|index| self.epochs[index].0) {
            Some(found) if offset > self.start => OffsetAndEpoch { offset, epoch: found },
            _ => before_log(),
        }
    }

    /// Whether a log whose last record before `offset` has `epoch` agrees with this one up to there.
    pub fn agreement(&self, offset: Offset, epoch: LeaderEpoch) -> Agreement {
        let latest = self.latest_snapshot().filter(|snapshot| *snapshot != OffsetAndEpoch::ZERO);
        if offset == Offset::ZERO {
            if let Some(snapshot) = latest {
                return Agreement::Snapshot(snapshot);
            }
            if self.start == Offset::ZERO && epoch == LeaderEpoch(0) {
                return Agreement::Same;
            }
        }
        if let (Some(earliest), Some(latest)) = (self.earliest_snapshot(), self.latest_snapshot()) {
            let at_start_with_other_epoch =
                offset == self.start && self.start != Offset::ZERO && epoch != earliest.epoch;
            if offset < self.start || at_start_with_other_epoch || epoch < earliest.epoch {
                return Agreement::Snapshot(latest);
            }
        }
        let end = self.end_of_epoch(epoch);
        if end.epoch != epoch || end.offset < offset { Agreement::Diverging(end) } else { Agreement::Same }
    }
}

/// Drops entries whose record lies at or behind `end`, but never the first.
fn retain_before<T>(history: &mut Vec<(Offset, T)>, end: Offset) {
    while history.len() > 1 && history.last().is_some_and(|(at, _)| *at >= end) {
        history.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(base: i64, end: i64, epoch: i32) -> BatchSummary {
        BatchSummary { base: Offset(base), end: Offset(end), epoch: LeaderEpoch(epoch), control: Vec::new() }
    }

    fn point(offset: i64, epoch: i32) -> OffsetAndEpoch {
        OffsetAndEpoch { offset: Offset(offset), epoch: LeaderEpoch(epoch) }
    }

    fn log() -> LogView {
        let mut log = LogView::new(VoterSet::default(), 1);
        for (base, end, epoch) in [(0, 3, 1), (3, 5, 1), (5, 9, 4)] {
            log.append(&batch(base, end, epoch));
        }
        log
    }

    #[test]
    fn divergence_points_to_the_end_of_the_newest_common_epoch() {
        let log = log();
        assert_eq!(log.agreement(Offset(9), LeaderEpoch(4)), Agreement::Same);
        assert_eq!(log.agreement(Offset(4), LeaderEpoch(1)), Agreement::Same);
        assert_eq!(log.agreement(Offset(7), LeaderEpoch(1)), Agreement::Diverging(point(5, 1)));
        assert_eq!(log.agreement(Offset(7), LeaderEpoch(3)), Agreement::Diverging(point(5, 1)));
        assert_eq!(log.agreement(Offset(12), LeaderEpoch(4)), Agreement::Diverging(point(9, 4)));
        assert_eq!(log.agreement(Offset(0), LeaderEpoch(0)), Agreement::Same);
        assert_eq!(log.agreement(Offset(2), LeaderEpoch(0)), Agreement::Diverging(point(0, 0)));
    }

    #[test]
    fn what_lies_before_the_log_needs_the_snapshot() {
        let mut log = log();
        log.add_snapshot(point(5, 1));
        log.delete_before(Offset(5));
        assert_eq!(log.agreement(Offset(0), LeaderEpoch(0)), Agreement::Snapshot(point(5, 1)));
        assert_eq!(log.agreement(Offset(3), LeaderEpoch(1)), Agreement::Snapshot(point(5, 1)));
        assert_eq!(log.agreement(Offset(5), LeaderEpoch(1)), Agreement::Same);
        assert_eq!(log.agreement(Offset(5), LeaderEpoch(2)), Agreement::Snapshot(point(5, 1)));
        assert_eq!(log.agreement(Offset(6), LeaderEpoch(4)), Agreement::Same);
        assert_eq!(log.end_of_epoch(LeaderEpoch(3)), point(5, 1));
    }

    #[test]
    fn truncation_takes_epochs_and_voters_along() {
        let mut log = log();
        let voters = VoterSet::default();
        let control = vec![(Offset(9), ControlRecord::Voters(voters))];
        log.append(&BatchSummary { control, ..batch(9, 10, 5) });
        assert_eq!(log.voters_offset(), Offset(9));
        log.truncate(Offset(9));
        assert_eq!((log.voters_offset(), log.last()), (Offset(-1), point(9, 4)));
        log.truncate(Offset(5));
        assert_eq!(log.last(), point(5, 1));
    }
}
