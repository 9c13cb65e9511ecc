//! Appending, rolling and reading.

use super::*;
use crate::protocol::records::{EndTransactionMarker, TransactionResult};
use crate::runtime::Event;

#[test]
fn what_is_appended_is_read_from_the_batch_that_contains_the_offset() {
    let rig = Rig::new(LogConfig::default());
    let mut log = rig.create();
    log.begin_leader_epoch(LeaderEpoch(3));
    assert_eq!(append(&mut log, 3, &["a", "b"]), 0);
    assert_eq!(append(&mut log, 3, &["c"]), 2);
    assert_eq!(append(&mut log, 4, &["d", "e", "f"]), 3);
    let expected = [(0, 3, "a"), (1, 3, "b"), (2, 3, "c"), (3, 4, "d"), (4, 4, "e"), (5, 4, "f")];
    assert_eq!(contents(&log), expected.map(|(offset, epoch, value)| (offset, epoch, value.to_owned())));
    let offsets = |batches: Vec<RecordBatch>| batches.iter().map(|b| b.base_offset().0).collect::<Vec<_>>();
    assert_eq!(offsets(read_batches(&log, 1, 1000)), [0, 2, 3], "the batch that contains 1 begins at 0");
    assert_eq!(offsets(read_batches(&log, 4, 1000)), [3]);
    assert_eq!(offsets(read_batches(&log, 1, 1)), [0], "the first batch comes whole");
    assert_eq!(offsets(read_batches(&log, 0, 75)), [0], "a piece of the next is cut short");
    assert!(read_batches(&log, 6, 1000).is_empty());
    let view = log.reader().view();
    assert!(matches!(view.read(&request(7, 1)), Err(ReadError::OffsetOutOfRange { .. })));
    assert!(matches!(view.read(&request(-1, 1)), Err(ReadError::OffsetOutOfRange { .. })));
    assert_eq!(log.end_offset_for_epoch(LeaderEpoch(3)).unwrap().end_offset, Offset(3));
    let appends = rig.disk.take_events().into_iter().filter(|event| matches!(event, Event::Append { .. }));
    assert_eq!(appends.count(), 3);
}

#[test]
fn bounds_hide_what_is_not_replicated_or_not_decided() {
    let rig = Rig::new(tiny());
    let mut log = rig.create();
    for index in 0..30 {
        append(&mut log, 0, &[&format!("value-{index}"), "x"]);
    }
    assert!(log.reader().view().segment_count() > 3);
    let read = |log: &PartitionLog, offset: i64, bound| {
        let request = ReadRequest { bound, ..request(offset, 100_000) };
        let fetched = log.reader().view().read_blocking(&request).unwrap();
        walk_batches(&bytes_of(&fetched)).map(|batch| batch.unwrap().last_offset().0).last()
    };
    for high_watermark in 0..=60 {
        log.set_high_watermark(Offset(high_watermark));
        for offset in 0..=60 {
            let last = read(&log, offset, ReadBound::HighWatermark);
            assert!(
                last.is_none_or(|last| last < high_watermark),
                "{offset} below {high_watermark}: {last:?}"
            );
            let batch_end = offset / 2 * 2 + 2;
            assert_eq!(last.is_some(), batch_end <= high_watermark, "{offset} below {high_watermark}");
        }
    }
}

#[test]
fn segments_roll_by_size_time_and_full_indexes() {
    let rig = Rig::new(LogConfig { segment_bytes: 200, ..LogConfig::default() });
    let mut log = rig.create();
    let size = batch(&["0123456789"], 0).size_in_bytes();
    assert_eq!(size, 78);
    for _ in 0..5 {
        append(&mut log, 0, &["0123456789"]);
    }
    let logs = |rig: &Rig| {
        rig.disk.names(DIRECTORY).into_iter().filter(|name| name.ends_with(".log")).collect::<Vec<_>>()
    };
    let expected = ["00000000000000000000.log", "00000000000000000002.log", "00000000000000000004.log"];
    assert_eq!(logs(&rig), expected);
    assert!(rig.disk.has("/data/t-0/00000000000000000002.snapshot"));
    let too_large = batch(&[&"x".repeat(200)], 0);
    let refused = log.append_as_leader(&too_large, LeaderEpoch(0), CLIENT, Timestamp(0));
    assert!(matches!(refused, Err(AppendError::TooLarge { max: 200, .. })));

    let rig = Rig::new(LogConfig { segment_ms: 100, ..LogConfig::default() });
    let mut log = rig.create();
    for (timestamp, segments) in [(1000, 1), (1100, 1), (1101, 2), (1201, 2), (900, 2), (1202, 3)] {
        log.append_as_leader(&batch(&["x"], timestamp), LeaderEpoch(0), CLIENT, Timestamp(0)).unwrap();
        assert_eq!(log.reader().view().segment_count(), segments, "at {timestamp}");
    }

    let config = LogConfig { index_interval_bytes: 0, segment_index_bytes: 24, ..LogConfig::default() };
    let rig = Rig::new(config);
    let mut log = rig.create();
    for _ in 0..7 {
        append(&mut log, 0, &["x"]);
    }
    assert_eq!(logs(&rig).len(), 4, "two entries fit into the time index, one of them kept for the end");
}

#[test]
fn duplicates_are_answered_with_their_first_offsets() {
    let rig = Rig::new(LogConfig::default());
    let mut log = rig.create();
    let mut send = |epoch, sequence, values: &[&str]| {
        let batch = sent(9, epoch, sequence, false, values);
        log.append_as_leader(&batch, LeaderEpoch(0), CLIENT, Timestamp(5))
    };
    for index in 0..6 {
        assert!(!send(0, 2 * index, &["a", "b"]).unwrap().duplicate);
    }
    let duplicate = send(0, 4, &["a", "b"]).unwrap();
    assert!(duplicate.duplicate);
    assert_eq!((duplicate.first_offset, duplicate.last_offset), (Offset(4), Offset(5)));
    assert_eq!(duplicate.log_append_time, Some(Timestamp(1000)));
    type Failure = Result<Appended, AppendError>;
    let out_of_order = |result: Failure| {
        matches!(result, Err(AppendError::Producer(ProducerError::OutOfOrderSequence { .. })))
    };
    assert!(out_of_order(send(0, 0, &["a", "b"])), "the sixth-oldest is forgotten");
    assert!(out_of_order(send(0, 10, &["a"])), "an overlap is no duplicate");
    assert!(out_of_order(send(0, 13, &["a"])), "a gap");
    assert!(out_of_order(send(1, 12, &["a"])), "a new epoch begins at 0");
    assert!(!send(1, 0, &["a"]).unwrap().duplicate);
    let fenced = send(0, 12, &["a"]);
    assert!(matches!(fenced, Err(AppendError::Producer(ProducerError::InvalidProducerEpoch { .. }))));
    assert_eq!(log.log_end(), Offset(13));
    let strict = AppendOrigin::Client { must_start_at_zero: true };
    let late = sent(10, 0, 1, true, &["x"]);
    assert!(out_of_order(log.append_as_leader(&late, LeaderEpoch(0), strict, Timestamp(5))));
    assert!(log.append_as_leader(&late, LeaderEpoch(0), CLIENT, Timestamp(5)).is_ok());
    let mut wrap = sent(11, 0, i32::MAX, false, &["x"]);
    for sequence in [0, 1] {
        assert!(!log.append_as_leader(&wrap, LeaderEpoch(0), CLIENT, Timestamp(5)).unwrap().duplicate);
        wrap = sent(11, 0, sequence, false, &["x"]);
    }
}

const ABORT: EndTransactionMarker =
    EndTransactionMarker { result: TransactionResult::Abort, coordinator_epoch: 0 };
const COMMIT: EndTransactionMarker =
    EndTransactionMarker { result: TransactionResult::Commit, coordinator_epoch: 0 };

fn mark(log: &mut PartitionLog, producer: i64, epoch: i16, marker: EndTransactionMarker) -> Offset {
    let (id, epoch) = (ProducerId(producer), ProducerEpoch(epoch));
    log.append_marker(id, epoch, marker, false, LeaderEpoch(0), Timestamp(1000)).unwrap().first_offset
}

#[test]
fn the_last_stable_offset_waits_until_markers_are_replicated() {
    let rig = Rig::new(LogConfig::default());
    let mut log = rig.create();
    for (producer, offset) in [(1, 0), (2, 1), (1, 2)] {
        let batch = sent(producer, 0, i32::from(offset == 2), true, &["x"]);
        let appended = log.append_as_leader(&batch, LeaderEpoch(0), CLIENT, Timestamp(5)).unwrap();
        assert_eq!(appended.first_offset, Offset(offset));
    }
    log.set_high_watermark(Offset(3));
    assert_eq!(log.last_stable(), Offset(0));
    assert_eq!(mark(&mut log, 1, 0, ABORT), Offset(3));
    assert_eq!(log.last_stable(), Offset(0), "the marker is not replicated yet");
    log.set_high_watermark(Offset(4));
    assert_eq!(log.last_stable(), Offset(1), "producer 2 is open");
    assert_eq!(mark(&mut log, 2, 0, COMMIT), Offset(4));
    log.set_high_watermark(Offset(5));
    assert_eq!(log.last_stable(), Offset(5));
    let bytes = rig.disk.read("/data/t-0/00000000000000000000.txnindex");
    let fields: Vec<i64> =
        bytes[2..].chunks_exact(8).map(|field| i64::from_be_bytes(field.try_into().unwrap())).collect();
    assert_eq!((bytes.len(), fields), (34, vec![1, 0, 3, 1]));
    let aborted = |offset, bound| {
        let request = ReadRequest { bound, ..request(offset, 1000) };
        let fetched = log.reader().view().read_blocking(&request).unwrap();
        fetched.aborted.map(|aborted| aborted.iter().map(|one| one.producer_id.0).collect::<Vec<_>>())
    };
    assert_eq!(aborted(0, ReadBound::LastStable), Some(vec![1]));
    assert_eq!(aborted(4, ReadBound::LastStable), Some(vec![]));
    assert_eq!(aborted(5, ReadBound::LastStable), Some(vec![]));
    assert_eq!(aborted(0, ReadBound::HighWatermark), None);
}

#[test]
fn markers_of_old_epochs_are_refused_and_second_ones_end_nothing() {
    let rig = Rig::new(LogConfig::default());
    let mut log = rig.create();
    let batch = sent(1, 3, 0, true, &["x"]);
    log.append_as_leader(&batch, LeaderEpoch(0), CLIENT, Timestamp(5)).unwrap();
    let mut mark = |epoch, bumps_epoch, marker| {
        let (id, epoch) = (ProducerId(1), ProducerEpoch(epoch));
        log.append_marker(id, epoch, marker, bumps_epoch, LeaderEpoch(0), Timestamp(1000)).map(|_| ())
    };
    let stale =
        |result| matches!(result, Err(AppendError::Producer(ProducerError::InvalidProducerEpoch { .. })));
    assert!(stale(mark(2, false, COMMIT)));
    assert!(stale(mark(3, true, COMMIT)), "with rising epochs the marker's is higher");
    mark(4, true, COMMIT).unwrap();
    mark(4, true, COMMIT).unwrap();
    let fenced = mark(4, true, EndTransactionMarker { coordinator_epoch: -1, ..COMMIT });
    assert!(matches!(fenced, Err(AppendError::Producer(ProducerError::CoordinatorFenced { .. }))));
    assert_eq!(log.producers().first_unstable_offset(), Some(Offset(0)), "not replicated yet");
    let outside = sent(1, 4, 0, false, &["x"]);
    log.append_as_leader(&outside, LeaderEpoch(0), CLIENT, Timestamp(5)).unwrap();
    let batch = sent(1, 4, 1, true, &["x"]);
    log.append_as_leader(&batch, LeaderEpoch(0), CLIENT, Timestamp(5)).unwrap();
    let outside = sent(1, 4, 2, false, &["x"]);
    let refused = log.append_as_leader(&outside, LeaderEpoch(0), CLIENT, Timestamp(5));
    assert!(matches!(refused, Err(AppendError::Producer(ProducerError::InvalidTransactionState { .. }))));
}

#[test]
fn a_follower_takes_what_its_leader_has_and_nothing_else() {
    let leader_rig = Rig::new(tiny());
    let mut leader = leader_rig.create();
    for index in 0..20 {
        append(&mut leader, index / 7, &["some", "value"]);
    }
    leader.append_as_leader(&sent(1, 0, 0, true, &["x"]), LeaderEpoch(5), CLIENT, Timestamp(0)).unwrap();
    mark(&mut leader, 1, 0, ABORT);
    let rig = Rig::new(tiny());
    let mut follower = rig.create();
    while follower.log_end() < leader.log_end() {
        let fetched = leader.reader().view().read_blocking(&request(follower.log_end().0, 300)).unwrap();
        follower.append_as_follower(&bytes_of(&fetched), Timestamp(0)).unwrap().unwrap();
    }
    assert_eq!(contents(&follower)[..41], contents(&leader)[..41]);
    assert_eq!(follower.epochs(), leader.epochs());
    assert_eq!(follower.producers(), leader.producers());
    assert_eq!(rig.disk.names(DIRECTORY), leader_rig.disk.names(DIRECTORY));
    let again = leader.reader().view().read_blocking(&request(40, 300)).unwrap();
    let refused = follower.append_as_follower(&bytes_of(&again), Timestamp(0));
    assert!(matches!(refused, Err(AppendError::UnexpectedOffset { first: Offset(40), .. })));
    let mut damaged = bytes_of(&again).to_vec();
    damaged[65] ^= 1;
    let refused = follower.append_as_follower(&damaged.into(), Timestamp(0));
    assert!(matches!(refused, Err(AppendError::Corrupt { .. })));
    assert_eq!(follower.append_as_follower(&Bytes::new(), Timestamp(0)).unwrap(), None);
}

#[test]
fn records_are_found_by_timestamp() {
    let rig = Rig::new(tiny());
    let mut log = rig.create();
    let mut offset = 0;
    let mut all = Vec::new();
    for index in 0..60_i64 {
        let timestamp = 10_000 + index * 10 - if index % 4 == 0 { 25 } else { 0 };
        log.append_as_leader(&batch(&["a", "b"], timestamp), LeaderEpoch(0), CLIENT, Timestamp(0)).unwrap();
        all.extend([(timestamp, offset), (timestamp, offset + 1)]);
        offset += 2;
    }
    for target in (9_900..10_700).step_by(3) {
        let expected = all.iter().find(|(timestamp, _)| *timestamp >= target);
        let found = log.reader().view().offset_for_timestamp(Timestamp(target), Offset::MAX).unwrap();
        assert_eq!(found.map(|found| (found.timestamp.0, found.offset.0)).as_ref(), expected, "{target}");
    }
    let max = log.reader().view().max_timestamp().unwrap().unwrap();
    assert_eq!((max.timestamp.0, max.offset.0), (10_590, 118));
    let below = log.reader().view().offset_for_timestamp(Timestamp(10_590), Offset(118)).unwrap();
    assert_eq!(below, None);
}

#[test]
fn a_full_disk_undoes_the_append_and_other_errors_end_the_log() {
    let rig = Rig::new(LogConfig::default());
    let mut log = rig.create();
    append(&mut log, 0, &["first"]);
    let before = rig.disk.read("/data/t-0/00000000000000000000.log");
    rig.disk.set_capacity(Some(rig.disk.used() + 20));
    let full = log.append_as_leader(&batch(&["second"], 0), LeaderEpoch(0), CLIENT, Timestamp(0));
    assert!(matches!(full, Err(AppendError::Storage(LogError::NoSpace { .. }))));
    assert_eq!(rig.disk.read("/data/t-0/00000000000000000000.log"), before);
    rig.disk.set_capacity(None);
    assert_eq!(append(&mut log, 0, &["third"]), 1, "there is room again");
    assert_eq!(values(&log), ["first", "third"]);
    rig.disk.fail_writes(true);
    let failed = log.append_as_leader(&batch(&["fourth"], 0), LeaderEpoch(0), CLIENT, Timestamp(0));
    assert!(matches!(failed, Err(AppendError::Storage(LogError::Io { .. }))));
    rig.disk.fail_writes(false);
    let offline = log.append_as_leader(&batch(&["fifth"], 0), LeaderEpoch(0), CLIENT, Timestamp(0));
    assert!(matches!(offline, Err(AppendError::Storage(LogError::Offline { .. }))));
    let read = log.reader().view().read(&request(0, 1));
    assert!(matches!(read, Err(ReadError::Storage(LogError::Offline { .. }))));
}

#[test]
fn a_cut_inside_of_the_batch_that_holds_the_log_start_leaves_an_empty_log() {
    let rig = Rig::new(LogConfig::default());
    let mut log = rig.create();
    append(&mut log, 0, &["a", "b", "c", "d"]);
    append(&mut log, 0, &["e"]);
    log.set_high_watermark(Offset(5));
    log.increment_log_start(Offset(2)).unwrap();
    let cut = log.truncate_to(Offset(3), Timestamp(0)).unwrap();
    assert_eq!((cut.log_end, log.log_start(), log.high_watermark()), (Offset(2), Offset(2), Offset(2)));
    assert_eq!(append(&mut log, 1, &["f"]), 2);
    assert_eq!(contents(&log).len(), 1);
}

#[test]
fn a_disk_that_fails_in_the_middle_of_a_cut_takes_the_log_offline() {
    let rig = Rig::new(tiny());
    let mut log = rig.create();
    for _ in 0..20 {
        append(&mut log, 0, &["value"]);
    }
    log.set_high_watermark(Offset(20));
    rig.disk.fail_syncs(true);
    assert!(matches!(log.truncate_to(Offset(3), Timestamp(0)), Err(LogError::Io { .. })));
    assert!(log.check_online().is_err());
}

#[test]
fn a_flush_does_not_mind_when_its_segments_are_cut_off_meanwhile() {
    let rig = Rig::new(tiny());
    let mut log = rig.create();
    for _ in 0..30 {
        append(&mut log, 0, &["value"]);
    }
    let FlushStep::Run(plan) = log.begin_flush(Offset(30)).unwrap() else { panic!("nothing to flush") };
    let _ = log.truncate_to(Offset(3), Timestamp(0)).unwrap();
    let result = plan.run();
    log.finish_flush(plan, result).unwrap();
    assert_eq!(append(&mut log, 0, &["value"]), 3);
}

#[test]
fn reads_that_would_wait_say_so() {
    let rig = Rig::new(tiny());
    let mut log = rig.create();
    for _ in 0..10 {
        append(&mut log, 0, &["some value"]);
    }
    rig.disk.set_cold(true);
    let Ok(Read::Cold(cold)) = log.reader().view().read(&request(3, 100)) else { panic!("not cold") };
    let fetched = cold.run().unwrap();
    assert_eq!(walk_batches(&bytes_of(&fetched)).next().unwrap().unwrap().base_offset(), Offset(3));
    rig.disk.set_cold(false);
    let as_file = ReadRequest { file_from_bytes: Some(64), ..request(3, 100) };
    let Ok(Read::Ready(fetched)) = log.reader().view().read(&as_file) else { panic!("cold") };
    assert!(matches!(fetched.records, FetchedRecords::File { length: 100, .. }));
}

#[test]
fn an_idle_log_is_small_and_a_new_one_costs_two_syncs() {
    let rig = Rig::new(LogConfig::default());
    let before = rig.disk.syncs();
    let log = rig.create();
    assert_eq!(rig.disk.syncs() - before, 2);
    assert!(size_of::<PartitionLog>() + size_of::<LogView>() < 1024);
    assert_eq!(rig.disk.names(DIRECTORY), ["00000000000000000000.log", "partition.metadata"]);
    drop(log);
}
