//! The keys and values of the coordinators' logs: a key is the record's type, then the key; a value is its
//! version, then the value; no value is a tombstone. Bytes behind either are ignored, as Kafka does. Which
//! version to write is for the coordinators to say.

pub mod classic;
pub mod consumer;
pub mod share;
pub mod share_state;
pub mod streams;
pub mod transaction;

use super::error::{DecodeError, DecodeProblem, EncodeError};
use super::json::ToJson;
use super::reader::Reader;
use super::wire::Message;
use super::writer::Writer;
use bytes::Bytes;
use std::ops::RangeInclusive;

use classic::*;
use consumer::*;
use share::*;
use share_state::*;
use streams::*;
use transaction::*;

/// Keys have had one version so far; their type tells them apart.
const KEY_VERSION: i16 = 0;

macro_rules! coordinator_records {
    (
        $(#[$key_doc:meta])* keys $Keys:ident;
        $(#[$value_doc:meta])* values $Values:ident;
        $( $Name:ident = $code:literal: $Key:ident => $Value:ident, )*
    ) => {
        $(#[$key_doc])*
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs)]
        pub enum $Keys { $( $Name($Key), )* }

        impl $Keys {
            /// The number of the record's type.
            pub fn code(&self) -> i16 {
                match self { $( $Keys::$Name(_) => $code, )* }
            }

            /// Reads the key of a record. A type that is not known is an error of its own, since Kafka skips
            /// such records.
            pub fn decode(key: &Bytes) -> Result<$Keys, DecodeError> {
                let mut r = Reader::new(key, KEY_VERSION, false);
                match r.i16().map_err(|problem| problem.at(stringify!($Keys)))? {
                    $( $code => Message::decode(&r.rest(), KEY_VERSION).map($Keys::$Name), )*
                    code => Err(DecodeProblem::UnknownType(i32::from(code)).at(stringify!($Keys))),
                }
            }

            /// The key of a record.
            pub fn encode(&self) -> Result<Bytes, EncodeError> {
                let mut w = Writer::new();
                w.put(&self.code().to_be_bytes());
                match self { $( $Keys::$Name(key) => key.encode(KEY_VERSION, &mut w)?, )* }
                Ok(w.finish().into_bytes())
            }

            /// The key as JSON, with Kafka's names.
            pub fn to_json(&self) -> serde_json::Value {
                match self { $( $Keys::$Name(key) => key.to_json(KEY_VERSION), )* }
            }
        }

        $(#[$value_doc])*
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs)]
        pub enum $Values { $( $Name($Value), )* }

        impl $Values {
            /// The number of the record's type, which its key carries.
            pub fn code(&self) -> i16 {
                match self { $( $Values::$Name(_) => $code, )* }
            }

            /// The versions that Kafka 4.3 knows.
            pub fn versions(&self) -> RangeInclusive<i16> {
                match self { $( $Values::$Name(_) => $Value::VERSIONS, )* }
            }

            /// Reads the value of a record whose key is of type `code`, and tells the version it was in.
            pub fn decode(code: i16, value: &Bytes) -> Result<($Values, i16), DecodeError> {
                let mut r = Reader::new(value, 0, false);
                let version = r.i16().map_err(|problem| problem.at(stringify!($Values)))?;
                let value = match code {
                    $( $code => Message::decode(&r.rest(), version).map($Values::$Name), )*
                    code => Err(DecodeProblem::UnknownType(i32::from(code)).at(stringify!($Values))),
                };
                value.map(|value| (value, version))
            }

            /// The value of a record in `version`.
            pub fn encode(&self, version: i16) -> Result<Bytes, EncodeError> {
                match self { $( $Values::$Name(value) => value.to_versioned_bytes(version), )* }
            }

            /// The value as JSON, with Kafka's names.
            pub fn to_json(&self, version: i16) -> serde_json::Value {
                match self { $( $Values::$Name(value) => value.to_json(version), )* }
            }
        }

        $(
            impl From<$Key> for $Keys {
                fn from(key: $Key) -> $Keys {
                    $Keys::$Name(key)
                }
            }

            impl From<$Value> for $Values {
                fn from(value: $Value) -> $Values {
                    $Values::$Name(value)
                }
            }
        )*
    };
}

coordinator_records! {
    /// A key in `__consumer_offsets`.
    keys GroupRecordKey;
    /// A value in `__consumer_offsets`.
    values GroupRecordValue;
    LegacyOffsetCommit = 0: LegacyOffsetCommitKey => LegacyOffsetCommitValue,
    OffsetCommit = 1: OffsetCommitKey => OffsetCommitValue,
    GroupMetadata = 2: GroupMetadataKey => GroupMetadataValue,
    ConsumerGroupMetadata = 3: ConsumerGroupMetadataKey => ConsumerGroupMetadataValue,
    ConsumerGroupPartitionMetadata = 4:
        ConsumerGroupPartitionMetadataKey => ConsumerGroupPartitionMetadataValue,
    ConsumerGroupMemberMetadata = 5: ConsumerGroupMemberMetadataKey => ConsumerGroupMemberMetadataValue,
    ConsumerGroupTargetAssignmentMetadata = 6:
        ConsumerGroupTargetAssignmentMetadataKey => ConsumerGroupTargetAssignmentMetadataValue,
    ConsumerGroupTargetAssignmentMember = 7:
        ConsumerGroupTargetAssignmentMemberKey => ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupCurrentMemberAssignment = 8:
        ConsumerGroupCurrentMemberAssignmentKey => ConsumerGroupCurrentMemberAssignmentValue,
    ShareGroupMemberMetadata = 10: ShareGroupMemberMetadataKey => ShareGroupMemberMetadataValue,
    ShareGroupMetadata = 11: ShareGroupMetadataKey => ShareGroupMetadataValue,
    ShareGroupTargetAssignmentMetadata = 12:
        ShareGroupTargetAssignmentMetadataKey => ShareGroupTargetAssignmentMetadataValue,
    ShareGroupTargetAssignmentMember = 13:
        ShareGroupTargetAssignmentMemberKey => ShareGroupTargetAssignmentMemberValue,
    ShareGroupCurrentMemberAssignment = 14:
        ShareGroupCurrentMemberAssignmentKey => ShareGroupCurrentMemberAssignmentValue,
    ShareGroupStatePartitionMetadata = 15:
        ShareGroupStatePartitionMetadataKey => ShareGroupStatePartitionMetadataValue,
    ConsumerGroupRegularExpression = 16:
        ConsumerGroupRegularExpressionKey => ConsumerGroupRegularExpressionValue,
    StreamsGroupMetadata = 17: StreamsGroupMetadataKey => StreamsGroupMetadataValue,
    StreamsGroupMemberMetadata = 19: StreamsGroupMemberMetadataKey => StreamsGroupMemberMetadataValue,
    StreamsGroupTargetAssignmentMetadata = 20:
        StreamsGroupTargetAssignmentMetadataKey => StreamsGroupTargetAssignmentMetadataValue,
    StreamsGroupTargetAssignmentMember = 21:
        StreamsGroupTargetAssignmentMemberKey => StreamsGroupTargetAssignmentMemberValue,
    StreamsGroupCurrentMemberAssignment = 22:
        StreamsGroupCurrentMemberAssignmentKey => StreamsGroupCurrentMemberAssignmentValue,
    StreamsGroupTopology = 23: StreamsGroupTopologyKey => StreamsGroupTopologyValue,
}

coordinator_records! {
    /// A key in `__transaction_state`.
    keys TransactionRecordKey;
    /// A value in `__transaction_state`.
    values TransactionRecordValue;
    TransactionLog = 0: TransactionLogKey => TransactionLogValue,
}

coordinator_records! {
    /// A key in `__share_group_state`.
    keys ShareRecordKey;
    /// A value in `__share_group_state`.
    values ShareRecordValue;
    ShareSnapshot = 0: ShareSnapshotKey => ShareSnapshotValue,
    ShareUpdate = 1: ShareUpdateKey => ShareUpdateValue,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_begin_with_their_type_and_values_with_their_version() {
        let key =
            OffsetCommitKey { group: "g".into(), topic: "t".into(), partition: 7, ..Default::default() };
        let bytes = GroupRecordKey::from(key.clone()).encode().expect("encodes");
        assert_eq!(&bytes[..], b"\x00\x01\x00\x01g\x00\x01t\x00\x00\x00\x07");
        assert_eq!(GroupRecordKey::decode(&bytes), Ok(GroupRecordKey::OffsetCommit(key)));

        let value = GroupRecordValue::from(OffsetCommitValue { offset: 5, ..Default::default() });
        for version in value.versions() {
            let bytes = value.encode(version).expect("encodes");
            assert_eq!(bytes[..2], version.to_be_bytes());
            assert_eq!(GroupRecordValue::decode(1, &bytes), Ok((value.clone(), version)));
        }
    }

    #[test]
    fn an_unknown_type_is_told_apart_from_damage() {
        let error = GroupRecordKey::decode(&Bytes::from_static(b"\x03\xe7")).expect_err("no such type");
        assert_eq!(error.problem, DecodeProblem::UnknownType(999));
        let error = GroupRecordKey::decode(&Bytes::from_static(b"\x00\x01\x00")).expect_err("too short");
        assert_eq!(error.problem, DecodeProblem::Truncated);
    }
}
