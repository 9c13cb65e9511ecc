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

    fn merge(&mut self, later: &MetadataChanges) {
        self.features |= later.features;
        self.brokers.extend(&later.brokers);
        self.controllers.extend(&later.controllers);
        self.configs.extend(later.configs.iter().cloned());
        self.client_quotas |= later.client_quotas;
        self.producer_ids |= later.producer_ids;
        self.security |= later.security;
        for topic in later.deleted_topics.values() {
            self.remove_topic(topic);
        }
        for (id, change) in &later.topics {
            let topic = self.topic(*id);
            topic.created |= change.created;
            topic.partitions.extend(&change.partitions);
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

impl MetadataUpdate {
    /// This step and the next as one.
    pub fn followed_by(&self, next: &MetadataUpdate) -> MetadataUpdate {
        assert!(Arc::ptr_eq(&self.image, &next.previous), "the second step begins where the first one ends");
        let mut changes = MetadataChanges::clone(&self.changes);
        changes.merge(&next.changes);
        MetadataUpdate {
            previous: self.previous.clone(),
            image: next.image.clone(),
            changes: Arc::new(changes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::image::MetadataDelta;
    use super::*;
    use crate::protocol::metadata_records::{
        MetadataRecord, PartitionRecord, RemoveTopicRecord, TopicRecord,
    };
    use crate::types::{LeaderEpoch, Offset};

    fn updates(records: Vec<MetadataRecord>) -> Vec<MetadataUpdate> {
        let mut delta = MetadataDelta::new(Arc::default());
        let mut updates = Vec::new();
        for (offset, record) in records.into_iter().enumerate() {
            delta.replay(Offset(offset as i64), LeaderEpoch(1), &record).expect("it can be replayed");
            updates.extend(delta.take());
        }
        updates
    }

    #[test]
    fn merged_steps_say_what_the_whole_way_changed() {
        let (kept, gone) = (Uuid([1; 16]), Uuid([2; 16]));
        let topic = |name: &str, topic_id| TopicRecord { name: name.into(), topic_id, ..Default::default() };
        let partition = PartitionRecord { partition_id: 0, topic_id: kept, ..Default::default() };
        let steps = updates(vec![
            topic("kept", kept).into(),
            topic("gone", gone).into(),
            partition.into(),
            RemoveTopicRecord { topic_id: gone, ..Default::default() }.into(),
        ]);
        let merged = steps[1..].iter().fold(steps[0].clone(), |all, step| all.followed_by(step));
        assert_eq!(merged.image, steps[3].image);
        assert_eq!(merged.changes.topics.keys().collect::<Vec<_>>(), [&kept]);
        assert!(merged.changes.topics[&kept].created && merged.changes.topics[&kept].partitions.contains(&0));
        assert!(merged.changes.deleted_topics.is_empty(), "whoever never saw it need not delete it");
        let late = steps[2].followed_by(&steps[3]);
        assert_eq!(late.changes.deleted_topics.keys().collect::<Vec<_>>(), [&gone]);
    }
}
