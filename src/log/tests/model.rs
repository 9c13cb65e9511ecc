//! Random steps on a log, against a vector that does the same.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Append { records: usize, bytes: usize, new_epoch: bool },
    Flush,
    TruncateTo(i64),
    StartAt(i64),
    HighWatermark(i64),
    DeleteTo(i64),
    Retention,
    CloseAndOpen,
    Kill,
    PowerLoss,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (1..4usize, 0..120usize, prop::bool::weighted(0.1))
            .prop_map(|(records, bytes, new_epoch)| Step::Append { records, bytes, new_epoch }),
        2 => Just(Step::Flush),
        2 => (0..60i64).prop_map(Step::TruncateTo),
        1 => (0..80i64).prop_map(Step::StartAt),
        2 => (0..80i64).prop_map(Step::HighWatermark),
        1 => (0..80i64).prop_map(Step::DeleteTo),
        1 => Just(Step::Retention),
        1 => Just(Step::CloseAndOpen),
        2 => Just(Step::Kill),
        2 => Just(Step::PowerLoss),
    ]
}

/// A log, the vector that it should equal, and what the checkpoints of its directory say.
struct Pair {
    rig: Rig,
    log: PartitionLog,
    model: Vec<(i64, i32, String)>,
    epoch: i32,
    recovery_point: Offset,
    log_start: Offset,
    appended: usize,
}

impl Pair {
    fn new() -> Pair {
        let config = LogConfig { retention_ms: -1, retention_bytes: 1500, ..tiny() };
        let rig = Rig::new(config);
        let log = rig.create();
        rig.disk.sync_dir(Path::new("/data")).unwrap();
        let (recovery_point, log_start) = (Offset(0), Offset(0));
        Pair { rig, log, model: Vec::new(), epoch: 0, recovery_point, log_start, appended: 0 }
    }

    fn checkpoint(&mut self) {
        (self.recovery_point, self.log_start) = (self.log.recovery_point(), self.log.log_start());
    }

    fn append(&mut self, records: usize, bytes: usize, new_epoch: bool) {
        self.epoch += i32::from(new_epoch);
        let values: Vec<String> =
            (0..records).map(|index| format!("{}-{index}-{}", self.appended, "x".repeat(bytes))).collect();
        self.appended += 1;
        let borrowed: Vec<&str> = values.iter().map(String::as_str).collect();
        let first = append(&mut self.log, self.epoch, &borrowed);
        let epoch = self.epoch;
        self.model.extend(values.into_iter().zip(first..).map(|(value, offset)| (offset, epoch, value)));
    }

    fn run(&mut self, step: &Step) {
        let end = self.log.log_end().0;
        match *step {
            Step::Append { records, bytes, new_epoch } => self.append(records, bytes, new_epoch),
            Step::Flush => {
                self.log.flush_blocking().unwrap();
                self.checkpoint();
            }
            Step::TruncateTo(back) => {
                let to = Offset((end - back).max(self.log.log_start().0));
                let truncated = self.log.truncate_to(to, Timestamp(0)).unwrap();
                assert!(truncated.log_end <= to.max(self.log.log_start()));
                self.model.retain(|(offset, _, _)| *offset < truncated.log_end.0);
                self.checkpoint();
                self.epoch += 1;
            }
            Step::StartAt(offset) => {
                let _ = self.log.truncate_fully_and_start_at(Offset(offset), Timestamp(0)).unwrap();
                self.model.clear();
                self.checkpoint();
                self.epoch += 1;
            }
            Step::HighWatermark(offset) => self.log.set_high_watermark(Offset(offset)),
            Step::DeleteTo(offset) => {
                if self.log.delete_records(Some(Offset(offset))).is_ok() {
                    self.checkpoint();
                }
            }
            Step::Retention => self.log.delete_old_segments(Timestamp(0)).unwrap().remove().unwrap(),
            Step::CloseAndOpen => {
                self.log.close().unwrap();
                self.checkpoint();
                self.reopen(true);
            }
            Step::Kill => {
                self.rig =
                    Rig { runtime: self.rig.disk.runtime(), ..Rig::on(self.rig.disk.clone(), self.config()) };
                self.reopen(false);
            }
            Step::PowerLoss => {
                let durable = self.log.recovery_point();
                self.rig = Rig::on(self.rig.disk.power_lost(), self.config());
                self.reopen(false);
                assert!(self.log.log_end() >= durable, "flushed up to {durable}");
                let end = self.log.log_end().0;
                self.model.retain(|(offset, _, _)| *offset < end);
                self.epoch += 1;
            }
        }
        let start = self.log.log_start().0;
        self.model.retain(|(offset, _, _)| *offset >= start);
    }

    fn config(&self) -> LogConfig {
        self.rig.config.clone()
    }

    fn reopen(&mut self, clean: bool) {
        let how = OpenLog { clean, recovery_point: self.recovery_point, log_start: self.log_start };
        let (log, recovered) = self.rig.try_open(how).unwrap();
        assert!(!clean || recovered == Recovered::default(), "{recovered:?}");
        self.log = log;
    }

    fn check(&mut self) {
        assert_eq!(contents(&self.log), self.model);
        let mut epochs = EpochCache::default();
        for &(offset, epoch, _) in &self.model {
            epochs.assign(LeaderEpoch(epoch), Offset(offset));
        }
        // An epoch at the log end has no records that could tell of it.
        let known =
            self.log.epochs().entries().iter().filter(|entry| entry.start_offset < self.log.log_end());
        assert_eq!(known.copied().collect::<Vec<_>>(), epochs.entries(), "epochs");
        for &(offset, _, _) in &self.model {
            let first = read_batches(&self.log, offset, 1).remove(0);
            assert!(first.base_offset().0 <= offset && offset <= first.last_offset().0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_log_is_a_vector(steps in prop::collection::vec(step(), 1..60)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.run(step);
            pair.check();
        }
    }
}
