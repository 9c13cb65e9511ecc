//! A crash at every operation on the disk, of both kinds, in a short life of a log.

use super::*;
use crate::log::testing::Crash;

/// What the life of a log has promised when it ends.
#[derive(Default)]
struct Promised {
    /// Every record that was appended and not cut off, in order.
    appended: Vec<String>,
    /// How many of them are not being cut off.
    kept: usize,
    /// How many of them were flushed.
    flushed: usize,
    /// Whether the directory was closed cleanly.
    clean: bool,
    /// The recovery point in the checkpoint.
    recovery_point: i64,
}

/// Appends, rolls, flushes, cuts and closes until an operation fails.
fn live(rig: &Rig, promised: &mut Promised) -> Result<(), LogError> {
    let id = Uuid::from_random(1, 2);
    let config = Arc::new(rig.config.clone());
    let path = Path::new(DIRECTORY);
    let mut log = PartitionLog::create(&rig.runtime, path, partition(), id, config, Timestamp(0))?;
    for round in 0..4 {
        for index in 0..7 {
            let value = format!("value {round} {index}");
            let batch = sent(1, 0, promised.appended.len() as i32, false, &[&value]);
            match log.append_as_leader(&batch, LeaderEpoch(round), CLIENT, Timestamp(0)) {
                Err(AppendError::Storage(error)) => return Err(error),
                result => drop(result.unwrap()),
            }
            promised.appended.push(value);
            promised.kept = promised.appended.len();
            if index % 3 == round as usize % 3 {
                log.flush_blocking()?;
                promised.flushed = promised.appended.len();
                promised.recovery_point = log.recovery_point().0;
            }
        }
        if round == 2 {
            // What a cut takes away may be gone as soon as the cut begins.
            let end = log.log_end().0 - 10;
            promised.kept = end as usize;
            promised.flushed = promised.flushed.min(end as usize);
            promised.recovery_point = promised.recovery_point.min(end);
            let _ = log.truncate_to(Offset(end), Timestamp(0))?;
            promised.appended.truncate(end as usize);
        }
    }
    log.close()?;
    promised.flushed = promised.appended.len();
    promised.clean = true;
    Ok(())
}

fn check(disk: Arc<MemoryDisk>, promised: &Promised, process_crash: bool, what: &str) {
    let rig = Rig::on(disk, tiny());
    if !rig.disk.has(DIRECTORY) || !rig.disk.names(DIRECTORY).iter().any(|name| name.ends_with(".log")) {
        assert_eq!(promised.flushed, 0, "{what}: the partition is gone");
        return;
    }
    let how = OpenLog {
        clean: promised.clean,
        recovery_point: Offset(promised.recovery_point),
        log_start: Offset(0),
    };
    let opened = rig.try_open(how);
    let (mut log, _) = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = values(&log);
    let kept = found.len().min(promised.appended.len());
    assert_eq!(found[..kept], promised.appended[..kept], "{what}");
    assert!(found.len() >= promised.flushed, "{what}: {} of {} flushed", found.len(), promised.flushed);
    assert!(!process_crash || found.len() >= promised.kept, "{what}: {}", found.len());
    let producer = log.producers().get(ProducerId(1)).map(ProducerState::last_sequence);
    assert_eq!(producer.unwrap_or(-1), found.len() as i32 - 1, "{what}: the producer's last sequence");
    append(&mut log, 9, &["after"]);
    log.close().unwrap();
    assert_eq!(values(&rig.open_clean()).len(), found.len() + 1, "{what}");
}

#[test]
fn nothing_that_was_promised_is_lost_whenever_it_crashes() {
    let rig = Rig::new(tiny());
    let before = rig.disk.operations();
    let mut promised = Promised::default();
    live(&rig, &mut promised).unwrap();
    let operations = rig.disk.operations() - before;
    assert!(operations > 100, "{operations}");
    for at in 0..operations {
        for crash in [Crash::Before, Crash::Half, Crash::After] {
            let rig = Rig::new(tiny());
            rig.disk.crash_at(at, crash);
            let mut promised = Promised::default();
            let ended = live(&rig, &mut promised);
            assert!(ended.is_err() || at + 1 == operations, "{crash:?} at {at} of {operations}");
            check(rig.disk.crashed(), &promised, true, &format!("process crash {crash:?} at {at}"));
            check(rig.disk.power_lost(), &promised, false, &format!("power loss {crash:?} at {at}"));
        }
    }
}

#[test]
fn a_log_that_begins_anew_never_stands_beside_the_old_one() {
    let old = "00000000000000000000.log";
    for at in 0.. {
        let rig = Rig::new(tiny());
        let mut log = rig.create();
        append(&mut log, 0, &["a", "b", "c"]);
        log.flush_blocking().unwrap();
        log.set_high_watermark(Offset(3));
        log.increment_log_start(Offset(1)).unwrap();
        rig.disk.crash_at(at, Crash::After);
        let cut = log.truncate_to(Offset(2), Timestamp(0));
        // A file system may keep a new name and forget that an older one was taken away.
        let mut names = rig.disk.crashed().names(DIRECTORY);
        names.extend(rig.disk.power_lost().names(DIRECTORY));
        let fresh = names.iter().any(|name| name.ends_with(".log") && name != old);
        assert!(!fresh || !names.iter().any(|name| name == old), "operation {at}: {names:?}");
        if cut.is_ok() {
            assert!(fresh && at > 3, "operation {at}: {names:?}");
            break;
        }
    }
}

#[test]
fn after_a_failed_sync_nothing_is_trusted() {
    let rig = Rig::new(tiny());
    let mut log = rig.create();
    append(&mut log, 0, &["a"]);
    rig.disk.fail_syncs(true);
    assert!(matches!(log.flush_blocking(), Err(LogError::Io { action: "sync", .. })));
    rig.disk.fail_syncs(false);
    assert!(matches!(log.flush_blocking(), Err(LogError::Offline { .. })));
    assert_eq!(log.recovery_point(), Offset(0));
    let read = log.reader().view().read(&request(0, 1));
    assert!(matches!(read, Err(ReadError::Storage(LogError::Offline { .. }))));
}

#[test]
fn a_flush_serves_all_who_wait_and_a_lost_one_is_done_again() {
    let rig = Rig::new(tiny());
    let mut log = rig.create();
    append(&mut log, 0, &["a"]);
    let Ok(FlushStep::Run(plan)) = log.begin_flush(Offset(1)) else { panic!("nothing to do") };
    append(&mut log, 0, &["b"]);
    let Ok(FlushStep::Wait(mut first)) = log.begin_flush(Offset(1)) else { panic!("a second flush") };
    let Ok(FlushStep::Wait(_)) = log.begin_flush(Offset(2)) else { panic!("a second flush") };
    let result = plan.run();
    append(&mut log, 0, &["c"]);
    log.finish_flush(plan, result).unwrap();
    assert!(first.wait_for(|finished| *finished == 1).now_or_never().is_some());
    assert_eq!(log.recovery_point(), Offset(1), "what came after it began is not in it");
    assert!(matches!(log.begin_flush(Offset(1)), Ok(FlushStep::Done)));
    let Ok(FlushStep::Run(lost)) = log.begin_flush(Offset(3)) else { panic!("nothing to do") };
    let Ok(FlushStep::Wait(mut second)) = log.begin_flush(Offset(3)) else { panic!("a second flush") };
    drop(lost);
    assert!(second.changed().now_or_never().is_some());
    let Ok(FlushStep::Run(plan)) = log.begin_flush(Offset(3)) else { panic!("nothing to do") };
    let _ = log.truncate_to(Offset(2), Timestamp(0)).unwrap();
    append(&mut log, 1, &["d"]);
    let result = plan.run();
    log.finish_flush(plan, result).unwrap();
    assert_eq!(
        log.recovery_point(),
        Offset(2),
        "a flush from before a cut proves nothing about what came after"
    );
}

#[test]
fn the_shared_flush_waits_for_the_device_once() {
    let rig = Rig::new(tiny());
    let mut log = rig.create();
    append(&mut log, 0, &["a"]);
    let log = Arc::new(std::sync::Mutex::new(log));
    let permits = tokio::sync::Semaphore::new(1);
    let before = rig.disk.syncs();
    for _ in 0..2 {
        let flushed = flush(&rig.runtime, &permits, &log, Offset(1)).now_or_never();
        flushed.expect("nothing to wait for").unwrap();
    }
    let once = rig.disk.syncs() - before;
    assert_eq!(PartitionLog::lock(&log).recovery_point(), Offset(1));
    assert_eq!(once, 4, "the batches, the epochs with their name, and the name of the directory");
}

/// Polls a future once.
trait Poll: Future + Sized {
    fn now_or_never(self) -> Option<Self::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::pin!(self).poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}

impl<F: Future> Poll for F {}
