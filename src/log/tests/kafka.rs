//! A partition that Apache Kafka 4.3.1 wrote: five producers with one codec each, two of them with
//! transactions, half of which they aborted. The first segment had been deleted when the broker stopped.

use super::*;

const BASE: &str = "/data/t-0/00000000000000000015";
const FILES: [(&str, &[u8]); 8] = [
    ("00000000000000000015.log", include_bytes!("kafka-4.3.1/segment.log")),
    ("00000000000000000015.index", include_bytes!("kafka-4.3.1/segment.index")),
    ("00000000000000000015.timeindex", include_bytes!("kafka-4.3.1/segment.timeindex")),
    ("00000000000000000015.txnindex", include_bytes!("kafka-4.3.1/segment.txnindex")),
    ("00000000000000000015.snapshot", include_bytes!("kafka-4.3.1/segment.snapshot")),
    ("00000000000000000068.snapshot", include_bytes!("kafka-4.3.1/end.snapshot")),
    ("leader-epoch-checkpoint", include_bytes!("kafka-4.3.1/leader-epoch-checkpoint")),
    ("partition.metadata", include_bytes!("kafka-4.3.1/partition.metadata")),
];

fn rig() -> Rig {
    let rig = Rig::new(LogConfig { index_interval_bytes: 200, ..LogConfig::default() });
    rig.disk.create_dir(Path::new(DIRECTORY)).unwrap();
    for (name, bytes) in FILES {
        rig.disk.put(format!("{DIRECTORY}/{name}"), bytes);
    }
    rig
}

/// The producers of a snapshot, in the order of their ids.
fn producers(bytes: &[u8]) -> Vec<u8> {
    producer_snapshot::to_bytes(&producer_snapshot::parse(bytes, Timestamp(0), i64::MAX).unwrap())
}

#[test]
fn it_is_opened_as_it_is_and_written_back_the_same() {
    let rig = rig();
    let mut log = rig.open_clean();
    assert_eq!((log.log_start(), log.log_end()), (Offset(15), Offset(68)));
    assert_eq!(log.epochs().latest(), Some(LeaderEpoch(0)));
    log.set_high_watermark(log.log_end());
    let request = ReadRequest { bound: ReadBound::LastStable, ..request(15, 100_000) };
    let fetched = log.reader().view().read_blocking(&request).unwrap();
    let aborted = fetched.aborted.clone().unwrap();
    let aborted: Vec<_> = aborted.iter().map(|one| (one.first_offset.0, one.last_offset.0)).collect();
    assert_eq!(aborted, [(12, 15), (20, 23), (40, 43), (48, 51)]);
    let batches: Vec<_> = walk_batches(&bytes_of(&fetched)).map(|batch| batch.unwrap()).collect();
    let records = batches.iter().flat_map(|batch| batch.records().unwrap());
    assert_eq!(records.collect::<Result<Vec<_>, _>>().unwrap().len(), 53);
    log.close().unwrap();
    for (name, bytes) in FILES {
        let written = rig.disk.read(format!("{DIRECTORY}/{name}"));
        if name.ends_with(".snapshot") {
            assert_eq!(producers(&written), producers(bytes), "{name}");
        } else {
            assert_eq!(written, bytes, "{name}");
        }
    }
}

#[test]
fn recovery_makes_the_files_beside_the_batches_as_kafka_made_them() {
    let rig = rig();
    for suffix in ["index", "timeindex", "txnindex"] {
        rig.disk.put(format!("{BASE}.{suffix}"), include_bytes!("kafka-4.3.1/preallocated.index"));
    }
    rig.disk.remove(Path::new("/data/t-0/00000000000000000068.snapshot")).unwrap();
    rig.disk.remove(Path::new("/data/t-0/leader-epoch-checkpoint")).unwrap();
    let (mut log, recovered) = rig.recover(15);
    assert_eq!((recovered.segments_scanned, recovered.bytes_cut), (1, 0));
    log.close().unwrap();
    for (name, bytes) in FILES {
        let written = rig.disk.read(format!("{DIRECTORY}/{name}"));
        match name {
            "00000000000000000068.snapshot" => assert_eq!(producers(&written), producers(bytes)),
            // The first segment is gone, and with it what said that the epoch began before.
            "leader-epoch-checkpoint" => assert_eq!(written, b"0\n1\n0 15\n"),
            _ => assert_eq!(written, bytes, "{name}"),
        }
    }
}
