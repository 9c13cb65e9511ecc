//! Reads records: from partitions that the caller assigns, at positions that the caller chooses.
//!
//! `partition.rs` holds one partition's state, `fetched.rs` reads what a fetch brought: these are pure.
//! `requests.rs` makes requests and judges answers. Fetches run ahead of the caller while it works on
//! records.
//!
//! Invariant: under one assignment each partition's offsets go up without gaps, but for records that nobody
//! may see; a position is never reset behind the caller's back.

mod error;
mod fetched;
mod partition;
mod requests;

pub use error::ConsumeError;
pub use fetched::ConsumerRecord;

use super::cluster::{Cluster, Topics};
use super::error::ClientError;
use super::metadata::ClusterMetadata;
use super::offsets::{FoundOffset, Isolation, OffsetSpec, list_offsets};
use super::waiting::{Begun, Question};
use crate::protocol::api::fetch::FetchResponse;
use crate::protocol::api::offset_for_leader_epoch::OffsetForLeaderEpochResponse;
use crate::runtime::{Either, race};
use crate::types::{Instant, LeaderEpoch, NodeId, Offset, Timestamp, TopicPartition, Uuid};
use partition::{AssignedPartition, Need};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// At the first record that is kept.
    Beginning,
    /// Behind the last record, as of the first poll.
    End,
    /// At this offset.
    Offset(Offset),
    /// At the first record of this time or a later one; at the end if there is none.
    Timestamp(Timestamp),
}

/// Settings of a consumer. The names in parentheses are Kafka's.
#[derive(Debug, Clone)]
pub struct ConsumerSettings {
    /// Whether records of open and aborted transactions are returned (`isolation.level`).
    pub isolation: Isolation,
    /// Bytes that the broker waits for, up to `max_wait` (`fetch.min.bytes`).
    pub min_bytes: i32,
    /// How long the broker waits for `min_bytes` (`fetch.max.wait.ms`).
    pub max_wait: Duration,
    /// Bytes of one fetch (`fetch.max.bytes`); a first batch that is larger comes all the same.
    pub max_bytes: i32,
    /// Bytes of one partition in one fetch (`max.partition.fetch.bytes`); the same holds.
    pub max_partition_bytes: i32,
    /// Records that one poll returns at most (`max.poll.records`).
    pub max_poll_records: usize,
    /// Whether the checksum of each batch is compared with its bytes (`check.crcs`).
    pub check_crcs: bool,
}

impl Default for ConsumerSettings {
    /// Kafka's defaults.
    fn default() -> Self {
        ConsumerSettings {
            isolation: Isolation::ReadUncommitted,
            min_bytes: 1,
            max_wait: Duration::from_millis(500),
            max_bytes: 50 * 1024 * 1024,
            max_partition_bytes: 1024 * 1024,
            max_poll_records: 500,
            check_crcs: true,
        }
    }
}

/// Reads partitions that it was assigned. It has no group and commits nothing.
///
/// ```no_run
/// # use std::time::Duration;
/// # use vltava::client::{Client, ConsumerSettings, Position};
/// # use vltava::types::TopicPartition;
/// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// let mut consumer = client.consumer(ConsumerSettings::default())?;
/// consumer.assign([(TopicPartition::new("orders", 0), Position::Beginning)]);
/// loop {
///     for record in consumer.poll(Duration::from_secs(1)).await? {
///         println!("{} {:?}", record.offset, record.value);
///     }
/// }
/// # }
/// ```
pub struct Consumer {
    cluster: Cluster,
    settings: ConsumerSettings,
    assigned: BTreeMap<TopicPartition, AssignedPartition>,
    /// Generations go on over assignments, so that answers to an earlier one are known as such.
    generations: u64,
    begun: Begun<Event>,
    /// Brokers with a fetch or a validation under way.
    busy: BTreeSet<NodeId>,
    metadata: Question,
    /// Where the next poll begins, so that no partition is always last.
    cursor: Option<TopicPartition>,
}

/// A partition that was asked for, and when.
#[derive(Debug, Clone)]
struct Asked {
    partition: TopicPartition,
    generation: u64,
    offset: Offset,
    leader_epoch: LeaderEpoch,
    /// The epoch of the last batch that was read.
    epoch: LeaderEpoch,
    topic_id: Uuid,
}

/// Something that the consumer waited for.
enum Event {
    Metadata(Result<Arc<ClusterMetadata>, ClientError>),
    Found(Vec<(TopicPartition, u64, Position, Result<FoundOffset, ClientError>)>),
    Fetched(NodeId, Vec<Asked>, Result<FetchResponse, ClientError>),
    Validated(NodeId, Vec<Asked>, Result<OffsetForLeaderEpochResponse, ClientError>),
}

impl Consumer {
    pub(super) fn new(cluster: Cluster, settings: ConsumerSettings) -> Consumer {
        Consumer {
            cluster,
            settings,
            assigned: BTreeMap::new(),
            generations: 0,
            begun: Begun::new(),
            busy: BTreeSet::new(),
            metadata: Question::default(),
            cursor: None,
        }
    }

    /// Reads these partitions, and no others, from these positions on.
    pub fn assign(&mut self, assignment: impl IntoIterator<Item = (TopicPartition, Position)>) {
        let used = self.assigned.values().map(|assigned| assigned.generation).max().unwrap_or(0);
        self.generations = self.generations.max(used) + 1;
        let start = self.generations;
        let partitions = assignment.into_iter().map(|(partition, position)| {
            let mut assigned = AssignedPartition::new(partition.clone(), position);
            assigned.generation += start;
            (partition, assigned)
        });
        self.assigned = partitions.collect();
    }

    /// The partitions that are assigned.
    pub fn assignment(&self) -> impl Iterator<Item = &TopicPartition> {
        self.assigned.keys()
    }

    /// Goes on at another position; also after an error.
    pub fn seek(&mut self, partition: &TopicPartition, position: Position) -> Result<(), ConsumeError> {
        self.get_mut(partition)?.seek(position);
        Ok(())
    }

    /// Returns no more records of a partition for now. Its position stays.
    pub fn pause(&mut self, partition: &TopicPartition) -> Result<(), ConsumeError> {
        self.get_mut(partition)?.paused = true;
        Ok(())
    }

    /// Returns records of the partition again.
    pub fn resume(&mut self, partition: &TopicPartition) -> Result<(), ConsumeError> {
        self.get_mut(partition)?.paused = false;
        Ok(())
    }

    /// The offset behind the last record that was returned or passed over; none while it is being looked up.
    pub fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        self.assigned.get(partition)?.position()
    }

    /// The high watermark as the last fetch told it; none before.
    pub fn high_watermark(&self, partition: &TopicPartition) -> Option<Offset> {
        self.assigned.get(partition)?.high_watermark
    }

    /// The next records, of any assigned partition; within one they are in order. None if `timeout` passes
    /// first. An error stops its partition until [`Consumer::seek`], and no other. Cancelling it loses
    /// nothing.
    pub async fn poll(&mut self, timeout: Duration) -> Result<Vec<ConsumerRecord>, ConsumeError> {
        let runtime = self.cluster.runtime().clone();
        let deadline = runtime.now() + timeout;
        loop {
            let wake_at = self.ask();
            let records = self.take_fetched()?;
            if !records.is_empty() {
                self.ask();
                return Ok(records);
            }
            let now = runtime.now();
            let wake_at = wake_at.map_or(deadline, |wake| wake.min(deadline));
            let timer = runtime.sleep_until(wake_at);
            match race(self.begun.ended(), timer).await {
                Either::Left(events) => {
                    for event in events {
                        self.handle(event);
                    }
                }
                Either::Right(()) if now >= deadline => return Ok(Vec::new()),
                Either::Right(()) => {}
            }
        }
    }

    fn get_mut(&mut self, partition: &TopicPartition) -> Result<&mut AssignedPartition, ConsumeError> {
        self.assigned.get_mut(partition).ok_or_else(|| ConsumeError::NotAssigned(partition.clone()))
    }

    /// Records that were fetched, from one partition after the other.
    fn take_fetched(&mut self) -> Result<Vec<ConsumerRecord>, ConsumeError> {
        let start = self.cursor.take();
        let order: Vec<TopicPartition> = match &start {
            Some(start) => self
                .assigned
                .range(start..)
                .chain(self.assigned.range(..start))
                .map(|(p, _)| p.clone())
                .collect(),
            None => self.assigned.keys().cloned().collect(),
        };
        let mut records = Vec::new();
        for (index, partition) in order.iter().enumerate() {
            let assigned = self.assigned.get_mut(partition).expect("it was listed");
            while records.len() < self.settings.max_poll_records {
                match assigned.next() {
                    Some(Ok(record)) => records.push(record),
                    // What came before the error is returned first; the error comes with the next poll.
                    Some(Err(error)) if !records.is_empty() => {
                        assigned.hold(error);
                        break;
                    }
                    Some(Err(error)) => {
                        self.cursor = Some(partition.clone());
                        return Err(error);
                    }
                    None => break,
                }
            }
            if records.len() == self.settings.max_poll_records {
                self.cursor = order.get(index + 1).or(order.first()).cloned();
                break;
            }
        }
        Ok(records)
    }

    /// Asks for everything that is needed. Tells when to look again although nothing came.
    fn ask(&mut self) -> Option<Instant> {
        let now = self.cluster.runtime().now();
        let metadata = self.cluster.metadata();
        let mut wake_at: Option<Instant> = None;
        let mut lookups = Vec::new();
        let mut fetches: BTreeMap<NodeId, Vec<Asked>> = BTreeMap::new();
        let mut validations: BTreeMap<NodeId, Vec<Asked>> = BTreeMap::new();
        for (partition, assigned) in &mut self.assigned {
            let generation = assigned.generation;
            let asked = |offset, leader_epoch, epoch, topic_id| {
                let partition = partition.clone();
                Asked { partition, generation, offset, leader_epoch, epoch, topic_id }
            };
            match assigned.need(now, &metadata) {
                Need::Nothing => {}
                Need::Pause(time) => wake_at = Some(wake_at.map_or(time, |wake| wake.min(time))),
                Need::Metadata => self.metadata.wanted = true,
                Need::Lookup(position) => {
                    assigned.asking = true;
                    lookups.push((partition.clone(), generation, position));
                }
                Need::Validation { leader, leader_epoch, epoch } if !self.busy.contains(&leader) => {
                    let asked = asked(Offset::ZERO, leader_epoch, epoch, Uuid::ZERO);
                    validations.entry(leader).or_default().push(asked);
                }
                Need::Fetch { leader, leader_epoch, offset, topic_id } if !self.busy.contains(&leader) => {
                    if !assigned.is_same_topic(topic_id) {
                        assigned.fail(ConsumeError::Recreated { partition: partition.clone() });
                        wake_at = Some(now);
                        continue;
                    }
                    let asked = asked(offset, leader_epoch, LeaderEpoch::NONE, topic_id);
                    fetches.entry(leader).or_default().push(asked);
                }
                Need::Validation { .. } | Need::Fetch { .. } => {}
            }
        }
        self.begin(lookups, validations, fetches);
        if self.metadata.ask(now, &mut wake_at) {
            let cluster = self.cluster.clone();
            let names: BTreeSet<_> = self.assigned.keys().map(|partition| partition.topic.clone()).collect();
            let names: Vec<_> = names.into_iter().collect();
            self.begun.begin(async move {
                Event::Metadata(cluster.refresh(Topics::Named { names: &names, create: false }).await)
            });
        }
        wake_at
    }

    fn begin(
        &mut self,
        lookups: Vec<(TopicPartition, u64, Position)>,
        validations: BTreeMap<NodeId, Vec<Asked>>,
        fetches: BTreeMap<NodeId, Vec<Asked>>,
    ) {
        if !lookups.is_empty() {
            let (cluster, isolation) = (self.cluster.clone(), self.settings.isolation);
            self.begun.begin(async move { Event::Found(look_up(&cluster, lookups, isolation).await) });
        }
        for (node, asked) in validations {
            self.mark(node, &asked);
            let cluster = self.cluster.clone();
            self.begun.begin(async move {
                let result = requests::validate(&cluster, node, &asked).await;
                Event::Validated(node, asked, result)
            });
        }
        for (node, asked) in fetches {
            if self.busy.contains(&node) {
                continue;
            }
            self.mark(node, &asked);
            let (cluster, settings) = (self.cluster.clone(), self.settings.clone());
            self.begun.begin(async move {
                let result = requests::fetch(&cluster, node, &asked, &settings).await;
                Event::Fetched(node, asked, result)
            });
        }
    }

    fn mark(&mut self, node: NodeId, asked: &[Asked]) {
        self.busy.insert(node);
        for asked in asked {
            self.assigned.get_mut(&asked.partition).expect("it was asked for just now").asking = true;
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Metadata(result) => {
                self.metadata.answered(result.is_ok(), &self.cluster);
                if let Ok(metadata) = result {
                    self.leaderless(&metadata);
                }
            }
            Event::Found(found) => {
                for (partition, generation, position, result) in found {
                    self.handle_found(partition, generation, position, result);
                }
            }
            Event::Fetched(node, asked, result) => {
                self.busy.remove(&node);
                self.handle_fetched(asked, result);
            }
            Event::Validated(node, asked, result) => {
                self.busy.remove(&node);
                self.handle_validated(asked, result);
            }
        }
    }

    /// Partitions that still have no leader are looked at again after a pause.
    fn leaderless(&mut self, metadata: &ClusterMetadata) {
        let (now, cluster) = (self.cluster.runtime().now(), &self.cluster);
        for (partition, assigned) in &mut self.assigned {
            if assigned.need(now, metadata) == Need::Metadata {
                match metadata.errors.get(&partition.topic) {
                    Some(error) if !error.is_retriable() => {
                        let error = super::offsets::missing(partition, Some(error));
                        assigned.fail(ConsumeError::Client { partition: partition.clone(), error });
                    }
                    _ => assigned.again(now, |failures| cluster.backoff(failures)),
                }
            }
        }
    }

    fn handle_found(
        &mut self,
        partition: TopicPartition,
        generation: u64,
        position: Position,
        result: Result<FoundOffset, ClientError>,
    ) {
        let Some(assigned) = current(&mut self.assigned, &partition, generation) else { return };
        match (result, position) {
            (Ok(FoundOffset { offset: Some(offset), .. }), _) => assigned.found(offset),
            (Ok(_), Position::Timestamp(_)) => assigned.seek(Position::End),
            (Ok(_), _) => assigned.again(self.cluster.runtime().now(), |n| self.cluster.backoff(n)),
            (Err(error), _) => assigned.fail(ConsumeError::Client { partition, error }),
        }
    }
}

/// The state of a partition, unless the caller has left the position that `generation` was asked for.
fn current<'a>(
    assigned: &'a mut BTreeMap<TopicPartition, AssignedPartition>,
    partition: &TopicPartition,
    generation: u64,
) -> Option<&'a mut AssignedPartition> {
    assigned.get_mut(partition).filter(|assigned| assigned.generation == generation)
}

async fn look_up(
    cluster: &Cluster,
    lookups: Vec<(TopicPartition, u64, Position)>,
    isolation: Isolation,
) -> Vec<(TopicPartition, u64, Position, Result<FoundOffset, ClientError>)> {
    let spec = |position| match position {
        Position::Beginning => OffsetSpec::Earliest,
        Position::End => OffsetSpec::Latest,
        Position::Timestamp(time) => OffsetSpec::Timestamp(time),
        Position::Offset(_) => unreachable!("an offset needs no lookup"),
    };
    let wanted = lookups.iter().map(|(partition, _, position)| (partition.clone(), spec(*position)));
    let mut found = list_offsets(cluster, wanted.collect(), isolation).await;
    let answers = lookups.into_iter().map(|(partition, generation, position)| {
        let result = found.remove(&partition).expect("everything that was asked for has an answer");
        (partition, generation, position, result)
    });
    answers.collect()
}
