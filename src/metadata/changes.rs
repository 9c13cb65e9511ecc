//! What a batch of records changed, so that a broker applies only that.

use super::configs::ConfigResource;
use super::image::MetadataImage;
use super::topics::TopicImage;
use crate::types::{NodeId, Uuid};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What changed of one topic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicChange {
    /// It did not exist before.
    pub created: bool,
    /// Partitions that were added or changed.
    pub partitions: BTreeSet<i32>,
}

/// What differs between two images.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetadataChanges {
    /// Levels of features.
    pub features: bool,
    /// Brokers that registered, changed, or are gone.
    pub brokers: BTreeSet<NodeId>,
    /// Controllers that registered.
    pub controllers: BTreeSet<NodeId>,
    /// Topics that were created or changed.
    pub topics: BTreeMap<Uuid, TopicChange>,
    /// Topics that are gone, as they were at the end.
    pub deleted_topics: BTreeMap<Uuid, Arc<TopicImage>>,
    /// Resources whose configurations changed.
    pub configs: BTreeSet<ConfigResource>,
    /// Client quotas.
    pub client_quotas: bool,
    /// The next producer id.
    pub producer_ids: bool,
    /// Access control entries, credentials, tokens.
    pub security: bool,
}

impl MetadataChanges {
    /// Whether nothing changed but the offset.
    pub fn is_empty(&self) -> bool {
        *self == MetadataChanges::default()
    }

    pub(super) fn topic(&mut self, id: Uuid) -> &mut TopicChange {
        self.topics.entry(id).or_default()
    }

    pub(super) fn remove_topic(&mut self, topic: &Arc<TopicImage>) {
        let existed = self.topics.remove(&topic.id).is_none_or(|change| !change.created);
        if existed {
            self.deleted_topics.insert(topic.id, topic.clone());
        }
    }

    /// Everything that `image` holds: what changed against nothing.
    pub fn all_of(image: &MetadataImage) -> MetadataChanges {
        let topic = |topic: &Arc<TopicImage>| {
            let partitions = topic.partitions.keys().copied().collect();
            (topic.id, TopicChange { created: true, partitions })
        };
        MetadataChanges {
            features: true,
            brokers: image.cluster.brokers().map(|broker| broker.id).collect(),
            controllers: image.cluster.controllers().map(|controller| controller.id).collect(),
            topics: image.topics.iter().map(topic).collect(),
            deleted_topics: BTreeMap::new(),
            configs: image.configs.iter().map(|(resource, _)| resource.clone()).collect(),
            client_quotas: true,
            producer_ids: true,
            security: true,
        }
    }
}

/// One step from an image to the next.
#[derive(Debug, Clone)]
pub struct MetadataUpdate {
    /// What was before.
    pub previous: Arc<MetadataImage>,
    /// What is now.
    pub image: Arc<MetadataImage>,
    /// What differs.
    pub changes: Arc<MetadataChanges>,
}
