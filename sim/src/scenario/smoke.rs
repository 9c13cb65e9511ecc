//! One broker, producers and readers through the client library, and faults: what was acknowledged stays,
//! stands once and in order, and when the faults have ended everything works again.

use super::fault::{Faults, Targets};
use super::history::{History, Value};
use crate::clock::SECOND;
use crate::node::Crash;
use crate::random::Random;
use crate::situation;
use crate::world::World;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use vltava::client::{
    Client, ClientSettings, ConsumeError, ConsumerSettings, Delivery, NewTopic, Position, ProduceError,
    Producer, ProducerRecord, ProducerSettings,
};
use vltava::config::BrokerConfig;
use vltava::runtime::{Event, Runtime};
use vltava::types::{ErrorCode, TopicPartition};

const TOPIC: &str = "smoke";
const BROKER: &str = "broker";
const PORT: u16 = 9092;
/// Producers that send side by side.
const PRODUCERS: u32 = 2;
/// Records that each of them sends.
const RECORDS: u64 = 40;
/// Deliveries that a producer leaves open before it waits for the oldest.
const OPEN_DELIVERIES: usize = 8;
/// How long after the last fault everything must have been delivered and read.
const HEALED_WITHIN: u64 = 180 * SECOND;

/// How a client names the broker's answer to a batch that does not follow the one before it.
const OUT_OF_ORDER: &str = "OUT_OF_ORDER_SEQUENCE_NUMBER";

/// Offsets with values, in order.
type LogContents = Vec<(i64, Value)>;

/// What differs from seed to seed, besides the faults.
#[derive(Debug, Clone, Copy)]
struct Shape {
    partitions: i32,
    flush_every_message: bool,
    segment_bytes: u32,
    pause_ms: u64,
    value_bytes: u64,
    /// Power losses may keep later writes and lose earlier ones.
    reordered: bool,
    /// Log directories; the second may be the metadata log's alone.
    log_dirs: &'static [(&'static str, &'static str)],
    /// Bytes of metadata between two snapshots, and in a segment.
    metadata_bytes: u64,
}

/// One directory for all, two, and one for the metadata log alone.
const LOG_DIRS: [&[(&str, &str)]; 3] = [
    &[("log.dirs", "/data/logs")],
    &[("log.dirs", "/data/logs,/data/more")],
    &[("log.dirs", "/data/logs"), ("metadata.log.dir", "/data/metadata")],
];

impl Shape {
    fn draw(random: &mut Random) -> Shape {
        Shape {
            partitions: 1 + random.below(2) as i32,
            flush_every_message: random.chance(0.5),
            segment_bytes: *random.pick(&[600, 2_000, 1 << 20]),
            pause_ms: *random.pick(&[0, 20, 200]),
            value_bytes: *random.pick(&[8, 100, 1_000]),
            reordered: random.chance(0.2),
            log_dirs: LOG_DIRS[random.below(LOG_DIRS.len() as u64) as usize],
            metadata_bytes: *random.pick(&[500, 1_500, 20 << 20]),
        }
    }
}

/// What all parts of a run share.
#[derive(Clone)]
struct Shared {
    history: Arc<Mutex<History>>,
    next_value: Arc<AtomicU64>,
    /// Producers that have not sent and settled all of their records.
    working: Arc<AtomicU64>,
    shape: Shape,
    seed: u64,
}

impl Shared {
    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn partition(&self, index: i32) -> TopicPartition {
        TopicPartition::new(TOPIC, index)
    }
}

/// Runs the scenario.
pub async fn run(world: World) -> Result<(), String> {
    let shape = Shape::draw(&mut world.random("shape"));
    world.trace().text("smoke", format_args!("{shape:?}"));
    let mut history = History::default();
    history.flushed_before_acknowledged = shape.flush_every_message;
    let shared = Shared {
        history: Arc::new(Mutex::new(history)),
        next_value: Arc::new(AtomicU64::new(1)),
        working: Arc::new(AtomicU64::new(u64::from(PRODUCERS))),
        shape,
        seed: world.seed(),
    };
    observe(&world, &shared);
    let broker = world.node(BROKER, move |runtime| serve(runtime, shape));
    world.disk(broker).set_faults(|faults| faults.reordered = if shape.reordered { 0.5 } else { 0.0 });
    let within = shared.clone();
    let client = world.node("client", move |runtime| work(runtime, within.clone()));
    let all = [broker, client];
    let mut faults = Faults::draw(&world, |_| true);
    let done = Arc::new(AtomicBool::new(false));
    let (over, waiting) = (done.clone(), shared.clone());
    let clock = world.clock().clone();
    let limit = clock.now() + 60 * SECOND;
    let striking = faults.strike(&world, Targets { servers: &all[..1], all: &all }, &done);
    let working = async move {
        while waiting.working.load(Ordering::Relaxed) > 0 && clock.now() < limit {
            clock.sleep(SECOND / 10).await;
        }
        over.store(true, Ordering::Relaxed);
    };
    both(striking, working).await;
    settle(&world, &shared).await
}

/// Waits for both futures.
async fn both(first: impl Future<Output = ()>, second: impl Future<Output = ()>) {
    let (mut first, mut second) = (std::pin::pin!(first), std::pin::pin!(second));
    match vltava::runtime::race(first.as_mut(), second.as_mut()).await {
        vltava::runtime::Either::Left(()) => second.await,
        vltava::runtime::Either::Right(()) => first.await,
    }
}

/// Tells the history what is flushed and when power is lost.
fn observe(world: &World, shared: &Shared) {
    let (flushes, losses) = (shared.clone(), shared.clone());
    world.on_event(move |_, event| {
        if let Event::Flush { partition, offset } = event
            && *partition.topic == *TOPIC
        {
            flushes.history().flushed(partition.partition, offset.0);
        }
    });
    let clock = world.clock().clone();
    world.on_crash(move |_, how| {
        losses.history().died();
        if how == Crash::Power {
            losses.history().power_lost(clock.now());
        }
    });
}

/// The broker's program.
async fn serve(runtime: Runtime, shape: Shape) {
    let overrides = [
        ("node.id", "1".to_owned()),
        ("listeners", format!("PLAINTEXT://{BROKER}:{PORT},CONTROLLER://{BROKER}:0")),
        ("metadata.log.max.record.bytes.between.snapshots", shape.metadata_bytes.to_string()),
        ("internal.metadata.log.segment.bytes", shape.metadata_bytes.to_string()),
        ("metadata.max.retention.bytes", (shape.metadata_bytes * 4).to_string()),
    ];
    let directories = shape.log_dirs.iter().map(|(name, value)| (*name, (*value).to_owned()));
    let overrides = overrides.into_iter().chain(directories).map(|(name, value)| (name.to_owned(), value));
    let config = BrokerConfig::new(None, overrides).expect("these are values that Kafka takes");
    match vltava::broker::start(runtime.clone(), config).await {
        Ok(_running) => std::future::pending().await,
        // What a dead life says does not count: its disk fails.
        Err(_) if runtime.disk().exists(std::path::Path::new("/")).is_err() => {}
        Err(error) => panic!("L1: the broker cannot start: {error}"),
    }
}

fn client(runtime: &Runtime) -> Client {
    let settings = ClientSettings {
        connect_timeout: Duration::from_secs(3),
        request_timeout: Duration::from_secs(3),
        ..ClientSettings::new(format!("{BROKER}:{PORT}"))
    };
    Client::new(runtime, settings).expect("the address is one")
}

/// The client's program: creates the topic, then sends and reads it.
async fn work(runtime: Runtime, shared: Shared) {
    create_topic(&runtime, shared.shape).await;
    for partition in 0..shared.shape.partitions {
        runtime.spawn("reader", read_along(runtime.clone(), shared.clone(), partition));
    }
    for number in 0..PRODUCERS {
        runtime.spawn("producer", produce(runtime.clone(), shared.clone(), number));
    }
    std::future::pending().await
}

async fn create_topic(runtime: &Runtime, shape: Shape) {
    let flush = if shape.flush_every_message { 1 } else { i64::MAX };
    let configs = [
        ("flush.messages", flush.to_string()),
        ("internal.segment.bytes", shape.segment_bytes.to_string()),
        ("segment.index.bytes", "1000".to_owned()),
        ("index.interval.bytes", "200".to_owned()),
    ];
    let topic = NewTopic {
        partitions: Some(shape.partitions),
        configs: configs.map(|(name, value)| (name.to_owned(), value)).into(),
        ..NewTopic::new(TOPIC)
    };
    let admin = client(runtime).admin().expect("the settings were checked");
    loop {
        match admin.create_topics(std::slice::from_ref(&topic), false).await {
            Ok(results) => match &results[TOPIC] {
                Ok(_) => return,
                Err(error) if error.code() == Some(ErrorCode::TopicAlreadyExists) => return,
                // The broker is not unfenced again yet: an administrator would try once more, too.
                Err(error) if error.code() == Some(ErrorCode::InvalidReplicationFactor) => {}
                Err(error) => assert!(error.is_retriable(), "the topic cannot be created: {error}"),
            },
            Err(error) => assert!(error.is_retriable() || error.code().is_none(), "{error}"),
        }
        runtime.sleep(Duration::from_millis(100)).await;
    }
}

/// Sends records with a few deliveries open at a time, and tells the history what becomes of each.
async fn produce(runtime: Runtime, shared: Shared, number: u32) {
    let mut random = Random::stream(shared.seed, "producer", u64::from(number));
    let mut generation = number;
    let mut producer = start(&runtime);
    let mut open: VecDeque<(Value, Delivery)> = VecDeque::new();
    for _ in 0..RECORDS {
        let value = shared.next_value.fetch_add(1, Ordering::Relaxed);
        let partition = random.below(shared.shape.partitions as u64) as i32;
        shared.history().sent(generation, partition, value, runtime.now().0);
        let mut bytes = value.to_be_bytes().to_vec();
        bytes.resize(8.max(random.below(shared.shape.value_bytes + 1) as usize), b'.');
        match producer.send(ProducerRecord::to(TOPIC).partition(partition).value(bytes)).await {
            Ok(delivery) => open.push_back((value, delivery)),
            Err(error) => {
                shared.history().failed(value);
                if matches!(error, ProduceError::Client(_) | ProduceError::Closed) {
                    // This producer is done for; another one has another id, and an order of its own.
                    generation += PRODUCERS;
                    producer = start(&runtime);
                }
            }
        }
        while open.len() > OPEN_DELIVERIES {
            settle_oldest(&shared, &mut open).await;
        }
        runtime.sleep(Duration::from_millis(random.below(shared.shape.pause_ms + 1))).await;
    }
    while !open.is_empty() {
        settle_oldest(&shared, &mut open).await;
    }
    shared.working.fetch_sub(1, Ordering::Relaxed);
}

fn start(runtime: &Runtime) -> Producer {
    let settings =
        ProducerSettings { delivery_timeout: Duration::from_secs(90), ..ProducerSettings::default() };
    client(runtime).producer(settings).expect("the settings are good")
}

async fn settle_oldest(shared: &Shared, open: &mut VecDeque<(Value, Delivery)>) {
    let Some((value, delivery)) = open.pop_front() else { return };
    match delivery.await {
        Ok(report) => shared.history().acknowledged(value, report.offset.map(|offset| offset.0)),
        Err(error) if error.is_definite() => shared.history().failed(value),
        Err(ProduceError::OutcomeUnknown { last, .. }) if last.contains(OUT_OF_ORDER) => {
            shared.history().out_of_order(value);
        }
        Err(_) => {}
    }
}

/// Reads a partition for as long as the run takes, from the beginning again after each cut.
async fn read_along(runtime: Runtime, shared: Shared, partition: i32) {
    let settings = ConsumerSettings { max_poll_records: usize::MAX, ..ConsumerSettings::default() };
    let mut consumer = client(&runtime).consumer(settings).expect("the settings are good");
    let assigned = shared.partition(partition);
    consumer.assign([(assigned.clone(), Position::Beginning)]);
    // What a poll returns was asked for in it or in the one before.
    let (mut asked, mut next) = (runtime.now().0, None);
    loop {
        let started = runtime.now().0;
        match consumer.poll(Duration::from_secs(60)).await {
            Ok(records) => {
                for record in records {
                    let offset = record.offset.0;
                    assert!(next.is_none_or(|next| next == offset), "O3: {offset} was read, not {next:?}");
                    next = Some(offset + 1);
                    shared.history().read(partition, offset, value_of(record.value.as_deref()), asked);
                }
            }
            Err(error) => {
                let cut = matches!(error, ConsumeError::OutOfRange { .. } | ConsumeError::Truncated { .. });
                assert!(cut, "a reader cannot go on: {error}");
                consumer.seek(&assigned, Position::Beginning).expect("it is assigned");
                next = None;
            }
        }
        asked = started;
    }
}

fn value_of(bytes: Option<&[u8]>) -> Value {
    let value = bytes.and_then(|bytes| bytes.first_chunk()).expect("O1: a value that nobody sent");
    u64::from_be_bytes(*value)
}

/// `L1`: no fault strikes any more. Everything must be settled, and one more record of each partition must be
/// delivered and read, with all that is in front of it.
async fn settle(world: &World, shared: &Shared) -> Result<(), String> {
    let limit = world.clock().now() + HEALED_WITHIN;
    while shared.working.load(Ordering::Relaxed) > 0 {
        if world.clock().now() > limit {
            return Err("L1: after the last fault a producer still waits for its deliveries".to_owned());
        }
        world.clock().sleep(SECOND / 10).await;
    }
    let logs: Arc<Mutex<Vec<Result<LogContents, String>>>> = Arc::default();
    let (read, within) = (logs.clone(), shared.clone());
    let checker = world.node("checker", move |runtime| {
        let (read, shared) = (read.clone(), within.clone());
        async move {
            for partition in 0..shared.shape.partitions {
                let log = read_all(&runtime, &shared, partition).await;
                read.lock().unwrap_or_else(PoisonError::into_inner).push(log);
            }
        }
    });
    let node = world.get(checker);
    vltava::runtime::race(node.until_down(), world.clock().sleep(HEALED_WITHIN)).await;
    let logs = std::mem::take(&mut *logs.lock().unwrap_or_else(PoisonError::into_inner));
    if logs.len() < shared.shape.partitions as usize {
        return Err("L1: after the last fault a record cannot be delivered and read".to_owned());
    }
    let mut history = shared.history();
    for (partition, log) in logs.into_iter().enumerate() {
        history.check_log(partition as i32, &log?, world.clock().now())?;
    }
    world.trace().numbers("smoke.acknowledged", &[("values", history.acknowledged_values() as u64)]);
    let reached = [
        (history.acknowledged_values() > shared.shape.partitions as usize, situation::ACKNOWLEDGED),
        (history.outlived_power_losses() > 0, situation::OUTLIVED),
        (history.suspended_values() > 0, situation::SUSPENDED),
        (history.unknown_values() > 0, situation::UNKNOWN),
    ];
    for (_, name) in reached.into_iter().filter(|(reached, _)| *reached) {
        world.sometimes(name);
    }
    Ok(())
}

/// Delivers one more record and reads the partition from its beginning up to that.
async fn read_all(runtime: &Runtime, shared: &Shared, partition: i32) -> Result<LogContents, String> {
    let last = shared.next_value.fetch_add(1, Ordering::Relaxed);
    shared.history().sent(u32::MAX, partition, last, runtime.now().0);
    let record = ProducerRecord::to(TOPIC).partition(partition).value(last.to_be_bytes().to_vec());
    let producer = start(runtime);
    let report = async { producer.send(record).await?.await }.await;
    let report = report.map_err(|error| format!("L1: without faults a record is not delivered: {error}"))?;
    shared.history().acknowledged(last, report.offset.map(|offset| offset.0));
    let mut consumer = client(runtime).consumer(ConsumerSettings::default()).expect("the settings are good");
    consumer.assign([(shared.partition(partition), Position::Beginning)]);
    let mut log = Vec::new();
    while log.last().is_none_or(|(_, value)| *value != last) {
        let records = consumer.poll(Duration::from_secs(60)).await;
        let records =
            records.map_err(|error| format!("L1: without faults the log cannot be read: {error}"))?;
        log.extend(records.iter().map(|record| (record.offset.0, value_of(record.value.as_deref()))));
    }
    Ok(log)
}
