//! The task behind a producer: it connects, asks for metadata and identities, sends what the accumulator
//! gives out, and tells it how each attempt ended.
//!
//! Invariant: everything it waits for is polled in the order in which it was begun, so requests to one broker
//! leave in the order of their batches, and the same seed takes the same course. Decisions are the
//! accumulator's.

use super::Shared;
use super::accumulator::{LeavingBatch, Room};
use super::batch::Identity;
use super::error::ProduceError;
use super::queue::Verdict;
use super::settings::{Acks, ProducerSettings};
use super::verdict;
use crate::client::cluster::{Cluster, Topics};
use crate::client::error::ClientError;
use crate::client::metadata::ClusterMetadata;
use crate::client::waiting::{Begun, Pause, Question};
use crate::connection::{ClientConnection, ConnectionError};
use crate::protocol::ApiKey;
use crate::protocol::api::init_producer_id::{InitProducerId, InitProducerIdRequest};
use crate::protocol::api::produce::{
    PartitionProduceData, Produce, ProduceRequest, ProduceResponse, TopicProduceData,
};
use crate::protocol::records::RecordBatch;
use crate::runtime::{Either, race};
use crate::types::{Instant, NodeId, ProducerEpoch, ProducerId, Str, TopicPartition, Uuid};
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;

/// The last version of Produce that names topics, for brokers that do not tell topic ids.
const LAST_VERSION_WITH_NAMES: i16 = 12;

/// A batch in flight.
pub(super) struct Sent {
    pub partition: TopicPartition,
    pub topic_id: Uuid,
    pub number: u64,
    pub batch: RecordBatch,
}

/// Something that the sender waited for.
enum Event {
    Connected(NodeId, Result<ClientConnection, ClientError>),
    /// `None`: the request has no response.
    Produced(NodeId, Vec<Sent>, Result<Option<ProduceResponse>, ConnectionError>),
    Metadata(Result<Arc<ClusterMetadata>, ClientError>),
    Identity(Result<Identity, ClientError>),
}

/// The way to one broker.
#[derive(Default)]
struct Link {
    connection: Option<ClientConnection>,
    connecting: bool,
    in_flight: usize,
    pause: Pause,
}

/// The task's state.
pub(super) struct Sender {
    cluster: Cluster,
    settings: Arc<ProducerSettings>,
    shared: Arc<Shared>,
    links: BTreeMap<NodeId, Link>,
    begun: Begun<Event>,
    metadata: Question,
    refreshed_at: Instant,
    identity: Question,
}

impl Sender {
    pub fn new(cluster: Cluster, settings: Arc<ProducerSettings>, shared: Arc<Shared>) -> Sender {
        let refreshed_at = cluster.runtime().now();
        Sender {
            cluster,
            settings,
            shared,
            links: BTreeMap::new(),
            begun: Begun::new(),
            metadata: Question::default(),
            refreshed_at,
            identity: Question::default(),
        }
    }

    pub async fn run(mut self) {
        loop {
            let wake_at = self.drain();
            if self.shared.is_closed() {
                self.shared.end(&ProduceError::Closed);
                return;
            }
            for event in self.next_events(wake_at).await {
                self.handle(event);
            }
        }
    }

    /// Sends what can be sent and asks for what is missing. Tells when to look again.
    fn drain(&mut self) -> Option<Instant> {
        let now = self.cluster.runtime().now();
        let metadata = self.cluster.metadata();
        let mut wake_at = None;
        let mut connect = Vec::new();
        let (links, limit) = (&mut self.links, self.settings.max_in_flight);
        let mut state = self.shared.lock();
        let hurry = state.in_a_hurry();
        let drained = state.accumulator.drain(now, &metadata, hurry, |node| {
            let link = links.entry(node).or_default();
            if link.connection.as_ref().is_some_and(ClientConnection::is_open) {
                return Room::Requests(limit.saturating_sub(link.in_flight));
            }
            if !link.connecting && link.pause.is_over(now, &mut wake_at) {
                link.connecting = true;
                connect.push(node);
            }
            Room::None
        });
        self.identity.wanted |= drained.needs_identity;
        drop(state);
        self.shared.release(drained.released);
        for (node, batches) in drained.requests {
            self.produce(node, batches, &metadata);
        }
        for node in connect {
            let cluster = self.cluster.clone();
            self.begun.begin(async move { Event::Connected(node, cluster.connection(node).await) });
        }
        self.metadata.wanted |= drained.needs_metadata;
        let wake_at = [wake_at, drained.wake_at].into_iter().flatten().min();
        self.ask(now, wake_at)
    }

    fn ask(&mut self, now: Instant, mut wake_at: Option<Instant>) -> Option<Instant> {
        let stale_at = self.refreshed_at + self.cluster.settings().metadata_max_age;
        self.metadata.wanted |= stale_at <= now;
        if !self.metadata.wanted && !self.metadata.is_asking() {
            wake_at = Some(wake_at.map_or(stale_at, |wake| wake.min(stale_at)));
        }
        if self.metadata.ask(now, &mut wake_at) {
            let cluster = self.cluster.clone();
            let names = self.shared.lock().accumulator.topics();
            self.begun.begin(async move {
                Event::Metadata(cluster.refresh(Topics::Named { names: &names, create: true }).await)
            });
        }
        if self.identity.ask(now, &mut wake_at) {
            let cluster = self.cluster.clone();
            self.begun.begin(async move { Event::Identity(ask_identity(&cluster).await) });
        }
        wake_at
    }

    /// Sends one request. Compression happens here, outside every lock.
    fn produce(&mut self, node: NodeId, batches: Vec<LeavingBatch>, metadata: &ClusterMetadata) {
        let link = self.links.get_mut(&node).expect("room was found on the way to the broker");
        let connection = link.connection.clone().expect("room was found on an open connection");
        link.in_flight += 1;
        let sent = batches.into_iter().map(|(partition, leaving)| {
            let topic_id = metadata.topics.get(&partition.topic).map_or(Uuid::ZERO, |topic| topic.id);
            Sent { topic_id, number: leaving.number, batch: leaving.seal(), partition }
        });
        let sent: Vec<Sent> = sent.collect();
        let request = request(&sent, &self.settings);
        let named = sent.iter().any(|sent| sent.topic_id == Uuid::ZERO);
        let at_most = if named { LAST_VERSION_WITH_NAMES } else { i16::MAX };
        let unanswered = self.settings.acks == Acks::None;
        self.begun.begin(async move {
            let result = exchange(&connection, request, at_most, unanswered).await;
            Event::Produced(node, sent, result)
        });
    }

    /// Waits until something that was begun has ended, the time has come, or the producer has news.
    async fn next_events(&mut self, wake_at: Option<Instant>) -> Vec<Event> {
        let runtime = self.cluster.runtime().clone();
        let timer = async {
            match wake_at {
                Some(time) => runtime.sleep_until(time).await,
                None => pending().await,
            }
        };
        match race(self.begun.ended(), race(self.shared.news(), timer)).await {
            Either::Left(events) => events,
            Either::Right(_) => Vec::new(),
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Connected(node, result) => {
                let link = self.links.entry(node).or_default();
                link.connecting = false;
                match result {
                    Ok(connection) => {
                        link.connection = Some(connection);
                        link.pause = Pause::default();
                    }
                    Err(error) => {
                        tracing::debug!("no connection to broker {node}: {error}");
                        link.pause.failed(&self.cluster);
                        self.metadata.wanted = true;
                    }
                }
            }
            Event::Produced(node, sent, result) => {
                self.links.entry(node).or_default().in_flight -= 1;
                self.settle(sent, &result);
            }
            Event::Metadata(result) => {
                self.metadata.answered(result.is_ok(), &self.cluster);
                if let Ok(metadata) = result {
                    self.refreshed_at = self.cluster.runtime().now();
                    self.shared.lock().accumulator.learn(&metadata);
                }
            }
            Event::Identity(result) => {
                self.identity.answered(result.is_ok(), &self.cluster);
                match result {
                    Ok(identity) => self.shared.lock().accumulator.set_identity(identity),
                    Err(error) if error.is_retriable() => {}
                    Err(error) => self.shared.end(&error.into()),
                }
            }
        }
    }

    /// Tells every batch of a request how it ended.
    fn settle(&mut self, sent: Vec<Sent>, result: &Result<Option<ProduceResponse>, ConnectionError>) {
        let now = self.cluster.runtime().now();
        self.metadata.wanted |= result.is_err();
        let mut released = 0;
        let mut state = self.shared.lock();
        if state.has_ended() {
            return;
        }
        for Sent { partition, topic_id, number, batch } in sent {
            let judged = verdict::judge(&partition, topic_id, result);
            self.metadata.wanted |= judged.stale_metadata;
            if let Some((leader, epoch)) = judged.leader {
                self.cluster.learn_leader(&partition, leader, epoch);
            }
            if !matches!(judged.verdict, Verdict::Stored(_)) {
                tracing::debug!("batch {number} of {partition}: {:?}", judged.verdict);
            }
            released += state.accumulator.with_queue(&partition, |queue| {
                queue.settle(number, batch, judged.verdict, judged.reason, now, |attempts| {
                    self.cluster.backoff(attempts)
                })
            });
        }
        drop(state);
        self.shared.release(released);
    }
}

/// The request for these batches, which are of different partitions and stand in their order.
fn request(sent: &[Sent], settings: &ProducerSettings) -> ProduceRequest {
    let mut topics: Vec<TopicProduceData> = Vec::new();
    for Sent { partition, topic_id, batch, .. } in sent {
        let records = Some(batch.bytes().clone());
        let data =
            PartitionProduceData { index: partition.partition, records, ..PartitionProduceData::default() };
        match topics.last_mut().filter(|topic| topic.name == *partition.topic) {
            Some(topic) => topic.partition_data.push(data),
            None => topics.push(TopicProduceData {
                name: Str::from(&*partition.topic),
                topic_id: *topic_id,
                partition_data: vec![data],
                ..TopicProduceData::default()
            }),
        }
    }
    ProduceRequest {
        acks: settings.acks.code(),
        timeout_ms: i32::try_from(settings.ack_timeout.as_millis()).unwrap_or(i32::MAX),
        topic_data: topics,
        ..ProduceRequest::default()
    }
}

async fn exchange(
    connection: &ClientConnection,
    mut request: ProduceRequest,
    at_most: i16,
    unanswered: bool,
) -> Result<Option<ProduceResponse>, ConnectionError> {
    let version = connection.versions().choose::<Produce>(at_most)?;
    if version <= LAST_VERSION_WITH_NAMES {
        for topic in &mut request.topic_data {
            topic.topic_id = Uuid::ZERO;
        }
    }
    if unanswered {
        connection.send_unanswered::<Produce>(&request, version).await?;
        return Ok(None);
    }
    connection.request_version::<Produce>(&request, version).await.map(Some)
}

async fn ask_identity(cluster: &Cluster) -> Result<Identity, ClientError> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        ..InitProducerIdRequest::default()
    };
    let response = cluster.request_any::<InitProducerId>(&request).await?;
    ClientError::check(ApiKey::InitProducerId, "the producer", response.error_code, None)?;
    Ok(Identity { id: ProducerId(response.producer_id), epoch: ProducerEpoch(response.producer_epoch) })
}
