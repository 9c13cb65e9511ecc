//! DeleteTopics (20, v1-6), CreatePartitions (37, v0-3), ElectLeaders (43, v0-2).
//!
//! Errors: UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID, TOPIC_DELETION_DISABLED, INVALID_REQUEST for
//! duplicates; INVALID_PARTITIONS, INVALID_REPLICA_ASSIGNMENT; ELECTION_NOT_NEEDED,
//! PREFERRED_LEADER_NOT_AVAILABLE, ELIGIBLE_LEADERS_NOT_AVAILABLE.

use super::create_topics::{RECORDS_PER_REQUEST_MAX, Refusal};
use super::machine::ControllerMachine;
use super::partition_change::{Brokers, Election, PartitionChange, Rules};
use crate::metadata::{ConfigResource, TopicImage, nodes};
use crate::protocol::Response;
use crate::protocol::api::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic, CreatePartitionsTopicResult,
};
use crate::protocol::api::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use crate::protocol::api::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};
use crate::protocol::metadata_records::{MetadataRecord, RemoveTopicRecord};
use crate::types::{ErrorCode, Str, Uuid};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl ControllerMachine {
    /// What `min.insync.replicas` and the features mean for the partitions of a topic.
    pub(super) fn rules(&self, topic: &str) -> Rules {
        let name = "min.insync.replicas";
        let configs = &self.image.configs;
        let own = configs.get(&ConfigResource::topic(topic), name);
        let set = own.or_else(|| configs.get(&ConfigResource::all_brokers(), name)).map(|value| &**value);
        let text = set.or_else(|| self.settings.config.text(name)).unwrap_or("1");
        Rules {
            min_isr: text.trim().parse().unwrap_or(1),
            has_elr: self.image.features.has_elr(),
            version: self.image.features.metadata_version(),
        }
    }

    /// Whether a topic prefers a leader that lacks records to none.
    pub(super) fn allows_unclean_election(&self, topic: &str) -> bool {
        let name = "unclean.leader.election.enable";
        let configs = &self.image.configs;
        let own = configs.get(&ConfigResource::topic(topic), name);
        match own.or_else(|| configs.get(&ConfigResource::all_brokers(), name)) {
            Some(value) => value.trim().eq_ignore_ascii_case("true"),
            None => self.settings.config.boolean(name),
        }
    }

    /// Deletes topics, by name or by id.
    pub(super) fn delete_topics(&mut self, request: &DeleteTopicsRequest) -> (Vec<MetadataRecord>, Response) {
        let by_name = request
            .topic_names
            .iter()
            .map(|name| DeleteTopicState { name: Some(name.clone()), ..Default::default() });
        let asked: Vec<DeleteTopicState> = by_name.chain(request.topics.iter().cloned()).collect();
        let mut response = DeleteTopicsResponse::default();
        let mut records = Vec::new();
        let mut deleted = BTreeSet::new();
        let mut counts: BTreeMap<(&Option<Str>, Uuid), usize> = BTreeMap::new();
        asked.iter().for_each(|state| *counts.entry((&state.name, state.topic_id)).or_default() += 1);
        let mut answered = BTreeSet::new();
        for state in &asked {
            let key = (&state.name, state.topic_id);
            if !answered.insert(key) {
                continue; // Refused once for all.
            }
            let result = self.find_deletable(state, counts[&key] > 1);
            let result = result.and_then(|topic| match deleted.insert(topic.id) {
                true => Ok(topic),
                false => Err((ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned())),
            });
            let mut answer = DeletableTopicResult {
                name: state.name.clone(),
                topic_id: state.topic_id,
                error_message: None,
                ..Default::default()
            };
            match result {
                Ok(topic) => {
                    answer.name = Some((*topic.name).into());
                    answer.topic_id = topic.id;
                    records.push(RemoveTopicRecord { topic_id: topic.id, ..Default::default() }.into());
                }
                Err((error, sentence)) => {
                    answer.error_code = error.code();
                    answer.error_message = Some(sentence.into());
                }
            }
            response.responses.push(answer);
        }
        (records, Response::DeleteTopics(response))
    }

    fn find_deletable(&self, state: &DeleteTopicState, twice: bool) -> Result<Arc<TopicImage>, Refusal> {
        if !self.settings.config.boolean("delete.topic.enable") {
            return Err((ErrorCode::TopicDeletionDisabled, "Topic deletion is disabled.".to_owned()));
        }
        let invalid = |sentence: &str| Err((ErrorCode::InvalidRequest, sentence.to_owned()));
        let is_id = state.topic_id != Uuid::ZERO;
        match &state.name {
            Some(_) if is_id => invalid("You may not specify both topic name and topic id."),
            None if !is_id => invalid("Neither topic name nor id were specified."),
            Some(_) if twice => invalid("Duplicate topic name."),
            None if twice => invalid("Duplicate topic id."),
            Some(name) => self.image.topics.by_name(name).cloned().ok_or_else(|| {
                let sentence = "This server does not host this topic-partition.".to_owned();
                (ErrorCode::UnknownTopicOrPartition, sentence)
            }),
            None => self.image.topics.by_id(state.topic_id).cloned().ok_or_else(|| {
                let sentence = "This server does not host this topic ID.".to_owned();
                (ErrorCode::UnknownTopicId, sentence)
            }),
        }
    }

    /// Adds partitions to topics.
    pub(super) fn create_partitions(
        &mut self,
        request: &CreatePartitionsRequest,
    ) -> (Vec<MetadataRecord>, Response) {
        let mut response = CreatePartitionsResponse::default();
        let mut records = Vec::new();
        let mut seen = BTreeSet::new();
        let mut counts: BTreeMap<&Str, usize> = BTreeMap::new();
        request.topics.iter().for_each(|topic| *counts.entry(&topic.name).or_default() += 1);
        for topic in &request.topics {
            if !seen.insert(topic.name.clone()) {
                continue;
            }
            let created = match counts[&topic.name] {
                1 => self.new_partitions(topic, records.len()),
                _ => Err((ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned())),
            };
            let name = topic.name.clone();
            let mut result = CreatePartitionsTopicResult { name, ..Default::default() };
            match created {
                Ok(created) => records.extend(created),
                Err((error, sentence)) => {
                    result.error_code = error.code();
                    result.error_message = (!sentence.is_empty()).then(|| sentence.into());
                }
            }
            response.results.push(result);
        }
        if request.validate_only {
            records.clear();
        }
        (records, Response::CreatePartitions(response))
    }

    fn new_partitions(
        &mut self,
        asked: &CreatePartitionsTopic,
        records_so_far: usize,
    ) -> Result<Vec<MetadataRecord>, Refusal> {
        let unknown = || (ErrorCode::UnknownTopicOrPartition, String::new());
        let topic = self.image.topics.by_name(&asked.name).cloned().ok_or_else(unknown)?;
        let present = topic.partitions.len();
        let added = check_count(&asked.name, present, asked.count)?;
        if records_so_far + added > RECORDS_PER_REQUEST_MAX {
            let sentence = "Unable to perform excessively large batch operation.".to_owned();
            return Err((ErrorCode::PolicyViolation, sentence));
        }
        let factor = topic.partitions.values().next().map_or(1, |partition| partition.replicas.len());
        let partitions = match &asked.assignments {
            None => self.place_partitions(added, factor)?,
            Some(assignments) => {
                check_assignment_count(added, assignments.len())?;
                let mut partitions = Vec::with_capacity(added);
                for assignment in assignments {
                    let replicas = nodes(&assignment.broker_ids);
                    self.check_assignment(&replicas, Some(factor))?;
                    partitions.push(self.new_partition(replicas).ok_or_else(|| {
                        let sentence = "All brokers specified in the manual partition assignment for \
                                        partition are fenced or in controlled shutdown.";
                        (ErrorCode::InvalidReplicaAssignment, sentence.to_owned())
                    })?);
                }
                partitions
            }
        };
        let version = self.image.features.metadata_version();
        let records = (present as i32..).zip(&partitions);
        Ok(records.map(|(index, partition)| partition.to_record(topic.id, index, version)).collect())
    }

    /// Elects leaders: preferred ones where they do not lead, or any where nobody leads.
    pub(super) fn elect_leaders(&mut self, request: &ElectLeadersRequest) -> (Vec<MetadataRecord>, Response) {
        let election = if request.election_type == 1 { Election::Unclean } else { Election::Preferred };
        let mut response = ElectLeadersResponse::default();
        let mut records = Vec::new();
        let all = request.topic_partitions.is_none();
        let asked: Vec<(Str, Vec<i32>)> = match &request.topic_partitions {
            Some(topics) => topics.iter().map(|t| (t.topic.clone(), t.partitions.clone())).collect(),
            None => {
                let every = |topic: &Arc<TopicImage>| {
                    ((*topic.name).into(), topic.partitions.keys().copied().collect())
                };
                self.image.topics.iter().map(every).collect()
            }
        };
        for (topic, partitions) in asked {
            let mut partition_result = Vec::new();
            for partition_id in partitions {
                let result = self.elect_leader(&topic, partition_id, election, &mut records);
                let (error, sentence) = match result {
                    Ok(()) => (ErrorCode::None, None),
                    Err((ErrorCode::ElectionNotNeeded, _)) if all => continue,
                    Err((error, sentence)) => (error, Some(sentence.into())),
                };
                partition_result.push(PartitionResult {
                    partition_id,
                    error_code: error.code(),
                    error_message: sentence,
                    ..Default::default()
                });
            }
            if !partition_result.is_empty() {
                let result = ReplicaElectionResult { topic, partition_result, ..Default::default() };
                response.replica_election_results.push(result);
            }
        }
        (records, Response::ElectLeaders(response))
    }

    fn elect_leader(
        &self,
        name: &str,
        index: i32,
        election: Election,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<(), Refusal> {
        let unknown = |sentence: String| (ErrorCode::UnknownTopicOrPartition, sentence);
        let topic = self.image.topics.by_name(name);
        let topic = topic.ok_or_else(|| unknown(format!("No such topic as {name}")))?;
        let partition = topic.partitions.get(&index);
        let partition = partition.ok_or_else(|| unknown(format!("No such partition as {name}-{index}")))?;
        let is_needed = match election {
            Election::Preferred => partition.leader != partition.preferred_leader(),
            Election::Online | Election::Unclean => partition.leader.is_none(),
        };
        if !is_needed {
            let sentence = "Leader election not needed for topic partition.".to_owned();
            return Err((ErrorCode::ElectionNotNeeded, sentence));
        }
        let (rules, cluster) = (self.rules(name), &self.image.cluster);
        let change = PartitionChange::new(partition, cluster, rules, Brokers::default(), election);
        let record = change.build(topic.id, index);
        let elects = matches!(&record, Some(MetadataRecord::PartitionChange(record)) if record.leader >= 0);
        match record {
            Some(record) if elects => {
                records.push(record);
                Ok(())
            }
            _ if election == Election::Preferred => Err((
                ErrorCode::PreferredLeaderNotAvailable,
                "The preferred leader was not available.".to_owned(),
            )),
            _ => Err((
                ErrorCode::EligibleLeadersNotAvailable,
                "Eligible topic partition leaders are not available.".to_owned(),
            )),
        }
    }
}

/// How many partitions are to be added.
fn check_count(name: &str, present: usize, asked: i32) -> Result<usize, Refusal> {
    let invalid = |sentence: String| Err((ErrorCode::InvalidPartitions, sentence));
    let added = i64::from(asked) - present as i64;
    match added {
        0 => invalid(format!("Topic already has {present} partition(s).")),
        ..0 => invalid(format!(
            "The topic {name} currently has {present} partition(s); {asked} would not be an increase."
        )),
        added => Ok(added as usize),
    }
}

fn check_assignment_count(added: usize, assignments: usize) -> Result<(), Refusal> {
    let number = match added.cmp(&assignments) {
        std::cmp::Ordering::Equal => return Ok(()),
        std::cmp::Ordering::Greater => format!("only {assignments} assignment(s) were specified."),
        std::cmp::Ordering::Less => format!("{assignments} assignment(s) were specified."),
    };
    let sentence = format!("Attempted to add {added} additional partition(s), but {number}");
    Err((ErrorCode::InvalidReplicaAssignment, sentence))
}
