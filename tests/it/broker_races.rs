//! Many connections to one broker at once: it answers them on several threads, which the simulator's nodes do
//! not have. Producers, readers and deletions share one partition, while topics come and go beside it.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "real threads are its subject")]

use crate::server::{Connection, Directory, Server};
use std::sync::atomic::{AtomicUsize, Ordering};
use vltava::protocol::api::create_topics::{CreatableTopic, CreateTopics, CreateTopicsRequest};
use vltava::protocol::api::delete_records::{
    DeleteRecords, DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use vltava::protocol::api::delete_topics::{DeleteTopicState, DeleteTopics, DeleteTopicsRequest};
use vltava::protocol::api::fetch::{Fetch, FetchPartition, FetchRequest, FetchTopic, PartitionData};
use vltava::protocol::api::produce::{PartitionProduceData, Produce, ProduceRequest, TopicProduceData};
use vltava::protocol::records::{BatchBuilder, Compression, batches};
use vltava::types::{ErrorCode, ProducerEpoch, ProducerId, Timestamp};

const TOPIC: &str = "races";
const OK: i16 = 0;
const PRODUCERS: usize = 2;
const BATCHES: usize = 250;
const RECORDS: usize = 8;

#[test]
fn connections_race_on_one_partition_and_lose_nothing() {
    let directory = Directory::new();
    // Segments are at their smallest, so that they are rolled and deleted; every record is flushed.
    let settings =
        ["log.segment.bytes=1048576", "log.retention.bytes=4194304", "log.flush.interval.messages=64"];
    let server = Server::start(directory.path(), &settings);
    create(&mut server.connect(), TOPIC);
    let running = AtomicUsize::new(PRODUCERS);
    std::thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let (connection, running) = (server.connect(), &running);
            scope.spawn(move || {
                let _done = Done(running);
                produce_all(connection, producer);
            });
        }
        for _ in 0..2 {
            let (connection, running) = (server.connect(), &running);
            scope.spawn(move || read_along(connection, running));
        }
        for part in [2, 3] {
            let (connection, running) = (server.connect(), &running);
            scope.spawn(move || delete_records(connection, running, part));
        }
        scope.spawn(|| create_and_delete(server.connect(), &running));
    });
    let end = (PRODUCERS * BATCHES * RECORDS) as i64;
    assert_eq!(fetch(&mut server.connect(), end).high_watermark, end);
    assert_eq!(server.stop(), Some(0));
    let server = Server::start(directory.path(), &settings);
    assert_eq!(fetch(&mut server.connect(), end).high_watermark, end, "after a clean stop");
}

/// Counts a producer off, even when it panics.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn produce_all(mut connection: Connection, producer: usize) {
    for index in 0..BATCHES {
        let sequence = (index * RECORDS) as i32;
        let mut builder = BatchBuilder::new(Compression::NONE).producer(
            ProducerId(1000 + producer as i64),
            ProducerEpoch(0),
            sequence,
        );
        for record in 0..RECORDS {
            let value = vec![b'a' + (index + record) as u8 % 26; 2_000];
            builder.append(Timestamp(1_700_000_000_000), None, Some(&value), &[]);
        }
        let records = Some(builder.build().into_bytes());
        let data = PartitionProduceData { index: 0, records, ..Default::default() };
        let topic = TopicProduceData { name: TOPIC.into(), partition_data: vec![data], ..Default::default() };
        let request =
            ProduceRequest { acks: -1, timeout_ms: 10_000, topic_data: vec![topic], ..Default::default() };
        let response = connection.call::<Produce>(11, &request);
        assert_eq!(response.responses[0].partition_responses[0].error_code, OK);
    }
}

/// Follows the log: what comes is whole, in order, and below the high watermark.
fn read_along(mut connection: Connection, running: &AtomicUsize) {
    let mut offset = 0;
    while running.load(Ordering::SeqCst) > 0 {
        let data = fetch(&mut connection, offset);
        if data.error_code == ErrorCode::OffsetOutOfRange.code() {
            // It was deleted; a refusal does not say up to where.
            offset += RECORDS as i64;
            continue;
        }
        assert_eq!(data.error_code, OK, "at {offset}");
        for batch in batches(data.records.as_ref().unwrap()) {
            // The last one may be cut short.
            let Ok(batch) = batch else { break };
            batch.verify_crc().unwrap();
            let (first, next) = (batch.base_offset().0, batch.next_offset().0);
            assert!(first <= offset && offset < next, "{first}..{next} is no answer to {offset}");
            assert!(next <= data.high_watermark, "{next} is not replicated");
            offset = next;
        }
    }
}

fn fetch(connection: &mut Connection, fetch_offset: i64) -> PartitionData {
    let partition = FetchPartition { fetch_offset, partition_max_bytes: 100_000, ..Default::default() };
    let topic = FetchTopic { topic: TOPIC.into(), partitions: vec![partition], ..Default::default() };
    let request = FetchRequest { max_wait_ms: 10, min_bytes: 1, topics: vec![topic], ..Default::default() };
    connection.call::<Fetch>(12, &request).responses[0].partitions[0].clone()
}

/// Deletes the records in front of a part of the log, again and again.
fn delete_records(mut connection: Connection, running: &AtomicUsize, part: i64) {
    while running.load(Ordering::SeqCst) > 0 {
        let end = fetch(&mut connection, 0).high_watermark.max(0);
        let partition =
            DeleteRecordsPartition { partition_index: 0, offset: end / part, ..Default::default() };
        let topic =
            DeleteRecordsTopic { name: TOPIC.into(), partitions: vec![partition], ..Default::default() };
        let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
        let result = connection.call::<DeleteRecords>(2, &request).topics[0].partitions[0].clone();
        assert_eq!(result.error_code, OK);
        assert!(result.low_watermark >= end / part);
    }
}

fn create(connection: &mut Connection, name: &str) {
    let topic =
        CreatableTopic { name: name.into(), num_partitions: 1, replication_factor: 1, ..Default::default() };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
    let response = connection.call::<CreateTopics>(7, &request);
    assert_eq!(response.topics[0].error_code, OK, "{response:?}");
}

fn create_and_delete(mut connection: Connection, running: &AtomicUsize) {
    while running.load(Ordering::SeqCst) > 0 {
        create(&mut connection, "passing");
        let state = DeleteTopicState { name: Some("passing".into()), ..Default::default() };
        let request = DeleteTopicsRequest { topics: vec![state], timeout_ms: 10_000, ..Default::default() };
        assert_eq!(connection.call::<DeleteTopics>(6, &request).responses[0].error_code, OK);
    }
}
