//! All that a producer holds and has not delivered: the queues of its partitions and the identity they share.
//! Pure: time, metadata and randomness come in as values.
//!
//! Invariant: there is one identity at a time; a queue that was idle while it changed starts again at
//! sequence 0 with its next batch. It must not know connections.

use super::batch::{Identity, Leaving};
use super::delivery::Outcome;
use super::error::ProduceError;
use super::queue::{NewRecord, PartitionQueue, Renewal, Rules, Step};
use crate::client::metadata::ClusterMetadata;
use crate::client::partitioner::{Sticky, partition_of_key};
use crate::types::{Instant, NodeId, ProducerEpoch, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The partitions of one topic.
#[derive(Debug, Default)]
struct TopicQueues {
    id: crate::types::Uuid,
    partitions: i32,
    /// Partitions that have a leader; all of them where none has.
    available: Vec<i32>,
    sticky: Sticky,
}

/// Where a record went.
#[derive(Debug)]
pub(super) struct Appended {
    pub outcome: Arc<Outcome>,
    pub index: u32,
    /// Whether the sender has something new to look at.
    pub wake: bool,
}

/// A batch that leaves, and the partition it is for.
pub(super) type LeavingBatch = (TopicPartition, Leaving);

/// What the sender is to do.
#[derive(Debug, Default)]
pub(super) struct Drained {
    /// One request per entry: the broker, and batches of different partitions.
    pub requests: Vec<(NodeId, Vec<LeavingBatch>)>,
    /// When to look again although nothing happened.
    pub wake_at: Option<Instant>,
    /// Some partition with records has no known leader.
    pub needs_metadata: bool,
    /// Some partition with records waits for an identity.
    pub needs_identity: bool,
    /// Bytes of memory that expired batches have left.
    pub released: usize,
}

/// Whether a broker can take another request now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// So many more.
    Requests(usize),
    /// Not before something happens that wakes the sender anyway.
    None,
}

/// The queues of all partitions.
#[derive(Debug)]
pub(super) struct Accumulator {
    rules: Rules,
    max_request_bytes: usize,
    topics: BTreeMap<Arc<str>, TopicQueues>,
    queues: BTreeMap<TopicPartition, PartitionQueue>,
    /// The queues that hold a batch.
    active: BTreeSet<TopicPartition>,
    identity: Option<Identity>,
    /// Where the next drain begins, so that no partition is always last.
    cursor: Option<TopicPartition>,
}

impl Accumulator {
    pub fn new(rules: Rules, max_request_bytes: usize) -> Accumulator {
        Accumulator {
            rules,
            max_request_bytes,
            topics: BTreeMap::new(),
            queues: BTreeMap::new(),
            active: BTreeSet::new(),
            identity: None,
            cursor: None,
        }
    }

    /// The topics that records were sent to.
    pub fn topics(&self) -> Vec<Arc<str>> {
        self.topics.keys().cloned().collect()
    }

    /// How many partitions a topic has; none before it is known.
    pub fn partitions(&self, topic: &str) -> Option<i32> {
        self.topics.get(topic).map(|topic| topic.partitions).filter(|&partitions| partitions > 0)
    }

    /// Remembers a topic, so that its metadata is kept fresh.
    pub fn learn_topic(&mut self, topic: &Arc<str>, metadata: &ClusterMetadata) {
        self.topics.entry(topic.clone()).or_default();
        self.learn(metadata);
    }

    /// Takes over what changed in the topics that are in use.
    pub fn learn(&mut self, metadata: &ClusterMetadata) {
        for (name, topic) in &mut self.topics {
            let Some(known) = metadata.topics.get(name) else { continue };
            let all = || known.partitions.keys().copied();
            let led = |index: &i32| known.partitions[index].leader.is_some();
            topic.id = known.id;
            topic.partitions = known.partitions.len() as i32;
            topic.available = all().filter(led).collect();
            if topic.available.is_empty() {
                topic.available = all().collect();
            }
        }
    }

    /// The partition for a record of a known topic, of `bytes`.
    pub fn choose_partition(
        &mut self,
        topic: &str,
        key: Option<&[u8]>,
        bytes: usize,
        random: impl FnOnce() -> u64,
    ) -> i32 {
        let known = self.topics.get_mut(topic).expect("a record is added when its topic is known");
        match key {
            Some(key) => partition_of_key(key, known.partitions),
            None => known.sticky.choose(known.id, &known.available, bytes, self.rules.batch_bytes, random),
        }
    }

    /// Adds a record.
    pub fn append(&mut self, partition: TopicPartition, record: NewRecord<'_>, now: Instant) -> Appended {
        let rules = &self.rules;
        let queue = match self.queues.get_mut(&partition) {
            Some(queue) => queue,
            None => self
                .queues
                .entry(partition.clone())
                .or_insert_with(|| PartitionQueue::new(partition.clone(), rules.first_sequence)),
        };
        let was_empty = queue.is_empty();
        let (outcome, index, wake) = queue.append(record, now, rules);
        if was_empty {
            self.active.insert(partition);
        }
        Appended { outcome, index, wake }
    }

    /// The outcomes of everything that is held.
    pub fn outcomes(&self) -> Vec<Arc<Outcome>> {
        self.active.iter().flat_map(|partition| self.queues[partition].outcomes()).collect()
    }

    /// The identity that the broker gave.
    pub fn set_identity(&mut self, identity: Identity) {
        self.identity = Some(identity);
    }

    /// Takes what can be sent now. `room` tells how many requests a broker can take.
    pub fn drain(
        &mut self,
        now: Instant,
        metadata: &ClusterMetadata,
        hurry: bool,
        mut room: impl FnMut(NodeId) -> Room,
    ) -> Drained {
        let mut drained = Drained { released: self.expire(now), ..Drained::default() };
        let mut open: BTreeMap<NodeId, Filling> = BTreeMap::new();
        loop {
            let before = drained.requests.len();
            for partition in self.in_turn() {
                self.drain_partition(&partition, now, metadata, hurry, &mut room, &mut open, &mut drained);
            }
            for (node, filling) in &mut open {
                if !filling.batches.is_empty() {
                    filling.requests_left -= 1;
                    filling.bytes = 0;
                    drained.requests.push((*node, std::mem::take(&mut filling.batches)));
                }
            }
            if drained.requests.len() == before {
                break;
            }
        }
        for partition in &self.active {
            let expires = self.queues[partition].expires_at(&self.rules);
            drained.wake_at = earlier(drained.wake_at, expires);
        }
        drained
    }

    /// The active partitions, from another one on each time.
    fn in_turn(&mut self) -> Vec<TopicPartition> {
        let start = self.cursor.take();
        let order: Vec<_> = match &start {
            Some(start) => self.active.range(start..).chain(self.active.range(..start)).cloned().collect(),
            None => self.active.iter().cloned().collect(),
        };
        self.cursor = order.get(1).cloned();
        order
    }

    #[expect(clippy::too_many_arguments, reason = "one step of drain, apart from it for its length")]
    fn drain_partition(
        &mut self,
        partition: &TopicPartition,
        now: Instant,
        metadata: &ClusterMetadata,
        hurry: bool,
        room: &mut impl FnMut(NodeId) -> Room,
        open: &mut BTreeMap<NodeId, Filling>,
        drained: &mut Drained,
    ) {
        let queue = self.queues.get_mut(partition).expect("an active partition has a queue");
        let Some((leader, _)) = metadata.leader(partition) else {
            drained.needs_metadata = true;
            return;
        };
        let size = match queue.next_step(now, &self.rules, self.identity, leader, hurry) {
            Step::Nothing => return,
            Step::At(time) => {
                drained.wake_at = earlier(drained.wake_at, Some(time));
                return;
            }
            Step::NeedsIdentity => {
                drained.needs_identity = true;
                return;
            }
            Step::Send(size) => size,
        };
        let filling = open.entry(leader).or_insert_with(|| match room(leader) {
            Room::Requests(requests_left) => Filling { requests_left, ..Filling::default() },
            Room::None => Filling::default(),
        });
        let first = filling.batches.is_empty();
        let fits = first || filling.bytes + size <= self.max_request_bytes;
        let present = filling.batches.iter().any(|(other, _)| other == partition);
        if filling.requests_left == 0 || !fits || present {
            return;
        }
        filling.bytes += size;
        filling.batches.push((partition.clone(), queue.take(&self.rules, self.identity, leader)));
    }

    /// Does something with the queue of a partition, and what follows from it. Returns the bytes of memory
    /// that became free.
    pub fn with_queue(
        &mut self,
        partition: &TopicPartition,
        act: impl FnOnce(&mut PartitionQueue) -> Option<Renewal>,
    ) -> usize {
        let queue = self.queues.get_mut(partition).expect("a queue is never removed");
        let renewal = act(queue);
        let (old, released) = (queue.identity(), queue.take_released());
        if queue.is_empty() {
            self.active.remove(partition);
        }
        if let Some(renewal) = renewal {
            self.renew(old, renewal);
        }
        released
    }

    /// Gives up what is over its time. Returns the bytes that became free.
    fn expire(&mut self, now: Instant) -> usize {
        let active: Vec<_> = self.active.iter().cloned().collect();
        let rules = self.rules.clone();
        active.iter().map(|partition| self.with_queue(partition, |queue| queue.expire(now, &rules))).sum()
    }

    /// Gives up everything that is held: the producer ends. Returns the bytes of memory that became free.
    pub fn fail_all(&mut self, error: &ProduceError) -> usize {
        let active: Vec<_> = self.active.iter().cloned().collect();
        let fail = |queue: &mut PartitionQueue| {
            queue.fail_all(error);
            None
        };
        active.iter().map(|partition| self.with_queue(partition, fail)).sum()
    }

    /// The next identity, unless another partition has asked for one already.
    fn renew(&mut self, old: Option<Identity>, renewal: Renewal) {
        if self.identity != old {
            return;
        }
        self.identity = self.identity.filter(|_| renewal == Renewal::NextEpoch).and_then(|identity| {
            let epoch = identity.epoch.0.checked_add(1)?;
            Some(Identity { epoch: ProducerEpoch(epoch), ..identity })
        });
    }
}

/// The request to one broker that is being filled.
#[derive(Debug, Default)]
struct Filling {
    requests_left: usize,
    bytes: usize,
    batches: Vec<LeavingBatch>,
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        _ => one.or(other),
    }
}
