//! What members of classic consumer groups tell each other through the coordinator, which does not read it:
//! the metadata in JoinGroup and the assignment in SyncGroup. Both are versioned bytes; a newer version is
//! read as the newest known one, since versions only add fields at the end.

use crate::types::Str;
use bytes::Bytes;

message! {
    /// What a member of a classic consumer group subscribes to.
    message ConsumerProtocolSubscription, versions 0..=3, flexible none; {
        topics: Vec<Str>,
        user_data: Option<Bytes>,
        owned_partitions: Vec<TopicPartition> [1.., ignorable],
        generation_id: i32 = -1               [2.., ignorable],
        rack_id: Option<Str>                  [3.., ignorable],
    }

    struct TopicPartition { topic: Str, partitions: Vec<i32> }
}

message! {
    /// What a member of a classic consumer group is assigned.
    message ConsumerProtocolAssignment, versions 0..=3, flexible none;
    { assigned_partitions: Vec<TopicPartition>, user_data: Option<Bytes> }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{DecodeProblem, Message};

    #[test]
    fn a_newer_version_is_read_as_the_newest_known_one() {
        let subscription = ConsumerProtocolSubscription {
            topics: vec!["a".into()],
            rack_id: Some("r".into()),
            ..Default::default()
        };
        let mut bytes = subscription.to_versioned_bytes(3).expect("encodes").to_vec();
        bytes[1] = 9;
        bytes.extend_from_slice(b"a later field");
        let bytes = Bytes::from(bytes);
        assert_eq!(ConsumerProtocolSubscription::decode_versioned_or_newer(&bytes), Ok(subscription));
        let error = ConsumerProtocolSubscription::decode_versioned(&bytes).expect_err("version 9");
        assert_eq!(error.problem, DecodeProblem::UnsupportedVersion(9));
    }
}
