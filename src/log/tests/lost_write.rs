//! Power losses on a device that writes in any order: valid batches behind what never reached it.

use super::*;
use crate::log::testing::Crash;
use crate::runtime::OpenOptions;

const FIRST: &str = "/data/t-0/00000000000000000000.log";
const SECOND: &str = "/data/t-0/00000000000000000009.log";
const THIRD: &str = "/data/t-0/00000000000000000018.log";
const SECTOR: usize = 512;
/// Size of each batch of a [`filled`] log. Nine fit into a segment of [`tiny`].
const SIZE: usize = 71;

/// A log of twenty batches, all on the device; each is one of producer 1, with its offset for a sequence.
fn filled(config: LogConfig) -> Rig {
    let rig = Rig::new(config);
    let mut log = rig.create();
    for index in 0..20 {
        log.append_as_leader(&numbered(index), LeaderEpoch(index / 8), CLIENT, Timestamp(0)).unwrap();
    }
    log.flush_blocking().unwrap();
    rig
}

fn numbered(index: i32) -> ValidatedBatch {
    sent(1, 0, index, false, &[&format!("v{index:02}")])
}

fn expected(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("v{index:02}")).collect()
}

/// Replaces bytes of a file by zeros, as if their sectors had never been written.
fn lose(rig: &Rig, path: &str, range: std::ops::Range<usize>) {
    let mut bytes = rig.disk.read(path);
    let end = range.end.min(bytes.len());
    bytes[range.start..end].fill(0);
    put_durable(rig, path, &bytes);
}

fn put_durable(rig: &Rig, path: &str, bytes: &[u8]) {
    let file = rig.disk.open(Path::new(path), OpenOptions::CREATE_TRUNCATED).unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    rig.disk.sync_dir(Path::new(DIRECTORY)).unwrap();
}

fn damage(rig: &Rig, how: OpenLog) -> Damage {
    match rig.try_open(how) {
        Err(LogError::Damaged(damage)) => damage,
        Err(other) => panic!("{other}"),
        Ok((log, recovered)) => panic!("{recovered:?} of {:?}", values(&log)),
    }
}

/// Recovers the log, which must hold the first `count` values and take the next one; returns what was done.
fn recovers(rig: &Rig, count: usize, what: &str) -> Recovered {
    let opened = rig.try_open(unclean(0));
    let (mut log, recovered) = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(values(&log), expected(count), "{what}");
    assert!(log.epochs().entries().iter().all(|entry| entry.start_offset <= log.log_end()), "{what}");
    let next = numbered(count as i32);
    let appended = log.append_as_leader(&next, LeaderEpoch(9), CLIENT, Timestamp(0));
    assert_eq!(appended.unwrap().first_offset, Offset(count as i64), "{what}");
    assert_eq!(values(&rig.recover(0).0), expected(count + 1), "{what}: after the next start");
    recovered
}

#[test]
fn a_sector_of_zeros_in_front_of_valid_batches_is_cut() {
    let rig = filled(LogConfig::default());
    lose(&rig, FIRST, SECTOR..2 * SECTOR);
    // Batch 7 begins 15 bytes in front of the hole, and 15 is the first whole one behind it.
    let (_, recovered) = rig.recover(0);
    assert_eq!(recovered.bytes_cut, (13 * SIZE) as u64);
    assert_eq!(recovered.bytes_given_up, (5 * SIZE) as u64);
    let because = recovered.cut_because.unwrap();
    let says = "position 497, offset 7: the batch is corrupt";
    assert!(because.contains(says), "{because}");
    assert!(because.contains("only zeros from 512 to 1024: the write there never reached"), "{because}");
    assert!(because.contains("355 bytes from the next valid batch on are given up"), "{because}");
    assert!(because.contains("in front of the recovery point 0"), "{because}");
    let noted = rig.disk.take_events();
    assert!(noted.iter().any(|event| format!("{event:?}").contains("lost write")), "{noted:?}");
}

#[test]
fn every_set_of_sectors_that_may_be_lost_is_a_prefix_afterwards() {
    for (config, files) in [(LogConfig::default(), &[FIRST][..]), (tiny(), &[FIRST, SECOND, THIRD])] {
        let sizes: Vec<usize> =
            files.iter().map(|path| filled(config.clone()).disk.read(path).len()).collect();
        let sectors: Vec<(usize, usize)> = (0..files.len())
            .flat_map(|file| (0..sizes[file].div_ceil(SECTOR)).map(move |sector| (file, sector)))
            .collect();
        for mask in 1..1_u32 << sectors.len() {
            let rig = filled(config.clone());
            let mut whole = 20;
            for (_, (file, sector)) in sectors.iter().enumerate().filter(|(bit, _)| mask & 1 << bit != 0) {
                lose(&rig, files[*file], sector * SECTOR..(sector + 1) * SECTOR);
                whole = whole.min(file * 9 + sector * SECTOR / SIZE);
            }
            recovers(&rig, whole, &format!("lost {mask:b} of {sectors:?}"));
        }
    }
}

#[test]
fn bytes_that_are_not_zeros_are_damage_in_the_same_places() {
    let rig = filled(LogConfig::default());
    for at in [497, 505, 508, 513, 530, 567] {
        rig.disk.flip(FIRST, at);
        let before = rig.disk.read(FIRST);
        let found = damage(&rig, unclean(0));
        assert_eq!((found.kind, found.position), (DamageKind::BeforeValidBatches, 497), "byte {at}");
        assert_eq!(rig.disk.read(FIRST), before);
        rig.disk.flip(FIRST, at);
    }
    // A hole with one bit in it is none.
    lose(&rig, FIRST, SECTOR..2 * SECTOR);
    rig.disk.flip(FIRST, 700);
    assert_eq!(damage(&rig, unclean(0)).kind, DamageKind::BeforeValidBatches);
    // Neither are zeros that are no sector's.
    let rig = filled(LogConfig::default());
    lose(&rig, FIRST, 3 * SIZE..4 * SIZE);
    assert_eq!(damage(&rig, unclean(0)).kind, DamageKind::BeforeValidBatches);
}

#[test]
fn a_hole_below_the_recovery_point_is_damage() {
    let rig = filled(LogConfig::default());
    lose(&rig, FIRST, SECTOR..2 * SECTOR);
    let before = rig.disk.read(FIRST);
    for point in [8, 15, 20] {
        let found = damage(&rig, unclean(point));
        assert_eq!((found.kind, found.offset), (DamageKind::BelowRecoveryPoint, Offset(7)));
    }
    let clean = OpenLog { clean: true, ..unclean(0) };
    assert_eq!(damage(&rig, clean).kind, DamageKind::BelowRecoveryPoint, "a clean stop synced everything");
    assert_eq!(rig.disk.read(FIRST), before);
    assert_eq!(values(&rig.recover(7).0), expected(7));
}

#[test]
fn a_segment_that_ends_early_in_front_of_valid_ones_is_cut_at_every_length() {
    let whole = filled(tiny()).disk.read(FIRST);
    for length in 0..whole.len() {
        let rig = filled(tiny());
        put_durable(&rig, FIRST, &whole[..length]);
        let recovered = recovers(&rig, length / SIZE, &format!("{length} bytes"));
        assert_eq!(recovered.bytes_given_up, (11 * SIZE) as u64);
        assert!(recovered.cut_because.unwrap().contains("never reached the device"));
    }
    let rig = filled(tiny());
    rig.disk.remove(Path::new(SECOND)).unwrap();
    recovers(&rig, 9, "the second segment is missing");
}

#[test]
fn a_length_that_rotted_at_the_end_of_a_segment_is_damage() {
    let rig = filled(tiny());
    for byte in 8..12 {
        rig.disk.flip(FIRST, 8 * SIZE + byte);
        assert_eq!(damage(&rig, unclean(0)).kind, DamageKind::BeforeValidBatches, "byte {byte}");
        rig.disk.flip(FIRST, 8 * SIZE + byte);
    }
    // The same batch with its end missing was never written whole.
    let bytes = rig.disk.read(FIRST);
    put_durable(&rig, FIRST, &bytes[..9 * SIZE - 1]);
    recovers(&rig, 8, "the last byte is missing");
}

/// A value that makes a batch of `size` bytes.
fn value_for(size: usize) -> String {
    let fits = |length: &usize| batch(&[&"x".repeat(*length)], 1000).size_in_bytes() == size;
    "x".repeat((0..size).find(fits).expect("there is a length for it"))
}

#[test]
fn the_front_of_a_batch_alone_may_lie_in_the_lost_sector() {
    for in_sector in 1..=61 {
        let rig = Rig::new(LogConfig::default());
        let mut log = rig.create();
        let first = value_for(SECTOR - in_sector);
        append(&mut log, 0, &[&first]);
        for value in ["second", "third"] {
            append(&mut log, 0, &[value]);
        }
        lose(&rig, FIRST, SECTOR - in_sector..SECTOR);
        let (log, recovered) = rig.recover(0);
        // The front of offset 1 is zeros anyway.
        let kept = if in_sector < 8 { 3 } else { 1 };
        assert_eq!(values(&log), [first.as_str(), "second", "third"][..kept], "{in_sector} bytes");
        assert_eq!(recovered.bytes_given_up > 0, kept == 1);
    }
}

#[test]
fn the_end_of_a_segment_alone_may_lie_in_the_lost_sector() {
    for in_sector in 1..=61 {
        let config = LogConfig { segment_bytes: 600, ..LogConfig::default() };
        let filled = || {
            let rig = Rig::new(config.clone());
            let mut log = rig.create();
            append(&mut log, 0, &["first"]);
            let rest = SECTOR + in_sector - rig.disk.read(FIRST).len();
            append(&mut log, 0, &[&value_for(rest)]);
            append(&mut log, 0, &[&"x".repeat(300)]);
            rig
        };
        let rig = filled();
        assert_eq!(rig.disk.read(FIRST).len(), SECTOR + in_sector);
        assert!(rig.disk.has("/data/t-0/00000000000000000002.log"));
        lose(&rig, FIRST, SECTOR..SECTOR + in_sector);
        let (log, recovered) = rig.recover(0);
        // The last byte of a batch is zero anyway.
        let kept = if in_sector == 1 { 3 } else { 1 };
        assert_eq!(values(&log).len(), kept, "{in_sector} bytes: {recovered:?}");
        let rig = filled();
        rig.disk.flip(FIRST, SECTOR + in_sector / 2);
        assert_eq!(damage(&rig, unclean(0)).kind, DamageKind::BeforeValidBatches);
    }
}

#[test]
fn a_crash_while_a_lost_write_is_cut_leaves_a_log_that_can_be_cut_again() {
    let holed = || {
        let rig = filled(LogConfig { compact: true, ..tiny() });
        lose(&rig, FIRST, SECTOR..2 * SECTOR);
        rig
    };
    let rig = holed();
    let before = rig.disk.operations();
    rig.recover(0);
    let operations = rig.disk.operations() - before;
    assert!(operations > 10, "{operations}");
    for at in 0..operations {
        for crash in [Crash::Before, Crash::Half, Crash::After] {
            let rig = holed();
            rig.disk.crash_at(at, crash);
            let _ = rig.try_open(unclean(0));
            for (disk, kind) in [(rig.disk.crashed(), "process"), (rig.disk.power_lost(), "power")] {
                let again = Rig { config: rig.config.clone(), ..Rig::on(disk, tiny()) };
                recovers(&again, 7, &format!("{kind}: {crash:?} at {at} of {operations}"));
            }
        }
    }
}

#[test]
fn producers_and_snapshots_go_back_with_the_log() {
    let rig = filled(tiny());
    lose(&rig, SECOND, SECTOR..2 * SECTOR);
    let (mut log, _) = rig.recover(0);
    assert_eq!(log.log_end(), Offset(16));
    assert_eq!(log.producers().get(ProducerId(1)).map(ProducerState::last_sequence), Some(15));
    assert!(!rig.disk.power_lost().has("/data/t-0/00000000000000000018.snapshot"));
    let skips = log.append_as_leader(&numbered(17), LeaderEpoch(9), CLIENT, Timestamp(0));
    assert!(matches!(skips, Err(AppendError::Producer(_))), "16 is given up");
    let again = log.append_as_leader(&numbered(15), LeaderEpoch(9), CLIENT, Timestamp(0)).unwrap();
    assert!(again.duplicate && again.first_offset == Offset(15));
}
