//! Dynamic configurations by resource.

use super::changes::MetadataChanges;
use crate::protocol::metadata_records::{ConfigRecord, MetadataRecord};
use crate::types::{NodeId, Str};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a configuration belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigResourceType {
    /// A type of another release; kept, never used.
    Unknown(i8),
    /// A topic.
    Topic,
    /// A broker; with an empty name all of them.
    Broker,
    /// The loggers of a broker; never in the log.
    BrokerLogger,
    /// A subscription to client metrics (KIP-714).
    ClientMetrics,
    /// A group.
    Group,
}

impl ConfigResourceType {
    /// The type of the protocol's number.
    pub fn from_code(code: i8) -> ConfigResourceType {
        match code {
            2 => ConfigResourceType::Topic,
            4 => ConfigResourceType::Broker,
            8 => ConfigResourceType::BrokerLogger,
            16 => ConfigResourceType::ClientMetrics,
            32 => ConfigResourceType::Group,
            code => ConfigResourceType::Unknown(code),
        }
    }

    /// The protocol's number.
    pub fn code(self) -> i8 {
        match self {
            ConfigResourceType::Unknown(code) => code,
            ConfigResourceType::Topic => 2,
            ConfigResourceType::Broker => 4,
            ConfigResourceType::BrokerLogger => 8,
            ConfigResourceType::ClientMetrics => 16,
            ConfigResourceType::Group => 32,
        }
    }
}

/// One thing that has configurations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigResource {
    /// Its kind.
    pub resource_type: ConfigResourceType,
    /// Its name: a topic, a node id, a group.
    pub name: Arc<str>,
}

impl ConfigResource {
    /// The resource of `resource_type` called `name`.
    pub fn new(resource_type: ConfigResourceType, name: &str) -> ConfigResource {
        ConfigResource { resource_type, name: Arc::from(name) }
    }

    /// The topic `name`.
    pub fn topic(name: &str) -> ConfigResource {
        ConfigResource::new(ConfigResourceType::Topic, name)
    }

    /// One broker.
    pub fn broker(id: NodeId) -> ConfigResource {
        ConfigResource::new(ConfigResourceType::Broker, &id.0.to_string())
    }

    /// All brokers together.
    pub fn all_brokers() -> ConfigResource {
        ConfigResource::new(ConfigResourceType::Broker, "")
    }
}

/// Names and values of one resource.
pub type ConfigMap = BTreeMap<Arc<str>, Str>;

/// All dynamic configurations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigsImage {
    resources: BTreeMap<ConfigResource, Arc<ConfigMap>>,
}

impl ConfigsImage {
    /// What is set for `resource`; nothing where nothing is.
    pub fn of(&self, resource: &ConfigResource) -> Arc<ConfigMap> {
        self.resources.get(resource).cloned().unwrap_or_default()
    }

    /// One value.
    pub fn get(&self, resource: &ConfigResource, name: &str) -> Option<&Str> {
        self.resources.get(resource)?.get(name)
    }

    /// Every resource that has something set.
    pub fn iter(&self) -> impl Iterator<Item = (&ConfigResource, &Arc<ConfigMap>)> {
        self.resources.iter()
    }

    pub(super) fn replay(&mut self, record: &ConfigRecord, changes: &mut MetadataChanges) {
        let resource_type = ConfigResourceType::from_code(record.resource_type);
        let resource = ConfigResource::new(resource_type, &record.resource_name);
        changes.configs.insert(resource.clone());
        let map = Arc::make_mut(self.resources.entry(resource.clone()).or_default());
        match &record.value {
            Some(value) => map.insert(Arc::from(record.name.as_str()), value.detach()),
            None => map.remove(record.name.as_str()),
        };
        if map.is_empty() {
            self.resources.remove(&resource);
        }
    }

    pub(super) fn remove(&mut self, resource: &ConfigResource, changes: &mut MetadataChanges) {
        if self.resources.remove(resource).is_some() {
            changes.configs.insert(resource.clone());
        }
    }

    pub(super) fn write(&self, out: &mut dyn FnMut(MetadataRecord)) {
        for (resource, map) in &self.resources {
            for (name, value) in map.iter() {
                let record = ConfigRecord {
                    resource_type: resource.resource_type.code(),
                    resource_name: (*resource.name).into(),
                    name: (**name).into(),
                    value: Some(value.clone()),
                    ..Default::default()
                };
                out(record.into());
            }
        }
    }
}
