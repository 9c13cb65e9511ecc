//! How each record changes the image. Replay cannot fail: records that make no sense here (of brokers or topics that
//! are not there) change nothing, so that an odd log still loads.

use super::image::{
    BrokerImage, ConfigResource, ControllerImage, EndpointImage, KeptKey, MetadataImage, PartitionImage,
    ResourceType, TopicImage,
};
use crate::protocol::metadata_records::{
    BrokerRegistrationChangeRecord, ClientQuotaRecord, ConfigRecord, MetadataRecord, PartitionChangeRecord,
    PartitionRecord, RegisterBrokerRecord, RegisterControllerRecord,
};
use crate::types::{BrokerEpoch, LeaderEpoch, NodeId, Uuid};
use std::sync::Arc;

/// `leader` of a PartitionChange that leaves the leader alone.
const NO_LEADER_CHANGE: i32 = -2;
/// `leader_recovery_state` of a leader that has not finished recovering.
const RECOVERING: i8 = 1;

impl MetadataImage {
    /// Applies one record. Offset, epoch and timestamp are for the caller to set.
    pub fn replay(&mut self, record: &MetadataRecord) {
        match record {
            MetadataRecord::RegisterBroker(record) => self.register_broker(record),
            MetadataRecord::UnregisterBroker(record) => {
                Arc::make_mut(&mut self.brokers).remove(&NodeId(record.broker_id));
            }
            MetadataRecord::FenceBroker(record) => self.set_fenced(record.id, record.epoch, true),
            MetadataRecord::UnfenceBroker(record) => self.set_fenced(record.id, record.epoch, false),
            MetadataRecord::BrokerRegistrationChange(record) => self.change_broker(record),
            MetadataRecord::RegisterController(record) => self.register_controller(record),
            MetadataRecord::Topic(record) => self.add_topic(&record.name, record.topic_id),
            MetadataRecord::RemoveTopic(record) => self.remove_topic(record.topic_id),
            MetadataRecord::Partition(record) => self.set_partition(record),
            MetadataRecord::PartitionChange(record) => self.change_partition(record),
            MetadataRecord::ClearElr(record) => self.clear_elr(&record.topic_name),
            MetadataRecord::Config(record) => self.set_config(record),
            MetadataRecord::FeatureLevel(record) => {
                let features = Arc::make_mut(&mut self.features);
                match record.feature_level {
                    0 => features.remove(&*record.name),
                    level => features.insert(record.name.to_string(), level),
                };
            }
            MetadataRecord::ProducerIds(record) => self.next_producer_id = record.next_producer_id,
            MetadataRecord::ClientQuota(_)
            | MetadataRecord::AccessControlEntry(_)
            | MetadataRecord::RemoveAccessControlEntry(_)
            | MetadataRecord::UserScramCredential(_)
            | MetadataRecord::RemoveUserScramCredential(_)
            | MetadataRecord::DelegationToken(_)
            | MetadataRecord::RemoveDelegationToken(_) => self.keep(record),
            MetadataRecord::NoOp(_)
            | MetadataRecord::ZkMigrationState(_)
            | MetadataRecord::BeginTransaction(_)
            | MetadataRecord::EndTransaction(_)
            | MetadataRecord::AbortTransaction(_) => {}
        }
    }

    fn register_broker(&mut self, record: &RegisterBrokerRecord) {
        let endpoint = |endpoint: &crate::protocol::metadata_records::BrokerEndpoint| EndpointImage {
            name: endpoint.name.to_string(),
            host: endpoint.host.to_string(),
            port: endpoint.port,
            security_protocol: endpoint.security_protocol,
        };
        let id = NodeId(record.broker_id);
        let features = record.features.iter().map(|feature| {
            (feature.name.to_string(), (feature.min_supported_version, feature.max_supported_version))
        });
        let broker = BrokerImage {
            id,
            epoch: BrokerEpoch(record.broker_epoch),
            incarnation_id: record.incarnation_id,
            endpoints: record.end_points.iter().map(endpoint).collect(),
            features: features.collect(),
            rack: record.rack.as_ref().map(ToString::to_string),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            log_dirs: record.log_dirs.clone(),
            cordoned_log_dirs: record.cordoned_log_dirs.clone(),
        };
        Arc::make_mut(&mut self.brokers).insert(id, broker);
    }

    fn register_controller(&mut self, record: &RegisterControllerRecord) {
        let endpoint = |endpoint: &crate::protocol::metadata_records::ControllerEndpoint| EndpointImage {
            name: endpoint.name.to_string(),
            host: endpoint.host.to_string(),
            port: endpoint.port,
            security_protocol: endpoint.security_protocol,
        };
        let id = NodeId(record.controller_id);
        let features = record.features.iter().map(|feature| {
            (feature.name.to_string(), (feature.min_supported_version, feature.max_supported_version))
        });
        let controller = ControllerImage {
            id,
            incarnation_id: record.incarnation_id,
            endpoints: record.end_points.iter().map(endpoint).collect(),
            features: features.collect(),
        };
        Arc::make_mut(&mut self.controllers).insert(id, controller);
    }

    fn set_fenced(&mut self, id: i32, epoch: i64, fenced: bool) {
        if let Some(broker) = Arc::make_mut(&mut self.brokers).get_mut(&NodeId(id))
            && broker.epoch == BrokerEpoch(epoch)
        {
            broker.fenced = fenced;
        }
    }

    fn change_broker(&mut self, record: &BrokerRegistrationChangeRecord) {
        let Some(broker) = Arc::make_mut(&mut self.brokers).get_mut(&NodeId(record.broker_id)) else {
            return;
        };
        if broker.epoch != BrokerEpoch(record.broker_epoch) {
            return;
        }
        match record.fenced {
            1 => broker.fenced = true,
            -1 => broker.fenced = false,
            _ => {}
        }
        if record.in_controlled_shutdown == 1 {
            broker.in_controlled_shutdown = true;
        }
        if !record.log_dirs.is_empty() {
            broker.log_dirs.clone_from(&record.log_dirs);
        }
        if record.cordoned_log_dirs.is_some() {
            broker.cordoned_log_dirs.clone_from(&record.cordoned_log_dirs);
        }
    }

    fn add_topic(&mut self, name: &str, id: Uuid) {
        let name: Arc<str> = name.into();
        let topic = TopicImage { name: name.clone(), id, partitions: Vec::new() };
        Arc::make_mut(&mut self.topic_names).insert(id, name.clone());
        Arc::make_mut(&mut self.topics).insert(name, Arc::new(topic));
    }

    fn remove_topic(&mut self, id: Uuid) {
        let Some(name) = Arc::make_mut(&mut self.topic_names).remove(&id) else { return };
        Arc::make_mut(&mut self.topics).remove(&name);
        let resource = ConfigResource { kind: ResourceType::Topic, name: name.to_string() };
        if self.configs.contains_key(&resource) {
            Arc::make_mut(&mut self.configs).remove(&resource);
        }
    }

    fn topic_mut(&mut self, id: Uuid) -> Option<&mut TopicImage> {
        let name = self.topic_names.get(&id)?;
        Arc::make_mut(&mut self.topics).get_mut(name).map(Arc::make_mut)
    }

    fn set_partition(&mut self, record: &PartitionRecord) {
        let Some(topic) = self.topic_mut(record.topic_id) else { return };
        let Ok(index) = usize::try_from(record.partition_id) else { return };
        let partition = PartitionImage {
            replicas: nodes(&record.replicas),
            directories: directories(&record.directories, record.replicas.len()),
            isr: nodes(&record.isr),
            eligible_leader_replicas: nodes(record.eligible_leader_replicas.as_deref().unwrap_or_default()),
            last_known_elr: nodes(record.last_known_elr.as_deref().unwrap_or_default()),
            removing_replicas: nodes(&record.removing_replicas),
            adding_replicas: nodes(&record.adding_replicas),
            leader: NodeId(record.leader),
            leader_recovering: record.leader_recovery_state == RECOVERING,
            leader_epoch: LeaderEpoch(record.leader_epoch),
            partition_epoch: record.partition_epoch,
        };
        match index.cmp(&topic.partitions.len()) {
            std::cmp::Ordering::Less => topic.partitions[index] = partition,
            std::cmp::Ordering::Equal => topic.partitions.push(partition),
            std::cmp::Ordering::Greater => {}
        }
    }

    fn change_partition(&mut self, record: &PartitionChangeRecord) {
        let index = usize::try_from(record.partition_id).unwrap_or(usize::MAX);
        let Some(partition) =
            self.topic_mut(record.topic_id).and_then(|topic| topic.partitions.get_mut(index))
        else {
            return;
        };
        let set = |field: &mut Vec<NodeId>, change: &Option<Vec<i32>>| {
            if let Some(change) = change {
                *field = nodes(change);
            }
        };
        set(&mut partition.isr, &record.isr);
        set(&mut partition.replicas, &record.replicas);
        set(&mut partition.removing_replicas, &record.removing_replicas);
        set(&mut partition.adding_replicas, &record.adding_replicas);
        set(&mut partition.eligible_leader_replicas, &record.eligible_leader_replicas);
        set(&mut partition.last_known_elr, &record.last_known_elr);
        if let Some(changed) = &record.directories {
            partition.directories = directories(changed, partition.replicas.len());
        }
        if record.leader_recovery_state >= 0 {
            partition.leader_recovering = record.leader_recovery_state == RECOVERING;
        }
        if record.leader != NO_LEADER_CHANGE {
            // A leader that is set, even to what it was, begins a new epoch.
            partition.leader = NodeId(record.leader);
            partition.leader_epoch = LeaderEpoch(partition.leader_epoch.0 + 1);
        }
        partition.partition_epoch += 1;
    }

    fn clear_elr(&mut self, topic: &str) {
        let topics: Vec<Arc<str>> =
            if topic.is_empty() { self.topics.keys().cloned().collect() } else { vec![topic.into()] };
        let all = Arc::make_mut(&mut self.topics);
        for name in topics {
            for partition in all.get_mut(&name).map(Arc::make_mut).into_iter().flat_map(|t| &mut t.partitions)
            {
                partition.eligible_leader_replicas.clear();
                partition.last_known_elr.clear();
            }
        }
    }

    fn set_config(&mut self, record: &ConfigRecord) {
        let Some(kind) = ResourceType::from_i8(record.resource_type) else { return };
        let resource = ConfigResource { kind, name: record.resource_name.to_string() };
        let configs = Arc::make_mut(&mut self.configs);
        let of_resource = Arc::make_mut(configs.entry(resource.clone()).or_default());
        match &record.value {
            Some(value) => of_resource.insert(record.name.to_string(), value.to_string()),
            None => of_resource.remove(&*record.name),
        };
        if of_resource.is_empty() {
            configs.remove(&resource);
        }
    }

    fn keep(&mut self, record: &MetadataRecord) {
        let kept = Arc::make_mut(&mut self.kept);
        match record {
            MetadataRecord::ClientQuota(quota) => {
                let key = quota_key(quota);
                if quota.remove {
                    kept.remove(&key)
                } else {
                    kept.insert(key, record.clone())
                };
            }
            MetadataRecord::AccessControlEntry(entry) => {
                kept.insert(KeptKey::AccessControlEntry(entry.id), record.clone());
            }
            MetadataRecord::RemoveAccessControlEntry(entry) => {
                kept.remove(&KeptKey::AccessControlEntry(entry.id));
            }
            MetadataRecord::UserScramCredential(credential) => {
                let (name, mechanism) = (credential.name.to_string(), credential.mechanism);
                kept.insert(KeptKey::UserScramCredential { name, mechanism }, record.clone());
            }
            MetadataRecord::RemoveUserScramCredential(credential) => {
                let (name, mechanism) = (credential.name.to_string(), credential.mechanism);
                kept.remove(&KeptKey::UserScramCredential { name, mechanism });
            }
            MetadataRecord::DelegationToken(token) => {
                kept.insert(KeptKey::DelegationToken(token.token_id.to_string()), record.clone());
            }
            MetadataRecord::RemoveDelegationToken(token) => {
                kept.remove(&KeptKey::DelegationToken(token.token_id.to_string()));
            }
            other => unreachable!("{} is not kept as it was written", other.name()),
        }
    }
}

fn nodes(ids: &[i32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

/// Records before metadata version 17 name no directories.
fn directories(ids: &[Uuid], replicas: usize) -> Vec<Uuid> {
    if ids.is_empty() { vec![Uuid::ZERO; replicas] } else { ids.to_vec() }
}

fn quota_key(quota: &ClientQuotaRecord) -> KeptKey {
    let name = |name: &Option<crate::types::Str>| name.as_ref().map(ToString::to_string);
    let entity = quota.entity.iter().map(|part| (part.entity_type.to_string(), name(&part.entity_name)));
    KeptKey::ClientQuota { entity: entity.collect(), key: quota.key.to_string() }
}
