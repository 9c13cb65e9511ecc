//! The registered brokers and controllers.

use super::changes::MetadataChanges;
use super::features::MetadataVersion;
use super::records::RecordsError;
use crate::protocol::metadata_records::{
    BrokerEndpoint, BrokerFeature, BrokerRegistrationChangeRecord, ControllerEndpoint, ControllerFeature,
    MetadataRecord, RegisterBrokerRecord, RegisterControllerRecord,
};
use crate::types::{BrokerEpoch, NodeId, Str, Uuid};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A listener that a broker or controller advertises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerEndpoint {
    /// The listener's name.
    pub name: Str,
    /// Host name or address.
    pub host: Str,
    /// TCP port.
    pub port: u16,
    /// 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}

/// The levels of one feature that a node supports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureRange {
    /// The feature's name.
    pub name: Str,
    /// The lowest level.
    pub min: i16,
    /// The highest level.
    pub max: i16,
}

/// One registered broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerImage {
    /// Its node id.
    pub id: NodeId,
    /// Which registration this is.
    pub epoch: BrokerEpoch,
    /// Which run of the process registered.
    pub incarnation: Uuid,
    /// Its listeners.
    pub endpoints: Vec<ListenerEndpoint>,
    /// The features it supports.
    pub features: Vec<FeatureRange>,
    /// Its rack.
    pub rack: Option<Str>,
    /// A fenced broker gets no leaders and is not shown to clients.
    pub fenced: bool,
    /// It is shutting down and gives its leaders away.
    pub in_controlled_shutdown: bool,
    /// `directory.id` of its log directories that are online.
    pub log_dirs: Vec<Uuid>,
    /// Directories that get no new partitions; `None` where the broker is too old to say.
    pub cordoned_log_dirs: Option<Vec<Uuid>>,
    /// Left over from a migration of ZooKeeper.
    pub is_migrating_zk_broker: bool,
}

impl BrokerImage {
    /// Whether it may lead and join in-sync sets.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// Its listener called `name`.
    pub fn listener(&self, name: &str) -> Option<&ListenerEndpoint> {
        self.endpoints.iter().find(|endpoint| *endpoint.name == *name)
    }

    /// Whether the directory is one of its online ones; reserved ids count, they name no directory.
    pub fn has_directory(&self, directory: Uuid) -> bool {
        directory.is_reserved() || self.log_dirs.contains(&directory)
    }

    fn from_record(record: &RegisterBrokerRecord) -> BrokerImage {
        let endpoint = |e: &BrokerEndpoint| ListenerEndpoint {
            name: e.name.detach(),
            host: e.host.detach(),
            port: e.port,
            security_protocol: e.security_protocol,
        };
        let feature = |f: &BrokerFeature| FeatureRange {
            name: f.name.detach(),
            min: f.min_supported_version,
            max: f.max_supported_version,
        };
        BrokerImage {
            id: NodeId(record.broker_id),
            epoch: BrokerEpoch(record.broker_epoch),
            incarnation: record.incarnation_id,
            endpoints: record.end_points.iter().map(endpoint).collect(),
            features: record.features.iter().map(feature).collect(),
            rack: record.rack.as_ref().map(Str::detach),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            log_dirs: record.log_dirs.clone(),
            cordoned_log_dirs: record.cordoned_log_dirs.clone(),
            is_migrating_zk_broker: record.is_migrating_zk_broker,
        }
    }

    fn to_record(&self, metadata_version: MetadataVersion) -> MetadataRecord {
        let endpoint = |e: &ListenerEndpoint| BrokerEndpoint {
            name: e.name.clone(),
            host: e.host.clone(),
            port: e.port,
            security_protocol: e.security_protocol,
            ..Default::default()
        };
        let feature = |f: &FeatureRange| BrokerFeature {
            name: f.name.clone(),
            min_supported_version: f.min,
            max_supported_version: f.max,
            ..Default::default()
        };
        let cordoned_log_dirs = match metadata_version.has_cordoned_directories() {
            true => self.cordoned_log_dirs.clone(),
            false => None,
        };
        let log_dirs = match metadata_version.has_directories() {
            true => self.log_dirs.clone(),
            false => Vec::new(),
        };
        let record = RegisterBrokerRecord {
            broker_id: self.id.0,
            is_migrating_zk_broker: self.is_migrating_zk_broker,
            incarnation_id: self.incarnation,
            broker_epoch: self.epoch.0,
            end_points: self.endpoints.iter().map(endpoint).collect(),
            features: self.features.iter().map(feature).collect(),
            rack: self.rack.clone(),
            fenced: self.fenced,
            in_controlled_shutdown: self.in_controlled_shutdown,
            log_dirs,
            cordoned_log_dirs,
            ..Default::default()
        };
        record.into()
    }
}

/// One registered controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerImage {
    /// Its node id.
    pub id: NodeId,
    /// Which run of the process registered.
    pub incarnation: Uuid,
    /// Left over from the migration of ZooKeeper; false in 4.x.
    pub zk_migration_ready: bool,
    /// Its controller listeners.
    pub endpoints: Vec<ListenerEndpoint>,
    /// The features it supports.
    pub features: Vec<FeatureRange>,
}

impl ControllerImage {
    fn from_record(record: &RegisterControllerRecord) -> ControllerImage {
        let endpoint = |e: &ControllerEndpoint| ListenerEndpoint {
            name: e.name.detach(),
            host: e.host.detach(),
            port: e.port,
            security_protocol: e.security_protocol,
        };
        let feature = |f: &ControllerFeature| FeatureRange {
            name: f.name.detach(),
            min: f.min_supported_version,
            max: f.max_supported_version,
        };
        ControllerImage {
            id: NodeId(record.controller_id),
            incarnation: record.incarnation_id,
            zk_migration_ready: record.zk_migration_ready,
            endpoints: record.end_points.iter().map(endpoint).collect(),
            features: record.features.iter().map(feature).collect(),
        }
    }

    /// The record that registers it.
    pub fn to_record(&self) -> MetadataRecord {
        let endpoint = |e: &ListenerEndpoint| ControllerEndpoint {
            name: e.name.clone(),
            host: e.host.clone(),
            port: e.port,
            security_protocol: e.security_protocol,
            ..Default::default()
        };
        let feature = |f: &FeatureRange| ControllerFeature {
            name: f.name.clone(),
            min_supported_version: f.min,
            max_supported_version: f.max,
            ..Default::default()
        };
        let record = RegisterControllerRecord {
            controller_id: self.id.0,
            incarnation_id: self.incarnation,
            zk_migration_ready: self.zk_migration_ready,
            end_points: self.endpoints.iter().map(endpoint).collect(),
            features: self.features.iter().map(feature).collect(),
            ..Default::default()
        };
        record.into()
    }
}

/// All registrations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterImage {
    brokers: BTreeMap<NodeId, Arc<BrokerImage>>,
    controllers: BTreeMap<NodeId, Arc<ControllerImage>>,
}

impl ClusterImage {
    /// The broker `id`, fenced or not.
    pub fn broker(&self, id: NodeId) -> Option<&Arc<BrokerImage>> {
        self.brokers.get(&id)
    }

    /// All brokers by id, fenced ones too.
    pub fn brokers(&self) -> impl Iterator<Item = &Arc<BrokerImage>> {
        self.brokers.values()
    }

    /// The controller `id`.
    pub fn controller(&self, id: NodeId) -> Option<&Arc<ControllerImage>> {
        self.controllers.get(&id)
    }

    /// All controllers by id.
    pub fn controllers(&self) -> impl Iterator<Item = &Arc<ControllerImage>> {
        self.controllers.values()
    }

    /// Whether `id` is registered and may lead.
    pub fn is_active(&self, id: NodeId) -> bool {
        self.brokers.get(&id).is_some_and(|broker| broker.is_active())
    }

    /// Whether `id` is registered and not fenced.
    pub fn is_unfenced(&self, id: NodeId) -> bool {
        self.brokers.get(&id).is_some_and(|broker| !broker.fenced)
    }

    pub(super) fn register_broker(&mut self, record: &RegisterBrokerRecord, changes: &mut MetadataChanges) {
        let broker = BrokerImage::from_record(record);
        changes.brokers.insert(broker.id);
        self.brokers.insert(broker.id, Arc::new(broker));
    }

    pub(super) fn register_controller(
        &mut self,
        record: &RegisterControllerRecord,
        changes: &mut MetadataChanges,
    ) {
        let controller = ControllerImage::from_record(record);
        changes.controllers.insert(controller.id);
        self.controllers.insert(controller.id, Arc::new(controller));
    }

    pub(super) fn unregister_broker(
        &mut self,
        id: NodeId,
        epoch: BrokerEpoch,
        changes: &mut MetadataChanges,
    ) -> Result<(), RecordsError> {
        self.registered(id, epoch, changes)?;
        self.brokers.remove(&id);
        Ok(())
    }

    pub(super) fn fence(
        &mut self,
        id: NodeId,
        epoch: BrokerEpoch,
        fenced: bool,
        changes: &mut MetadataChanges,
    ) -> Result<(), RecordsError> {
        self.registered(id, epoch, changes)?.fenced = fenced;
        Ok(())
    }

    pub(super) fn change_registration(
        &mut self,
        record: &BrokerRegistrationChangeRecord,
        changes: &mut MetadataChanges,
    ) -> Result<(), RecordsError> {
        let broker = self.registered(NodeId(record.broker_id), BrokerEpoch(record.broker_epoch), changes)?;
        match record.fenced {
            1 => broker.fenced = true,
            -1 => broker.fenced = false,
            _ => {}
        }
        match record.in_controlled_shutdown {
            1 => broker.in_controlled_shutdown = true,
            -1 => broker.in_controlled_shutdown = false,
            _ => {}
        }
        if !record.log_dirs.is_empty() {
            broker.log_dirs.clone_from(&record.log_dirs);
        }
        if record.cordoned_log_dirs.is_some() {
            broker.cordoned_log_dirs.clone_from(&record.cordoned_log_dirs);
        }
        Ok(())
    }

    fn registered(
        &mut self,
        id: NodeId,
        epoch: BrokerEpoch,
        changes: &mut MetadataChanges,
    ) -> Result<&mut BrokerImage, RecordsError> {
        match self.brokers.get_mut(&id).filter(|broker| broker.epoch == epoch) {
            Some(broker) => {
                changes.brokers.insert(id);
                Ok(Arc::make_mut(broker))
            }
            None => Err(RecordsError::Missing { what: format!("broker {id} with epoch {epoch}") }),
        }
    }

    pub(super) fn write(&self, metadata_version: MetadataVersion, out: &mut dyn FnMut(MetadataRecord)) {
        for broker in self.brokers.values() {
            out(broker.to_record(metadata_version));
        }
        if metadata_version.has_controller_registration() {
            for controller in self.controllers.values() {
                out(controller.to_record());
            }
        }
    }
}
