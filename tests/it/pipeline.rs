//! One connection and what a client may do to it: many requests at once, large answers, and a last request
//! that is none.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it looks from outside, at real files and clocks"
)]

use crate::broker::{batch, create, fetch, produce, produce_request, values};
use crate::server::{Directory, Server};
use bytes::Bytes;
use vltava::protocol::ApiKey;
use vltava::protocol::api::fetch::{Fetch, FetchPartition, FetchRequest, FetchTopic};
use vltava::protocol::api::metadata::{Metadata, MetadataRequest};
use vltava::protocol::api::produce::Produce;
use vltava::protocol::records::{BatchBuilder, Compression};
use vltava::types::{ErrorCode, ProducerEpoch, ProducerId, Timestamp};

const OK: i16 = 0;

fn large_fetch(topic: &str) -> FetchRequest {
    let partition = FetchPartition { partition_max_bytes: 50 << 20, ..Default::default() };
    let topic = FetchTopic { topic: topic.into(), partitions: vec![partition], ..Default::default() };
    FetchRequest { topics: vec![topic], ..Default::default() }
}

/// One batch of a bit less than a mebibyte.
fn large_batch() -> Bytes {
    let mut builder = BatchBuilder::new(Compression::NONE);
    let value = vec![b'x'; 1_000_000];
    builder.append(Timestamp(1_700_000_000_000), None, Some(&value), &[]);
    builder.build().into_bytes()
}

#[test]
fn what_is_pipelined_behind_large_answers_is_answered_without_further_ado() {
    let directory = Directory::new();
    let server = Server::start(directory.path(), &[]);
    let mut connection = server.connect();
    create(&mut connection, "large", 1);
    for _ in 0..4 {
        assert_eq!(produce(&mut connection, "large", large_batch(), -1).error_code, OK);
    }
    // Far more than the broker holds for a client; each answer has four mebibytes.
    const FETCHES: usize = 60;
    for _ in 0..FETCHES {
        connection.send::<Fetch>(12, &large_fetch("large"));
    }
    connection.send::<Metadata>(12, &MetadataRequest { topics: None, ..Default::default() });
    for number in 0..FETCHES {
        let response = connection.receive::<Fetch>(12);
        let data = &response.responses[0].partitions[0];
        assert_eq!(data.error_code, OK);
        assert!(data.records.as_ref().unwrap().len() > 4_000_000, "fetch {number}");
    }
    assert_eq!(connection.receive::<Metadata>(12).topics.len(), 1);
}

#[test]
fn what_came_before_garbage_is_answered_before_the_connection_ends() {
    let directory = Directory::new();
    let server = Server::start(directory.path(), &[]);
    let mut connection = server.connect();
    create(&mut connection, "topic", 1);
    connection.send::<Produce>(11, &produce_request("topic", Some(batch(&["kept"]).build().into_bytes()), 1));
    connection.send_body(ApiKey::Fetch, 3, b"no version of Fetch that is served");
    let answer = connection.receive::<Produce>(11);
    assert_eq!(answer.responses[0].partition_responses[0].error_code, OK);
    assert!(connection.receive_frame().is_none(), "the connection ends");
    assert_eq!(values(&fetch(&mut server.connect(), "topic", 0)), ["kept"]);
}

#[test]
fn a_transaction_that_nobody_could_end_is_not_begun() {
    let directory = Directory::new();
    let server = Server::start(directory.path(), &[]);
    let mut connection = server.connect();
    create(&mut connection, "topic", 1);
    let transactional = |value: &str| {
        batch(&[value]).producer(ProducerId(7), ProducerEpoch(0), 0).transactional(true).build().into_bytes()
    };
    let answer = produce(&mut connection, "topic", transactional("without an id"), -1);
    assert_eq!(answer.error_code, ErrorCode::TransactionalIdAuthorizationFailed.code());
    let mut request = produce_request("topic", Some(transactional("with one")), -1);
    request.transactional_id = Some("t".into());
    let answer = connection.call::<Produce>(11, &request).responses[0].partition_responses[0].clone();
    assert_eq!(answer.error_code, ErrorCode::NotEnoughReplicas.code());
    assert_eq!(produce(&mut connection, "topic", batch(&["plain"]).build().into_bytes(), -1).base_offset, 0);
}

#[test]
fn a_negative_idle_limit_is_none() {
    let directory = Directory::new();
    let server = Server::start(directory.path(), &["connections.max.idle.ms=-1"]);
    let mut connection = server.connect();
    std::thread::sleep(std::time::Duration::from_millis(50));
    create(&mut connection, "topic", 1);
}
