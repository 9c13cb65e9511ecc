//! The state of the cluster at one offset of the metadata log. Sections are shared between images: a new one copies what its
//! records touch and nothing else.

use crate::protocol::metadata_records::MetadataRecord;
use crate::types::{BrokerEpoch, LeaderEpoch, NodeId, Offset, Uuid};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everything that the metadata log says, up to an offset. Cloning is cheap.
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataImage {
    /// The offset behind the last record.
    pub next_offset: Offset,
    /// The epoch of the quorum leader that wrote it.
    pub epoch: LeaderEpoch,
    /// The wall clock of the leader when it wrote it, in milliseconds.
    pub timestamp: i64,
    /// Finalized levels by feature; level 0 is absent.
    pub features: Arc<BTreeMap<String, i16>>,
    /// Registered controllers.
    pub controllers: Arc<BTreeMap<NodeId, ControllerImage>>,
    /// Registered brokers.
    pub brokers: Arc<BTreeMap<NodeId, BrokerImage>>,
    pub(super) topics: Arc<BTreeMap<Arc<str>, Arc<TopicImage>>>,
    pub(super) topic_names: Arc<BTreeMap<Uuid, Arc<str>>>,
    /// What was set, by resource and name.
    pub configs: Arc<BTreeMap<ConfigResource, Arc<BTreeMap<String, String>>>>,
    /// The first producer id that no broker was given.
    pub next_producer_id: i64,
    /// Quotas, ACLs, SCRAM credentials and delegation tokens by what identifies them: kept as they were written.
    pub kept: Arc<BTreeMap<KeptKey, MetadataRecord>>,
}

/// What identifies a record that is kept as it was written; the order is that of snapshots.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum KeptKey {
    ClientQuota { entity: Vec<(String, Option<String>)>, key: String },
    AccessControlEntry(Uuid),
    UserScramCredential { name: String, mechanism: i8 },
    DelegationToken(String),
}

/// The kind of what a configuration is for, with its number in records and requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
#[allow(missing_docs)]
pub enum ResourceType {
    Topic = 2,
    Broker = 4,
    BrokerLogger = 8,
    ClientMetrics = 16,
    Group = 32,
}

impl ResourceType {
    /// The type with that number.
    pub fn from_i8(number: i8) -> Option<ResourceType> {
        use ResourceType::*;
        [Topic, Broker, BrokerLogger, ClientMetrics, Group].into_iter().find(|kind| *kind as i8 == number)
    }
}

/// What a configuration is for. The broker without a name is every broker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigResource {
    /// Its kind.
    pub kind: ResourceType,
    /// Topic name, node id, group; empty for all brokers.
    pub name: String,
}

/// One registered broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerImage {
    /// Its node id.
    pub id: NodeId,
    /// The offset of its registration.
    pub epoch: BrokerEpoch,
    /// The life of the process that registered.
    pub incarnation_id: Uuid,
    /// Where it listens.
    pub endpoints: Vec<EndpointImage>,
    /// The levels it supports, by feature.
    pub features: BTreeMap<String, (i16, i16)>,
    /// Its rack.
    pub rack: Option<String>,
    /// Whether it is kept from leading and from clients.
    pub fenced: bool,
    /// Whether it is on its way out.
    pub in_controlled_shutdown: bool,
    /// Ids of its log directories.
    pub log_dirs: Vec<Uuid>,
    /// Those of them that take no new partitions; absent until the broker says.
    pub cordoned_log_dirs: Option<Vec<Uuid>>,
}

/// One registered controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerImage {
    /// Its node id.
    pub id: NodeId,
    /// The life of the process that registered.
    pub incarnation_id: Uuid,
    /// Where it listens.
    pub endpoints: Vec<EndpointImage>,
    /// The levels it supports, by feature.
    pub features: BTreeMap<String, (i16, i16)>,
}

/// One listener of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointImage {
    /// The listener's name.
    pub name: String,
    /// Host as clients are told.
    pub host: String,
    /// Port as clients are told.
    pub port: u16,
    /// Number of its security protocol.
    pub security_protocol: i16,
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicImage {
    /// Its name.
    pub name: Arc<str>,
    /// Its id.
    pub id: Uuid,
    /// Its partitions by index, without gaps.
    pub partitions: Vec<PartitionImage>,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionImage {
    /// Where it is to be, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// The log directory of each replica, in the order of `replicas`.
    pub directories: Vec<Uuid>,
    /// Who is in sync.
    pub isr: Vec<NodeId>,
    /// Who left the in-sync set and may still be elected (KIP-966).
    pub eligible_leader_replicas: Vec<NodeId>,
    /// Who led last, when nobody is eligible (KIP-966).
    pub last_known_elr: Vec<NodeId>,
    /// On their way out.
    pub removing_replicas: Vec<NodeId>,
    /// On their way in.
    pub adding_replicas: Vec<NodeId>,
    /// The leader, or none.
    pub leader: NodeId,
    /// Whether the leader was elected although it may have lost data, and has not finished recovering.
    pub leader_recovering: bool,
    /// Counts leaders.
    pub leader_epoch: LeaderEpoch,
    /// Counts changes.
    pub partition_epoch: i32,
}

impl Default for MetadataImage {
    /// The cluster before its first record.
    fn default() -> MetadataImage {
        MetadataImage {
            next_offset: Offset::ZERO,
            epoch: LeaderEpoch(0),
            timestamp: 0,
            features: Arc::default(),
            controllers: Arc::default(),
            brokers: Arc::default(),
            topics: Arc::default(),
            topic_names: Arc::default(),
            configs: Arc::default(),
            next_producer_id: 0,
            kept: Arc::default(),
        }
    }
}

impl MetadataImage {
    /// The topic of that name.
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(name)
    }

    /// The topic with that id.
    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<TopicImage>> {
        self.topics.get(self.topic_names.get(&id)?)
    }

    /// Every topic, by name.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Arc<TopicImage>> {
        self.topics.values()
    }

    /// The broker with that id.
    pub fn broker(&self, id: NodeId) -> Option<&BrokerImage> {
        self.brokers.get(&id)
    }

    /// The finalized level of a feature; 0 where it has none.
    pub fn feature_level(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or(0)
    }

    /// What was set for a resource.
    pub fn config(&self, kind: ResourceType, name: &str) -> Option<&Arc<BTreeMap<String, String>>> {
        self.configs.get(&ConfigResource { kind, name: name.to_owned() })
    }

    /// The topics whose partitions or configurations are other than in `earlier`, and the ids of those that are gone.
    pub fn topics_changed_since(&self, earlier: &MetadataImage) -> (Vec<Arc<TopicImage>>, Vec<Uuid>) {
        let same_topics = Arc::ptr_eq(&self.topics, &earlier.topics);
        let same_configs = Arc::ptr_eq(&self.configs, &earlier.configs);
        if same_topics && same_configs {
            return (Vec::new(), Vec::new());
        }
        let config = |image: &MetadataImage, name: &str| image.config(ResourceType::Topic, name).cloned();
        let is_same = |topic: &Arc<TopicImage>| {
            earlier
                .topics
                .get(&topic.name)
                .is_some_and(|before| Arc::ptr_eq(topic, before) || topic == before)
                && (same_configs || config(self, &topic.name) == config(earlier, &topic.name))
        };
        let changed = self.topics.values().filter(|topic| !is_same(topic)).cloned().collect();
        let is_gone = |id: &&Uuid| !self.topic_names.contains_key(id);
        let removed = if same_topics {
            Vec::new()
        } else {
            earlier.topic_names.keys().filter(is_gone).copied().collect::<BTreeSet<_>>().into_iter().collect()
        };
        (changed, removed)
    }
}
