//! CreateTopics (19, v2-7): KIP-4, KIP-525 (configurations in the answer), KIP-516 (topic ids).
//!
//! Errors per topic: INVALID_REQUEST for duplicates, `__cluster_metadata` and mixed assignments,
//! INVALID_TOPIC_EXCEPTION, TOPIC_ALREADY_EXISTS, INVALID_REPLICATION_FACTOR, INVALID_PARTITIONS,
//! INVALID_REPLICA_ASSIGNMENT, INVALID_CONFIG, POLICY_VIOLATION for more than 10,000 partitions. Topics are
//! independent; all that succeed are one batch of records.

use super::machine::ControllerMachine;
use super::placement::{default_directory, place};
use crate::metadata::{
    ConfigResource, LeaderRecoveryState, METADATA_TOPIC, PartitionImage, TopicsImage, nodes,
};
use crate::protocol::Response;
use crate::protocol::api::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicResult, CreateTopicsRequest,
    CreateTopicsResponse,
};
use crate::protocol::metadata_records::{MetadataRecord, TopicRecord};
use crate::types::{ErrorCode, LeaderEpoch, NodeId, Str};
use std::collections::{BTreeMap, BTreeSet};

/// Records that one request may cause; Kafka's own bound.
pub(super) const RECORDS_PER_REQUEST_MAX: usize = 10_000;
/// The longest name of a topic.
const NAME_MAX_LETTERS: usize = 249;

/// An error code with the sentence that goes with it.
pub(super) type Refusal = (ErrorCode, String);

impl ControllerMachine {
    /// Creates the topics that can be created.
    pub(super) fn create_topics(&mut self, request: &CreateTopicsRequest) -> (Vec<MetadataRecord>, Response) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for topic in &request.topics {
            *counts.entry(&topic.name).or_default() += 1;
        }
        let mut response = CreateTopicsResponse::default();
        let mut records = Vec::new();
        let mut duplicates = BTreeSet::new();
        for topic in &request.topics {
            if counts[&*topic.name] > 1 {
                duplicates.insert(topic.name.clone());
                continue;
            }
            let created = match *topic.name == *METADATA_TOPIC {
                true => {
                    let sentence = format!("Creation of internal topic {METADATA_TOPIC} is prohibited.");
                    Err((ErrorCode::InvalidRequest, sentence))
                }
                false => self.create_topic(topic, records.len()),
            };
            response.topics.push(match created {
                Ok((topic_records, result)) => {
                    records.extend(topic_records);
                    result
                }
                Err(refusal) => refused(&topic.name, refusal),
            });
        }
        for name in duplicates {
            let refusal = (ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned());
            response.topics.push(refused(&name, refusal));
        }
        if request.validate_only {
            records.clear();
        }
        (records, Response::CreateTopics(response))
    }

    fn create_topic(
        &mut self,
        topic: &CreatableTopic,
        records_so_far: usize,
    ) -> Result<(Vec<MetadataRecord>, CreatableTopicResult), Refusal> {
        check_new_name(&topic.name, &self.image.topics)?;
        let resource = ConfigResource::topic(&topic.name);
        let configs: Vec<(&Str, Option<&Str>)> =
            topic.configs.iter().map(|config| (&config.name, config.value.as_ref())).collect();
        let config_records = self.new_topic_configs(&resource, &configs)?;
        let partitions = match topic.assignments.is_empty() {
            false => self.assigned_partitions(topic)?,
            true => self.placed_partitions(topic)?,
        };
        let count = records_so_far + 1 + config_records.len() + partitions.len();
        if count > RECORDS_PER_REQUEST_MAX {
            let sentence = "Unable to perform excessively large batch operation.".to_owned();
            return Err((ErrorCode::PolicyViolation, sentence));
        }
        let topic_id = self.random_uuid();
        let version = self.image.features.metadata_version();
        let name = topic.name.detach();
        let mut records = vec![TopicRecord { name, topic_id, ..Default::default() }.into()];
        records.extend(config_records);
        for (index, partition) in (0..).zip(&partitions) {
            records.push(partition.to_record(topic_id, index, version));
        }
        let result = CreatableTopicResult {
            name: topic.name.clone(),
            topic_id,
            error_message: None,
            num_partitions: partitions.len() as i32,
            replication_factor: partitions.first().map_or(-1, |first| first.replicas.len() as i16),
            configs: Some(self.effective_topic_configs(&configs)),
            ..Default::default()
        };
        Ok((records, result))
    }

    /// Partitions whose replicas the request names.
    fn assigned_partitions(&self, topic: &CreatableTopic) -> Result<Vec<PartitionImage>, Refusal> {
        if topic.replication_factor != -1 {
            let sentence =
                "A manual partition assignment was specified, but replication factor was not set to -1.";
            return Err((ErrorCode::InvalidRequest, sentence.to_owned()));
        }
        if topic.num_partitions != -1 {
            let sentence =
                "A manual partition assignment was specified, but numPartitions was not set to -1.";
            return Err((ErrorCode::InvalidRequest, sentence.to_owned()));
        }
        let invalid = |sentence: String| (ErrorCode::InvalidReplicaAssignment, sentence);
        let mut partitions: BTreeMap<i32, PartitionImage> = BTreeMap::new();
        let mut factor = None;
        for CreatableReplicaAssignment { partition_index, broker_ids, .. } in &topic.assignments {
            if partitions.contains_key(partition_index) {
                let sentence =
                    format!("Found multiple manual partition assignments for partition {partition_index}");
                return Err(invalid(sentence));
            }
            let replicas = nodes(broker_ids);
            self.check_assignment(&replicas, factor)?;
            factor = Some(replicas.len());
            let partition = self.new_partition(replicas).ok_or_else(|| {
                invalid(format!(
                    "All brokers specified in the manual partition assignment for partition \
                     {partition_index} are fenced or in controlled shutdown."
                ))
            })?;
            partitions.insert(*partition_index, partition);
        }
        if !(0..).zip(partitions.keys()).all(|(expected, index)| expected == *index) {
            return Err(invalid("partitions should be a consecutive 0-based integer sequence".to_owned()));
        }
        Ok(partitions.into_values().collect())
    }

    /// Whether the brokers of one partition exist, each once, as many as in the partitions before.
    pub(super) fn check_assignment(&self, replicas: &[NodeId], factor: Option<usize>) -> Result<(), Refusal> {
        let invalid = |sentence: String| Err((ErrorCode::InvalidReplicaAssignment, sentence));
        if replicas.is_empty() {
            return invalid("The manual partition assignment includes an empty replica list.".to_owned());
        }
        let mut seen = BTreeSet::new();
        for replica in replicas {
            if !seen.insert(replica) {
                return invalid(format!(
                    "The manual partition assignment includes the broker {replica} more than once."
                ));
            }
            if self.image.cluster.broker(*replica).is_none() {
                return invalid(format!(
                    "The manual partition assignment includes broker {replica}, but no such broker is \
                     registered."
                ));
            }
        }
        match factor {
            Some(factor) if factor != replicas.len() => invalid(format!(
                "The manual partition assignment includes a partition with {} replica(s), but this is not \
                 consistent with previous partitions, which have {factor} replica(s).",
                replicas.len()
            )),
            _ => Ok(()),
        }
    }

    /// Partitions whose replicas the controller places.
    fn placed_partitions(&mut self, topic: &CreatableTopic) -> Result<Vec<PartitionImage>, Refusal> {
        let config = &self.settings.config;
        if topic.replication_factor < -1 || topic.replication_factor == 0 {
            let sentence = "Replication factor must be larger than 0, or -1 to use the default value.";
            return Err((ErrorCode::InvalidReplicationFactor, sentence.to_owned()));
        }
        if topic.num_partitions < -1 || topic.num_partitions == 0 {
            let sentence = "Number of partitions was set to an invalid non-positive value.";
            return Err((ErrorCode::InvalidPartitions, sentence.to_owned()));
        }
        let count = match topic.num_partitions {
            -1 => config.long("num.partitions"),
            count => i64::from(count),
        };
        let factor = match topic.replication_factor {
            -1 => config.long("default.replication.factor"),
            factor => i64::from(factor),
        };
        self.place_partitions(count as usize, factor as usize)
    }

    /// New partitions on brokers that the controller chooses.
    pub(super) fn place_partitions(
        &mut self,
        count: usize,
        factor: usize,
    ) -> Result<Vec<PartitionImage>, Refusal> {
        if count > RECORDS_PER_REQUEST_MAX {
            let sentence = "Excessively large number of partitions per request.".to_owned();
            return Err((ErrorCode::PolicyViolation, sentence));
        }
        let unable = |why: String| {
            let sentence = format!("Unable to replicate the partition {factor} time(s): {why}");
            (ErrorCode::InvalidReplicationFactor, sentence)
        };
        let random = self.random();
        let placed = place(&self.image.cluster, count, factor, random);
        let placed = placed.map_err(|error| unable(error.to_string()))?;
        let all_fenced = || unable("All brokers are currently fenced or in controlled shutdown.".to_owned());
        placed.into_iter().map(|replicas| self.new_partition(replicas).ok_or_else(all_fenced)).collect()
    }

    /// A partition with these replicas, led by the first that is active; `None` when none is.
    pub(super) fn new_partition(&self, replicas: Vec<NodeId>) -> Option<PartitionImage> {
        let cluster = &self.image.cluster;
        let isr: Vec<NodeId> = replicas.iter().copied().filter(|node| cluster.is_active(*node)).collect();
        let leader = *isr.first()?;
        Some(PartitionImage {
            directories: replicas.iter().map(|node| default_directory(cluster, *node)).collect(),
            replicas,
            isr,
            removing_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            elr: Vec::new(),
            last_known_elr: Vec::new(),
            leader: Some(leader),
            leader_recovery_state: LeaderRecoveryState::Recovered,
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
        })
    }
}

fn refused(name: &Str, (error, sentence): Refusal) -> CreatableTopicResult {
    CreatableTopicResult {
        name: name.clone(),
        error_code: error.code(),
        error_message: Some(sentence.into()),
        configs: Some(Vec::new()),
        ..Default::default()
    }
}

/// Whether a topic may be created under this name.
fn check_new_name(name: &str, topics: &TopicsImage) -> Result<(), Refusal> {
    if let Some(problem) = name_problem(name) {
        return Err((ErrorCode::InvalidTopicException, format!("Topic name is invalid: {problem}")));
    }
    if topics.by_name(name).is_some() {
        return Err((ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
    }
    // Metrics write both letters as an underscore, so such names would be one and the same there.
    if name.contains(['.', '_']) {
        let unified = |name: &str| name.replace('.', "_");
        let wanted = unified(name);
        if let Some(other) = topics.iter().find(|topic| unified(&topic.name) == wanted) {
            let sentence = format!("Topic '{name}' collides with existing topic: {}", other.name);
            return Err((ErrorCode::InvalidTopicException, sentence));
        }
    }
    Ok(())
}

/// What is wrong with a topic's name, in Kafka's words.
fn name_problem(name: &str) -> Option<String> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match name {
        "" => Some("the empty string is not allowed".to_owned()),
        "." | ".." => Some(format!("'{name}' is not allowed")),
        _ if name.len() > NAME_MAX_LETTERS => {
            Some(format!("the length of '{name}' is longer than the max allowed length {NAME_MAX_LETTERS}"))
        }
        _ if !name.bytes().all(is_legal) => Some(format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        )),
        _ => None,
    }
}
