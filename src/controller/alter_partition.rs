//! AlterPartition (56, v2-3), AssignReplicasToDirs (73, v0), AlterPartitionReassignments (45, v0-1) and
//! ListPartitionReassignments (46, v0).
//!
//! AlterPartition (KIP-497, KIP-903, KIP-704): errors in Kafka's order UNKNOWN_TOPIC_ID,
//! UNKNOWN_TOPIC_OR_PARTITION, NOT_CONTROLLER, FENCED_LEADER_EPOCH, INVALID_REQUEST, INVALID_UPDATE_VERSION,
//! INELIGIBLE_REPLICA; NEW_LEADER_ELECTED when the change itself moved the leader. Omitted: moving partitions
//! to other replicas, which is refused as INVALID_REQUEST.

use super::machine::ControllerMachine;
use super::partition_change::{Brokers, Election, PartitionChange};
use crate::metadata::{LeaderRecoveryState, PartitionImage};
use crate::protocol::Response;
use crate::protocol::api::alter_partition::{
    AlterPartitionRequest, AlterPartitionResponse, BrokerState, RequestPartitionData, ResponsePartitionData,
    ResponseTopicData,
};
use crate::protocol::api::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartitionResponse,
    ReassignableTopicResponse,
};
use crate::protocol::api::assign_replicas_to_dirs::{
    self, AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, ResponseDirectoryData,
};
use crate::protocol::api::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, OngoingPartitionReassignment,
    OngoingTopicReassignment,
};
use crate::protocol::metadata_records::{MetadataRecord, PartitionChangeRecord};
use crate::types::{ErrorCode, NodeId, Uuid};
use std::collections::BTreeSet;

impl ControllerMachine {
    /// A leader proposes new in-sync sets.
    pub(super) fn alter_partition(
        &mut self,
        request: &AlterPartitionRequest,
    ) -> (Vec<MetadataRecord>, Response) {
        let mut response = AlterPartitionResponse::default();
        let mut records = Vec::new();
        if let Err(error) = self.check_broker_epoch(request.broker_id, request.broker_epoch) {
            response.error_code = error.code();
            return (records, Response::AlterPartition(response));
        }
        for topic in &request.topics {
            let partitions = topic.partitions.iter().map(|partition| {
                let altered =
                    self.alter_one(NodeId(request.broker_id), topic.topic_id, partition, &mut records);
                altered.unwrap_or_else(|error| ResponsePartitionData {
                    partition_index: partition.partition_index,
                    error_code: error.code(),
                    ..Default::default()
                })
            });
            let partitions = partitions.collect();
            let topic_id = topic.topic_id;
            response.topics.push(ResponseTopicData { topic_id, partitions, ..Default::default() });
        }
        (records, Response::AlterPartition(response))
    }

    fn alter_one(
        &self,
        broker: NodeId,
        topic_id: Uuid,
        asked: &RequestPartitionData,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<ResponsePartitionData, ErrorCode> {
        let topic = self.image.topics.by_id(topic_id).ok_or(ErrorCode::UnknownTopicId)?;
        let index = asked.partition_index;
        let partition = topic.partitions.get(&index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let members: Vec<BrokerState> = match asked.new_isr_with_epochs.is_empty() {
            false => asked.new_isr_with_epochs.clone(),
            true => {
                let member = |id: &i32| BrokerState { broker_id: *id, ..Default::default() };
                asked.new_isr.iter().map(member).collect()
            }
        };
        let isr: Vec<NodeId> = members.iter().map(|member| NodeId(member.broker_id)).collect();
        let recovery = check_proposal(broker, partition, asked, &isr)?;
        if !members.iter().all(|member| self.is_eligible(member)) {
            return Err(ErrorCode::IneligibleReplica);
        }
        let election = match self.allows_unclean_election(&topic.name) {
            true => Election::Unclean,
            false => Election::Online,
        };
        let rules = self.rules(&topic.name);
        let cluster = &self.image.cluster;
        let change = PartitionChange::new(partition, cluster, rules, Brokers::default(), election);
        let record = change.with_isr(isr, recovery).build(topic_id, index);
        let mut after = PartitionImage::clone(partition);
        if let Some(record) = record {
            if let MetadataRecord::PartitionChange(change) = &record {
                after = partition.with_change(change);
            }
            records.push(record);
        }
        if after.leader != Some(broker) {
            return Err(ErrorCode::NewLeaderElected);
        }
        Ok(ResponsePartitionData {
            partition_index: index,
            leader_id: after.leader.unwrap_or(NodeId::NONE).0,
            leader_epoch: after.leader_epoch.0,
            isr: crate::metadata::ids(&after.isr),
            leader_recovery_state: after.leader_recovery_state.code(),
            partition_epoch: after.partition_epoch,
            ..Default::default()
        })
    }

    /// A member of the ISR must be alive, not on its way out, and the incarnation that the leader knows
    /// (KIP-903).
    fn is_eligible(&self, member: &BrokerState) -> bool {
        let broker = self.image.cluster.broker(NodeId(member.broker_id));
        broker.is_some_and(|broker| {
            broker.is_active() && (member.broker_epoch == -1 || member.broker_epoch == broker.epoch.0)
        })
    }

    /// A broker tells in which directories its replicas are.
    pub(super) fn assign_replicas(
        &mut self,
        request: &AssignReplicasToDirsRequest,
    ) -> (Vec<MetadataRecord>, Response) {
        let mut response = AssignReplicasToDirsResponse::default();
        let mut records = Vec::new();
        if let Err(error) = self.check_broker_epoch(request.broker_id, request.broker_epoch) {
            response.error_code = error.code();
            return (records, Response::AssignReplicasToDirs(response));
        }
        let broker = NodeId(request.broker_id);
        for directory in &request.directories {
            let mut topics = Vec::new();
            for topic in &directory.topics {
                let assign = |partition: &assign_replicas_to_dirs::RequestPartitionData| {
                    let index = partition.partition_index;
                    let result = self.assign_one(broker, directory.id, topic.topic_id, index);
                    let (record, error) = match result {
                        Ok(record) => (record, ErrorCode::None),
                        Err(error) => (None, error),
                    };
                    records.extend(record);
                    assign_replicas_to_dirs::ResponsePartitionData {
                        partition_index: index,
                        error_code: error.code(),
                        ..Default::default()
                    }
                };
                let partitions = topic.partitions.iter().map(assign).collect();
                topics.push(assign_replicas_to_dirs::ResponseTopicData {
                    topic_id: topic.topic_id,
                    partitions,
                    ..Default::default()
                });
            }
            let id = directory.id;
            response.directories.push(ResponseDirectoryData { id, topics, ..Default::default() });
        }
        (records, Response::AssignReplicasToDirs(response))
    }

    fn assign_one(
        &self,
        broker: NodeId,
        directory: Uuid,
        topic_id: Uuid,
        index: i32,
    ) -> Result<Option<MetadataRecord>, ErrorCode> {
        let topic = self.image.topics.by_id(topic_id).ok_or(ErrorCode::UnknownTopicId)?;
        let partition = topic.partitions.get(&index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let place = partition.replicas.iter().position(|replica| *replica == broker);
        let place = place.ok_or(ErrorCode::NotLeaderOrFollower)?;
        if partition.directories[place] == directory {
            return Ok(None);
        }
        let mut directories = partition.directories.clone();
        directories[place] = directory;
        let directories = Some(directories);
        let record =
            PartitionChangeRecord { topic_id, partition_id: index, directories, ..Default::default() };
        Ok(Some(record.into()))
    }

    /// Moves partitions to other replicas: refused, partition by partition.
    pub(super) fn alter_reassignments(
        &mut self,
        request: &AlterPartitionReassignmentsRequest,
    ) -> (Vec<MetadataRecord>, Response) {
        let refuse = |name: &str, index: i32, cancels: bool| {
            let topic = self.image.topics.by_name(name);
            let exists = topic.is_some_and(|topic| topic.partitions.contains_key(&index));
            let (error, sentence) = match exists {
                false => (
                    ErrorCode::UnknownTopicOrPartition,
                    "This server does not host this topic-partition.".to_owned(),
                ),
                true if cancels => (
                    ErrorCode::NoReassignmentInProgress,
                    "No partition reassignment is in progress.".to_owned(),
                ),
                true => {
                    let sentence = "Partitions cannot be moved to other replicas by this controller.";
                    (ErrorCode::InvalidRequest, sentence.to_owned())
                }
            };
            ReassignablePartitionResponse {
                partition_index: index,
                error_code: error.code(),
                error_message: Some(sentence.into()),
                ..Default::default()
            }
        };
        let responses = request.topics.iter().map(|topic| ReassignableTopicResponse {
            name: topic.name.clone(),
            partitions: topic
                .partitions
                .iter()
                .map(|partition| refuse(&topic.name, partition.partition_index, partition.replicas.is_none()))
                .collect(),
            ..Default::default()
        });
        let response = AlterPartitionReassignmentsResponse {
            allow_replication_factor_change: request.allow_replication_factor_change,
            error_message: None,
            responses: responses.collect(),
            ..Default::default()
        };
        (Vec::new(), Response::AlterPartitionReassignments(response))
    }

    /// The moves that another controller began.
    pub(super) fn list_reassignments(
        &mut self,
        request: &ListPartitionReassignmentsRequest,
    ) -> (Vec<MetadataRecord>, Response) {
        let is_asked = |name: &str, index: i32| match &request.topics {
            None => true,
            Some(topics) => {
                topics.iter().any(|topic| topic.name == *name && topic.partition_indexes.contains(&index))
            }
        };
        let mut response = ListPartitionReassignmentsResponse { error_message: None, ..Default::default() };
        for topic in self.image.topics.iter() {
            let moving = topic
                .partitions
                .iter()
                .filter(|(index, partition)| partition.is_reassigning() && is_asked(&topic.name, **index));
            let partitions: Vec<OngoingPartitionReassignment> = moving
                .map(|(index, partition)| OngoingPartitionReassignment {
                    partition_index: *index,
                    replicas: crate::metadata::ids(&partition.replicas),
                    adding_replicas: crate::metadata::ids(&partition.adding_replicas),
                    removing_replicas: crate::metadata::ids(&partition.removing_replicas),
                    ..Default::default()
                })
                .collect();
            if !partitions.is_empty() {
                let name = (*topic.name).into();
                response.topics.push(OngoingTopicReassignment { name, partitions, ..Default::default() });
            }
        }
        (Vec::new(), Response::ListPartitionReassignments(response))
    }
}

/// Whether the leader may propose this now.
fn check_proposal(
    broker: NodeId,
    partition: &PartitionImage,
    asked: &RequestPartitionData,
    isr: &[NodeId],
) -> Result<LeaderRecoveryState, ErrorCode> {
    if asked.leader_epoch > partition.leader_epoch.0 || asked.partition_epoch > partition.partition_epoch {
        return Err(ErrorCode::NotController); // The broker knows more than this controller does.
    }
    if asked.leader_epoch < partition.leader_epoch.0 {
        return Err(ErrorCode::FencedLeaderEpoch);
    }
    if partition.leader != Some(broker) {
        return Err(ErrorCode::InvalidRequest);
    }
    if asked.partition_epoch < partition.partition_epoch {
        return Err(ErrorCode::InvalidUpdateVersion);
    }
    let distinct: BTreeSet<_> = isr.iter().collect();
    let are_replicas = isr.iter().all(|node| partition.replicas.contains(node));
    if isr.is_empty() || distinct.len() != isr.len() || !are_replicas || !isr.contains(&broker) {
        return Err(ErrorCode::InvalidRequest);
    }
    let recovery = LeaderRecoveryState::from_code(asked.leader_recovery_state);
    let recovery = recovery.ok_or(ErrorCode::InvalidRequest)?;
    let is_recovering = recovery == LeaderRecoveryState::Recovering;
    let was_recovered = partition.leader_recovery_state == LeaderRecoveryState::Recovered;
    if is_recovering && (isr.len() > 1 || was_recovered) {
        return Err(ErrorCode::InvalidRequest);
    }
    Ok(recovery)
}
