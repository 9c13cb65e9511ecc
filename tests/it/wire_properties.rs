//! Properties that hold for all values: what is written is what is read, unknown tags survive, and payloads
//! large enough to be shared give the same bytes as small ones.

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use vltava::protocol::api::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
use vltava::protocol::api::metadata::{MetadataRequest, MetadataRequestTopic};
use vltava::protocol::{
    DecodeProblem, EncodeProblem, Message, Reader, SHARED_PAYLOAD_BYTES, Tags, Wire, Writer,
};
use vltava::types::{Str, Uuid};

fn round_trip<T: Wire + PartialEq + std::fmt::Debug>(value: &T, flexible: bool) -> T {
    // Any message decides about the form of lengths; these two write nothing that would show.
    let mut w = Writer::new();
    let (message, version) = (MetadataRequest::default(), if flexible { 13 } else { 1 });
    message.encode(version, &mut w).expect("encodes");
    w.finish();
    value.write(&mut w);
    let bytes = w.finish().into_bytes();
    let mut r = Reader::new(&bytes, version, flexible);
    let read = T::read(&mut r).expect("reads");
    assert_eq!(r.end(), Ok(()));
    read
}

fn tags() -> impl Strategy<Value = Tags> {
    btree_map(any::<u32>(), vec(any::<u8>(), 0..20), 0..5).prop_map(|drawn| {
        let mut tags = Tags::default();
        drawn.into_iter().for_each(|(tag, value)| tags.push(tag, value.into()));
        tags
    })
}

proptest! {
    #[test]
    fn varints(value: u32) {
        let mut w = Writer::new();
        w.uvarint(value);
        let bytes = w.finish().into_bytes();
        prop_assert!(bytes.len() <= 5);
        let mut r = Reader::new(&bytes, 0, true);
        prop_assert_eq!(r.uvarint(), Ok(value));
        prop_assert_eq!(r.end(), Ok(()));
    }

    #[test]
    fn numbers(a: i8, b: i16, c: u16, d: i32, e: i64, f: bool, g: [u8; 16], flexible: bool) {
        prop_assert_eq!(round_trip(&a, flexible), a);
        prop_assert_eq!(round_trip(&b, flexible), b);
        prop_assert_eq!(round_trip(&c, flexible), c);
        prop_assert_eq!(round_trip(&d, flexible), d);
        prop_assert_eq!(round_trip(&e, flexible), e);
        prop_assert_eq!(round_trip(&f, flexible), f);
        prop_assert_eq!(round_trip(&Uuid(g), flexible), Uuid(g));
    }

    #[test]
    fn floats_keep_their_bits(bits: u64, flexible: bool) {
        let mut w = Writer::new();
        f64::from_bits(bits).write(&mut w);
        let bytes = w.finish().into_bytes();
        let read = f64::read(&mut Reader::new(&bytes, 0, flexible)).map(f64::to_bits);
        prop_assert_eq!(read, Ok(bits));
    }

    #[test]
    fn texts(text: Option<String>, flexible: bool) {
        let text = text.map(Str::from);
        prop_assert_eq!(round_trip(&text, flexible), text);
    }

    #[test]
    fn bytes_small_and_shared(payload in vec(any::<u8>(), 0..2 * SHARED_PAYLOAD_BYTES), flexible: bool) {
        let payload = Some(Bytes::from(payload));
        prop_assert_eq!(round_trip(&payload, flexible), payload);
    }

    #[test]
    fn arrays(numbers: Option<Vec<i32>>, texts: Vec<String>, flexible: bool) {
        prop_assert_eq!(round_trip(&numbers, flexible), numbers);
        let texts: Vec<Str> = texts.into_iter().map(Str::from).collect();
        prop_assert_eq!(round_trip(&texts, flexible), texts);
    }

    #[test]
    fn unknown_tags_survive_at_every_level(outer in tags(), inner in tags(), name: Option<String>) {
        let topic = MetadataRequestTopic {
            name: name.map(Str::from),
            unknown_tags: inner,
            ..Default::default()
        };
        let topics = Some(vec![topic.clone(), topic]);
        let request = MetadataRequest { topics, unknown_tags: outer, ..Default::default() };
        let bytes = request.to_bytes(13).expect("encodes");
        prop_assert_eq!(MetadataRequest::decode_exact(&bytes, 13), Ok(request));
    }

    #[test]
    fn frames_follow_each_other_and_know_their_size(payloads in vec(0..3 * SHARED_PAYLOAD_BYTES, 0..6)) {
        let mut w = Writer::new();
        let mut expected = Vec::new();
        for (index, size) in payloads.iter().enumerate() {
            let response = fetched(vec![index as u8; *size]);
            let body = response.to_bytes(12).expect("encodes");
            expected.extend_from_slice(&(body.len() as u32).to_be_bytes());
            expected.extend_from_slice(&body);
            w.begin_frame();
            response.encode(12, &mut w).expect("encodes");
            if index % 2 == 1 {
                w.abandon_frame();
                w.begin_frame();
                response.encode(12, &mut w).expect("encodes");
            }
            prop_assert_eq!(w.end_frame(), Ok(()));
            prop_assert_eq!(w.len(), expected.len());
        }
        let encoded = w.finish();
        prop_assert_eq!(encoded.len, expected.len());
        prop_assert!(encoded.chunks.iter().all(|chunk| !chunk.is_empty()));
        prop_assert_eq!(encoded.into_bytes(), expected);
    }
}

fn fetched(records: Vec<u8>) -> FetchResponse {
    let partition = PartitionData { records: Some(records.into()), ..Default::default() };
    let topic = FetchableTopicResponse { partitions: vec![partition], ..Default::default() };
    FetchResponse { responses: vec![topic], ..Default::default() }
}

#[test]
fn records_are_shared_and_not_copied() {
    let response = fetched(vec![7; SHARED_PAYLOAD_BYTES]);
    let records = response.responses[0].partitions[0].records.clone().expect("set above");
    let mut w = Writer::new();
    response.encode(12, &mut w).expect("encodes");
    let shared = |chunk: &Bytes| chunk.as_ptr() == records.as_ptr();
    assert_eq!(w.finish().chunks.iter().filter(|chunk| shared(chunk)).count(), 1);

    let frame = response.to_bytes(12).expect("encodes");
    let read = FetchResponse::decode(&frame, 12).expect("decodes");
    let read = read.responses[0].partitions[0].records.clone().expect("there are records");
    assert!(frame.as_ptr_range().contains(&read.as_ptr()), "records are a slice of the frame");
}

#[test]
fn tags_ascend_and_do_not_repeat() {
    let problem = |tags: &[u8]| {
        let mut frame = MetadataRequest::default().to_bytes(13).expect("encodes").to_vec();
        frame.pop();
        frame.extend_from_slice(tags);
        MetadataRequest::decode(&frame.into(), 13).err().map(|error| error.problem)
    };
    assert_eq!(problem(&[2, 5, 0, 6, 0]), None);
    assert_eq!(problem(&[2, 5, 0, 5, 0]), Some(DecodeProblem::TagOrder(5)));
    assert_eq!(problem(&[2, 6, 0, 5, 0]), Some(DecodeProblem::TagOrder(5)));
    assert_eq!(problem(&[1, 5, 1]), Some(DecodeProblem::Truncated));
    assert_eq!(problem(&[0xff, 0xff, 0xff, 0xff, 0x1f]), Some(DecodeProblem::VarintTooLong));
    assert_eq!(problem(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Some(DecodeProblem::Truncated));
}

#[test]
fn what_follows_a_message_is_ignored_or_an_error_as_asked() {
    let mut frame = MetadataRequest::default().to_bytes(13).expect("encodes").to_vec();
    frame.push(1);
    let frame = Bytes::from(frame);
    assert_eq!(MetadataRequest::decode(&frame, 13), Ok(MetadataRequest::default()));
    let error = MetadataRequest::decode_exact(&frame, 13).expect_err("a byte is left over");
    assert_eq!(error.to_string(), "MetadataRequest: bytes are left over behind the value");
}

#[test]
fn errors_name_the_field() {
    let error =
        MetadataRequest::decode(&Bytes::from_static(b"\xff\xff\xff\xff"), 0).expect_err("null in version 0");
    assert_eq!(error.to_string(), "MetadataRequest.topics: null is not allowed in this version");
    let error = MetadataRequest::decode(&Bytes::new(), 14).expect_err("there is no version 14");
    assert_eq!(error.to_string(), "MetadataRequest: version 14 of the message is not known");
    let topic = MetadataRequestTopic { name: None, ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
    let error = request.to_bytes(9).expect_err("null before version 10");
    assert_eq!(error, EncodeProblem::UnexpectedNull.at("MetadataRequestTopic.name"));
    let topic = MetadataRequestTopic { name: Some("x".repeat(40_000).into()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
    assert_eq!(request.to_bytes(8), Err(EncodeProblem::TooLong.at("MetadataRequest")));
    assert!(request.to_bytes(9).is_ok(), "flexible versions have room");
}
