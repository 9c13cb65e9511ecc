//! What opening a log makes of everything that a crash, a stop or somebody else may have left behind.

use super::*;
use crate::runtime::OpenOptions;

const LOG: &str = "/data/t-0/00000000000000000000.log";
/// Size of each batch of a [`filled`] log. Nine fit into a segment of [`tiny`].
const SIZE: usize = 71;

/// A log of twenty batches in several segments, with values `v0`, `v1` ..
fn filled(rig: &Rig) -> PartitionLog {
    let mut log = rig.create();
    for index in 0..20 {
        append(&mut log, index / 8, &[&format!("v{index:02}")]);
    }
    log
}

fn expected(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("v{index:02}")).collect()
}

fn damage(result: Result<(PartitionLog, Recovered), LogError>) -> Damage {
    match result {
        Err(LogError::Damaged(damage)) => damage,
        Err(other) => panic!("{other}"),
        Ok((log, recovered)) => panic!("{recovered:?} of {:?}", values(&log)),
    }
}

#[test]
fn a_clean_stop_leaves_everything_and_nothing_is_scanned() {
    let rig = Rig::new(tiny());
    let mut log = filled(&rig);
    log.close().unwrap();
    assert!(log.append_as_leader(&batch(&["x"], 0), LeaderEpoch(9), CLIENT, Timestamp(0)).is_err());
    let rig = Rig::on(rig.disk.power_lost(), tiny());
    let mut log = rig.open_clean();
    assert_eq!(values(&log), expected(20));
    assert_eq!(log.recovery_point(), Offset(20));
    assert_eq!(log.epochs().entries().len(), 3);
    assert_eq!(append(&mut log, 9, &["v20"]), 20);
    let (log, recovered) = rig.recover(20);
    assert_eq!(values(&log), expected(21));
    assert_eq!(recovered.segments_scanned, 1, "the one that holds the recovery point");
}

#[test]
fn an_empty_log_leaves_what_kafka_leaves() {
    let rig = Rig::new(LogConfig::default());
    let mut log = rig.create();
    log.begin_leader_epoch(LeaderEpoch(0));
    log.close().unwrap();
    let names = rig.disk.names(DIRECTORY);
    let expected = [".index", ".log", ".timeindex"].map(|end| format!("00000000000000000000{end}"));
    assert_eq!(names[..3], expected);
    assert_eq!(names[3..], ["leader-epoch-checkpoint", "partition.metadata"]);
    assert_eq!(rig.disk.read("/data/t-0/leader-epoch-checkpoint"), b"0\n1\n0 0\n");
    assert!(rig.open_clean().epochs().latest() == Some(LeaderEpoch(0)));
}

#[test]
fn a_torn_tail_is_cut_at_every_length() {
    let rig = Rig::new(LogConfig::default());
    filled(&rig);
    let bytes = rig.disk.read(LOG);
    assert_eq!(bytes.len(), 20 * SIZE);
    for length in 0..bytes.len() {
        rig.disk.put(LOG, &bytes[..length]);
        let (log, recovered) = rig.recover(0);
        let whole = walk_batches(&Bytes::copy_from_slice(&bytes[..length])).count();
        assert_eq!(values(&log), expected(whole), "{length} bytes");
        assert_eq!(recovered.bytes_cut, (length % SIZE) as u64);
        assert!(log.epochs().entries().iter().all(|entry| entry.start_offset <= log.log_end()));
    }
}

#[test]
fn zeros_behind_the_log_are_cut() {
    let rig = Rig::new(LogConfig::default());
    filled(&rig);
    let file = rig.disk.open(Path::new(LOG), OpenOptions::WRITE).unwrap();
    file.set_len(5 << 20).unwrap();
    let (mut log, recovered) = rig.recover(20);
    assert_eq!(values(&log), expected(20));
    assert!(recovered.bytes_cut > 4 << 20);
    assert_eq!(append(&mut log, 9, &["v20"]), 20);
    assert_eq!(values(&rig.recover(20).0), expected(21));
}

#[test]
fn a_bad_batch_below_the_recovery_point_is_damage_and_stays() {
    let rig = Rig::new(LogConfig::default());
    filled(&rig);
    let last = rig.disk.read(LOG).len() - 1;
    rig.disk.flip(LOG, last);
    let before = rig.disk.read(LOG);
    let found = damage(rig.try_open(unclean(20)));
    assert_eq!((found.kind, found.offset), (DamageKind::BelowRecoveryPoint, Offset(19)));
    assert_eq!(rig.disk.read(LOG), before);
    let (log, recovered) = rig.recover(19);
    assert_eq!(values(&log), expected(19), "above the recovery point the same bytes are a torn tail");
    assert!(recovered.cut_because.unwrap().contains("CRC"));
}

#[test]
fn a_bad_batch_in_front_of_valid_ones_is_damage_and_stays() {
    let second = "/data/t-0/00000000000000000009.log";
    for (config, path, batch) in [(LogConfig::default(), LOG, 5), (tiny(), LOG, 8), (tiny(), second, 0)] {
        let rig = Rig::new(config);
        filled(&rig);
        for byte in [0, 3, 8, 10, 11, 12, 16, 17, 30, 60] {
            let position = batch * SIZE + byte;
            rig.disk.flip(path, position);
            let before = rig.disk.read(path);
            let found = damage(rig.try_open(unclean(0)));
            assert_eq!(found.kind, DamageKind::BeforeValidBatches, "byte {byte}: {found}");
            assert_eq!(rig.disk.read(path), before);
            rig.disk.flip(path, position);
        }
        assert_eq!(values(&rig.recover(0).0), expected(20));
    }
}

#[test]
fn stale_batches_behind_the_end_are_no_part_of_the_log() {
    let rig = Rig::new(LogConfig::default());
    let log = filled(&rig);
    drop(log);
    let bytes = rig.disk.read(LOG);
    // Bytes of an older time, which a cut did not take away: they begin at another offset.
    for stale in [5, 12] {
        let stale_bytes = &bytes[stale * SIZE..][..SIZE];
        rig.disk.put(LOG, &[&bytes[..10 * SIZE], stale_bytes].concat());
        let (log, recovered) = rig.recover(5);
        assert_eq!(values(&log), expected(10));
        assert!(recovered.cut_because.unwrap().contains(&format!("begins at offset {stale}")));
    }
    // At the offset that is expected, an older epoch may as well be a newer one in front of it that rotted.
    let old = sent(-1, -1, -1, false, &["old"]).to_batch(Offset(20), LeaderEpoch(1));
    rig.disk.put(LOG, &[&bytes[..], old.bytes()].concat());
    assert_eq!(damage(rig.try_open(unclean(5))).kind, DamageKind::BeforeValidBatches);
}

#[test]
fn gaps_are_legal_where_compaction_may_have_been() {
    let rig = Rig::new(LogConfig { compact: true, ..LogConfig::default() });
    filled(&rig);
    let bytes = rig.disk.read(LOG);
    let compacted = [&bytes[..5 * SIZE], &bytes[8 * SIZE..]].concat();
    rig.disk.put(LOG, &compacted);
    let (log, recovered) = rig.recover(0);
    assert_eq!((values(&log).len(), log.log_end(), recovered.bytes_cut), (17, Offset(20), 0));
    let offsets = read_batches(&log, 6, 1000).iter().map(|b| b.base_offset().0).next();
    assert_eq!(offsets, Some(8), "a read goes on behind the gap");
}

#[test]
fn indexes_are_made_anew_when_they_are_missing_or_not_to_be_believed() {
    for suffix in ["index", "timeindex"] {
        let rig = Rig::new(tiny());
        let mut log = filled(&rig);
        log.close().unwrap();
        let path = format!("/data/t-0/00000000000000000000.{suffix}");
        let good = rig.disk.read(&path);
        assert!(good.len() > 8, "{suffix} has {} bytes", good.len());
        type Spoil = fn(&MemoryDisk, &str);
        let spoils: [Spoil; 4] = [
            |disk, path| disk.remove(Path::new(path)).unwrap(),
            |disk, path| disk.put(path, &[0; 10_485_756]),
            |disk, path| disk.put(path, &[1; 7]),
            |disk, path| disk.put(path, &[0xff; 24]),
        ];
        for spoil in spoils {
            spoil(&rig.disk, &path);
            let (mut log, recovered) = rig.try_open(CLEAN).unwrap();
            assert_eq!(values(&log), expected(20));
            assert_eq!((recovered.indexes_rebuilt, recovered.segments_scanned), (1, 0));
            assert!(!rig.disk.has(&path), "it has no name until it is durable");
            log.flush_blocking().unwrap();
            assert_eq!(rig.disk.read(&path), good);
        }
    }
}

#[test]
fn a_lying_index_is_found_out_when_it_is_used() {
    let rig = Rig::new(LogConfig { index_interval_bytes: 90, ..LogConfig::default() });
    let mut log = filled(&rig);
    log.close().unwrap();
    let path = "/data/t-0/00000000000000000000.index";
    let mut entries = rig.disk.read(path);
    entries[8 + 7] ^= 1;
    rig.disk.put(path, &entries);
    let log = rig.open_clean();
    assert_eq!(values(&log), expected(20));
    assert!(!rig.disk.has(path), "the next start makes it anew");
}

#[test]
fn bytes_that_changed_on_the_device_are_found_at_the_first_read() {
    let rig = Rig::new(LogConfig::default());
    let mut log = filled(&rig);
    log.close().unwrap();
    rig.disk.flip(LOG, SIZE * 3 + 65);
    let log = rig.open_clean();
    let read = |offset, max_bytes| log.reader().view().read_blocking(&request(offset, max_bytes));
    assert_eq!(walk_batches(&bytes_of(&read(0, 3 * SIZE).unwrap())).count(), 3);
    let Err(ReadError::Storage(LogError::Damaged(found))) = read(0, 1000) else { panic!("served") };
    assert_eq!((found.kind, found.position), (DamageKind::OnRead, 3 * SIZE as u64));
    assert!(read(3, 1).is_err() && read(4, 1000).is_ok());
    let as_file = ReadRequest { file_from_bytes: Some(1), ..request(0, 1000) };
    assert!(log.reader().view().read_blocking(&as_file).is_err());
}

#[test]
fn a_claimed_clean_stop_with_a_torn_log_is_damage() {
    let rig = Rig::new(LogConfig::default());
    let mut log = filled(&rig);
    log.close().unwrap();
    let bytes = rig.disk.read(LOG);
    rig.disk.put(LOG, &bytes[..bytes.len() - 1]);
    assert_eq!(damage(rig.try_open(CLEAN)).kind, DamageKind::BelowRecoveryPoint);
}

#[test]
fn producers_come_back_from_snapshots_and_batches() {
    let rig = Rig::new(tiny());
    let mut log = rig.create();
    for index in 0..30 {
        let batch = sent(1 + i64::from(index % 3), 0, index / 3, true, &["x"]);
        log.append_as_leader(&batch, LeaderEpoch(0), CLIENT, Timestamp(0)).unwrap();
    }
    let snapshots = || rig.disk.names(DIRECTORY).into_iter().filter(|name| name.ends_with(".snapshot"));
    let last = snapshots().next_back().unwrap();
    let duplicate = sent(3, 0, 9, true, &["x"]);
    for spoiled in [None, Some(0), Some(20)] {
        if let Some(at) = spoiled {
            rig.disk.flip(&format!("{DIRECTORY}/{last}"), at);
        }
        for point in [0, 20, 30] {
            let (mut recovered, _) = rig.recover(point);
            let open: Vec<_> =
                recovered.producers().iter().map(|(_, state)| state.transaction_start).collect();
            assert_eq!(open, [Some(Offset(0)), Some(Offset(1)), Some(Offset(2))]);
            let again = recovered.append_as_leader(&duplicate, LeaderEpoch(0), CLIENT, Timestamp(0)).unwrap();
            assert!(again.duplicate && again.first_offset == Offset(29));
        }
    }
}

#[test]
fn an_index_that_was_not_synced_is_not_believed_below_the_recovery_point() {
    let rig = Rig::new(tiny());
    let mut log = rig.create();
    for index in 0..9 {
        append(&mut log, 0, &[&format!("v{index:02}")]);
    }
    log.flush_blocking().unwrap();
    // The segment is full: its indexes are written when the next batch rolls it, behind the flush.
    append(&mut log, 0, &["v09"]);
    let index = "/data/t-0/00000000000000000000.timeindex";
    assert!(!rig.disk.has(index));
    let crashed = Rig::on(rig.disk.crashed(), tiny());
    let (log, recovered) = crashed.recover(9);
    assert_eq!((values(&log), recovered.indexes_rebuilt), (expected(10), 1));
    log_flushed_and_cut(log, &crashed, index);
}

/// A flush gives the index its name; whatever changes it takes that away first.
fn log_flushed_and_cut(mut log: PartitionLog, rig: &Rig, index: &str) {
    log.flush_blocking().unwrap();
    assert!(rig.disk.power_lost().has(index));
    let _ = log.truncate_to(Offset(0), Timestamp(0)).unwrap();
    assert!(!rig.disk.power_lost().has(index));
}

#[test]
fn snapshots_of_batches_that_are_lost_are_removed_for_good() {
    let rig = Rig::new(tiny());
    let mut log = rig.create();
    for sequence in 0..20 {
        log.append_as_leader(&sent(1, 0, sequence, false, &["x"]), LeaderEpoch(0), CLIENT, Timestamp(0))
            .unwrap();
    }
    let last = rig.disk.names(DIRECTORY).into_iter().rfind(|name| name.ends_with(".snapshot")).unwrap();
    // A power loss leaves the name of the newest snapshot, and of the segments the first one.
    for name in rig.disk.names(DIRECTORY) {
        let keeps = name.starts_with("00000000000000000000") || name.contains('.') && !name.starts_with('0');
        if !keeps && name != last {
            rig.disk.remove(&Path::new(DIRECTORY).join(name)).unwrap();
        }
    }
    let (log, _) = rig.recover(0);
    assert!(log.log_end() < Offset(18));
    assert!(!rig.disk.power_lost().has(Path::new(DIRECTORY).join(&last)), "{last}");
}

#[test]
fn leftovers_of_cleaning_and_deletion_are_cleared_away() {
    let rig = Rig::new(tiny());
    filled(&rig);
    let second = "/data/t-0/00000000000000000009";
    let bytes = rig.disk.read(format!("{second}.log"));
    for name in ["00000000000000000000.log.deleted", "00000000000000000003.index", "leftover.tmp"] {
        rig.disk.put(format!("{DIRECTORY}/{name}"), b"leftover");
    }
    rig.disk.put(format!("{DIRECTORY}/00000000000000000009.log.cleaned"), b"half");
    rig.disk.put(format!("{DIRECTORY}/00000000000000000012.log.swap"), b"goes with the cleaned one");
    rig.disk.put(format!("{DIRECTORY}/00000000000000000004.snapshot"), b"stray");
    rig.disk.put(format!("{DIRECTORY}/00000000000000000000.checkpoint"), b"of somebody else");
    let (log, _) = rig.recover(20);
    assert_eq!(values(&log), expected(20));
    let names = rig.disk.names(DIRECTORY);
    let gone = ["deleted", "cleaned", "swap", "leftover.tmp", "03.index", "04.snapshot"];
    assert!(names.iter().all(|name| !gone.iter().any(|end| name.ends_with(end))), "{names:?}");
    assert!(names.contains(&"00000000000000000000.checkpoint".to_owned()));
    // A complete swap takes the place of the segments that it was made of.
    let first = rig.disk.read(LOG);
    rig.disk.put(format!("{LOG}.swap"), &[&first[..SIZE], &bytes].concat());
    drop(log);
    let rig = Rig { config: LogConfig { compact: true, ..tiny() }, ..rig };
    let (log, _) = rig.recover(20);
    assert_eq!(values(&log)[..2], ["v00", "v09"]);
    assert!(!rig.disk.has(format!("{second}.log")));
}

#[test]
fn messages_of_older_formats_are_loaded_and_served_as_they_are() {
    let rig = Rig::new(LogConfig::default());
    rig.create();
    let message = |magic: u8, offset: i64, value: &[u8]| {
        let mut body = vec![magic, 0];
        if magic == 1 {
            body.extend_from_slice(&777_i64.to_be_bytes());
        }
        body.extend_from_slice(&(-1_i32).to_be_bytes());
        body.extend_from_slice(&(value.len() as i32).to_be_bytes());
        body.extend_from_slice(value);
        let mut bytes = offset.to_be_bytes().to_vec();
        bytes.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
        bytes.extend_from_slice(&crc32(&body).to_be_bytes());
        bytes.extend_from_slice(&body);
        bytes
    };
    let all = [message(0, 0, b"zero"), message(1, 1, b"one"), message(1, 2, b"two")].concat();
    rig.disk.put(LOG, &all);
    let (mut log, recovered) = rig.recover(0);
    assert_eq!((log.log_end(), recovered.bytes_cut), (Offset(3), 0));
    let fetched = log.reader().view().read_blocking(&request(0, 10_000)).unwrap();
    assert_eq!(bytes_of(&fetched), all);
    assert_eq!(append(&mut log, 2, &["new"]), 3);
    assert_eq!(values(&log), ["zero", "one", "two", "new"]);
    let found = log.reader().view().offset_for_timestamp(Timestamp(700), Offset::MAX).unwrap();
    assert_eq!(found.unwrap().offset, Offset(1));
}

/// CRC-32 of ISO 3309, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

#[test]
fn a_topic_id_that_its_writer_died_on_is_on_the_device_once_the_log_was_opened() {
    let (disk, id) = (MemoryDisk::new(), Uuid::from_random(1, 2));
    let (root, directory) = (Path::new("/data"), Path::new("/data/t-0"));
    disk.create_dir(root).unwrap();
    disk.create_dir(directory).unwrap();
    let metadata = disk.open(&directory.join("partition.metadata"), OpenOptions::CREATE).unwrap();
    metadata.write_at(checkpoint::partition_metadata_text(id).as_bytes(), 0).unwrap();
    for path in [Path::new("/"), root, directory] {
        disk.sync_dir(path).unwrap();
    }
    let open = |disk: &Arc<MemoryDisk>| {
        let how = OpenLog { clean: false, recovery_point: Offset::ZERO, log_start: Offset::ZERO };
        let config = Arc::new(LogConfig::default());
        let partition = TopicPartition::new("t", 0);
        PartitionLog::open(&disk.runtime(), directory, partition, config, how, Timestamp(0)).unwrap().0
    };
    open(&disk).flush_blocking().unwrap();
    assert_eq!(open(&disk.power_lost()).topic_id(), Some(id));
}
