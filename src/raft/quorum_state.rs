//! The file `quorum-state`: one line of JSON with the election state, as Kafka writes it. Version 0 goes with
//! kraft.version 0 and lists the voters; version 1 goes with kraft.version 1 and knows directories instead.

use super::types::{ElectionState, ReplicaKey};
use crate::types::{LeaderEpoch, NodeId, Uuid};
use serde_json::{Map, Value};

/// The file's name inside the directory of the metadata log.
pub const QUORUM_STATE_FILE: &str = "quorum-state";

/// The largest file that is read: version 0 lists voters, about 20 bytes each.
pub const QUORUM_STATE_MAX_BYTES: u64 = 64 * 1024;

/// Why a `quorum-state` file cannot be used. Without it the replica might vote twice in one epoch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuorumStateError {
    /// Not one JSON object in UTF-8.
    #[error("quorum-state is not one JSON object: {0}; restore the file, or format the directory anew")]
    Json(String),
    /// A field is missing or of another type.
    #[error("quorum-state has no valid field {0}; restore the file, or format the directory anew")]
    Field(&'static str),
    /// Written by a newer release.
    #[error("quorum-state has data_version {0}, but only 0 and 1 are known; use a newer release")]
    Version(i64),
}

/// Reads the file's bytes.
pub fn decode(bytes: &[u8]) -> Result<ElectionState, QuorumStateError> {
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| QuorumStateError::Json(error.to_string()))?;
    let Value::Object(fields) = value else {
        return Err(QuorumStateError::Json("another value".to_owned()));
    };
    let version = integer(&fields, "data_version")?;
    if !(0..=1).contains(&version) {
        return Err(QuorumStateError::Version(version));
    }
    let epoch = LeaderEpoch(int32(&fields, "leaderEpoch")?);
    if epoch.0 < 0 {
        return Err(QuorumStateError::Field("leaderEpoch"));
    }
    let node = |id: i32| (id >= 0).then_some(NodeId(id));
    let leader = node(int32(&fields, "leaderId")?);
    let directory = match fields.get("votedDirectoryId") {
        None | Some(Value::Null) => Uuid::ZERO,
        Some(Value::String(text)) => text.parse().map_err(|_| QuorumStateError::Field("votedDirectoryId"))?,
        Some(_) => return Err(QuorumStateError::Field("votedDirectoryId")),
    };
    let voted = match fields.get("votedId") {
        None => None,
        Some(_) => node(int32(&fields, "votedId")?).map(|id| ReplicaKey { id, directory }),
    };
    Ok(ElectionState { epoch, leader, voted })
}

/// The file's bytes: version 1 without `static_voters`, version 0 with them. There is no newline.
pub fn encode(state: &ElectionState, static_voters: Option<&[NodeId]>) -> Vec<u8> {
    let leader = state.leader.unwrap_or(NodeId::NONE);
    let voted = state.voted.unwrap_or(ReplicaKey::of(NodeId::NONE));
    let text = match static_voters {
        None => format!(
            "{{\"leaderId\":{leader},\"leaderEpoch\":{},\"votedId\":{},\"votedDirectoryId\":\"{}\",\
             \"data_version\":1}}",
            state.epoch, voted.id, voted.directory
        ),
        Some(voters) => {
            let voters: Vec<String> = voters.iter().map(|id| format!("{{\"voterId\":{id}}}")).collect();
            format!(
                "{{\"clusterId\":\"\",\"leaderId\":{leader},\"leaderEpoch\":{},\"votedId\":{},\
                 \"appliedOffset\":0,\"currentVoters\":[{}],\"data_version\":0}}",
                state.epoch,
                voted.id,
                voters.join(",")
            )
        }
    };
    text.into_bytes()
}

fn integer(fields: &Map<String, Value>, name: &'static str) -> Result<i64, QuorumStateError> {
    fields.get(name).and_then(Value::as_i64).ok_or(QuorumStateError::Field(name))
}

fn int32(fields: &Map<String, Value>, name: &'static str) -> Result<i32, QuorumStateError> {
    i32::try_from(integer(fields, name)?).map_err(|_| QuorumStateError::Field(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn writes_what_kafka_writes() {
        let state = ElectionState { epoch: LeaderEpoch(1), leader: Some(NodeId(1)), voted: None };
        let text = concat!(
            r#"{"leaderId":1,"leaderEpoch":1,"votedId":-1,"#,
            r#""votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#
        );
        assert_eq!(text.len(), 104);
        assert_eq!(encode(&state, None), text.as_bytes());
        let text = concat!(
            r#"{"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"#,
            r#""currentVoters":[{"voterId":1}],"data_version":0}"#
        );
        assert_eq!(encode(&state, Some(&[NodeId(1)])), text.as_bytes());
        assert_eq!(decode(text.as_bytes()), Ok(state));
    }

    #[test]
    fn refuses_what_it_cannot_trust() {
        assert!(matches!(decode(b"{\"leaderId\":1"), Err(QuorumStateError::Json(_))));
        assert!(matches!(decode(b"[]"), Err(QuorumStateError::Json(_))));
        assert_eq!(
            decode(br#"{"leaderId":1,"data_version":1}"#),
            Err(QuorumStateError::Field("leaderEpoch"))
        );
        assert_eq!(
            decode(br#"{"leaderId":1,"leaderEpoch":1,"data_version":2}"#),
            Err(QuorumStateError::Version(2))
        );
    }

    proptest! {
        #[test]
        fn round_trips(
            epoch in 0..i32::MAX,
            leader in prop::option::of(0..i32::MAX),
            voted in prop::option::of((0..i32::MAX, any::<[u8; 16]>())),
        ) {
            let voted = voted.map(|(id, bytes)| ReplicaKey { id: NodeId(id), directory: Uuid(bytes) });
            let state = ElectionState { epoch: LeaderEpoch(epoch), leader: leader.map(NodeId), voted };
            prop_assert_eq!(decode(&encode(&state, None)), Ok(state));
        }

        #[test]
        fn any_bytes_are_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
