//! Sends records: batched, compressed, retried, and by default stored exactly once and in order.
//!
//! `queue.rs` holds the batches and sequences of one partition, `accumulator.rs` all partitions, `verdict.rs`
//! what answers mean: these are pure. `sender.rs` is the task that talks to brokers.
//!
//! Invariant: every record that `send` accepted gets exactly one outcome.

mod accumulator;
mod batch;
mod delivery;
mod error;
mod queue;
mod record;
mod sender;
mod settings;
mod verdict;

pub use delivery::{Delivery, DeliveryReport};
pub use error::ProduceError;
pub use record::ProducerRecord;
pub use settings::{Acks, ProducerSettings};

use super::cluster::{Cluster, Topics};
use super::error::ClientError;
use crate::protocol::ApiKey;
use crate::protocol::records::Header;
use crate::types::{ErrorCode, TopicPartition};
use accumulator::Accumulator;
use queue::NewRecord;
use sender::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, Semaphore};

/// Sends records to a cluster. Clones share everything; records that one task sends to a partition keep their
/// order.
///
/// When the last clone is dropped, records that were not delivered yet are given up: call [`Producer::close`]
/// to wait for them.
///
/// ```no_run
/// # use vltava::client::{Client, ClientSettings, ProducerRecord, ProducerSettings};
/// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// let producer = client.producer(ProducerSettings::default())?;
/// let delivery = producer.send(ProducerRecord::to("orders").key("42").value("two beers")).await?;
/// let report = delivery.await?;
/// println!("stored in {} at offset {:?}", report.partition, report.offset);
/// producer.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Producer {
    handle: Arc<Handle>,
}

/// What clones share; the sender ends when it is dropped.
struct Handle {
    cluster: Cluster,
    settings: Arc<ProducerSettings>,
    shared: Arc<Shared>,
}

impl Producer {
    pub(super) fn start(cluster: Cluster, settings: ProducerSettings) -> Result<Producer, ClientError> {
        settings.check()?;
        let settings = Arc::new(settings);
        let state = State {
            accumulator: Accumulator::new(settings.rules(), settings.max_request_bytes),
            flushing: 0,
            waiting: 0,
            closed: false,
            ended: None,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            news: Notify::new(),
            memory: Semaphore::new(settings.buffer_bytes),
        });
        let sender = Sender::new(cluster.clone(), settings.clone(), shared.clone());
        cluster.runtime().spawn("producer", sender.run());
        Ok(Producer { handle: Arc::new(Handle { cluster, settings, shared }) })
    }

    /// Hands a record over. Returns as soon as it stands in line; what becomes of it is told by the
    /// [`Delivery`].
    ///
    /// Waits for the topic's metadata when the topic is new to this producer, and for room when
    /// `buffer_bytes` wait for their acknowledgement. Errors mean that the record was not taken, and will not
    /// be in the log.
    pub async fn send(&self, record: ProducerRecord) -> Result<Delivery, ProduceError> {
        let Handle { settings, shared, .. } = &*self.handle;
        let size = record.size_in_bytes();
        let limit = settings.max_request_bytes.min(settings.buffer_bytes);
        if size > limit {
            return Err(ProduceError::TooLarge { size, limit });
        }
        if !self.knows(&record)? {
            self.find_topic(&record).await?;
        }
        match shared.memory.try_acquire_many(size as u32) {
            Ok(permit) => permit.forget(),
            Err(_) => self.wait_for_room(size).await?,
        }
        self.append(&record, size)
    }

    /// Waits until everything that was sent before is decided. Batches that are not full do not linger
    /// meanwhile.
    pub async fn flush(&self) {
        let outcomes = {
            let mut state = self.handle.shared.lock();
            state.flushing += 1;
            state.accumulator.outcomes()
        };
        let _flushing = Counted { shared: &self.handle.shared, count: |state| &mut state.flushing };
        self.handle.shared.news.notify_one();
        for outcome in outcomes {
            outcome.decided().await;
        }
    }

    /// Delivers what was sent and ends the producer, for all its clones.
    pub async fn close(self) {
        self.flush().await;
        self.handle.close();
    }

    /// How many partitions a topic has. Waits for its metadata.
    pub async fn partitions(&self, topic: &str) -> Result<i32, ProduceError> {
        let known = self.handle.shared.lock().accumulator.partitions(topic);
        if let Some(partitions) = known {
            return Ok(partitions);
        }
        self.find_topic(&ProducerRecord::to(topic)).await?;
        let known = self.handle.shared.lock().accumulator.partitions(topic);
        Ok(known.expect("the topic was found"))
    }

    /// Whether the topic is known, and has the partition that the record names.
    fn knows(&self, record: &ProducerRecord) -> Result<bool, ProduceError> {
        let state = self.handle.shared.lock();
        if let Some(error) = &state.ended {
            return Err(error.clone());
        }
        let partitions = state.accumulator.partitions(&record.topic);
        let wanted = record.partition.unwrap_or(0);
        Ok(partitions.is_some_and(|partitions| (0..partitions).contains(&wanted)))
    }

    async fn find_topic(&self, record: &ProducerRecord) -> Result<(), ProduceError> {
        let Handle { cluster, shared, .. } = &*self.handle;
        let topic = &record.topic;
        let mut retry = cluster.retry(format!("finding topic {topic}"));
        loop {
            let names = std::slice::from_ref(topic);
            let error = match cluster.refresh(Topics::Named { names, create: true }).await {
                Ok(metadata) => match metadata.errors.get(topic) {
                    None => {
                        shared.lock().accumulator.learn_topic(topic, &metadata);
                        if self.knows(record)? {
                            return Ok(());
                        }
                        let partitions = metadata.topics.get(topic).map_or(0, |known| known.partitions.len());
                        return Err(ProduceError::NoSuchPartition {
                            topic: topic.clone(),
                            partition: record.partition.unwrap_or(0),
                            partitions: partitions as i32,
                        });
                    }
                    Some(&error) => refused(topic, error),
                },
                Err(error) => error,
            };
            retry.pause(error).await?;
        }
    }

    async fn wait_for_room(&self, size: usize) -> Result<(), ProduceError> {
        let Handle { cluster, settings, shared } = &*self.handle;
        shared.lock().waiting += 1;
        let _waiting = Counted { shared, count: |state| &mut state.waiting };
        shared.news.notify_one();
        let acquire = shared.memory.acquire_many(size as u32);
        match cluster.runtime().timeout(settings.max_block, acquire).await {
            Some(permit) => {
                permit.expect("the semaphore is never closed").forget();
                Ok(())
            }
            None => Err(ProduceError::BufferFull { timeout_ms: settings.max_block.as_millis() as u64 }),
        }
    }

    /// Adds the record, whose bytes have been taken from the memory.
    fn append(&self, record: &ProducerRecord, size: usize) -> Result<Delivery, ProduceError> {
        let Handle { cluster, shared, .. } = &*self.handle;
        let runtime = cluster.runtime();
        let timestamp = record.timestamp.unwrap_or_else(|| runtime.wall_clock());
        let headers: Vec<Header<'_>> = record.headers().collect();
        let mut state = shared.lock();
        if let Some(error) = &state.ended {
            shared.memory.add_permits(size);
            return Err(error.clone());
        }
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let index = record.partition.unwrap_or_else(|| {
            state.accumulator.choose_partition(&record.topic, key, size, || runtime.random_u64())
        });
        let partition = TopicPartition { topic: record.topic.clone(), partition: index };
        let new = NewRecord { timestamp, key, value, headers: &headers, charge: size };
        let appended = state.accumulator.append(partition, new, runtime.now());
        drop(state);
        if appended.wake {
            shared.news.notify_one();
        }
        Ok(Delivery { outcome: appended.outcome, index: appended.index, timestamp })
    }
}

fn refused(topic: &str, error: ErrorCode) -> ClientError {
    ClientError::Refused { api: ApiKey::Metadata, subject: topic.into(), error, message: None }
}

impl Handle {
    fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.news.notify_one();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

/// What producers and their sender share.
struct Shared {
    state: Mutex<State>,
    /// Wakes the sender.
    news: Notify,
    /// One permit per byte that may be buffered.
    memory: Semaphore,
}

struct State {
    accumulator: Accumulator,
    /// Callers that wait in `flush`.
    flushing: usize,
    /// Callers that wait for room.
    waiting: usize,
    closed: bool,
    /// Why nothing is sent any more.
    ended: Option<ProduceError>,
}

impl State {
    /// Whether batches are sent although they are not full.
    fn in_a_hurry(&self) -> bool {
        self.flushing > 0 || self.waiting > 0
    }

    fn has_ended(&self) -> bool {
        self.ended.is_some()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a panic under this lock is a bug that must not be papered over")
    }

    async fn news(&self) {
        self.news.notified().await;
    }

    fn release(&self, bytes: usize) {
        if bytes > 0 {
            self.memory.add_permits(bytes);
        }
    }

    fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Gives up everything that is held, and whatever is sent from now on.
    fn end(&self, error: &ProduceError) {
        let mut state = self.lock();
        let released = state.accumulator.fail_all(error);
        state.ended.get_or_insert_with(|| error.clone());
        drop(state);
        self.release(released);
    }
}

/// Counts a caller down again when it goes, also when it is cancelled.
struct Counted<'a> {
    shared: &'a Shared,
    count: fn(&mut State) -> &mut usize,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        *(self.count)(&mut state) -= 1;
    }
}
