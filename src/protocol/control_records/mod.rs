//! The quorum's control records: each value begins with its own version. Their keys, and the markers that end
//! transactions, are in `records/control.rs`.

mod schema;

pub use schema::*;

use super::error::{DecodeError, DecodeProblem, EncodeError};
use super::reader::Reader;
use super::records::ControlRecordType;
use super::wire::Message;
use bytes::Bytes;

/// A control record of the metadata log or of a snapshot of it.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum QuorumRecord {
    LeaderChange(LeaderChangeMessage),
    SnapshotHeader(SnapshotHeaderRecord),
    SnapshotFooter(SnapshotFooterRecord),
    KRaftVersion(KRaftVersionRecord),
    KRaftVoters(VotersRecord),
}

impl QuorumRecord {
    /// What it is about; its key says so.
    pub fn kind(&self) -> ControlRecordType {
        match self {
            QuorumRecord::LeaderChange(_) => ControlRecordType::LeaderChange,
            QuorumRecord::SnapshotHeader(_) => ControlRecordType::SnapshotHeader,
            QuorumRecord::SnapshotFooter(_) => ControlRecordType::SnapshotFooter,
            QuorumRecord::KRaftVersion(_) => ControlRecordType::KRaftVersion,
            QuorumRecord::KRaftVoters(_) => ControlRecordType::KRaftVoters,
        }
    }

    /// Reads the value of a record of `kind`. A version newer than all known is read as the newest known one,
    /// and bytes behind the value are ignored, as Kafka does. Other kinds than the quorum's are an error.
    pub fn decode(kind: ControlRecordType, value: &Bytes) -> Result<QuorumRecord, DecodeError> {
        match kind {
            ControlRecordType::LeaderChange => decode_value(value).map(QuorumRecord::LeaderChange),
            ControlRecordType::SnapshotHeader => decode_value(value).map(QuorumRecord::SnapshotHeader),
            ControlRecordType::SnapshotFooter => decode_value(value).map(QuorumRecord::SnapshotFooter),
            ControlRecordType::KRaftVersion => decode_value(value).map(QuorumRecord::KRaftVersion),
            ControlRecordType::KRaftVoters => decode_value(value).map(QuorumRecord::KRaftVoters),
            ControlRecordType::Abort | ControlRecordType::Commit | ControlRecordType::Unknown(_) => {
                Err(DecodeProblem::UnknownType(i32::from(kind.id())).at("QuorumRecord"))
            }
        }
    }

    /// The value, in the version that its own first field names.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        match self {
            QuorumRecord::LeaderChange(message) => message.to_bytes(message.version),
            QuorumRecord::SnapshotHeader(record) => record.to_bytes(record.version),
            QuorumRecord::SnapshotFooter(record) => record.to_bytes(record.version),
            QuorumRecord::KRaftVersion(record) => record.to_bytes(record.version),
            QuorumRecord::KRaftVoters(record) => record.to_bytes(record.version),
        }
    }
}

fn decode_value<M: Message>(value: &Bytes) -> Result<M, DecodeError> {
    let version = Reader::new(value, 0, false).i16().map_err(|problem| problem.at(M::NAME))?;
    M::decode(value, version.min(*M::VERSIONS.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_change_carries_its_version() {
        let voter = LeaderChangeVoter { voter_id: 1, ..Default::default() };
        let message = LeaderChangeMessage {
            leader_id: 1,
            voters: vec![voter.clone()],
            granting_voters: vec![voter],
            ..Default::default()
        };
        let record = QuorumRecord::LeaderChange(message);
        let value = record.encode().expect("encodes");
        assert_eq!(&value[..], b"\0\0\0\0\0\x01\x02\0\0\0\x01\0\x02\0\0\0\x01\0\0");
        assert_eq!(QuorumRecord::decode(record.kind(), &value), Ok(record));
    }

    #[test]
    fn newer_versions_are_read_and_other_kinds_are_not() {
        let newer = Bytes::from_static(b"\x00\x05\x00\x01\x00more");
        let record = KRaftVersionRecord { version: 5, k_raft_version: 1, ..Default::default() };
        assert_eq!(
            QuorumRecord::decode(ControlRecordType::KRaftVersion, &newer),
            Ok(QuorumRecord::KRaftVersion(record))
        );
        assert!(QuorumRecord::decode(ControlRecordType::Commit, &newer).is_err());
        assert!(QuorumRecord::decode(ControlRecordType::KRaftVersion, &Bytes::new()).is_err());
    }
}
