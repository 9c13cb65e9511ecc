//! The values of control records, as bytes.

use crate::types::{Str, Uuid};

message! {
    /// A leader of the quorum has been elected. Kafka writes version 0.
    message LeaderChangeMessage, versions 0..=1, flexible 0..; {
        version: i16,
        leader_id: i32,
        voters: Vec<LeaderChangeVoter>,
        granting_voters: Vec<LeaderChangeVoter>,
    }

    struct LeaderChangeVoter {
        voter_id: i32,
        voter_directory_id: Uuid [1..],
    }
}

message! {
    /// The first record of a snapshot.
    message SnapshotHeaderRecord, versions 0..=0, flexible 0..;
    { version: i16, last_contained_log_timestamp: i64 }
}

message! {
    /// The last record of a snapshot: without it the snapshot is not whole.
    message SnapshotFooterRecord, versions 0..=0, flexible 0..; { version: i16 }
}

message! {
    /// The finalised kraft.version.
    message KRaftVersionRecord, versions 0..=0, flexible 0..; { version: i16, k_raft_version: i16 }
}

message! {
    /// The voters of the quorum, their directories and endpoints (KIP-853).
    message VotersRecord, versions 0..=0, flexible 0..; { version: i16, voters: Vec<VotersRecordVoter> }

    struct VotersRecordVoter {
        voter_id: i32,
        voter_directory_id: Uuid,
        endpoints: Vec<Endpoint>,
        k_raft_version_feature: KRaftVersionFeature,
    }

    struct Endpoint { name: Str, host: Str, port: u16 }

    struct KRaftVersionFeature { min_supported_version: i16, max_supported_version: i16 }
}
