//! Following: fetching from the leader, cutting what it does not have, taking its snapshot, and finding it at
//! all.

use super::core::{Append, Download, Fatal, Raft, Role};
use super::message::{FetchOutcome, FetchRequest, Peer, Request};
use super::types::{BatchSummary, OffsetAndEpoch, VoterSet};
use crate::types::{ErrorCode, NodeId, Offset};

/// How many bytes of a snapshot one request asks for.
pub(super) const SNAPSHOT_CHUNK_BYTES: u32 = 1024 * 1024;

impl Raft {
    pub(super) fn drive_follower(&mut self) {
        let Role::Follower(follower) = &self.role else { return };
        if self.now >= follower.fetch_deadline && !self.is_stopping() {
            if self.is_voter() {
                return self.become_prospective();
            }
            self.become_unattached(self.epoch);
            return self.look_for_leader();
        }
        let peer = Peer::Node(follower.leader);
        if !self.is_ready(&peer) || self.log.flushed() < self.log.end() {
            return; // A fetch acknowledges the log's end, so it waits until all of it is on the device.
        }
        let request = match follower.download {
            Some(Download { ready: false, .. }) => return,
            Some(Download { snapshot, position, .. }) => Request::FetchSnapshot {
                replica: self.options.local,
                epoch: self.epoch,
                snapshot,
                position,
                max_bytes: SNAPSHOT_CHUNK_BYTES,
            },
            None => Request::Fetch(self.fetch_request()),
        };
        self.send(peer, request);
    }

    fn fetch_request(&self) -> FetchRequest {
        let last = self.log.last();
        FetchRequest {
            replica: self.options.local,
            epoch: self.epoch,
            offset: last.offset,
            last_fetched_epoch: last.epoch,
            high_watermark: self.high_watermark,
            max_wait: self.options.fetch_max_wait,
        }
    }

    /// Asks somebody who may know the leader: a bootstrap server, or any voter.
    pub(super) fn look_for_leader(&mut self) {
        if self.log.flushed() < self.log.end() {
            return;
        }
        let peer = match self.bootstrap_peer() {
            Some(peer) => peer,
            None => {
                let mut voters = self.other_voters().into_iter().map(|key| key.id);
                match voters.find(|id| self.is_ready(&Peer::Node(*id))) {
                    Some(id) => Peer::Node(id),
                    None => return,
                }
            }
        };
        let request = Request::Fetch(self.fetch_request());
        self.send(peer, request);
    }

    pub(super) fn on_fetch_response(
        &mut self,
        error: ErrorCode,
        high_watermark: Option<Offset>,
        outcome: FetchOutcome,
    ) {
        let fetch_deadline = self.now + self.options.fetch_timeout;
        let leader = match &mut self.role {
            Role::Follower(follower) if error == ErrorCode::None => {
                follower.fetch_deadline = fetch_deadline;
                follower.has_fetched = true;
                follower.leader
            }
            Role::Follower(follower) => {
                let peer = Peer::Node(follower.leader);
                return self.back_off(&peer);
            }
            // Whoever was asked knows no leader either: ask again, but not at once.
            _ => return self.back_off_from_all(),
        };
        match outcome {
            FetchOutcome::Records { from, batches } => self.take_batches(leader, from, batches),
            FetchOutcome::Diverging(end) => return self.cut_to_leader(end),
            FetchOutcome::Snapshot(snapshot) => return self.begin_download(snapshot),
        }
        if let Some(offset) = high_watermark {
            self.raise_high_watermark(offset.min(self.log.end()));
        }
    }

    fn back_off_from_all(&mut self) {
        for index in 0..self.options.bootstrap_servers {
            self.back_off(&Peer::Bootstrap(index));
        }
        for voter in self.other_voters() {
            self.back_off(&Peer::Node(voter.id));
        }
    }

    /// Appends batches that continue the log; what does not fit is left for the next fetch to bring again.
    fn take_batches(&mut self, leader: NodeId, from: Offset, batches: Vec<BatchSummary>) {
        if from != self.log.end() {
            return;
        }
        for batch in batches {
            let continues = batch.base == self.log.end() && batch.end > batch.base;
            let epoch_fits = batch.epoch >= self.log.last_epoch() && batch.epoch <= self.epoch;
            if !continues || !epoch_fits {
                return self.back_off(&Peer::Node(leader));
            }
            self.log.append(&batch);
            self.out.append.push(Append::Fetched(batch));
        }
    }

    /// Cuts the log to the newest point that it shares with the leader's, as far as this answer tells.
    fn cut_to_leader(&mut self, leader_end: OffsetAndEpoch) {
        let local_end = self.log.end_of_epoch(leader_end.epoch);
        let to = if local_end.epoch == leader_end.epoch {
            local_end.offset.min(leader_end.offset)
        } else {
            local_end.offset
        };
        let to = to.max(Offset::ZERO);
        if let Some(high_watermark) = self.high_watermark.filter(|committed| to < *committed) {
            let fatal = Fatal::TruncationBelowHighWatermark { epoch: self.epoch, to, high_watermark };
            self.out.fatal = Some(fatal);
            return;
        }
        if to < self.log.end() {
            self.log.truncate(to);
            self.out.truncate = Some(to);
        }
    }

    fn begin_download(&mut self, snapshot: OffsetAndEpoch) {
        let is_news = snapshot.offset > self.log.start()
            && self.log.latest_snapshot().is_none_or(|known| known.offset < snapshot.offset)
            && snapshot.epoch <= self.epoch
            && snapshot.offset > Offset::ZERO;
        let covered = self.high_watermark.is_some_and(|committed| committed > snapshot.offset);
        if let Role::Follower(follower) = &mut self.role
            && is_news
            && !covered
        {
            follower.download = Some(Download { snapshot, position: 0, ready: true });
        }
    }

    pub(super) fn on_fetch_snapshot_response(
        &mut self,
        asked: OffsetAndEpoch,
        sent: OffsetAndEpoch,
        error: ErrorCode,
    ) {
        let fetch_deadline = self.now + self.options.fetch_timeout;
        let Role::Follower(follower) = &mut self.role else { return };
        let Some(download) = &mut follower.download else { return };
        if error == ErrorCode::None && sent == asked && download.snapshot == asked {
            follower.fetch_deadline = fetch_deadline;
            follower.has_fetched = true;
            download.ready = false; // The shell writes the bytes and reports how far the file reaches.
            return;
        }
        // The leader deleted that snapshot or changed its mind: a Fetch tells which one it has now.
        follower.download = None;
        let peer = Peer::Node(follower.leader);
        self.back_off(&peer);
    }

    pub(super) fn on_snapshot_progress(
        &mut self,
        snapshot: OffsetAndEpoch,
        position: u64,
        complete: Option<(VoterSet, i16)>,
    ) {
        let Role::Follower(follower) = &mut self.role else { return };
        let Some(download) = follower.download.as_mut().filter(|known| known.snapshot == snapshot) else {
            return;
        };
        download.position = position;
        download.ready = true;
        if let Some((voters, kraft_version)) = complete {
            follower.download = None;
            self.log.reset_to_snapshot(snapshot, voters, kraft_version);
            self.out.reset_to_snapshot = Some(snapshot);
            self.raise_high_watermark(snapshot.offset);
        }
    }
}
