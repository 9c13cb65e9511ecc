//! The value of a record in the metadata log: a frame version, the record's type and version, then the record
//! (KIP-631). The key is null. Which version to write is for the metadata version to say, not for this file.

mod schema;

pub use schema::*;

use super::error::{DecodeError, DecodeProblem, EncodeError};
use super::json::ToJson;
use super::reader::Reader;
use super::wire::Message;
use super::writer::Writer;
use bytes::Bytes;
use std::ops::RangeInclusive;

/// The frame version that everything from 3.0 on writes.
const FRAME_VERSION: u32 = 1;

macro_rules! metadata_records {
    ($( $Name:ident($Record:ident) = $code:literal, )*) => {
        /// A record of the metadata log.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs)]
        pub enum MetadataRecord { $( $Name($Record), )* }

        impl MetadataRecord {
            /// The number of the record's type.
            pub fn code(&self) -> i16 {
                match self { $( MetadataRecord::$Name(_) => $code, )* }
            }

            /// Kafka's name, such as `TopicRecord`.
            pub fn name(&self) -> &'static str {
                match self { $( MetadataRecord::$Name(_) => $Record::NAME, )* }
            }

            /// The versions that Kafka 4.3 knows.
            pub fn versions(&self) -> RangeInclusive<i16> {
                match self { $( MetadataRecord::$Name(_) => $Record::VERSIONS, )* }
            }

            /// The record as JSON, with Kafka's names.
            pub fn to_json(&self, version: i16) -> serde_json::Value {
                match self { $( MetadataRecord::$Name(record) => record.to_json(version), )* }
            }

            fn decode_body(code: u32, version: i16, body: &Bytes) -> Result<MetadataRecord, DecodeError> {
                match code {
                    $( $code => Message::decode_exact(body, version).map(MetadataRecord::$Name), )*
                    _ => Err(DecodeProblem::UnknownType(code as i32).at("MetadataRecord")),
                }
            }

            fn encode_body(&self, version: i16, w: &mut Writer) -> Result<(), EncodeError> {
                match self { $( MetadataRecord::$Name(record) => record.encode(version, w), )* }
            }
        }

        $(
            impl From<$Record> for MetadataRecord {
                fn from(record: $Record) -> MetadataRecord {
                    MetadataRecord::$Name(record)
                }
            }
        )*
    };
}

metadata_records! {
    RegisterBroker(RegisterBrokerRecord) = 0,
    UnregisterBroker(UnregisterBrokerRecord) = 1,
    Topic(TopicRecord) = 2,
    Partition(PartitionRecord) = 3,
    Config(ConfigRecord) = 4,
    PartitionChange(PartitionChangeRecord) = 5,
    FenceBroker(FenceBrokerRecord) = 7,
    UnfenceBroker(UnfenceBrokerRecord) = 8,
    RemoveTopic(RemoveTopicRecord) = 9,
    DelegationToken(DelegationTokenRecord) = 10,
    UserScramCredential(UserScramCredentialRecord) = 11,
    FeatureLevel(FeatureLevelRecord) = 12,
    ClientQuota(ClientQuotaRecord) = 14,
    ProducerIds(ProducerIdsRecord) = 15,
    BrokerRegistrationChange(BrokerRegistrationChangeRecord) = 17,
    AccessControlEntry(AccessControlEntryRecord) = 18,
    RemoveAccessControlEntry(RemoveAccessControlEntryRecord) = 19,
    NoOp(NoOpRecord) = 20,
    ZkMigrationState(ZkMigrationStateRecord) = 21,
    RemoveUserScramCredential(RemoveUserScramCredentialRecord) = 22,
    BeginTransaction(BeginTransactionRecord) = 23,
    EndTransaction(EndTransactionRecord) = 24,
    AbortTransaction(AbortTransactionRecord) = 25,
    RemoveDelegationToken(RemoveDelegationTokenRecord) = 26,
    RegisterController(RegisterControllerRecord) = 27,
    ClearElr(ClearElrRecord) = 28,
}

impl MetadataRecord {
    /// Reads the value of a record, to its last byte, and tells the version it was in.
    pub fn decode(value: &Bytes) -> Result<(MetadataRecord, i16), DecodeError> {
        let mut r = Reader::new(value, 0, true);
        let (code, version) = read_frame(&mut r).map_err(|problem| problem.at("MetadataRecord"))?;
        let record = MetadataRecord::decode_body(code, version, &r.rest())?;
        Ok((record, version))
    }

    /// The value of a record in `version`.
    pub fn encode(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut w = Writer::new();
        w.uvarint(FRAME_VERSION);
        w.uvarint(self.code() as u32);
        w.uvarint(version as u32);
        self.encode_body(version, &mut w)?;
        Ok(w.finish().into_bytes())
    }
}

fn read_frame(r: &mut Reader<'_>) -> Result<(u32, i16), DecodeProblem> {
    let frame = r.uvarint()?;
    if frame != FRAME_VERSION {
        return Err(DecodeProblem::UnknownType(frame as i32));
    }
    let code = r.uvarint()?;
    let version = i16::try_from(r.uvarint()?).map_err(|_| DecodeProblem::UnsupportedVersion(i16::MAX))?;
    Ok((code, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_frame_type_version_and_record() {
        let record = FeatureLevelRecord { name: "kraft".into(), feature_level: 1, ..Default::default() };
        let value = MetadataRecord::from(record.clone()).encode(0).expect("encodes");
        assert_eq!(&value[..], b"\x01\x0c\x00\x06kraft\x00\x01\x00");
        assert_eq!(MetadataRecord::decode(&value), Ok((MetadataRecord::FeatureLevel(record), 0)));
    }

    #[test]
    fn leftovers_and_unknown_frames_types_and_versions_are_errors() {
        let problem = |value: &'static [u8]| {
            MetadataRecord::decode(&Bytes::from_static(value)).expect_err("is not a record").problem
        };
        assert_eq!(problem(b"\x01\x14\x00\x00\x00"), DecodeProblem::TrailingBytes);
        assert_eq!(problem(b"\x02\x14\x00\x00"), DecodeProblem::UnknownType(2));
        assert_eq!(problem(b"\x01\x63\x00\x00"), DecodeProblem::UnknownType(99));
        assert_eq!(problem(b"\x01\x14\x01\x00"), DecodeProblem::UnsupportedVersion(1));
        assert_eq!(problem(b""), DecodeProblem::Truncated);
    }
}
