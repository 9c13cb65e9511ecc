//! The queue against a model of Kafka's broker and of a network that loses, delays and repeats: no value
//! twice, none out of order, no acknowledgement of what is not there.

use super::super::batch::Leaving;
use super::*;
use crate::types::{ErrorCode, Offset, ProducerEpoch, ProducerId};
use proptest::prelude::*;
use std::collections::BTreeMap;

const LEADER: NodeId = NodeId(1);

/// What a broker remembers of a producer.
struct Remembered {
    identity: Identity,
    /// First and last sequence and base offset of the last five batches.
    batches: VecDeque<(i32, i32, i64)>,
}

#[derive(Default)]
struct Broker {
    log: Vec<u32>,
    remembered: Option<Remembered>,
}

impl Broker {
    fn append(&mut self, batch: &RecordBatch) -> Verdict {
        let header = batch.header();
        let identity = Identity { id: header.producer_id, epoch: header.producer_epoch };
        let span = (header.base_sequence, header.last_sequence());
        let base = self.log.len() as i64;
        if let Some(known) = self.remembered.as_ref().filter(|known| known.identity.id == identity.id) {
            if identity.epoch < known.identity.epoch {
                return Verdict::IdentityRefused;
            }
            if identity.epoch > known.identity.epoch {
                if span.0 != 0 {
                    return Verdict::OutOfOrder;
                }
            } else if let Some(again) = known.batches.iter().find(|batch| (batch.0, batch.1) == span) {
                return stored(again.2);
            } else if span.0 != increment_sequence(known.batches.back().unwrap().1, 1) {
                return Verdict::OutOfOrder;
            }
        }
        let keep = self.remembered.take().filter(|known| known.identity == identity);
        let mut batches = keep.map(|known| known.batches).unwrap_or_default();
        batches.push_back((span.0, span.1, base));
        if batches.len() > 5 {
            batches.pop_front();
        }
        self.remembered = Some(Remembered { identity, batches });
        self.log.extend(values(batch));
        stored(base)
    }
}

fn stored(base: i64) -> Verdict {
    Verdict::Stored(Stored { base_offset: Some(Offset(base)), append_time: None })
}

fn values(batch: &RecordBatch) -> Vec<u32> {
    let value = |record: crate::protocol::records::Record| {
        u32::from_be_bytes(record.value.unwrap()[..].try_into().unwrap())
    };
    batch.records().unwrap().map(|record| value(record.unwrap())).collect()
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Append,
    Send,
    Handle(Fate),
    Answer,
    Cut { late: bool },
    Late,
    Wait(u64),
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Good,
    /// Refused for the moment before it was appended.
    NotYet,
    /// Appended, and answered as if it had not been replicated in time.
    Slow,
    /// Refused for good.
    Refused,
}

fn event() -> impl Strategy<Value = Event> {
    let fate = prop_oneof![
        12 => Just(Fate::Good), 2 => Just(Fate::NotYet), 2 => Just(Fate::Slow), 1 => Just(Fate::Refused),
    ];
    prop_oneof![
        8 => Just(Event::Append),
        12 => Just(Event::Send),
        8 => fate.prop_map(Event::Handle),
        8 => Just(Event::Answer),
        1 => any::<bool>().prop_map(|late| Event::Cut { late }),
        2 => Just(Event::Late),
        2 => (0..60u64).prop_map(Event::Wait),
    ]
}

/// One producer's partition, the wire and the broker.
struct World {
    queue: PartitionQueue,
    rules: Rules,
    identity: Option<Identity>,
    next_id: i64,
    first_epoch: i16,
    broker: Broker,
    now: Instant,
    /// On the way to the broker.
    wire: VecDeque<(u64, RecordBatch)>,
    /// On the way back.
    answers: VecDeque<(u64, RecordBatch, Verdict)>,
    /// Requests of dead connections that will still arrive.
    late: VecDeque<RecordBatch>,
    outcomes: BTreeMap<u32, (Arc<Outcome>, u32)>,
}

impl World {
    fn new(rules: Rules) -> World {
        World {
            queue: PartitionQueue::new(TopicPartition::new("t", 0), rules.first_sequence),
            rules,
            identity: None,
            next_id: 0,
            first_epoch: 0,
            broker: Broker::default(),
            now: Instant(0),
            wire: VecDeque::new(),
            answers: VecDeque::new(),
            late: VecDeque::new(),
            outcomes: BTreeMap::new(),
        }
    }

    fn act(&mut self, event: Event) {
        match event {
            Event::Append => self.append(),
            Event::Send => {
                self.send();
            }
            Event::Handle(fate) => self.handle(fate),
            Event::Answer => {
                if let Some((number, batch, verdict)) = self.answers.pop_front() {
                    self.settle(number, batch, verdict);
                }
            }
            Event::Cut { late } => self.cut(late),
            Event::Late => {
                if let Some(batch) = self.late.pop_front() {
                    self.broker.append(&batch);
                }
            }
            Event::Wait(ms) => {
                self.now = self.now + Duration::from_millis(ms);
                let renewal = self.queue.expire(self.now, &self.rules);
                self.renew(renewal);
            }
        }
    }

    fn append(&mut self) {
        let value = self.outcomes.len() as u32;
        let bytes = value.to_be_bytes();
        let record =
            NewRecord { timestamp: Timestamp(0), key: None, value: Some(&bytes), headers: &[], charge: 1 };
        let (outcome, index, _) = self.queue.append(record, self.now, &self.rules);
        self.outcomes.insert(value, (outcome, index));
    }

    fn send(&mut self) -> bool {
        match self.queue.next_step(self.now, &self.rules, self.identity, LEADER, true) {
            Step::Send(_) => {
                let leaving: Leaving = self.queue.take(&self.rules, self.identity, LEADER);
                self.wire.push_back((leaving.number, leaving.seal()));
                true
            }
            Step::NeedsIdentity => {
                let epoch = ProducerEpoch(self.first_epoch);
                self.identity = Some(Identity { id: ProducerId(self.next_id), epoch });
                self.next_id += 1;
                true
            }
            Step::At(time) => {
                self.now = time;
                true
            }
            Step::Nothing => false,
        }
    }

    fn handle(&mut self, fate: Fate) {
        let Some((number, batch)) = self.wire.pop_front() else { return };
        let verdict = match fate {
            Fate::Good => self.broker.append(&batch),
            Fate::NotYet => Verdict::Again { maybe_appended: false },
            Fate::Slow => match self.broker.append(&batch) {
                Verdict::Stored(_) => Verdict::Again { maybe_appended: true },
                other => other,
            },
            Fate::Refused => {
                let partition = TopicPartition::new("t", 0);
                let (error, message) = (ErrorCode::InvalidRecord, None);
                let error = ProduceError::Refused { partition, error, message };
                Verdict::Refused { error, maybe_appended: false }
            }
        };
        self.answers.push_back((number, batch, verdict));
    }

    /// The connection breaks: what is on the wire may never arrive, or late, and no answer does.
    fn cut(&mut self, late: bool) {
        let answers = std::mem::take(&mut self.answers);
        let wire = std::mem::take(&mut self.wire);
        for (number, batch, _) in answers {
            self.settle(number, batch, Verdict::Again { maybe_appended: true });
        }
        for (number, batch) in wire {
            if late {
                self.late.push_back(batch.clone());
            }
            self.settle(number, batch, Verdict::Again { maybe_appended: true });
        }
    }

    fn settle(&mut self, number: u64, batch: RecordBatch, verdict: Verdict) {
        let backoff = |attempts| Duration::from_millis(u64::from(attempts).min(4));
        let renewal = self.queue.settle(number, batch, verdict, None, self.now, backoff);
        self.renew(renewal);
    }

    fn renew(&mut self, renewal: Option<Renewal>) {
        if renewal.is_none() || self.queue.identity() != self.identity {
            return;
        }
        let next = |identity: Identity| {
            let epoch = ProducerEpoch(identity.epoch.0.checked_add(1)?);
            Some(Identity { epoch, ..identity })
        };
        self.identity = self.identity.filter(|_| renewal == Some(Renewal::NextEpoch)).and_then(next);
    }

    /// Lets everything come to its end without further faults.
    fn finish(&mut self) {
        for _ in 0..10_000 {
            if self.queue.is_empty() {
                return;
            }
            while self.send() && self.wire.len() < 10 {}
            self.handle(Fate::Good);
            self.act(Event::Answer);
            self.act(Event::Late);
        }
        panic!("the queue does not empty: {:?}", self.queue);
    }

    fn check(&self) {
        let in_order = self.broker.log.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(in_order, "values twice or out of order: {:?}", self.broker.log);
        for (value, (outcome, index)) in &self.outcomes {
            let delivery = super::super::delivery::Delivery {
                outcome: outcome.clone(),
                index: *index,
                timestamp: Timestamp(0),
            };
            let present = self.broker.log.iter().position(|logged| logged == value);
            match delivery.try_get().expect("every record has an outcome") {
                Ok(report) => {
                    let offset = report.offset.map(|offset| offset.0 as usize);
                    assert_eq!(present, offset, "value {value} was acknowledged elsewhere");
                }
                Err(error) if error.is_definite() => assert_eq!(present, None, "value {value}: {error}"),
                Err(_) => {}
            }
        }
    }
}

fn rules(delivery_timeout: u64, first_sequence: i32) -> Rules {
    Rules {
        idempotent: true,
        max_in_flight: 5,
        batch_bytes: 90,
        linger: Duration::from_millis(5),
        delivery_timeout: Duration::from_millis(delivery_timeout),
        compression: Compression::NONE,
        first_sequence,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn idempotence_holds_whatever_the_network_does(
        events in prop::collection::vec(event(), 0..150),
        delivery_timeout in prop_oneof![Just(40u64), Just(400), Just(1_000_000)],
        first_sequence in prop_oneof![Just(0), i32::MAX - 12..=i32::MAX],
        last_epochs: bool,
    ) {
        let mut world = World::new(rules(delivery_timeout, first_sequence));
        if last_epochs {
            world.first_epoch = i16::MAX - 1;
        }
        for event in events {
            // Behind the last epoch comes another producer id, and no broker can tell that a late request is
            // older.
            let event = match event {
                Event::Cut { late } => Event::Cut { late: late && !last_epochs },
                event => event,
            };
            world.act(event);
        }
        world.finish();
        world.check();
    }
}

fn world_of(batches: usize, first_sequence: i32) -> World {
    let mut world = World::new(rules(1_000, first_sequence));
    for _ in 0..batches {
        world.rules.batch_bytes = 1;
        world.act(Event::Append);
    }
    world
}

fn good(world: &mut World, rounds: usize) {
    for _ in 0..rounds {
        world.handle(Fate::Good);
        world.act(Event::Answer);
    }
}

fn send_all(world: &mut World) -> Vec<(i16, i32)> {
    while world.send() && world.wire.len() < 5 {}
    let stamp = |batch: &RecordBatch| (batch.header().producer_epoch.0, batch.header().base_sequence);
    world.wire.iter().map(|(_, batch)| stamp(batch)).collect()
}

const EPOCH: i16 = 0;

#[test]
fn sequences_wrap_to_zero() {
    let mut world = world_of(4, i32::MAX - 1);
    assert_eq!(send_all(&mut world), [(EPOCH, i32::MAX - 1)], "one alone until it is acknowledged");
    good(&mut world, 1);
    assert_eq!(send_all(&mut world), [(EPOCH, i32::MAX), (EPOCH, 0), (EPOCH, 1)]);
    good(&mut world, 3);
    world.check();
    assert_eq!(world.broker.log, [0, 1, 2, 3]);
}

#[test]
fn a_failed_batch_goes_alone_and_the_others_follow_in_order() {
    let mut world = world_of(5, 0);
    send_all(&mut world);
    good(&mut world, 1);
    assert_eq!(send_all(&mut world).len(), 4);
    world.handle(Fate::NotYet);
    for _ in 0..3 {
        world.handle(Fate::Good);
    }
    while !world.answers.is_empty() {
        world.act(Event::Answer);
    }
    assert_eq!(world.broker.log, [0], "the broker does not take 2 before 1");
    assert_eq!(send_all(&mut world), [(EPOCH, 1)]);
    world.finish();
    assert_eq!(world.broker.log, [0, 1, 2, 3, 4]);
    assert_eq!(world.identity.map(|identity| identity.epoch.0), Some(EPOCH), "no new epoch was needed");
    world.check();
}

#[test]
fn a_refused_batch_costs_an_epoch_and_nothing_else() {
    let mut world = world_of(4, 0);
    send_all(&mut world);
    good(&mut world, 1);
    send_all(&mut world);
    world.handle(Fate::Refused);
    world.handle(Fate::Good);
    world.handle(Fate::Good);
    while !world.answers.is_empty() {
        world.act(Event::Answer);
    }
    assert_eq!(send_all(&mut world), [(EPOCH + 1, 0)]);
    world.finish();
    assert_eq!(world.broker.log, [0, 2, 3]);
    world.check();
}

#[test]
fn an_epoch_that_was_raised_elsewhere_restarts_an_idle_partition() {
    let mut world = world_of(1, 7);
    world.finish();
    world.identity = world.identity.map(|old| Identity { epoch: ProducerEpoch(EPOCH + 1), ..old });
    world.act(Event::Append);
    world.act(Event::Append);
    assert_eq!(send_all(&mut world), [(EPOCH + 1, 0)]);
    world.finish();
    world.check();
    assert_eq!(world.broker.log, [0, 1, 2]);
}

#[test]
fn batches_do_not_follow_a_leader_that_moves_while_others_are_in_flight() {
    let mut world = world_of(3, 0);
    send_all(&mut world);
    good(&mut world, 1);
    world.send();
    let other = NodeId(2);
    let step = world.queue.next_step(world.now, &world.rules, world.identity, other, true);
    assert_eq!(step, Step::Nothing);
    world.cut(false);
    world.now = world.now + Duration::from_millis(100);
    let step = world.queue.next_step(world.now, &world.rules, world.identity, other, true);
    assert!(matches!(step, Step::Send(_)));
}
