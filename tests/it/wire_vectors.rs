//! Every message and record of Kafka 4.3, in every version, against bytes and JSON made by Kafka 4.3.1's own
//! classes (`tests/peer/Vectors.java` says how): the fields read are Kafka's, and the bytes written are
//! Kafka's.

use bytes::Bytes;
use serde_json::Value;
use vltava::protocol::consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use vltava::protocol::control_records::{
    KRaftVersionRecord, LeaderChangeMessage, QuorumRecord, SnapshotFooterRecord, SnapshotHeaderRecord,
    VotersRecord,
};
use vltava::protocol::coordinator_records::{
    GroupRecordKey, GroupRecordValue, ShareRecordKey, ShareRecordValue, TransactionRecordKey,
    TransactionRecordValue,
};
use vltava::protocol::metadata_records::MetadataRecord;
use vltava::protocol::principal::DefaultPrincipalData;
use vltava::protocol::records::ControlRecordType;
use vltava::protocol::{
    ApiKey, DecodeError, EncodeError, Message, Request, RequestHeader, Response, ResponseHeader, Writer,
};

const APIS: &str = include_str!("../vectors/apis.txt");
const REQUESTS: &str = include_str!("../vectors/requests.txt");
const RESPONSES: &str = include_str!("../vectors/responses.txt");
const RECORDS: &str = include_str!("../vectors/records.txt");
const CARRIED: &str = include_str!("../vectors/carried.txt");

/// One line of a file of vectors.
pub struct Vector<'a> {
    /// Where the message stands: `request`, `metadata`, `group-key` ...
    pub kind: &'a str,
    /// Kafka's name, without `Request` or `Response`.
    pub name: &'a str,
    /// The version of the message.
    pub version: i16,
    /// What Kafka writes.
    pub bytes: Bytes,
    /// What Kafka's converter makes of it.
    pub json: Value,
}

/// All requests and responses.
pub fn messages() -> impl Iterator<Item = Vector<'static>> {
    REQUESTS.lines().chain(RESPONSES.lines()).map(vector)
}

fn vector(line: &str) -> Vector<'_> {
    let [kind, name, version, hex, json] =
        line.splitn(5, ' ').collect::<Vec<_>>().try_into().expect("a line has five parts");
    Vector { json: serde_json::from_str(json).expect("JSON"), ..vector_of(kind, name, version, hex) }
}

fn vector_of<'a>(kind: &'a str, name: &'a str, version: &str, hex: &str) -> Vector<'a> {
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16).expect("hex");
    let bytes = hex.as_bytes().chunks(2).map(digits).collect();
    Vector { kind, name, version: version.parse().expect("a version"), bytes, json: Value::Null }
}

/// The key of the API with Kafka's name for it.
pub fn api_key(name: &str) -> ApiKey {
    *ApiKey::ALL.iter().find(|key| key.name() == name).unwrap_or_else(|| panic!("no API {name}"))
}

/// Kafka's converters leave record payloads out; that they are the same follows from the bytes.
fn without_payloads(mut value: Value) -> Value {
    fn walk(value: &mut Value) {
        match value {
            Value::Array(elements) => elements.iter_mut().for_each(walk),
            Value::Object(fields) => {
                for (name, field) in fields {
                    match field {
                        Value::String(_) if name == "records" || name == "unalignedRecords" => {
                            *field = Value::from("");
                        }
                        _ => walk(field),
                    }
                }
            }
            _ => {}
        }
    }
    walk(&mut value);
    value
}

/// What this code makes of a vector: JSON and bytes.
fn ours(vector: &Vector<'_>) -> Result<(Value, Bytes), Box<dyn std::error::Error>> {
    let Vector { kind, name, version, bytes, .. } = vector;
    let version = *version;
    Ok(match *kind {
        "request" => {
            let request = Request::decode(api_key(name), version, bytes)?;
            (request.to_json(version), written(|w| request.encode(version, w))?)
        }
        "response" => {
            let response = Response::decode(api_key(name), version, bytes)?;
            (response.to_json(version), written(|w| response.encode(version, w))?)
        }
        "metadata" => {
            let (record, found) = MetadataRecord::decode(bytes)?;
            assert_eq!((record.name(), found), (*name, version));
            assert!(record.versions().contains(&version));
            (record.to_json(version), record.encode(version)?)
        }
        "group-key" => {
            let key = GroupRecordKey::decode(bytes)?;
            (key.to_json(), key.encode()?)
        }
        "transaction-key" => {
            let key = TransactionRecordKey::decode(bytes)?;
            (key.to_json(), key.encode()?)
        }
        "share-key" => {
            let key = ShareRecordKey::decode(bytes)?;
            (key.to_json(), key.encode()?)
        }
        "group-value" => {
            let (value, found) = GroupRecordValue::decode(code(name, "group-key"), bytes)?;
            (value.to_json(found), value.encode(version)?)
        }
        "transaction-value" => {
            let (value, found) = TransactionRecordValue::decode(code(name, "transaction-key"), bytes)?;
            (value.to_json(found), value.encode(version)?)
        }
        "share-value" => {
            let (value, found) = ShareRecordValue::decode(code(name, "share-key"), bytes)?;
            (value.to_json(found), value.encode(version)?)
        }
        _ => match *name {
            "ConsumerProtocolSubscription" => data::<ConsumerProtocolSubscription>(vector)?,
            "ConsumerProtocolAssignment" => data::<ConsumerProtocolAssignment>(vector)?,
            "DefaultPrincipalData" => data::<DefaultPrincipalData>(vector)?,
            "LeaderChangeMessage" => data::<LeaderChangeMessage>(vector)?,
            "SnapshotHeaderRecord" => data::<SnapshotHeaderRecord>(vector)?,
            "SnapshotFooterRecord" => data::<SnapshotFooterRecord>(vector)?,
            "KRaftVersionRecord" => data::<KRaftVersionRecord>(vector)?,
            "VotersRecord" => data::<VotersRecord>(vector)?,
            _ => panic!("nobody reads {kind} {name}"),
        },
    })
}

fn data<M: Message>(vector: &Vector<'_>) -> Result<(Value, Bytes), Box<dyn std::error::Error>> {
    let message = M::decode_exact(&vector.bytes, vector.version)?;
    Ok((message.to_json(vector.version), message.to_bytes(vector.version)?))
}

fn written(encode: impl FnOnce(&mut Writer) -> Result<(), EncodeError>) -> Result<Bytes, EncodeError> {
    let mut w = Writer::new();
    encode(&mut w)?;
    Ok(w.finish().into_bytes())
}

/// The type of a coordinator's record: the first number of the key of the same name.
fn code(value: &str, kind: &str) -> i16 {
    let key = format!("{kind} {}Key ", value.strip_suffix("Value").expect("a value"));
    let line = RECORDS.lines().find(|line| line.starts_with(&key)).expect("values have keys");
    i16::from_be_bytes(vector(line).bytes[..2].try_into().expect("two bytes"))
}

fn check<'a>(vectors: impl Iterator<Item = Vector<'a>>) -> usize {
    let mut failures = Vec::new();
    let mut count = 0;
    for vector in vectors {
        count += 1;
        let what = format!("{} {} {} {:02x?}", vector.kind, vector.name, vector.version, &vector.bytes[..]);
        match ours(&vector) {
            Err(error) => failures.push(format!("{what}\n  {error}")),
            Ok((json, bytes)) => {
                let json = without_payloads(json);
                if json != vector.json {
                    failures.push(format!("{what}\n  fields  {json}\n  instead {}", vector.json));
                }
                if bytes != vector.bytes {
                    failures.push(format!("{what}\n  written {:02x?}", &bytes[..]));
                }
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {count} differ:\n{}",
        failures.len(),
        failures[..failures.len().min(20)].join("\n")
    );
    count
}

#[test]
fn requests_are_those_of_kafka() {
    assert!(check(REQUESTS.lines().map(vector)) > 2_000);
}

#[test]
fn responses_are_those_of_kafka() {
    assert!(check(RESPONSES.lines().map(vector)) > 2_000);
}

#[test]
fn records_are_those_of_kafka() {
    assert!(check(RECORDS.lines().map(vector).filter(|vector| vector.kind != "header")) > 800);
}

#[test]
fn request_headers_are_those_of_kafka() {
    for vector in RECORDS.lines().map(vector).filter(|vector| vector.name == "RequestHeaderData") {
        let (header, body) = RequestHeader::decode(&vector.bytes).expect("a header");
        assert_eq!(header.api_key.request_header_version(header.api_version), vector.version);
        assert_eq!(vector.json["requestApiKey"], header.api_key.code());
        assert_eq!(vector.json["requestApiVersion"], header.api_version);
        assert_eq!(vector.json["correlationId"], header.correlation_id);
        assert_eq!(vector.json["clientId"].as_str(), header.client_id.as_deref());
        assert!(body.is_empty());
        let mut w = Writer::new();
        header.encode(&mut w);
        assert_eq!(w.finish().into_bytes(), vector.bytes);
    }
}

#[test]
fn response_headers_are_those_of_kafka() {
    for vector in RECORDS.lines().map(vector).filter(|vector| vector.name == "ResponseHeaderData") {
        let (header, body) = ResponseHeader::decode(&vector.bytes, vector.version).expect("a header");
        assert_eq!(vector.json["correlationId"], header.correlation_id);
        assert!(body.is_empty());
        let mut w = Writer::new();
        header.encode(vector.version, &mut w);
        assert_eq!(w.finish().into_bytes(), vector.bytes);
    }
}

#[test]
fn the_table_of_apis_is_that_of_kafka() {
    let mut keys = Vec::new();
    for line in APIS.lines() {
        let [name, code, lowest, highest, stable, requests, responses, _listeners] =
            line.split(' ').collect::<Vec<_>>().try_into().expect("eight parts");
        let number = |text: &str| text.parse::<i16>().expect("a number");
        let key = ApiKey::from_i16(number(code)).unwrap_or_else(|| panic!("no API {line}"));
        assert_eq!(key.name(), name);
        assert_eq!(key.versions(), number(lowest)..=number(highest), "{name}");
        if key != ApiKey::Produce {
            assert_eq!(key.advertised_versions(), number(lowest)..=number(stable), "{name}");
        }
        for ((version, request), response) in key.versions().zip(requests.chars()).zip(responses.chars()) {
            assert_eq!(request, char::from(b'0' + key.request_header_version(version) as u8), "{line}");
            assert_eq!(response, char::from(b'0' + key.response_header_version(version) as u8), "{line}");
        }
        keys.push(key);
    }
    keys.sort_unstable();
    assert_eq!(keys, ApiKey::ALL);
    assert_eq!(ApiKey::Produce.advertised_versions(), 0..=13, "told from 0, though 0 to 2 are refused");
}

/// The quorum's records carry their version in their first field, and are written in it.
#[test]
fn quorum_records_are_found_by_their_type() -> Result<(), DecodeError> {
    let mut found = 0;
    for vector in RECORDS.lines().map(vector).filter(|vector| vector.kind == "data") {
        let kind = match vector.name {
            "LeaderChangeMessage" => ControlRecordType::LeaderChange,
            "SnapshotHeaderRecord" => ControlRecordType::SnapshotHeader,
            "SnapshotFooterRecord" => ControlRecordType::SnapshotFooter,
            "KRaftVersionRecord" => ControlRecordType::KRaftVersion,
            "VotersRecord" => ControlRecordType::KRaftVoters,
            _ => continue,
        };
        if vector.json["version"] == vector.version {
            let record = QuorumRecord::decode(kind, &vector.bytes)?;
            assert_eq!(record.kind(), kind);
            assert_eq!(record.encode().expect("encodes"), vector.bytes);
            found += 1;
        }
    }
    assert!(found >= 6, "at least the defaults: {found}");
    Ok(())
}

/// Each field alone, read in the lowest and in the highest version and written in every other: what Kafka
/// carries, leaves out, or refuses.
#[test]
fn other_versions_lose_and_refuse_what_kafka_does() {
    let (mut kept, mut refused) = (0, 0);
    for line in CARRIED.lines() {
        let parts: Vec<&str> = line.split(' ').collect();
        let [kind, name, version, hex, ref others @ ..] = parts[..] else { panic!("too short: {line}") };
        let from = vector_of(kind, name, version, hex);
        for outcome in others {
            let (version, crc) = outcome.split_once(':').expect("version and outcome");
            match rewritten(&from, version.parse().expect("a version")) {
                None => {
                    assert_eq!(crc, "-", "refused in {version}: {line}");
                    refused += 1;
                }
                Some(bytes) => {
                    let mut ours = flate2::Crc::new();
                    ours.update(&bytes);
                    assert_eq!(
                        format!("{:x}", ours.sum()),
                        crc,
                        "written in {version}: {line}\nas {bytes:02x?}"
                    );
                    kept += 1;
                }
            }
        }
    }
    assert!(kept > 4_000 && refused > 400, "{kept} written, {refused} refused");
}

/// A message in another version than it was read in; `None` if that is refused.
fn rewritten(from: &Vector<'_>, version: i16) -> Option<Bytes> {
    let Vector { kind, name, bytes, .. } = from;
    match *kind {
        "request" => {
            let request = Request::decode(api_key(name), from.version, bytes).expect("decodes");
            written(|w| request.encode(version, w)).ok()
        }
        "response" => {
            let response = Response::decode(api_key(name), from.version, bytes).expect("decodes");
            written(|w| response.encode(version, w)).ok()
        }
        "metadata" => MetadataRecord::decode(bytes).expect("decodes").0.encode(version).ok(),
        "group-value" => {
            let code = code(name, "group-key");
            GroupRecordValue::decode(code, bytes).expect("decodes").0.encode(version).ok()
        }
        "transaction-value" => {
            let code = code(name, "transaction-key");
            TransactionRecordValue::decode(code, bytes).expect("decodes").0.encode(version).ok()
        }
        _ => match *name {
            "ConsumerProtocolSubscription" => moved::<ConsumerProtocolSubscription>(from, version),
            "ConsumerProtocolAssignment" => moved::<ConsumerProtocolAssignment>(from, version),
            "LeaderChangeMessage" => moved::<LeaderChangeMessage>(from, version),
            _ => panic!("nobody reads {kind} {name}"),
        },
    }
}

fn moved<M: Message>(from: &Vector<'_>, version: i16) -> Option<Bytes> {
    M::decode_exact(&from.bytes, from.version).expect("decodes").to_bytes(version).ok()
}
