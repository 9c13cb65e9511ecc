//! One partition's log, without a broker: appends, flushes, cuts and deletions on tiny segments, and crashes
//! at any of their disk operations. After each crash the log must hold what it promised: everything after a
//! process crash, everything in front of the flushed offset after a power loss (`D0`); and nothing that was
//! never written there (`O1`).

use super::fault::{Faults, Targets};
use crate::node::Crash;
use crate::random::Random;
use crate::world::World;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use vltava::log::{
    AppendOrigin, Checkpoint, LogConfig, LogDir, OpenLog, PartitionLog, ReadBound, ReadRequest,
};
use vltava::protocol::records::{BatchBuilder, Codec, Compression, RecordBatch, ValidatedBatch, batches};
use vltava::runtime::{Event, Runtime};
use vltava::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicPartition, Uuid};

const DIRECTORY: &str = "/data/logs";
/// Steps of the workload, over all lives.
const STEPS: u64 = 120;
/// Producers that append.
const PRODUCERS: i64 = 2;

/// What the log should hold, as somebody outside of the node knows it.
#[derive(Default)]
struct Model {
    /// What it holds if nothing is lost.
    records: BTreeMap<i64, u64>,
    /// Everything that was ever written at an offset.
    written: BTreeMap<i64, BTreeSet<u64>>,
    start: i64,
    /// The least start that a crash may leave: the one that was checkpointed.
    start_synced: i64,
    end: i64,
    flushed: i64,
    epoch: i32,
    /// Where the append or cut that is going on may leave the end.
    doubt: Option<i64>,
    power_lost: bool,
    steps: u64,
    next_value: u64,
    problem: Option<String>,
}

type Shared = Arc<Mutex<Model>>;

fn lock(model: &Shared) -> MutexGuard<'_, Model> {
    model.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the workload under crashes of the process and of the machine.
pub async fn run(world: World) -> Result<(), String> {
    let model = Shared::default();
    let done = Arc::new(AtomicBool::new(false));
    let (noted, seed) = (model.clone(), world.seed());
    world.on_event(move |_, event| {
        if let Event::Flush { offset, .. } = event {
            let mut model = lock(&noted);
            model.flushed = model.flushed.max(offset.0);
        }
    });
    let (watched, finished) = (model.clone(), done.clone());
    let node = world.node("log", move |runtime| {
        let (model, done) = (watched.clone(), finished.clone());
        async move { live(runtime, model, seed, &done).await }
    });
    let reordered = world.random("log").chance(0.3);
    world.disk(node).set_faults(|faults| {
        faults.reordered = if reordered { 0.5 } else { 0.0 };
        faults.slow = 0.001;
    });
    let mut faults = Faults::draw(&world, |fault| fault.name.starts_with("p1"));
    let noted = model.clone();
    world.on_crash(move |_, how| lock(&noted).power_lost |= how == Crash::Power);
    faults.strike(&world, Targets { servers: &[node], all: &[node] }, &done).await;
    let problem = lock(&model).problem.clone();
    problem.map_or(Ok(()), Err)
}

/// One life: opens the log, checks it, and goes on with the workload.
async fn live(runtime: Runtime, model: Shared, seed: u64, done: &AtomicBool) {
    loop {
        let result = work(&runtime, &model, seed, done).await;
        // A dead life's errors say nothing.
        let alive = runtime.disk().exists(Path::new("/")).is_ok();
        match result {
            Ok(()) if done.load(Ordering::Relaxed) => break,
            Ok(()) => {}
            Err(problem) if alive => {
                lock(&model).problem.get_or_insert(problem);
                done.store(true, Ordering::Relaxed);
                break;
            }
            Err(_) => break,
        }
    }
    std::future::pending().await
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Opens the log and works until it was closed cleanly, or all steps are done.
async fn work(runtime: &Runtime, model: &Shared, seed: u64, done: &AtomicBool) -> Result<(), String> {
    let partition = TopicPartition::new("topic", 0);
    let directory = LogDir::open(runtime, Path::new(DIRECTORY)).map_err(told)?;
    let how = directory.how_to_open(&partition);
    let log = open(runtime, &directory, &partition, how)?;
    let mut worker = Worker {
        runtime: runtime.clone(),
        directory: Arc::new(directory),
        log: Arc::new(Mutex::new(log)),
        model: model.clone(),
        random: Random::stream(seed, "steps", lock(model).steps),
        sequences: BTreeMap::new(),
    };
    if worker.log().recovery_point() < how.recovery_point {
        worker.checkpoint()?;
    }
    worker.check()?;
    worker.check_duplicates()?;
    loop {
        let step = {
            let mut model = lock(model);
            model.steps += 1;
            model.steps
        };
        if step > STEPS {
            done.store(true, Ordering::Relaxed);
            return Ok(());
        }
        if worker.step().await? {
            return Ok(());
        }
        runtime.sleep(Duration::from_millis(worker.random.below(20))).await;
    }
}

/// Opens or creates the log.
fn open(
    runtime: &Runtime,
    directory: &LogDir,
    partition: &TopicPartition,
    how: OpenLog,
) -> Result<PartitionLog, String> {
    let path = directory.partition_path(partition);
    let config = Arc::new(LogConfig {
        segment_bytes: 2_000,
        segment_index_bytes: 512,
        index_interval_bytes: 200,
        retention_bytes: -1,
        ..LogConfig::default()
    });
    let now = runtime.wall_clock();
    let found = directory.scan().map_err(told)?;
    if !found.iter().any(|log| log.directory == path) {
        let id = Uuid::from_random(1, 2);
        let log = PartitionLog::create(runtime, &path, partition.clone(), id, config, now).map_err(told)?;
        directory.sync_names().map_err(told)?;
        return Ok(log);
    }
    let opened = PartitionLog::open(runtime, &path, partition.clone(), config, how, now);
    let (log, _) = opened.map_err(|error| format!("the log cannot be opened: {error:?}"))?;
    Ok(log)
}

struct Worker {
    runtime: Runtime,
    directory: Arc<LogDir>,
    log: Arc<Mutex<PartitionLog>>,
    model: Shared,
    random: Random,
    /// The epoch and the next sequence of each producer.
    sequences: BTreeMap<i64, (i16, i32)>,
}

impl Worker {
    fn log(&self) -> MutexGuard<'_, PartitionLog> {
        PartitionLog::lock(&self.log)
    }

    /// One random step; whether the log was closed.
    async fn step(&mut self) -> Result<bool, String> {
        match self.random.below(100) {
            0..60 => self.append()?,
            60..75 => self.flush().await?,
            75..82 => self.truncate()?,
            82..90 => self.delete()?,
            90..94 => self.checkpoint()?,
            94..98 => lock(&self.model).epoch += 1,
            _ => return self.close().map(|()| true),
        }
        Ok(false)
    }

    fn append(&mut self) -> Result<(), String> {
        let producer = self.random.below(PRODUCERS as u64) as i64;
        let count = 1 + self.random.below(4);
        let (epoch, sequence) = *self.sequences.entry(producer).or_insert((0, 0));
        let padding = vec![b'x'; self.random.below(300) as usize];
        let codec = *self.random.pick(&[Codec::None, Codec::None, Codec::Lz4]);
        let mut builder = BatchBuilder::new(Compression::new(codec)).producer(
            ProducerId(producer),
            ProducerEpoch(epoch),
            sequence,
        );
        let now = self.runtime.wall_clock();
        let mut model = lock(&self.model);
        let first = model.end;
        for index in 0..count {
            let value = model.next_value;
            model.next_value += 1;
            model.written.entry(first + index as i64).or_default().insert(value);
            builder.append(now, Some(&padding), Some(&value.to_be_bytes()), &[]);
        }
        let end = first + count as i64;
        model.doubt = Some(end);
        let leader_epoch = LeaderEpoch(model.epoch);
        let values = model.next_value - count..model.next_value;
        drop(model);
        let batch = ValidatedBatch::made_here(&builder.build());
        let origin = AppendOrigin::Client { must_start_at_zero: false };
        let appended = self.log().append_as_leader(&batch, leader_epoch, origin, now).map_err(told)?;
        if appended.first_offset.0 != first || appended.duplicate {
            return Err(format!("an append at {first} went to {appended:?}"));
        }
        self.sequences.insert(producer, (epoch, sequence + count as i32));
        let mut model = lock(&self.model);
        model.records.extend((first..end).zip(values));
        (model.end, model.doubt) = (end, None);
        Ok(())
    }

    /// Flushes, sometimes while further records are appended.
    async fn flush(&mut self) -> Result<(), String> {
        let offset = Offset(lock(&self.model).end);
        let (runtime, directory, log) = (self.runtime.clone(), self.directory.clone(), self.log.clone());
        let flush = async move {
            vltava::log::flush(&runtime, directory.flush_permits(), &log, offset).await.map_err(told)
        };
        if self.random.chance(0.5) {
            flush.await?;
            let flushed = lock(&self.model).flushed;
            return if flushed >= offset.0 {
                Ok(())
            } else {
                Err(format!("flushed {flushed}, not {offset}"))
            };
        }
        let problem = self.model.clone();
        self.runtime.spawn("flush", async move {
            if let Err(error) = flush.await
                && !error.contains("offline")
            {
                lock(&problem).problem.get_or_insert(error);
            }
        });
        Ok(())
    }

    fn truncate(&mut self) -> Result<(), String> {
        let (start, end) = {
            let model = lock(&self.model);
            (model.start, model.end)
        };
        let to = start + self.random.below((end - start) as u64 + 1) as i64;
        lock(&self.model).doubt = Some(start.min(to));
        {
            // A cut takes back what was flushed from its first step on.
            let mut model = lock(&self.model);
            model.flushed = model.flushed.min(to);
        }
        let cut = self.log().truncate_to(Offset(to), self.runtime.wall_clock()).map_err(told)?;
        if cut.recovery_point_fell {
            self.checkpoint()?;
        }
        let mut model = lock(&self.model);
        if cut.log_end.0 > to {
            return Err(format!("a cut at {to} left the end at {}", cut.log_end));
        }
        model.end = cut.log_end.0;
        model.flushed = model.flushed.min(model.end);
        let end = model.end;
        model.records.split_off(&end);
        model.doubt = None;
        drop(model);
        self.find_sequences()
    }

    /// Moves the log start, and removes segments in front of it.
    fn delete(&mut self) -> Result<(), String> {
        let (start, end) = {
            let model = lock(&self.model);
            (model.start, model.end)
        };
        let mark = start + self.random.below((end - start) as u64 + 1) as i64;
        let to = start + self.random.below((mark - start) as u64 / 2 + 1) as i64;
        let mut log = self.log();
        log.set_high_watermark(Offset(mark));
        log.increment_log_start(Offset(to)).map_err(told)?;
        lock(&self.model).start = to;
        let starts = BTreeMap::from([(log.partition().clone(), Offset(to))]);
        self.directory.write_checkpoint(Checkpoint::LogStarts, &|| starts.clone()).map_err(told)?;
        lock(&self.model).start_synced = to;
        let doomed = log.delete_old_segments(self.runtime.wall_clock()).map_err(told)?;
        doomed.remove().map_err(told)
    }

    fn checkpoint(&mut self) -> Result<(), String> {
        let log = self.log();
        let points = BTreeMap::from([(log.partition().clone(), log.recovery_point())]);
        self.directory.write_checkpoint(Checkpoint::RecoveryPoints, &|| points.clone()).map_err(told)
    }

    /// A clean stop.
    fn close(&mut self) -> Result<(), String> {
        let mut log = self.log();
        log.close().map_err(told)?;
        let points = BTreeMap::from([(log.partition().clone(), log.recovery_point())]);
        self.directory.write_checkpoint(Checkpoint::RecoveryPoints, &|| points.clone()).map_err(told)?;
        self.directory.close(None).map_err(told)
    }

    /// All batches of the log.
    fn read(&self) -> Result<Vec<RecordBatch>, String> {
        let view = self.log().reader().view();
        let (mut found, mut offset) = (Vec::new(), view.log_start());
        while offset < view.log_end() {
            let request = ReadRequest {
                offset,
                max_bytes: 1 << 20,
                bound: ReadBound::LogEnd,
                at_least_one: true,
                file_from_bytes: None,
            };
            let fetched = view.read_blocking(&request).map_err(told)?;
            let vltava::log::FetchedRecords::Bytes(bytes) = fetched.records else {
                return Err("a read was answered with a file that was not asked for".to_owned());
            };
            let before = offset;
            for batch in batches(&bytes) {
                let batch = batch.map_err(told)?;
                offset = batch.next_offset();
                found.push(batch);
            }
            if offset == before {
                return Err(format!(
                    "nothing can be read at {offset}, and the log ends at {}",
                    view.log_end()
                ));
            }
        }
        Ok(found)
    }

    /// Compares a log that was just opened with what it must hold, and takes over what else it holds.
    fn check(&mut self) -> Result<(), String> {
        let found = self.read()?;
        let (start, end, recovery_point) = {
            let log = self.log();
            (log.log_start().0, log.log_end().0, log.recovery_point().0)
        };
        let mut model = lock(&self.model);
        let doubt = model.doubt.take().unwrap_or(model.end);
        let floor = if model.power_lost { model.flushed } else { model.end };
        let (least, most) = (floor.min(doubt), model.end.max(doubt));
        if end < least || (!model.power_lost && end > most) {
            return Err(format!("D0: the log ends at {end}, and {least}..={most} was to be expected"));
        }
        if start < model.start_synced.min(end) || start > model.start {
            return Err(format!("the log starts at {start}, not {}..={}", model.start_synced, model.start));
        }
        let (mut expected, mut epoch, mut records) = (None, LeaderEpoch::NONE, BTreeMap::new());
        for batch in &found {
            let header = batch.header();
            if expected.is_some_and(|offset| offset != header.base_offset) {
                return Err(format!("the batch at {} stands where {expected:?} should", header.base_offset));
            }
            if header.partition_leader_epoch < epoch {
                return Err(format!(
                    "R4: epoch {} at {} follows {epoch}",
                    header.partition_leader_epoch, header.base_offset
                ));
            }
            (expected, epoch) = (Some(batch.next_offset()), header.partition_leader_epoch);
            for record in batch.records().map_err(told)? {
                let record = record.map_err(told)?;
                let value = record.value.unwrap_or_else(Bytes::new);
                let value = u64::from_be_bytes(value[..].try_into().map_err(told)?);
                records.insert(record.offset.0, value);
            }
        }
        for (offset, value) in records.range(start..) {
            let may = model.written.get(offset).is_some_and(|written| written.contains(value));
            let must = if *offset < least { model.records.get(offset) } else { None };
            if !may || must.is_some_and(|must| must != value) {
                return Err(format!("O1: offset {offset} holds {value}, not {must:?}"));
            }
        }
        if recovery_point > end {
            return Err(format!("the recovery point {recovery_point} lies behind the end {end}"));
        }
        (model.records, model.start, model.end) = (records, start, end);
        model.flushed = recovery_point.max(model.flushed.min(end));
        model.epoch = model.epoch.max(epoch.0);
        model.power_lost = false;
        drop(model);
        self.find_sequences()
    }

    /// What each producer sends next, by what is in the log; one that left nothing there begins anew.
    fn find_sequences(&mut self) -> Result<(), String> {
        let fresh = lock(&self.model).next_value as i16;
        self.sequences = (0..PRODUCERS).map(|producer| (producer, (fresh, 0))).collect();
        for batch in self.read()? {
            let header = batch.header();
            let next = (header.producer_epoch.0, header.last_sequence() + 1);
            self.sequences.insert(header.producer_id.0, next);
        }
        Ok(())
    }

    /// `I1`: the last batch of each producer is known to be there already.
    fn check_duplicates(&mut self) -> Result<(), String> {
        let last: BTreeMap<i64, RecordBatch> =
            self.read()?.into_iter().map(|batch| (batch.header().producer_id.0, batch)).collect();
        for batch in last.values() {
            let again = ValidatedBatch::made_here(batch);
            let origin = AppendOrigin::Client { must_start_at_zero: false };
            let epoch = LeaderEpoch(lock(&self.model).epoch);
            let now = self.runtime.wall_clock();
            let appended = self.log().append_as_leader(&again, epoch, origin, now).map_err(told)?;
            if !appended.duplicate || appended.first_offset != batch.header().base_offset {
                return Err(format!(
                    "I1: the batch at {} was appended again: {appended:?}",
                    batch.base_offset()
                ));
            }
        }
        Ok(())
    }
}
