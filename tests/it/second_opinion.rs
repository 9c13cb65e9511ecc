//! The same vectors through the `kafka-protocol` crate, so that not everything rests on one generator. It
//! lags behind Kafka, and a list tells where.

use crate::wire_vectors::{Vector, api_key, messages};
use kafka_protocol::messages::{ApiKey, RequestKind, ResponseKind};
use std::collections::{BTreeMap, BTreeSet};

/// What `kafka-protocol` 0.18 does not know of 4.3: the APIs and the versions of their requests or responses.
const LACKING: &[(&str, i16)] = &[
    ("AddRaftVoter", 1),
    ("BrokerHeartbeat", 2),
    ("DescribeLogDirs", 5),
    ("DescribeShareGroupOffsets", 1),
    ("InitProducerId", 6),
    ("ListOffsets", 11),
    ("OffsetCommit", 10),
    ("OffsetFetch", 10),
    ("ReadShareGroupStateSummary", 1),
    ("ShareAcknowledge", 2),
    ("ShareFetch", 2),
    ("StreamsGroupDescribe", 0),
    ("StreamsGroupHeartbeat", 0),
    ("WriteShareGroupState", 1),
    ("WriteTxnMarkers", 2),
];

#[test]
fn another_implementation_reads_and_writes_the_same_bytes() {
    let mut lacking = BTreeSet::new();
    let mut agreed = BTreeMap::new();
    for vector in messages() {
        match theirs(&vector) {
            None => {
                lacking.insert((vector.name, vector.version));
            }
            Some(bytes) => {
                assert_eq!(bytes, vector.bytes, "{} {} {}", vector.kind, vector.name, vector.version);
                *agreed.entry(vector.kind).or_insert(0) += 1;
            }
        }
    }
    assert_eq!(lacking, LACKING.iter().copied().collect());
    assert!(agreed.values().all(|agreed| *agreed > 2_000), "agreed on too few: {agreed:?}");
}

/// The vector's bytes, read and written again by the crate; `None` where it does not know the version.
fn theirs(vector: &Vector<'_>) -> Option<bytes::BytesMut> {
    let (mut bytes, version) = (vector.bytes.clone(), vector.version);
    let key = ApiKey::try_from(api_key(vector.name).code()).ok()?;
    let mut written = bytes::BytesMut::new();
    let outcome = match vector.kind {
        "request" => RequestKind::decode(key, &mut bytes, version)
            .and_then(|request| request.encode(&mut written, version)),
        _ => ResponseKind::decode(key, &mut bytes, version)
            .and_then(|response| response.encode(&mut written, version)),
    };
    match outcome {
        Ok(()) => Some(written),
        Err(error) if format!("{error:#}").contains("specified version not supported") => None,
        Err(error) => panic!("{} {} {version}: {error:#}", vector.kind, vector.name),
    }
}
