//! A small world of pure replicas: messages are lost, delayed and reordered, replicas crash and keep only
//! what was on their device. After every step the guarantees of K1 are checked.

use super::*;
use crate::types::{Instant, LeaderEpoch, NodeId, Offset, Uuid};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One batch with what it says, so that two logs can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    batch: BatchSummary,
    value: u64,
}

#[derive(Debug, Clone)]
struct Snapshot {
    id: OffsetAndEpoch,
    voters: VoterSet,
    kraft_version: i16,
}

/// What survives a crash.
#[derive(Debug, Clone)]
struct Device {
    election: ElectionState,
    entries: Vec<Entry>,
    snapshot: Option<Snapshot>,
}

struct Node {
    key: ReplicaKey,
    raft: Option<Raft>,
    /// The log as written; `device` has what was also synced.
    entries: Vec<Entry>,
    device: Device,
    unsynced: bool,
    high_watermark: Offset,
    restart_at: Instant,
}

enum Envelope {
    Request { from: usize, to: usize, id: RequestId, incarnation: u64, request: Request },
    Response { to: usize, id: RequestId, incarnation: u64, response: Response, batches: Vec<Entry> },
    Timer { node: usize },
    Flush { node: usize, incarnation: u64 },
}

pub(super) struct World {
    now: Instant,
    random: u64,
    nodes: Vec<Node>,
    incarnations: Vec<u64>,
    queue: BTreeMap<(Instant, u64), Envelope>,
    sequence: u64,
    tokens: BTreeMap<u64, (usize, usize, RequestId, u64)>,
    next_value: u64,
    pub(super) loss_percent: u64,
    pub(super) crash_per_mille: u64,
    cut: BTreeSet<(usize, usize)>,
    committed: BTreeMap<Offset, (LeaderEpoch, u64)>,
    leaders: BTreeMap<LeaderEpoch, NodeId>,
    pub(super) snapshots_taken: u64,
    pub(super) change_replies: Vec<crate::types::ErrorCode>,
}

pub(super) fn voter(id: i32) -> Voter {
    let key = ReplicaKey { id: NodeId(id), directory: Uuid([id as u8; 16]) };
    let endpoint = Endpoint { name: "CONTROLLER".into(), host: "h".into(), port: id as u16 };
    Voter { key, endpoints: vec![endpoint], min_kraft_version: 0, max_kraft_version: 1 }
}

impl World {
    /// `voters` voters and `observers` more replicas.
    pub(super) fn new(seed: u64, voters: i32, observers: i32) -> World {
        let set = VoterSet::new((1..=voters).map(voter));
        let mut world = World {
            now: Instant(0),
            random: seed,
            nodes: Vec::new(),
            incarnations: Vec::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            tokens: BTreeMap::new(),
            next_value: 1,
            loss_percent: 0,
            crash_per_mille: 0,
            cut: BTreeSet::new(),
            committed: BTreeMap::new(),
            leaders: BTreeMap::new(),
            snapshots_taken: 0,
            change_replies: Vec::new(),
        };
        for id in 1..=voters + observers {
            let key = voter(id).key;
            let snapshot = Snapshot { id: OffsetAndEpoch::ZERO, voters: set.clone(), kraft_version: 1 };
            let device =
                Device { election: ElectionState::INITIAL, entries: vec![], snapshot: Some(snapshot) };
            world.nodes.push(Node {
                key,
                raft: None,
                entries: Vec::new(),
                device,
                unsynced: false,
                high_watermark: Offset::ZERO,
                restart_at: Instant(0),
            });
            world.incarnations.push(0);
        }
        for node in 0..world.nodes.len() {
            world.boot(node);
        }
        world
    }

    pub(super) fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.random >> 17
    }

    fn chance(&mut self, per_mille: u64) -> bool {
        self.random() % 1000 < per_mille
    }

    fn boot(&mut self, node: usize) {
        let device = self.nodes[node].device.clone();
        let snapshot = device.snapshot.clone().expect("every device has one");
        let mut log = LogView::new(snapshot.voters.clone(), snapshot.kraft_version);
        if snapshot.id == OffsetAndEpoch::ZERO {
            log.add_snapshot(snapshot.id);
        } else {
            log.reset_to_snapshot(snapshot.id, snapshot.voters, snapshot.kraft_version);
        }
        for entry in device.entries.iter().filter(|entry| entry.batch.base >= snapshot.id.offset) {
            log.append(&entry.batch);
        }
        log.flush(log.end());
        let key = self.nodes[node].key;
        let mut options = RaftOptions::new(key, self.random());
        options.endpoints = voter(key.id.0).endpoints;
        options.bootstrap_servers = 1;
        let mut raft = Raft::new(options, self.now, device.election, log);
        let effects = raft.start(self.now);
        let state = &mut self.nodes[node];
        state.entries = device.entries;
        state.entries.retain(|entry| entry.batch.base >= snapshot.id.offset);
        state.unsynced = false;
        state.high_watermark = snapshot.id.offset;
        state.raft = Some(raft);
        self.carry_out(node, effects, Vec::new());
    }

    fn crash(&mut self, node: usize) {
        let down = Duration::from_millis(self.random() % 3000);
        self.nodes[node].raft = None;
        self.incarnations[node] += 1;
        self.nodes[node].restart_at = self.now + down;
        self.push_at(self.now + down, Envelope::Timer { node });
    }

    fn push_at(&mut self, at: Instant, envelope: Envelope) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), envelope);
    }

    fn push_after_delay(&mut self, from: usize, to: usize, envelope: Envelope) {
        let lost = self.random() % 100 < self.loss_percent || self.cut.contains(&(from, to));
        let delay = Duration::from_micros(200 + self.random() % 20_000);
        if !lost {
            self.push_at(self.now + delay, envelope);
        }
    }

    pub(super) fn cut(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
        self.loss_percent = 0;
        self.crash_per_mille = 0;
    }

    pub(super) fn step_node(&mut self, node: usize, input: Input, batches: Vec<Entry>) {
        let Some(raft) = &mut self.nodes[node].raft else { return };
        let effects = raft.step(self.now, input);
        self.carry_out(node, effects, batches);
    }

    /// The shell's work, with a crash possible between any two parts of it.
    fn carry_out(&mut self, node: usize, effects: Effects, fetched: Vec<Entry>) {
        assert_eq!(effects.fatal, None, "node {node}");
        if let Some(state) = effects.persist {
            if self.chance(self.crash_per_mille) {
                return self.crash(node);
            }
            self.nodes[node].device.election = state;
        }
        if let Some(end) = effects.truncate {
            self.nodes[node].entries.retain(|entry| entry.batch.end <= end);
            self.nodes[node].device.entries.retain(|entry| entry.batch.end <= end);
        }
        if let Some(id) = effects.reset_to_snapshot {
            self.nodes[node].entries.clear();
            self.nodes[node].device.entries.clear();
            self.nodes[node].high_watermark = id.offset;
        }
        for append in effects.append {
            let entry = match append {
                Append::Control(batch) => Entry { batch, value: 0 },
                Append::Fetched(batch) => {
                    fetched.iter().find(|entry| entry.batch == batch).expect("it was fetched").clone()
                }
            };
            self.write(node, entry);
        }
        if let Some(offset) = effects.high_watermark {
            self.check_committed(node, offset);
        }
        if self.chance(self.crash_per_mille) {
            return self.crash(node);
        }
        for (id, peer, request) in effects.messages {
            let to = match peer {
                Peer::Node(id) => id.0 as usize - 1,
                Peer::Bootstrap(_) => (self.random() % self.nodes.len() as u64) as usize,
            };
            let incarnation = self.incarnations[node];
            self.push_after_delay(node, to, Envelope::Request { from: node, to, id, incarnation, request });
        }
        for (token, response) in effects.replies {
            self.reply(node, token, response);
        }
        if let Some(at) = self.nodes[node].raft.as_ref().and_then(Raft::next_deadline) {
            self.push_at(at.max(self.now + Duration::from_micros(1)), Envelope::Timer { node });
        }
        self.check_leader(node);
    }

    fn write(&mut self, node: usize, entry: Entry) {
        self.nodes[node].entries.push(entry);
        if !self.nodes[node].unsynced {
            self.nodes[node].unsynced = true;
            let delay = Duration::from_micros(self.random() % 8_000);
            let incarnation = self.incarnations[node];
            self.push_at(self.now + delay, Envelope::Flush { node, incarnation });
        }
    }

    fn reply(&mut self, node: usize, token: ReplyToken, mut response: Response) {
        let Some((from, to, id, incarnation)) = self.tokens.remove(&token.0) else {
            self.change_replies.push(response.error);
            return;
        };
        let mut batches = Vec::new();
        if let ResponseBody::Fetch { outcome: FetchOutcome::Records { from, batches: summaries }, .. } =
            &mut response.body
            && response.error == crate::types::ErrorCode::None
        {
            let entries = self.nodes[node].entries.iter().filter(|entry| entry.batch.base >= *from);
            batches = entries.take(5).cloned().collect();
            *summaries = batches.iter().map(|entry| entry.batch.clone()).collect();
        }
        assert_eq!(to, node);
        let envelope = Envelope::Response { to: from, id, incarnation, response, batches };
        self.push_after_delay(node, from, envelope);
    }

    /// Runs for `duration`; `load` says whether leaders append and snapshot.
    pub(super) fn run(&mut self, duration: Duration, load: bool) {
        let until = self.now + duration;
        while let Some((&(at, sequence), _)) = self.queue.iter().next() {
            if at > until {
                break;
            }
            let envelope = self.queue.remove(&(at, sequence)).expect("just seen");
            self.now = self.now.max(at);
            self.deliver(envelope);
            if load && self.chance(60) {
                let node = (self.random() % self.nodes.len() as u64) as usize;
                self.append_on(node);
                if self.chance(30) {
                    self.snapshot_on(node);
                }
            }
        }
        self.now = self.now.max(until);
    }

    fn deliver(&mut self, envelope: Envelope) {
        match envelope {
            Envelope::Request { from, to, id, incarnation, request } => {
                if self.nodes[to].raft.is_none() {
                    return;
                }
                self.sequence += 1;
                let token = ReplyToken(self.sequence);
                self.tokens.insert(token.0, (from, to, id, incarnation));
                self.step_node(to, Input::Request(token, request), Vec::new());
            }
            Envelope::Response { to, id, incarnation, response, batches } => {
                if self.incarnations[to] == incarnation {
                    let snapshot = match &response.body {
                        ResponseBody::FetchSnapshot { snapshot, .. } => Some(*snapshot),
                        _ => None,
                    };
                    self.step_node(to, Input::Response(id, response), batches);
                    if let Some(snapshot) = snapshot {
                        self.take_snapshot_bytes(to, snapshot);
                    }
                }
            }
            Envelope::Timer { node } => {
                if self.nodes[node].raft.is_none() && self.now >= self.nodes[node].restart_at {
                    self.boot(node);
                }
                self.step_node(node, Input::Tick, Vec::new());
            }
            Envelope::Flush { node, incarnation } => {
                if self.incarnations[node] == incarnation {
                    let entries = self.nodes[node].entries.clone();
                    let end = entries.last().map_or(Offset::ZERO, |entry| entry.batch.end);
                    self.nodes[node].device.entries = entries;
                    self.nodes[node].unsynced = false;
                    self.step_node(node, Input::Flushed(end), Vec::new());
                }
            }
        }
    }

    /// All bytes of a snapshot in one piece, as some other replica has it.
    fn take_snapshot_bytes(&mut self, node: usize, id: OffsetAndEpoch) {
        let found = self.nodes.iter().filter_map(|other| other.device.snapshot.clone());
        let Some(snapshot) = found.into_iter().find(|snapshot| snapshot.id == id) else { return };
        let Some(raft) = &mut self.nodes[node].raft else { return };
        let complete = Some((snapshot.voters.clone(), snapshot.kraft_version));
        let effects = raft.step(self.now, Input::SnapshotProgress { snapshot: id, position: 1, complete });
        if effects.reset_to_snapshot.is_some() {
            self.nodes[node].device.snapshot = Some(snapshot);
        }
        self.carry_out(node, effects, Vec::new());
    }

    pub(super) fn append_on(&mut self, node: usize) {
        let Some(raft) = &self.nodes[node].raft else { return };
        let Ok((epoch, base)) = raft.next_append() else { return };
        let end = base + 1 + (self.random() % 3) as i64;
        let batch = BatchSummary { base, end, epoch, control: Vec::new() };
        self.next_value += 1;
        let value = self.next_value;
        self.write(node, Entry { batch: batch.clone(), value });
        self.step_node(node, Input::Appended(batch), Vec::new());
    }

    /// Writes a snapshot at the high watermark and deletes the log before it.
    fn snapshot_on(&mut self, node: usize) {
        let Some(raft) = &self.nodes[node].raft else { return };
        let Some(committed) = raft.high_watermark().filter(|hw| *hw > Offset::ZERO) else { return };
        let entries = &self.nodes[node].device.entries;
        let Some(last) = entries.iter().rev().find(|entry| entry.batch.end <= committed) else { return };
        let id = OffsetAndEpoch { offset: last.batch.end, epoch: last.batch.epoch };
        if raft.log().has_snapshot(id) || id.offset < raft.log().start() {
            return;
        }
        let (voters, kraft_version) = raft.log().voters_before(id.offset);
        let snapshot = Snapshot { id, voters: voters.clone(), kraft_version };
        self.nodes[node].device.snapshot = Some(snapshot);
        self.snapshots_taken += 1;
        self.step_node(node, Input::SnapshotWritten(id), Vec::new());
        if self.nodes[node].raft.is_none() {
            return;
        }
        self.nodes[node].entries.retain(|entry| entry.batch.base >= id.offset);
        self.nodes[node].device.entries.retain(|entry| entry.batch.base >= id.offset);
        self.step_node(node, Input::DeletedBefore(id.offset), Vec::new());
    }

    /// What is committed stays what it is, for ever and everywhere; each replica's high watermark rises.
    fn check_committed(&mut self, node: usize, offset: Offset) {
        let state = &self.nodes[node];
        assert!(offset >= state.high_watermark, "the high watermark of {node} fell");
        for entry in state.entries.iter().filter(|entry| entry.batch.end <= offset) {
            let value = (entry.batch.epoch, entry.value);
            let known = self.committed.entry(entry.batch.base).or_insert(value);
            assert_eq!(*known, value, "offset {} has two values", entry.batch.base);
        }
        self.nodes[node].high_watermark = offset;
    }

    /// One leader per epoch, and it has everything that was committed before.
    fn check_leader(&mut self, node: usize) {
        let state = &self.nodes[node];
        let Some(raft) = &state.raft else { return };
        let info = raft.leader_info();
        let Some(start) = info.leads_from else { return };
        let known = self.leaders.insert(info.epoch, state.key.id);
        if known.is_some() {
            assert_eq!(known, Some(state.key.id), "epoch {} has two leaders", info.epoch);
            return;
        }
        for (offset, value) in self.committed.range(raft.log().start()..) {
            assert!(*offset < start, "the leader of {} lacks committed offset {offset}", info.epoch);
            let own = state.entries.iter().find(|entry| entry.batch.base == *offset);
            let own = own.map(|entry| (entry.batch.epoch, entry.value));
            assert_eq!(own, Some(*value), "the leader of {} has another value at {offset}", info.epoch);
        }
    }

    /// Same offset and epoch in two logs means the same batch.
    pub(super) fn check_log_matching(&self) {
        let mut seen: BTreeMap<(Offset, LeaderEpoch), &Entry> = BTreeMap::new();
        for entry in self.nodes.iter().flat_map(|node| &node.entries) {
            let known = seen.entry((entry.batch.base, entry.batch.epoch)).or_insert(entry);
            assert_eq!(*known, entry, "two logs differ within one epoch");
        }
    }

    pub(super) fn leader(&self) -> Option<usize> {
        let leads = |node: &Node| node.raft.as_ref().is_some_and(|raft| raft.next_append().is_ok());
        let newest = |&index: &usize| self.nodes[index].raft.as_ref().map(|raft| raft.leader_info().epoch);
        (0..self.nodes.len()).filter(|&index| leads(&self.nodes[index])).max_by_key(newest)
    }

    pub(super) fn raft(&self, node: usize) -> &Raft {
        self.nodes[node].raft.as_ref().expect("it runs")
    }

    pub(super) fn committed(&self) -> usize {
        self.committed.len()
    }

    pub(super) fn restart(&mut self, node: usize) {
        self.nodes[node].raft = None;
        self.incarnations[node] += 1;
        self.boot(node);
    }

    pub(super) fn change_voters(&mut self, node: usize, change: VoterChange) {
        self.sequence += 1;
        let token = ReplyToken(self.sequence);
        self.step_node(node, Input::ChangeVoters(token, change), Vec::new());
    }
}

mod tests;
