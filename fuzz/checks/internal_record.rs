//! Keys and values of Kafka's internal records against any bytes. The first byte chooses what is read, and
//! where a value needs the type of its key, the second one that.

use bytes::Bytes;
use vltava::protocol::Message;
use vltava::protocol::consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use vltava::protocol::control_records::QuorumRecord;
use vltava::protocol::coordinator_records::{
    GroupRecordKey, GroupRecordValue, ShareRecordKey, ShareRecordValue, TransactionRecordKey,
    TransactionRecordValue,
};
use vltava::protocol::metadata_records::MetadataRecord;
use vltava::protocol::principal::DefaultPrincipalData;
use vltava::protocol::records::ControlRecordType;

const CHOICES: u8 = 11;

/// Fails where reading `data` breaks a promise.
pub fn check(data: &[u8]) {
    let [choice, kind, bytes @ ..] = data else { return };
    let (kind, bytes) = (i16::from(*kind), Bytes::copy_from_slice(bytes));
    match choice % CHOICES {
        0 => metadata(&bytes),
        1 => keys(&bytes, GroupRecordKey::decode, |key| key.encode().ok()),
        2 => values(&bytes, |bytes| GroupRecordValue::decode(kind, bytes), |value, v| value.encode(v).ok()),
        3 => keys(&bytes, TransactionRecordKey::decode, |key| key.encode().ok()),
        4 => values(
            &bytes,
            |bytes| TransactionRecordValue::decode(kind, bytes),
            |value, v| value.encode(v).ok(),
        ),
        5 => keys(&bytes, ShareRecordKey::decode, |key| key.encode().ok()),
        6 => values(&bytes, |bytes| ShareRecordValue::decode(kind, bytes), |value, v| value.encode(v).ok()),
        7 => quorum(ControlRecordType::from_id(kind), &bytes),
        8 => versioned::<ConsumerProtocolSubscription>(&bytes),
        9 => versioned::<ConsumerProtocolAssignment>(&bytes),
        _ => versioned::<DefaultPrincipalData>(&bytes),
    }
}

/// Metadata records hold floats, which may be unequal to themselves: bytes are compared.
fn metadata(bytes: &Bytes) {
    let Ok((record, version)) = MetadataRecord::decode(bytes) else { return };
    let written = record.encode(version).expect("what was read");
    let (again, found) = MetadataRecord::decode(&written).expect("what was written");
    assert_eq!((again.name(), found), (record.name(), version));
    assert_eq!(again.encode(version).expect("what was read"), written);
}

fn keys<K: PartialEq + std::fmt::Debug, E>(
    bytes: &Bytes,
    decode: impl Fn(&Bytes) -> Result<K, E>,
    encode: impl Fn(&K) -> Option<Bytes>,
) {
    let Ok(key) = decode(bytes) else { return };
    let written = encode(&key).expect("what was read");
    assert_eq!(decode(&written).ok().expect("what was written"), key);
}

fn values<V: PartialEq + std::fmt::Debug, E>(
    bytes: &Bytes,
    decode: impl Fn(&Bytes) -> Result<(V, i16), E>,
    encode: impl Fn(&V, i16) -> Option<Bytes>,
) {
    let Ok((value, version)) = decode(bytes) else { return };
    let written = encode(&value, version).expect("what was read");
    assert_eq!(decode(&written).ok().expect("what was written"), (value, version));
}

/// A version newer than all known is read, and cannot be written.
fn quorum(kind: ControlRecordType, bytes: &Bytes) {
    let Ok(record) = QuorumRecord::decode(kind, bytes) else { return };
    assert_eq!(record.kind(), kind);
    if let Ok(written) = record.encode() {
        assert_eq!(QuorumRecord::decode(kind, &written), Ok(record));
    }
}

fn versioned<M: Message>(bytes: &Bytes) {
    let Ok(message) = M::decode_versioned_or_newer(bytes) else { return };
    let version = i16::from_be_bytes([bytes[0], bytes[1]]).min(*M::VERSIONS.end());
    let written = message.to_versioned_bytes(version).expect("what was read");
    assert_eq!(M::decode_versioned(&written), Ok(message));
}
