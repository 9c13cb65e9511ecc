//! Topics and their partitions.
//!
//! Invariant: a name and an id lead to the same topic; `replicas` and `directories` of a partition have one
//! length.

use super::changes::MetadataChanges;
use super::features::MetadataVersion;
use super::records::RecordsError;
use crate::protocol::metadata_records::{
    MetadataRecord, PartitionChangeRecord, PartitionRecord, TopicRecord,
};
use crate::types::{LeaderEpoch, NodeId, Uuid};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A PartitionChangeRecord's leader when the leader stays.
pub const LEADER_UNCHANGED: i32 = -2;

/// Whether the leader may lack records that were committed, because it was elected uncleanly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeaderRecoveryState {
    /// It has everything.
    Recovered,
    /// It may lack something; the ISR cannot grow until it says that it recovered.
    Recovering,
}

impl LeaderRecoveryState {
    /// 0 recovered, 1 recovering.
    pub fn code(self) -> i8 {
        match self {
            LeaderRecoveryState::Recovered => 0,
            LeaderRecoveryState::Recovering => 1,
        }
    }

    /// The state of `code`; others than 0 and 1 mean none.
    pub fn from_code(code: i8) -> Option<LeaderRecoveryState> {
        match code {
            0 => Some(LeaderRecoveryState::Recovered),
            1 => Some(LeaderRecoveryState::Recovering),
            _ => None,
        }
    }
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionImage {
    /// Its replicas, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// The log directory of each replica; a reserved id where it is not known.
    pub directories: Vec<Uuid>,
    /// The replicas in sync.
    pub isr: Vec<NodeId>,
    /// Replicas that a reassignment takes away.
    pub removing_replicas: Vec<NodeId>,
    /// Replicas that a reassignment adds.
    pub adding_replicas: Vec<NodeId>,
    /// Replicas outside the ISR that have everything committed (KIP-966).
    pub elr: Vec<NodeId>,
    /// Who was in the ELR before unclean shutdowns emptied it.
    pub last_known_elr: Vec<NodeId>,
    /// The leader, if there is one.
    pub leader: Option<NodeId>,
    /// Whether the leader was elected uncleanly and has not recovered.
    pub leader_recovery_state: LeaderRecoveryState,
    /// Rises with each election.
    pub leader_epoch: LeaderEpoch,
    /// Rises with each change.
    pub partition_epoch: i32,
}

impl PartitionImage {
    /// Whether `node` has a replica.
    pub fn is_replica(&self, node: NodeId) -> bool {
        self.replicas.contains(&node)
    }

    /// In which log directory the replica of `node` lives.
    pub fn directory(&self, node: NodeId) -> Option<Uuid> {
        let index = self.replicas.iter().position(|replica| *replica == node)?;
        self.directories.get(index).copied()
    }

    /// The replica that should lead.
    pub fn preferred_leader(&self) -> Option<NodeId> {
        self.replicas.first().copied()
    }

    /// Whether a reassignment is under way.
    pub fn is_reassigning(&self) -> bool {
        !self.removing_replicas.is_empty() || !self.adding_replicas.is_empty()
    }

    fn from_record(record: &PartitionRecord) -> PartitionImage {
        let mut partition = PartitionImage {
            replicas: nodes(&record.replicas),
            directories: record.directories.clone(),
            isr: nodes(&record.isr),
            removing_replicas: nodes(&record.removing_replicas),
            adding_replicas: nodes(&record.adding_replicas),
            elr: record.eligible_leader_replicas.as_deref().map(nodes).unwrap_or_default(),
            last_known_elr: record.last_known_elr.as_deref().map(nodes).unwrap_or_default(),
            leader: leader(record.leader),
            leader_recovery_state: LeaderRecoveryState::from_code(record.leader_recovery_state)
                .unwrap_or(LeaderRecoveryState::Recovered),
            leader_epoch: LeaderEpoch(record.leader_epoch),
            partition_epoch: record.partition_epoch,
        };
        partition.directories.resize(partition.replicas.len(), Uuid::ZERO);
        partition
    }

    /// What this partition becomes: fields that the record gives, one partition epoch later, and one leader
    /// epoch later when it names a leader, even the same.
    pub fn with_change(&self, record: &PartitionChangeRecord) -> PartitionImage {
        let mut next = self.clone();
        let set = |field: &mut Vec<NodeId>, given: &Option<Vec<i32>>| {
            if let Some(ids) = given {
                *field = nodes(ids);
            }
        };
        set(&mut next.replicas, &record.replicas);
        set(&mut next.isr, &record.isr);
        set(&mut next.removing_replicas, &record.removing_replicas);
        set(&mut next.adding_replicas, &record.adding_replicas);
        set(&mut next.elr, &record.eligible_leader_replicas);
        set(&mut next.last_known_elr, &record.last_known_elr);
        if let Some(directories) = &record.directories {
            next.directories.clone_from(directories);
        }
        next.directories.resize(next.replicas.len(), Uuid::ZERO);
        if record.leader != LEADER_UNCHANGED {
            next.leader = leader(record.leader);
            next.leader_epoch = LeaderEpoch(self.leader_epoch.0 + 1);
        }
        if let Some(state) = LeaderRecoveryState::from_code(record.leader_recovery_state) {
            next.leader_recovery_state = state;
        }
        next.partition_epoch = self.partition_epoch + 1;
        next
    }

    /// The record that creates this partition as it is.
    pub fn to_record(
        &self,
        topic_id: Uuid,
        partition_id: i32,
        metadata_version: MetadataVersion,
    ) -> MetadataRecord {
        let elr =
            |nodes: &[NodeId]| (metadata_version.has_elr_records() && !nodes.is_empty()).then(|| ids(nodes));
        let directories = match metadata_version.has_directories() {
            true => self.directories.clone(),
            false => Vec::new(),
        };
        let record = PartitionRecord {
            partition_id,
            topic_id,
            replicas: ids(&self.replicas),
            isr: ids(&self.isr),
            removing_replicas: ids(&self.removing_replicas),
            adding_replicas: ids(&self.adding_replicas),
            leader: self.leader.unwrap_or(NodeId::NONE).0,
            leader_recovery_state: self.leader_recovery_state.code(),
            leader_epoch: self.leader_epoch.0,
            partition_epoch: self.partition_epoch,
            directories,
            eligible_leader_replicas: elr(&self.elr),
            last_known_elr: elr(&self.last_known_elr),
            ..Default::default()
        };
        record.into()
    }
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicImage {
    /// Its name.
    pub name: Arc<str>,
    /// Its id, never used again for another topic.
    pub id: Uuid,
    /// Its partitions by index.
    pub partitions: BTreeMap<i32, Arc<PartitionImage>>,
}

/// All topics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicsImage {
    by_id: BTreeMap<Uuid, Arc<TopicImage>>,
    by_name: BTreeMap<Arc<str>, Uuid>,
}

impl TopicsImage {
    /// The topic with this id.
    pub fn by_id(&self, id: Uuid) -> Option<&Arc<TopicImage>> {
        self.by_id.get(&id)
    }

    /// The topic with this name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.by_name.get(name).and_then(|id| self.by_id.get(id))
    }

    /// All topics by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.by_name.values().filter_map(|id| self.by_id.get(id))
    }

    /// How many topics there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// One partition of the topic with this id.
    pub fn partition(&self, id: Uuid, partition: i32) -> Option<&Arc<PartitionImage>> {
        self.by_id.get(&id).and_then(|topic| topic.partitions.get(&partition))
    }

    pub(super) fn add_topic(&mut self, record: &TopicRecord, changes: &mut MetadataChanges) {
        let name: Arc<str> = Arc::from(record.name.as_str());
        changes.topic(record.topic_id).created = true;
        self.by_name.insert(name.clone(), record.topic_id);
        let topic = TopicImage { name, id: record.topic_id, partitions: BTreeMap::new() };
        self.by_id.insert(record.topic_id, Arc::new(topic));
    }

    pub(super) fn add_partition(
        &mut self,
        record: &PartitionRecord,
        changes: &mut MetadataChanges,
    ) -> Result<(), RecordsError> {
        let topic = self.topic_mut(record.topic_id)?;
        let partition = PartitionImage::from_record(record);
        topic.partitions.insert(record.partition_id, Arc::new(partition));
        changes.topic(record.topic_id).partitions.insert(record.partition_id);
        Ok(())
    }

    pub(super) fn change_partition(
        &mut self,
        record: &PartitionChangeRecord,
        changes: &mut MetadataChanges,
    ) -> Result<(), RecordsError> {
        let topic = self.topic_mut(record.topic_id)?;
        let Some(partition) = topic.partitions.get_mut(&record.partition_id) else {
            let what = format!("partition {} of topic {}", record.partition_id, record.topic_id);
            return Err(RecordsError::Missing { what });
        };
        *partition = Arc::new(partition.with_change(record));
        changes.topic(record.topic_id).partitions.insert(record.partition_id);
        Ok(())
    }

    pub(super) fn remove_topic(
        &mut self,
        id: Uuid,
        changes: &mut MetadataChanges,
    ) -> Result<Arc<TopicImage>, RecordsError> {
        let missing = || RecordsError::Missing { what: format!("topic {id}") };
        let topic = self.by_id.remove(&id).ok_or_else(missing)?;
        if self.by_name.get(&topic.name) == Some(&id) {
            self.by_name.remove(&topic.name);
        }
        changes.remove_topic(&topic);
        Ok(topic)
    }

    /// Forgets the eligible leader replicas of one topic, or of all where `name` is empty.
    pub(super) fn clear_elr(
        &mut self,
        name: &str,
        changes: &mut MetadataChanges,
    ) -> Result<(), RecordsError> {
        let topics: Vec<Uuid> = match name {
            "" => self.by_id.keys().copied().collect(),
            name => {
                let missing = || RecordsError::Missing { what: format!("topic {name}") };
                vec![*self.by_name.get(name).ok_or_else(missing)?]
            }
        };
        for id in topics {
            let has_elr = |p: &PartitionImage| !p.elr.is_empty() || !p.last_known_elr.is_empty();
            let affected = self.by_id[&id].partitions.iter().filter(|(_, p)| has_elr(p));
            let affected: Vec<i32> = affected.map(|(index, _)| *index).collect();
            for partition_id in affected {
                let record = PartitionChangeRecord {
                    partition_id,
                    topic_id: id,
                    eligible_leader_replicas: Some(Vec::new()),
                    last_known_elr: Some(Vec::new()),
                    ..Default::default()
                };
                self.change_partition(&record, changes)?;
            }
        }
        Ok(())
    }

    fn topic_mut(&mut self, id: Uuid) -> Result<&mut TopicImage, RecordsError> {
        let topic = self.by_id.get_mut(&id);
        topic.map(Arc::make_mut).ok_or_else(|| RecordsError::Missing { what: format!("topic {id}") })
    }

    pub(super) fn write(&self, metadata_version: MetadataVersion, out: &mut dyn FnMut(MetadataRecord)) {
        for topic in self.by_id.values() {
            let name = (*topic.name).into();
            out(TopicRecord { name, topic_id: topic.id, ..Default::default() }.into());
            for (index, partition) in &topic.partitions {
                out(partition.to_record(topic.id, *index, metadata_version));
            }
        }
    }
}

/// Node ids as numbers.
pub fn ids(nodes: &[NodeId]) -> Vec<i32> {
    nodes.iter().map(|node| node.0).collect()
}

/// Numbers as node ids.
pub fn nodes(ids: &[i32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn leader(id: i32) -> Option<NodeId> {
    (id >= 0).then_some(NodeId(id))
}
