//! What a client knows of the cluster: brokers, topics, leaders. Pure: responses go in, the next picture
//! comes out.
//!
//! Invariant: a partition's leader epoch never goes back while its topic keeps its id, so a broker that lags
//! behind cannot lead a client back to a deposed leader.

use crate::protocol::api::metadata::{MetadataResponse, MetadataResponseTopic};
use crate::types::{ErrorCode, LeaderEpoch, NodeId, TopicPartition, Uuid};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A broker's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerMetadata {
    /// Its `node.id`.
    pub id: NodeId,
    /// Host that it wants to be reached at.
    pub host: Arc<str>,
    /// Port that it wants to be reached at.
    pub port: u16,
    /// Its rack, if it told one.
    pub rack: Option<Arc<str>>,
}

/// A topic and its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicMetadata {
    /// The topic's name.
    pub name: Arc<str>,
    /// The topic's id; zero where the broker does not tell ids.
    pub id: Uuid,
    /// Whether Kafka keeps its own data in it.
    pub is_internal: bool,
    /// The partitions by index.
    pub partitions: BTreeMap<i32, PartitionMetadata>,
}

/// A partition's replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionMetadata {
    /// Who leads it; none while there is no leader.
    pub leader: Option<NodeId>,
    /// The leader's epoch, or -1 where the broker does not tell it.
    pub leader_epoch: LeaderEpoch,
    /// The brokers that keep a copy, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// Those of them that have caught up.
    pub in_sync: Vec<NodeId>,
    /// Those of them that are down.
    pub offline: Vec<NodeId>,
}

/// One picture of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterMetadata {
    /// The cluster's id, if the broker told it.
    pub cluster_id: Option<Arc<str>>,
    /// The broker that stands for the controller.
    pub controller: Option<NodeId>,
    /// The brokers by id.
    pub brokers: BTreeMap<NodeId, BrokerMetadata>,
    /// The topics that were asked for, by name.
    pub topics: BTreeMap<Arc<str>, TopicMetadata>,
    /// Topics that were asked for and that the broker has nothing to tell about, and why.
    pub errors: BTreeMap<Arc<str>, ErrorCode>,
}

impl ClusterMetadata {
    /// The leader of a partition, with its epoch.
    pub fn leader(&self, partition: &TopicPartition) -> Option<(NodeId, LeaderEpoch)> {
        let known = self.topics.get(&partition.topic)?.partitions.get(&partition.partition)?;
        Some((known.leader?, known.leader_epoch))
    }

    /// The topic with this id.
    pub fn topic_by_id(&self, id: Uuid) -> Option<&TopicMetadata> {
        self.topics.values().find(|topic| topic.id == id && id != Uuid::ZERO)
    }

    /// The picture after a response. `all` says that it was asked for every topic, so that those it leaves
    /// out are gone.
    pub(super) fn after(&self, response: &MetadataResponse, all: bool) -> ClusterMetadata {
        let brokers = response.brokers.iter().map(|broker| {
            let known = BrokerMetadata {
                id: NodeId(broker.node_id),
                host: broker.host.as_str().into(),
                port: broker.port as u16,
                rack: broker.rack.as_deref().map(Into::into),
            };
            (known.id, known)
        });
        let mut next = ClusterMetadata {
            cluster_id: response.cluster_id.as_deref().map(Into::into),
            controller: Some(NodeId(response.controller_id)).filter(|id| *id != NodeId::NONE),
            brokers: brokers.collect(),
            ..ClusterMetadata::default()
        };
        if !all {
            next.topics = self.topics.clone();
            next.errors = self.errors.clone();
        }
        for topic in &response.topics {
            next.merge(topic, self);
        }
        next
    }

    fn merge(&mut self, told: &MetadataResponseTopic, before: &ClusterMetadata) {
        let Some(name) = &told.name else { return };
        let name: Arc<str> = name.as_str().into();
        let error = ErrorCode::from_i16(told.error_code);
        if error != ErrorCode::None {
            // What was known stays: a broker that has just started does not know every topic yet, and to
            // forget a topic for a moment must not change how anybody numbers or reads its records.
            self.errors.insert(name, error);
            return;
        }
        self.errors.remove(&name);
        let old = before.topics.get(&name).filter(|old| old.id == told.topic_id);
        let partitions = told.partitions.iter().map(|partition| {
            let nodes = |ids: &[i32]| ids.iter().copied().map(NodeId).collect::<Vec<_>>();
            let told = PartitionMetadata {
                leader: Some(NodeId(partition.leader_id)).filter(|id| *id != NodeId::NONE),
                leader_epoch: LeaderEpoch(partition.leader_epoch),
                replicas: nodes(&partition.replica_nodes),
                in_sync: nodes(&partition.isr_nodes),
                offline: nodes(&partition.offline_replicas),
            };
            let old = old.and_then(|old| old.partitions.get(&partition.partition_index));
            let newer = old.filter(|old| told.leader_epoch < old.leader_epoch);
            (partition.partition_index, newer.cloned().unwrap_or(told))
        });
        let topic = TopicMetadata {
            name: name.clone(),
            id: told.topic_id,
            is_internal: told.is_internal,
            partitions: partitions.collect(),
        };
        self.topics.insert(name, topic);
    }

    /// Notes the leader that a broker named while it refused a request (KIP-951). Says whether that is news.
    pub(super) fn learn_leader(
        &mut self,
        partition: &TopicPartition,
        leader: NodeId,
        epoch: LeaderEpoch,
    ) -> bool {
        let topic = self.topics.get_mut(&partition.topic);
        let known = topic.and_then(|topic| topic.partitions.get_mut(&partition.partition));
        match known {
            Some(known) if known.leader_epoch < epoch && leader != NodeId::NONE => {
                known.leader = Some(leader);
                known.leader_epoch = epoch;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::api::metadata::{MetadataResponseBroker, MetadataResponsePartition};

    fn told(id: u8, error: ErrorCode, leaders: &[(i32, i32)]) -> MetadataResponse {
        let partitions = leaders.iter().enumerate().map(|(index, &(leader_id, leader_epoch))| {
            let partition_index = index as i32;
            MetadataResponsePartition { partition_index, leader_id, leader_epoch, ..Default::default() }
        });
        let topic = MetadataResponseTopic {
            error_code: error.code(),
            name: Some("t".into()),
            topic_id: Uuid([id; 16]),
            partitions: partitions.collect(),
            ..Default::default()
        };
        let broker = MetadataResponseBroker { node_id: 1, host: "h".into(), port: 9, ..Default::default() };
        MetadataResponse { brokers: vec![broker], topics: vec![topic], ..Default::default() }
    }

    fn leader(metadata: &ClusterMetadata) -> Option<(NodeId, LeaderEpoch)> {
        metadata.leader(&TopicPartition::new("t", 0))
    }

    #[test]
    fn leaders_do_not_go_back_in_epoch_unless_the_topic_is_another() {
        let first = ClusterMetadata::default().after(&told(1, ErrorCode::None, &[(1, 5)]), false);
        let stale = first.after(&told(1, ErrorCode::None, &[(2, 4)]), false);
        assert_eq!(leader(&stale), Some((NodeId(1), LeaderEpoch(5))));
        let newer = first.after(&told(1, ErrorCode::None, &[(2, 6)]), false);
        assert_eq!(leader(&newer), Some((NodeId(2), LeaderEpoch(6))));
        let recreated = first.after(&told(2, ErrorCode::None, &[(2, 0)]), false);
        assert_eq!(leader(&recreated), Some((NodeId(2), LeaderEpoch(0))));
        let leaderless = newer.after(&told(1, ErrorCode::None, &[(-1, 7)]), false);
        assert_eq!(leader(&leaderless), None);
    }

    #[test]
    fn a_topic_unknown_for_a_moment_is_not_forgotten() {
        let first = ClusterMetadata::default().after(&told(1, ErrorCode::None, &[(1, 5)]), false);
        let unknown = first.after(&told(0, ErrorCode::UnknownTopicOrPartition, &[]), false);
        assert_eq!(leader(&unknown), Some((NodeId(1), LeaderEpoch(5))));
        assert_eq!(unknown.errors.get("t"), Some(&ErrorCode::UnknownTopicOrPartition));
        let back = unknown.after(&told(1, ErrorCode::None, &[(1, 5)]), false);
        assert!(back.errors.is_empty());
        assert_eq!(back.topic_by_id(Uuid([1; 16])).map(|topic| &*topic.name), Some("t"));
    }

    #[test]
    fn a_leader_named_in_passing_counts_only_if_its_epoch_is_higher() {
        let mut metadata = ClusterMetadata::default().after(&told(1, ErrorCode::None, &[(1, 5)]), false);
        let partition = TopicPartition::new("t", 0);
        assert!(!metadata.learn_leader(&partition, NodeId(2), LeaderEpoch(5)));
        assert!(metadata.learn_leader(&partition, NodeId(2), LeaderEpoch(6)));
        assert!(!metadata.learn_leader(&TopicPartition::new("x", 0), NodeId(2), LeaderEpoch(6)));
        assert_eq!(leader(&metadata), Some((NodeId(2), LeaderEpoch(6))));
    }
}
