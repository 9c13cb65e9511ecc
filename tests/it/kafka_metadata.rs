//! Metadata directories written by Apache Kafka 4.3.1 are read, and every batch is written again byte for
//! byte.

use bytes::Bytes;
use std::sync::Arc;
use vltava::metadata::{
    BatchContent, MetadataDelta, MetadataImage, MetadataVersion, decode_batch, encode_control, encode_data,
    read_snapshot,
};
use vltava::protocol::metadata_records::MetadataRecord;
use vltava::protocol::records::batches;
use vltava::raft::quorum_state;
use vltava::types::{LeaderEpoch, NodeId, Offset};

macro_rules! golden {
    ($name:literal) => {
        Bytes::from_static(include_bytes!(concat!("../golden/kafka-metadata/", $name)))
    };
}

fn log(directory: &str) -> Bytes {
    match directory {
        "clean" => golden!("clean/__cluster_metadata-0/00000000000000000000.log"),
        _ => golden!("killed/__cluster_metadata-0/00000000000000000000.log"),
    }
}

#[test]
fn every_batch_of_kafka_is_written_again_byte_for_byte() {
    let files = [
        log("clean"),
        log("killed"),
        golden!("clean/bootstrap.checkpoint"),
        golden!("clean/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint"),
    ];
    for file in files {
        for batch in batches(&file) {
            let batch = batch.expect("Kafka wrote it");
            let header = *batch.header();
            assert_eq!(header.base_timestamp, header.max_timestamp);
            let (base, epoch) = (header.base_offset, header.partition_leader_epoch);
            let again = match decode_batch(&batch).expect("Kafka wrote it") {
                BatchContent::Data(records) => {
                    let records: Vec<MetadataRecord> = records.into_iter().map(|(_, r)| r).collect();
                    encode_data(base, epoch, header.max_timestamp, MetadataVersion::LATEST, &records)
                }
                BatchContent::Control(records) => {
                    let records: Vec<_> = records.into_iter().map(|(_, r)| r).collect();
                    encode_control(base, epoch, header.max_timestamp, &records)
                }
            };
            assert_eq!(again.expect("it can be written").bytes(), batch.bytes());
        }
    }
}

/// The image that a log leads to, and how many updates were published on the way.
fn replay(log: &Bytes) -> (Arc<MetadataImage>, usize) {
    let mut delta = MetadataDelta::new(Arc::default());
    let (mut image, mut updates) = (Arc::default(), 0);
    for batch in batches(log) {
        let batch = batch.expect("Kafka wrote it");
        let epoch = batch.header().partition_leader_epoch;
        match decode_batch(&batch).expect("Kafka wrote it") {
            BatchContent::Data(records) => {
                for (offset, record) in records {
                    delta.replay(offset, epoch, &record).expect("the log is sound");
                }
            }
            BatchContent::Control(_) => delta.advance(batch.last_offset(), epoch),
        }
        if let Some(update) = delta.take() {
            assert_eq!(update.previous, image);
            (image, updates) = (update.image, updates + 1);
        }
    }
    (image, updates)
}

#[test]
fn a_clean_stop_leaves_no_leader_and_a_kill_leaves_one() {
    let (image, updates) = replay(&log("clean"));
    assert_eq!((image.offset, image.epoch, updates), (Offset(30), LeaderEpoch(1), 16));
    let alpha = image.topics.by_name("alpha").expect("it was created");
    assert_eq!(alpha.partitions.len(), 2);
    let partition = &alpha.partitions[&0];
    assert_eq!((partition.leader, partition.leader_epoch), (None, LeaderEpoch(1)));
    assert_eq!((partition.isr.as_slice(), partition.elr.as_slice()), (&[][..], &[NodeId(1)][..]));
    let broker = image.cluster.broker(NodeId(1)).expect("it registered");
    assert!(broker.fenced && broker.in_controlled_shutdown);

    let (image, _) = replay(&log("killed"));
    let alpha = image.topics.by_name("alpha").expect("it was created");
    let partition = &alpha.partitions[&1];
    assert_eq!((partition.leader, partition.leader_epoch), (Some(NodeId(1)), LeaderEpoch(2)));
    assert_eq!((partition.isr.as_slice(), partition.elr.as_slice()), (&[NodeId(1)][..], &[][..]));
    assert!(image.cluster.is_active(NodeId(1)));
    let config = image.configs.get(&vltava::metadata::ConfigResource::topic("alpha"), "retention.ms");
    assert_eq!(config.map(|value| value.as_str()), Some("3600000"));
}

#[test]
fn an_image_written_and_read_again_is_the_same() {
    let (image, _) = replay(&log("killed"));
    let mut again = MetadataImage { offset: image.offset, epoch: image.epoch, ..Default::default() };
    image.write(&mut |record| again.replay(&record, &mut Default::default()).expect("it can be replayed"));
    assert_eq!(again, *image);
}

#[test]
fn kafkas_other_files_are_read() {
    let mut records = 0;
    let mut count = |_| {
        records += 1;
        Ok(())
    };
    let bootstrap = read_snapshot(&golden!("clean/bootstrap.checkpoint"), &mut count).expect("whole");
    assert_eq!((bootstrap.kraft_version, bootstrap.voters, records), (None, None, 6));
    let voters = golden!("clean/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint");
    let voters = read_snapshot(&voters, &mut |_| Ok(())).expect("whole");
    assert_eq!(voters.kraft_version, Some(1));
    assert_eq!(voters.voters.map(|voters| voters.voters.len()), Some(1));
    let state = quorum_state::decode(&golden!("killed/__cluster_metadata-0/quorum-state")).expect("valid");
    assert_eq!((state.epoch, state.leader, state.voted), (LeaderEpoch(2), Some(NodeId(1)), None));
    assert_eq!(quorum_state::encode(&state, None), golden!("killed/__cluster_metadata-0/quorum-state"));
}
