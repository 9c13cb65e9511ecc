//! One partition's log under threads of the operating system, on real files: what the simulator, which has
//! one thread, never sees. Writers take turns at the log's mutex; readers use published views without it,
//! while segments of a few batches are rolled, flushed, deleted and cut, and files are closed and opened
//! again behind their backs.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "real threads are its subject")]

use crate::server::Directory;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use vltava::log::{
    AppendOrigin, Checkpoint, FetchedRecords, FlushStep, LogConfig, LogDir, LogReader, LogView, OpenLog,
    PartitionLog, Read, ReadBound, ReadError, ReadRequest,
};
use vltava::protocol::records::{BatchBuilder, Compression, RecordBatch, ValidatedBatch, batches};
use vltava::runtime::{RealRuntime, Runtime};

use vltava::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TopicPartition, Uuid};

/// Fewer than the files in use: handles are closed and opened again all the time.
const MAX_OPEN_FILES: usize = 3;
const WRITERS: usize = 2;
const READERS: usize = 2;

struct Race {
    runtime: Runtime,
    directory: LogDir,
    partition: TopicPartition,
    config: Arc<LogConfig>,
    log: Mutex<PartitionLog>,
    reader: LogReader,
    is_cut: bool,
    epoch: AtomicI64,
    writers: AtomicUsize,
    failed: AtomicBool,
    reads: AtomicUsize,
}

/// Ends the others when a thread panics.
struct Alarm<'a>(&'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::SeqCst);
        }
    }
}

#[test]
fn readers_of_a_leader_see_whole_batches_in_order() {
    race(false, 1000);
}

#[test]
fn readers_of_a_follower_see_whole_batches_through_its_cuts() {
    race(true, 1000);
}

fn race(is_cut: bool, appends: usize) {
    let directory = Directory::new();
    let race = Race::new(&directory, is_cut);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let race = &race;
            scope.spawn(move || race.guarded(|| race.write(writer, appends)));
        }
        for reader in 0..READERS {
            let race = &race;
            scope.spawn(move || race.guarded(|| race.read(reader as u64)));
        }
        scope.spawn(|| race.guarded(|| race.until_written(|race, _| race.flush())));
        scope.spawn(|| race.guarded(|| race.until_written(|race, random| race.delete(random))));
        scope.spawn(|| race.guarded(|| race.until_written(|race, _| race.checkpoint())));
        if is_cut {
            scope.spawn(|| race.guarded(|| race.until_written(|race, random| race.cut(random))));
        }
    });
    let reads = race.reads.load(Ordering::SeqCst);
    assert!(reads > 0, "the readers never got a turn");
    race.close_and_open();
}

impl Race {
    fn new(directory: &Directory, is_cut: bool) -> Race {
        let runtime = Runtime::Real(RealRuntime::new(MAX_OPEN_FILES));
        let log_dir = LogDir::open(&runtime, directory.path()).unwrap();
        let partition = TopicPartition::new("races", 0);
        let config = Arc::new(LogConfig {
            segment_bytes: 4096,
            index_interval_bytes: 300,
            retention_bytes: 40_000,
            retention_ms: -1,
            ..LogConfig::default()
        });
        let path = log_dir.partition_path(&partition);
        let id = Uuid::from_random(1, 2);
        let log = PartitionLog::create(&runtime, &path, partition.clone(), id, config.clone(), Timestamp(0))
            .unwrap();
        Race {
            runtime,
            directory: log_dir,
            partition,
            config,
            reader: log.reader(),
            log: Mutex::new(log),
            is_cut,
            epoch: AtomicI64::new(0),
            writers: AtomicUsize::new(WRITERS),
            failed: AtomicBool::new(false),
            reads: AtomicUsize::new(0),
        }
    }

    fn guarded(&self, work: impl FnOnce()) {
        let _alarm = Alarm(&self.failed);
        work();
    }

    fn is_over(&self) -> bool {
        self.failed.load(Ordering::SeqCst) || self.writers.load(Ordering::SeqCst) == 0
    }

    fn until_written(&self, mut step: impl FnMut(&Race, &mut Random)) {
        let mut random = Random(7);
        while !self.is_over() {
            step(self, &mut random);
            std::thread::yield_now();
        }
    }

    fn write(&self, writer: usize, appends: usize) {
        let mut random = Random(writer as u64 + 1);
        let mut sequence = 0;
        for _ in 0..appends {
            if self.failed.load(Ordering::SeqCst) {
                break;
            }
            let count = 1 + random.below(4);
            let mut builder = BatchBuilder::new(Compression::NONE);
            if !self.is_cut {
                // A cut takes sequences back, which a producer would hear of.
                builder = builder.producer(ProducerId(writer as i64), ProducerEpoch(0), sequence);
                sequence += count as i32;
            }
            for _ in 0..count {
                let value = vec![b'a' + writer as u8; 20 + random.below(150) as usize];
                builder.append(Timestamp(sequence as i64), None, Some(&value), &[]);
            }
            let batch = ValidatedBatch::made_here(&builder.build());
            let origin = AppendOrigin::Client { must_start_at_zero: false };
            let mut log = PartitionLog::lock(&self.log);
            let epoch = LeaderEpoch(self.epoch.load(Ordering::SeqCst) as i32);
            log.append_as_leader(&batch, epoch, origin, Timestamp(0)).unwrap();
            let end = log.log_end();
            log.set_high_watermark(end);
            drop(log);
            if random.below(16) == 0 {
                // On one core nobody else would have a turn until the writers are done.
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
        }
        self.writers.fetch_sub(1, Ordering::SeqCst);
    }

    fn flush(&self) {
        let step = PartitionLog::lock(&self.log).begin_flush(Offset(i64::MAX)).unwrap();
        if let FlushStep::Run(plan) = step {
            let result = plan.run();
            PartitionLog::lock(&self.log).finish_flush(plan, result).unwrap();
        }
    }

    /// Moves the log start, now and then, and removes what retention does not keep, at once.
    fn delete(&self, random: &mut Random) {
        let mut log = PartitionLog::lock(&self.log);
        if random.below(4) == 0 {
            let (start, mark) = (log.log_start(), log.high_watermark());
            let to = Offset(start.0 + random.below((mark - start) as u64 / 4 + 1) as i64);
            log.delete_records(Some(to)).unwrap();
        }
        let doomed = log.delete_old_segments(Timestamp(0)).unwrap();
        drop(log);
        doomed.remove().unwrap();
    }

    fn checkpoint(&self) {
        let point = || PartitionLog::lock(&self.log).recovery_point();
        let points = || BTreeMap::from([(self.partition.clone(), point())]);
        self.directory.write_checkpoint(Checkpoint::RecoveryPoints, &points).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1));
    }

    fn cut(&self, random: &mut Random) {
        std::thread::sleep(std::time::Duration::from_millis(2));
        let mut log = PartitionLog::lock(&self.log);
        let (start, end) = (log.log_start(), log.log_end());
        let to = Offset(end.0 - random.below((end - start) as u64 / 4 + 1) as i64);
        let cut = log.truncate_to(to, Timestamp(0)).unwrap();
        assert!(cut.log_end <= to);
        // What follows a cut is of another leader.
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    fn read(&self, reader: u64) {
        let mut random = Random(100 + reader);
        let mut last_end = Offset(0);
        while !self.is_over() {
            let view = self.reader.view();
            assert!(self.is_cut || view.log_end() >= last_end, "the log end fell to {}", view.log_end());
            last_end = view.log_end();
            let span = (view.log_end() - view.log_start()) as u64;
            let mut offset = Offset(view.log_start().0 + random.below(span + 1) as i64);
            // An older view is still whole, whatever happens to the log meanwhile.
            for _ in 0..8 {
                match self.read_once(&view, offset, &mut random) {
                    Some(next) => offset = next,
                    None => break,
                }
            }
            self.look_for_times(&view, &mut random);
        }
    }

    /// Reads at `offset` and checks what comes; returns where to go on.
    fn read_once(&self, view: &Arc<LogView>, offset: Offset, random: &mut Random) -> Option<Offset> {
        let request = ReadRequest {
            offset,
            max_bytes: 200 + random.below(6000) as usize,
            bound: if random.below(2) == 0 { ReadBound::LogEnd } else { ReadBound::LastStable },
            at_least_one: true,
            file_from_bytes: None,
        };
        let result = match view.read(&request) {
            Ok(Read::Ready(fetched)) => Ok(fetched),
            Ok(Read::Cold(cold)) => cold.run(),
            Err(error) => Err(error),
        };
        let fetched = match result {
            Ok(fetched) => fetched,
            // The newest view says that it is so.
            Err(ReadError::OffsetOutOfRange { .. }) => {
                let now = self.reader.view();
                assert!(self.is_cut || offset < now.log_start(), "{offset} is in the log and is not found");
                return None;
            }
            Err(ReadError::Cut) if self.is_cut => return None,
            Err(error) => panic!("at {offset}: {error}"),
        };
        let FetchedRecords::Bytes(bytes) = fetched.records else { panic!("a file was not asked for") };
        self.reads.fetch_add(1, Ordering::SeqCst);
        let mut next = None;
        for batch in batches(&bytes) {
            // The last one may be cut short.
            let Ok(batch) = batch else { break };
            check_batch(&batch);
            match next {
                None => assert!(batch.base_offset() <= offset && offset < batch.next_offset()),
                Some(expected) => assert_eq!(batch.base_offset(), expected, "a gap"),
            }
            next = Some(batch.next_offset());
        }
        assert!(next.is_some() == (offset < view.bound(request.bound)), "nothing at {offset}");
        assert!(
            next.is_none_or(|next| next <= view.bound(request.bound)),
            "a batch behind the published end"
        );
        next
    }

    fn look_for_times(&self, view: &LogView, random: &mut Random) {
        match view.max_timestamp() {
            Ok(_) => {}
            Err(ReadError::Cut) if self.is_cut => {}
            Err(error) => panic!("{error}"),
        }
        let timestamp = Timestamp(random.below(2000) as i64);
        match view.offset_for_timestamp(timestamp, view.log_end()) {
            Ok(found) => assert!(found.is_none_or(|found| found.timestamp >= timestamp)),
            Err(ReadError::Cut) if self.is_cut => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// What is on the disk in the end is what was in memory.
    fn close_and_open(&self) {
        let mut log = PartitionLog::lock(&self.log);
        let (start, end, epochs) = (log.log_start(), log.log_end(), log.epochs().clone());
        log.close().unwrap();
        for clean in [false, true] {
            let how = OpenLog { clean, recovery_point: log.recovery_point(), log_start: start };
            let (path, config) = (log.directory(), self.config.clone());
            let opened =
                PartitionLog::open(&self.runtime, path, self.partition.clone(), config, how, Timestamp(0));
            let (mut opened, recovered) = opened.unwrap();
            opened.set_high_watermark(end);
            assert_eq!((opened.log_start(), opened.log_end()), (start, end), "{recovered:?}");
            assert_eq!(opened.epochs(), &epochs);
            let (view, mut offset) = (opened.reader().view(), start);
            while offset < end {
                offset = self.read_once(&view, offset, &mut Random(1)).expect("all of it is there");
            }
        }
    }
}

fn check_batch(batch: &RecordBatch) {
    batch.verify_crc().unwrap();
    let mut writer = None;
    for record in batch.records().unwrap() {
        let value = record.unwrap().value.unwrap();
        assert!(
            value.iter().all(|byte| *byte == *writer.get_or_insert(value[0])),
            "two writers in one batch"
        );
    }
}

/// A generator of numbers, so that a failure is at least drawn from the same steps again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
