//! The broker as clients meet it: real sockets, raw requests, answers as Apache Kafka 4.3.1 was seen to give
//! them.

use crate::server::{Connection, Directory, Server, command};
use bytes::Bytes;
use std::io::Read;
use vltava::protocol::ApiKey;
use vltava::protocol::api::api_versions::{ApiVersions, ApiVersionsRequest};
use vltava::protocol::api::create_topics::{CreatableTopic, CreateTopics, CreateTopicsRequest};
use vltava::protocol::api::delete_records::{
    DeleteRecords, DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use vltava::protocol::api::delete_topics::{DeleteTopicState, DeleteTopics, DeleteTopicsRequest};
use vltava::protocol::api::fetch::{Fetch, FetchPartition, FetchRequest, FetchTopic, PartitionData};
use vltava::protocol::api::init_producer_id::{InitProducerId, InitProducerIdRequest};
use vltava::protocol::api::list_offsets::{
    ListOffsets, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use vltava::protocol::api::metadata::{Metadata, MetadataRequest, MetadataRequestTopic};
use vltava::protocol::api::produce::{
    PartitionProduceData, PartitionProduceResponse, Produce, ProduceRequest, TopicProduceData,
};
use vltava::protocol::records::{BatchBuilder, Codec, Compression, batches};
use vltava::types::{ErrorCode, ProducerEpoch, ProducerId, Timestamp};

const OK: i16 = 0;

pub fn create(connection: &mut Connection, name: &str, partitions: i32) {
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: 1,
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    let response = connection.call::<CreateTopics>(7, &request);
    assert_eq!(response.topics[0].error_code, OK, "{response:?}");
}

pub fn batch(values: &[&str]) -> BatchBuilder {
    let mut builder = BatchBuilder::new(Compression::NONE);
    for value in values {
        builder.append(Timestamp(1_700_000_000_000), None, Some(value.as_bytes()), &[]);
    }
    builder
}

pub fn produce(
    connection: &mut Connection,
    topic: &str,
    records: Bytes,
    acks: i16,
) -> PartitionProduceResponse {
    connection.send::<Produce>(11, &produce_request(topic, Some(records), acks));
    let response = connection.receive::<Produce>(11);
    response.responses[0].partition_responses[0].clone()
}

pub fn produce_request(topic: &str, records: Option<Bytes>, acks: i16) -> ProduceRequest {
    let data = PartitionProduceData { index: 0, records, ..Default::default() };
    let topic = TopicProduceData { name: topic.into(), partition_data: vec![data], ..Default::default() };
    ProduceRequest { acks, timeout_ms: 10_000, topic_data: vec![topic], ..Default::default() }
}

pub fn fetch(connection: &mut Connection, topic: &str, fetch_offset: i64) -> PartitionData {
    let partition = FetchPartition { fetch_offset, partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic { topic: topic.into(), partitions: vec![partition], ..Default::default() };
    let request = FetchRequest { topics: vec![topic], ..Default::default() };
    connection.call::<Fetch>(12, &request).responses[0].partitions[0].clone()
}

pub fn values(data: &PartitionData) -> Vec<String> {
    let mut values = Vec::new();
    for batch in batches(data.records.as_ref().unwrap()) {
        for record in batch.unwrap().records().unwrap() {
            values.push(String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap());
        }
    }
    values
}

#[test]
fn what_is_produced_is_fetched_before_and_after_a_crash_and_a_clean_stop() {
    let directory = Directory::new();
    let server = Server::start(directory.path(), &[]);
    let mut connection = server.connect();
    create(&mut connection, "alpha", 2);
    for (offset, codec) in Codec::ALL.into_iter().enumerate() {
        let mut builder = BatchBuilder::new(Compression::new(codec));
        builder.append(Timestamp(1_700_000_000_000), None, Some(codec.name().as_bytes()), &[]);
        let answer = produce(&mut connection, "alpha", builder.build().into_bytes(), -1);
        assert_eq!((answer.error_code, answer.base_offset), (OK, offset as i64), "{codec:?}");
    }
    let expected: Vec<String> = Codec::ALL.iter().map(|codec| codec.name().to_owned()).collect();
    assert_eq!(values(&fetch(&mut connection, "alpha", 0)), expected);
    server.kill();

    let server = Server::start(directory.path(), &[]);
    let mut connection = server.connect();
    assert_eq!(values(&fetch(&mut connection, "alpha", 0)), expected);
    let answer = produce(&mut connection, "alpha", batch(&["after the crash"]).build().into_bytes(), 1);
    assert_eq!((answer.error_code, answer.base_offset), (OK, 5));
    assert_eq!(server.stop(), Some(0));
    assert!(directory.path().join(".kafka_cleanshutdown").exists());
    assert!(!directory.path().join(".lock").exists());

    let server = Server::start(directory.path(), &[]);
    let data = fetch(&mut server.connect(), "alpha", 5);
    assert_eq!((values(&data), data.high_watermark), (vec!["after the crash".to_owned()], 6));
}

#[test]
fn api_versions_steps_down_and_tells_features_and_ranges() {
    let directory = Directory::new();
    let server = Server::start(directory.path(), &[]);
    let mut connection = server.connect();
    for version in [5, 99] {
        connection.send_body(ApiKey::ApiVersions, version, b"\xff\xff\xff");
        let response = connection.receive::<ApiVersions>(0);
        assert_eq!(response.error_code, ErrorCode::UnsupportedVersion.code());
        let only = &response.api_keys[0];
        assert_eq!(
            (response.api_keys.len(), only.api_key, only.min_version, only.max_version),
            (1, 18, 0, 4)
        );
    }
    let named = |name: &str| ApiVersionsRequest {
        client_software_name: name.into(),
        client_software_version: "1.0".into(),
        ..Default::default()
    };
    let refused = connection.call::<ApiVersions>(3, &named("-"));
    assert_eq!((refused.error_code, refused.api_keys.len()), (ErrorCode::InvalidRequest.code(), 0));
    let told = connection.call::<ApiVersions>(4, &named("it"));
    assert_eq!(told.error_code, OK);
    let range =
        |key: i16| told.api_keys.iter().find(|k| k.api_key == key).map(|k| (k.min_version, k.max_version));
    assert_eq!(
        (range(0), range(1), range(3), range(22)),
        (Some((0, 13)), Some((4, 18)), Some((0, 13)), Some((0, 5)))
    );
    let levels: Vec<_> =
        told.finalized_features.iter().map(|f| (f.name.to_string(), f.max_version_level)).collect();
    assert_eq!(levels.len(), 7, "{levels:?}");
    assert!(levels.contains(&("metadata.version".to_owned(), 30)));
    assert_eq!(connection.call::<ApiVersions>(3, &named("it")).supported_features.len(), 1);
}

#[test]
fn what_kafka_answers_by_closing_closes_and_others_go_on() {
    let directory = Directory::new();
    let server = Server::start(directory.path(), &[]);
    let mut honest = server.connect();
    create(&mut honest, "alpha", 1);
    let closing: [&[u8]; 7] = [
        &0_i32.to_be_bytes(),
        &(-1_i32).to_be_bytes(),
        &104_857_601_i32.to_be_bytes(),
        b"\0\0\0\x0a\0\x04\0\0\0\0\0\x01\xff\xff",
        b"\0\0\0\x0a\x03\xe7\0\0\0\0\0\x01\xff\xff",
        b"\0\0\0\x0a\0\0\0\x02\0\0\0\x01\xff\xff",
        b"\0\0\0\x0e\0\x03\0\x01\0\0\0\x01\xff\xff\x7f\xff\xff\xff",
    ];
    for bytes in closing {
        let mut connection = server.connect();
        connection.send_raw(bytes);
        assert_eq!(connection.receive_frame(), None, "{bytes:?}");
    }
    let mut silent = server.connect();
    silent.send::<Produce>(9, &produce_request("nowhere", Some(batch(&["x"]).build().into_bytes()), 0));
    assert_eq!(silent.receive_frame(), None, "an error with acks=0 closes the connection");
    assert_eq!(produce(&mut honest, "alpha", batch(&["x"]).build().into_bytes(), 1).error_code, OK);
}

#[test]
fn pipelined_requests_are_answered_in_order_and_acks_0_not_at_all() {
    let directory = Directory::new();
    let server = Server::start(directory.path(), &[]);
    let mut connection = server.connect();
    create(&mut connection, "alpha", 1);
    let records = |value: &str| Some(batch(&[value]).build().into_bytes());
    for value in ["a", "b", "c"] {
        connection.send::<Produce>(9, &produce_request("alpha", records(value), 1));
        connection.send::<Produce>(9, &produce_request("alpha", records("silent"), 0));
    }
    for base_offset in [0, 2, 4] {
        let response = connection.receive::<Produce>(9);
        assert_eq!(response.responses[0].partition_responses[0].base_offset, base_offset);
    }
    assert_eq!(values(&fetch(&mut connection, "alpha", 4)), ["c", "silent"]);
}

#[test]
fn produce_refuses_what_kafka_refuses() {
    let directory = Directory::new();
    let server = Server::start(directory.path(), &[]);
    let mut connection = server.connect();
    create(&mut connection, "alpha", 1);
    let good = batch(&["x"]).build().into_bytes();
    let mut corrupt = good.to_vec();
    *corrupt.last_mut().unwrap() ^= 1;
    let two = [&good[..], &good[..]].concat();
    let old = produce(
        &mut connection,
        "alpha",
        batch(&["x"]).base_offset(vltava::types::Offset(1)).build().into_bytes(),
        1,
    );
    let codes = [
        produce(&mut connection, "alpha", corrupt.into(), 1).error_code,
        produce(&mut connection, "alpha", two.into(), 1).error_code,
        produce(&mut connection, "alpha", Bytes::new(), 1).error_code,
        old.error_code,
        produce(&mut connection, "alpha", good.clone(), 2).error_code,
        produce(&mut connection, "nowhere", good, 1).error_code,
    ];
    assert_eq!(codes, [2, 87, 87, 87, 21, 3]);
    connection.send::<Produce>(9, &produce_request("alpha", None, 1));
    assert_eq!(connection.receive::<Produce>(9).responses[0].partition_responses[0].error_code, 87);
}

#[test]
fn an_idempotent_producer_is_never_duplicated() {
    let directory = Directory::new();
    let server = Server::start(directory.path(), &[]);
    let mut connection = server.connect();
    create(&mut connection, "alpha", 1);
    let request =
        InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: 1_000, ..Default::default() };
    let first = connection.call::<InitProducerId>(4, &request);
    let second = connection.call::<InitProducerId>(4, &request);
    assert_eq!((first.error_code, first.producer_epoch), (OK, 0));
    assert_eq!(second.producer_id, first.producer_id + 1);
    let send = |connection: &mut Connection, epoch: i16, sequence: i32| {
        let producer = ProducerId(first.producer_id);
        let records = batch(&["x"]).producer(producer, ProducerEpoch(epoch), sequence).build();
        let answer = produce(connection, "alpha", records.into_bytes(), -1);
        (answer.error_code, answer.base_offset)
    };
    assert_eq!(send(&mut connection, 0, 0), (OK, 0));
    assert_eq!(send(&mut connection, 0, 1), (OK, 1));
    assert_eq!(send(&mut connection, 0, 0), (OK, 0), "a duplicate is answered with its first offset");
    assert_eq!(send(&mut connection, 0, 3), (ErrorCode::OutOfOrderSequenceNumber.code(), -1));
    assert_eq!(send(&mut connection, 1, 0), (OK, 2));
    assert_eq!(send(&mut connection, 0, 2), (ErrorCode::InvalidProducerEpoch.code(), -1));
    assert_eq!(fetch(&mut connection, "alpha", 0).high_watermark, 3);
}

#[test]
fn topics_are_created_on_the_way_described_and_deleted() {
    let directory = Directory::new();
    let server = Server::start(directory.path(), &["num.partitions=3"]);
    let mut connection = server.connect();
    let asked = |name: &str| MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![asked("auto")]), ..Default::default() };
    let metadata = connection.call::<Metadata>(12, &request);
    assert_eq!((metadata.topics[0].error_code, metadata.topics[0].partitions.len()), (OK, 3));
    assert_eq!(metadata.brokers.len(), 1);
    let bad = MetadataRequest { topics: Some(vec![asked("a b")]), ..Default::default() };
    assert_eq!(connection.call::<Metadata>(12, &bad).topics[0].error_code, 17);
    let state = DeleteTopicState { name: Some("auto".into()), ..Default::default() };
    let delete = DeleteTopicsRequest { topics: vec![state], timeout_ms: 10_000, ..Default::default() };
    assert_eq!(connection.call::<DeleteTopics>(6, &delete).responses[0].error_code, OK);
    assert_eq!(connection.call::<DeleteTopics>(6, &delete).responses[0].error_code, 3);
    let all = MetadataRequest { topics: None, ..Default::default() };
    assert_eq!(connection.call::<Metadata>(12, &all).topics.len(), 0);
}

pub fn delete(connection: &mut Connection, topic: &str) {
    let state = DeleteTopicState { name: Some(topic.into()), ..Default::default() };
    let request = DeleteTopicsRequest { topics: vec![state], timeout_ms: 10_000, ..Default::default() };
    assert_eq!(connection.call::<DeleteTopics>(6, &request).responses[0].error_code, OK);
}

#[test]
fn a_topic_inherits_nothing_from_one_that_had_its_name() {
    let directory = Directory::new();
    let server = Server::start(directory.path(), &[]);
    let mut connection = server.connect();
    create(&mut connection, "alpha", 1);
    let old = batch(&["a", "b", "c", "d", "e"]).build().into_bytes();
    assert_eq!(produce(&mut connection, "alpha", old, -1).error_code, OK);
    let partition = DeleteRecordsPartition { partition_index: 0, offset: 4, ..Default::default() };
    let topic =
        DeleteRecordsTopic { name: "alpha".into(), partitions: vec![partition], ..Default::default() };
    let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
    assert_eq!(connection.call::<DeleteRecords>(2, &request).topics[0].partitions[0].low_watermark, 4);
    drop(connection);
    assert_eq!(server.stop(), Some(0));
    // What the checkpoints say of it outlives the stop.
    let server = Server::start(directory.path(), &[]);
    let mut connection = server.connect();
    delete(&mut connection, "alpha");
    create(&mut connection, "alpha", 1);
    let new = batch(&["x", "y"]).build().into_bytes();
    assert_eq!(produce(&mut connection, "alpha", new, -1).error_code, OK);
    assert_eq!(values(&fetch(&mut connection, "alpha", 0)), ["x", "y"]);
    server.kill();
    let server = Server::start(directory.path(), &[]);
    assert_eq!(values(&fetch(&mut server.connect(), "alpha", 0)), ["x", "y"]);
}

#[test]
fn offsets_are_found_by_meaning_and_by_time() {
    let directory = Directory::new();
    let server = Server::start(directory.path(), &[]);
    let mut connection = server.connect();
    create(&mut connection, "alpha", 1);
    let mut builder = BatchBuilder::new(Compression::NONE);
    for time in [1_000, 3_000, 2_000] {
        builder.append(Timestamp(time), None, Some(b"x"), &[]);
    }
    assert_eq!(produce(&mut connection, "alpha", builder.build().into_bytes(), 1).error_code, OK);
    let mut at = |timestamp: i64| {
        let partition = ListOffsetsPartition { timestamp, ..Default::default() };
        let topic =
            ListOffsetsTopic { name: "alpha".into(), partitions: vec![partition], ..Default::default() };
        let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        let answer = connection.call::<ListOffsets>(11, &request).topics[0].partitions[0].clone();
        (answer.error_code, answer.timestamp, answer.offset)
    };
    assert_eq!(at(-1), (OK, -1, 3));
    assert_eq!(at(-2), (OK, -1, 0));
    assert_eq!(at(-3), (OK, 3_000, 1));
    assert_eq!(at(-4), (OK, -1, 0));
    assert_eq!((at(-5), at(-6)), ((OK, -1, -1), (OK, -1, -1)));
    assert_eq!(at(1_500), (OK, 3_000, 1));
    assert_eq!(at(9_999), (OK, -1, -1));
    assert_eq!(at(-7).0, ErrorCode::UnsupportedVersion.code());
}

#[test]
fn two_brokers_on_one_directory_and_a_taken_port_are_told_apart() {
    let directory = Directory::new();
    let server = Server::start(directory.path(), &[]);
    let refusal = |data: &std::path::Path, setting: &str| {
        let mut child = command(data, &[setting]).spawn().unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1), "{said}");
        said
    };
    let locked = refusal(directory.path(), "num.partitions=1");
    assert!(locked.contains("in use") || locked.contains("locked"), "{locked}");
    let other = Directory::new();
    let taken = refusal(other.path(), &format!("listeners=PLAINTEXT://127.0.0.1:{}", server.port));
    assert!(taken.contains("cannot listen on PLAINTEXT"), "{taken}");
    let unknown = refusal(other.path(), "log.dir.s=x");
    assert!(unknown.contains("did you mean log.dirs?"), "{unknown}");
}
