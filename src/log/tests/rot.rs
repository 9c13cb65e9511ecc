//! Bytes that no CRC covers, or that a clean start has not read, changed on the device: they may lose the log
//! its partition, but not the broker its thread.

use super::*;

const LOG: &str = "/data/t-0/00000000000000000000.log";
const INDEX: &str = "/data/t-0/00000000000000000000.index";
const TIME_INDEX: &str = "/data/t-0/00000000000000000000.timeindex";
/// Size of each batch of a [`filled`] log.
const SIZE: usize = 71;

/// Ten batches in one segment, each but the first two with an index entry of its own, and closed.
fn filled(config: LogConfig) -> Rig {
    let rig = Rig::new(LogConfig { index_interval_bytes: 1, ..config });
    let mut log = rig.create();
    for index in 0..10 {
        let batch = batch(&[&format!("v{index:02}")], 1000 + index);
        log.append_as_leader(&batch, LeaderEpoch(0), CLIENT, Timestamp(0)).unwrap();
    }
    log.close().unwrap();
    rig
}

/// Replaces bytes at `at`; from the end where it is negative.
fn put(rig: &Rig, path: &str, at: isize, bytes: &[u8]) {
    let mut all = rig.disk.read(path);
    let at = if at < 0 { all.len() - at.unsigned_abs() } else { at as usize };
    all[at..at + bytes.len()].copy_from_slice(bytes);
    rig.disk.put(path, &all);
}

/// The log goes on as if nothing had happened.
fn goes_on(log: &mut PartitionLog) {
    for index in 10..14 {
        let batch = batch(&[&format!("v{index:02}")], 3000 + index);
        log.append_as_leader(&batch, LeaderEpoch(0), CLIENT, Timestamp(0)).unwrap();
    }
    let expected: Vec<String> = (0..14).map(|index| format!("v{index:02}")).collect();
    assert_eq!(values(log), expected);
    let found = log.reader().view().offset_for_timestamp(Timestamp(1005), log.log_end()).unwrap();
    assert_eq!(found.map(|found| found.offset), Some(Offset(5)));
    log.close().unwrap();
}

#[test]
fn an_index_whose_last_entry_lies_far_ahead_is_made_anew() {
    let rig = filled(LogConfig::default());
    put(&rig, INDEX, -8, &(1_i32 << 29).to_be_bytes());
    let (mut log, recovered) = rig.try_open(CLEAN).unwrap();
    assert_eq!(recovered.indexes_rebuilt, 1);
    goes_on(&mut log);
}

#[test]
fn a_time_index_whose_last_entry_lies_far_ahead_is_made_anew() {
    let rig = filled(LogConfig::default());
    put(&rig, TIME_INDEX, -4, &(1_i32 << 29).to_be_bytes());
    let (mut log, recovered) = rig.try_open(CLEAN).unwrap();
    assert_eq!(recovered.indexes_rebuilt, 1);
    goes_on(&mut log);
}

#[test]
fn an_offset_that_no_index_can_hold_is_damage() {
    let far = (1_i64 << 33).to_be_bytes();
    for compact in [false, true] {
        for at in [3, 9] {
            let rig = filled(LogConfig { compact, ..LogConfig::default() });
            put(&rig, LOG, (at * SIZE) as isize, &far);
            for how in [CLEAN, unclean(10)] {
                assert!(at == 3 && how == CLEAN || matches!(rig.try_open(how), Err(LogError::Damaged(_))));
            }
        }
    }
}

#[test]
fn a_timestamp_that_changed_in_front_of_a_cut_gets_into_no_index() {
    let rig = filled(LogConfig::default());
    let mut log = rig.open_clean();
    put(&rig, LOG, 4 * SIZE as isize + 35, &i64::MAX.to_be_bytes());
    assert_eq!(log.truncate_to(Offset(5), Timestamp(0)).unwrap().log_end, Offset(5));
    append(&mut log, 0, &["w"]);
    log.close().unwrap();
}
