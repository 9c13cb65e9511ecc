//! Between the quorum's values and the records that stand for them on disk.

use crate::metadata::SnapshotId;
use crate::protocol::control_records::{
    self, KRaftVersionFeature, KRaftVersionRecord, LeaderChangeMessage, LeaderChangeVoter, QuorumRecord,
    VotersRecord, VotersRecordVoter,
};
use crate::raft::{ControlRecord, Endpoint, OffsetAndEpoch, ReplicaKey, Voter, VoterSet};
use crate::types::{NodeId, Offset};

pub(super) fn point(id: SnapshotId) -> OffsetAndEpoch {
    OffsetAndEpoch { offset: id.offset, epoch: id.epoch }
}

pub(super) fn voters_record(voters: &VoterSet) -> VotersRecord {
    let endpoint = |endpoint: &Endpoint| control_records::Endpoint {
        name: endpoint.name.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
        ..Default::default()
    };
    let voter = |voter: &Voter| VotersRecordVoter {
        voter_id: voter.key.id.0,
        voter_directory_id: voter.key.directory,
        endpoints: voter.endpoints.iter().map(endpoint).collect(),
        k_raft_version_feature: KRaftVersionFeature {
            min_supported_version: voter.min_kraft_version,
            max_supported_version: voter.max_kraft_version,
            ..Default::default()
        },
        ..Default::default()
    };
    VotersRecord { voters: voters.iter().map(voter).collect(), ..Default::default() }
}

pub(super) fn voter_set(record: &VotersRecord) -> VoterSet {
    let endpoint = |endpoint: &control_records::Endpoint| Endpoint {
        name: endpoint.name.detach(),
        host: endpoint.host.detach(),
        port: endpoint.port,
    };
    VoterSet::new(record.voters.iter().map(|voter| Voter {
        key: ReplicaKey { id: NodeId(voter.voter_id), directory: voter.voter_directory_id },
        endpoints: voter.endpoints.iter().map(endpoint).collect(),
        min_kraft_version: voter.k_raft_version_feature.min_supported_version,
        max_kraft_version: voter.k_raft_version_feature.max_supported_version,
    }))
}

/// The record that is written for `record`.
pub(super) fn quorum_record(record: &ControlRecord) -> QuorumRecord {
    let change = |id: &NodeId| LeaderChangeVoter { voter_id: id.0, ..Default::default() };
    match record {
        ControlRecord::LeaderChange { leader, voters, granting } => {
            QuorumRecord::LeaderChange(LeaderChangeMessage {
                leader_id: leader.0,
                voters: voters.iter().map(change).collect(),
                granting_voters: granting.iter().map(change).collect(),
                ..Default::default()
            })
        }
        ControlRecord::KRaftVersion(level) => {
            QuorumRecord::KRaftVersion(KRaftVersionRecord { k_raft_version: *level, ..Default::default() })
        }
        ControlRecord::Voters(voters) => QuorumRecord::KRaftVoters(voters_record(voters)),
    }
}

/// What the quorum needs of control records that were read; a snapshot's frame has no place in a log and is
/// skipped.
pub(super) fn control_records(records: &[(Offset, QuorumRecord)]) -> Vec<(Offset, ControlRecord)> {
    let ids =
        |voters: &[LeaderChangeVoter]| voters.iter().map(|voter| NodeId(voter.voter_id)).collect::<Vec<_>>();
    let convert = |(offset, record): &(Offset, QuorumRecord)| {
        let record = match record {
            QuorumRecord::LeaderChange(change) => ControlRecord::LeaderChange {
                leader: NodeId(change.leader_id),
                voters: ids(&change.voters),
                granting: ids(&change.granting_voters),
            },
            QuorumRecord::KRaftVersion(record) => ControlRecord::KRaftVersion(record.k_raft_version),
            QuorumRecord::KRaftVoters(record) => ControlRecord::Voters(voter_set(record)),
            QuorumRecord::SnapshotHeader(_) | QuorumRecord::SnapshotFooter(_) => return None,
        };
        Some((*offset, record))
    };
    records.iter().filter_map(convert).collect()
}
