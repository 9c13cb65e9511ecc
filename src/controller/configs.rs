//! IncrementalAlterConfigs (44, v0-1; KIP-339) and AlterConfigs (33, v0-2): configurations of topics,
//! brokers, groups and client metrics as records.
//!
//! Errors per resource: INVALID_REQUEST, UNKNOWN_TOPIC_OR_PARTITION, BROKER_ID_NOT_REGISTERED,
//! INVALID_CONFIG. The values of broker configurations are checked by the broker that was asked.

use super::create_topics::Refusal;
use super::machine::ControllerMachine;
use crate::config::{
    DefaultValue, Kind, in_milliseconds, list, topic_definition, topic_definitions, validate_client_metrics,
    validate_group, validate_topic,
};
use crate::metadata::{ConfigResource, ConfigResourceType};
use crate::protocol::Response;
use crate::protocol::api::create_topics::CreatableTopicConfigs;
use crate::protocol::api::{alter_configs, incremental_alter_configs};
use crate::protocol::metadata_records::{ClearElrRecord, ConfigRecord, MetadataRecord};
use crate::types::{ErrorCode, NodeId, Str};
use std::collections::BTreeSet;

const MIN_ISR: &str = "min.insync.replicas";

/// What is to become of one configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation<'a> {
    Set(Option<&'a Str>),
    Delete,
    Append(Option<&'a Str>),
    Subtract(Option<&'a Str>),
}

impl ControllerMachine {
    /// Changes single configurations.
    pub(super) fn incremental_alter_configs(
        &mut self,
        request: &incremental_alter_configs::IncrementalAlterConfigsRequest,
    ) -> (Vec<MetadataRecord>, Response) {
        let mut response = incremental_alter_configs::IncrementalAlterConfigsResponse::default();
        let mut records = Vec::new();
        for asked in &request.resources {
            let resource_type = ConfigResourceType::from_code(asked.resource_type);
            let resource = ConfigResource::new(resource_type, &asked.resource_name);
            let operation =
                |config: &'_ incremental_alter_configs::AlterableConfig| match config.config_operation {
                    0 => Some(0),
                    1..=3 => Some(config.config_operation),
                    _ => None,
                };
            let known = asked.configs.iter().all(|config| operation(config).is_some());
            let changes = asked.configs.iter().map(|config| {
                let value = config.value.as_ref();
                let operation = match config.config_operation {
                    1 => Operation::Delete,
                    2 => Operation::Append(value),
                    3 => Operation::Subtract(value),
                    _ => Operation::Set(value),
                };
                (&config.name, operation)
            });
            let changes: Vec<_> = changes.collect();
            let altered = match known {
                true => self.alter_resource(&resource, &changes),
                false => {
                    Err((ErrorCode::InvalidRequest, "An unknown config operation was given.".to_owned()))
                }
            };
            let (error_code, error_message) = outcome(altered, &mut records);
            response.responses.push(incremental_alter_configs::AlterConfigsResourceResponse {
                error_code,
                error_message,
                resource_type: asked.resource_type,
                resource_name: asked.resource_name.clone(),
                ..Default::default()
            });
        }
        if request.validate_only {
            records.clear();
        }
        (records, Response::IncrementalAlterConfigs(response))
    }

    /// Replaces all configurations of resources: what is not named is deleted.
    pub(super) fn alter_configs(
        &mut self,
        request: &alter_configs::AlterConfigsRequest,
    ) -> (Vec<MetadataRecord>, Response) {
        let mut response = alter_configs::AlterConfigsResponse::default();
        let mut records = Vec::new();
        for asked in &request.resources {
            let resource_type = ConfigResourceType::from_code(asked.resource_type);
            let resource = ConfigResource::new(resource_type, &asked.resource_name);
            let present = self.image.configs.of(&resource);
            let is_kept = |name: &str| asked.configs.iter().any(|config| config.name == *name);
            let gone: Vec<Str> =
                present.keys().filter(|name| !is_kept(name)).map(|name| (**name).into()).collect();
            let set = asked.configs.iter().map(|c| (&c.name, Operation::Set(c.value.as_ref())));
            let changes: Vec<_> = set.chain(gone.iter().map(|name| (name, Operation::Delete))).collect();
            let altered = self.alter_resource(&resource, &changes);
            let (error_code, error_message) = outcome(altered, &mut records);
            response.responses.push(alter_configs::AlterConfigsResourceResponse {
                error_code,
                error_message,
                resource_type: asked.resource_type,
                resource_name: asked.resource_name.clone(),
                ..Default::default()
            });
        }
        if request.validate_only {
            records.clear();
        }
        (records, Response::AlterConfigs(response))
    }

    /// The configurations that a new topic is created with.
    pub(super) fn new_topic_configs(
        &self,
        resource: &ConfigResource,
        configs: &[(&Str, Option<&Str>)],
    ) -> Result<Vec<MetadataRecord>, Refusal> {
        let mut seen = BTreeSet::new();
        for (name, _) in configs {
            if !seen.insert(*name) {
                let sentence = format!("The configuration {name} is given more than once.");
                return Err((ErrorCode::InvalidConfig, sentence));
            }
        }
        let changes: Vec<_> = configs.iter().map(|(name, value)| (*name, Operation::Set(*value))).collect();
        self.config_records(resource, &changes)
    }

    fn alter_resource(
        &self,
        resource: &ConfigResource,
        changes: &[(&Str, Operation<'_>)],
    ) -> Result<Vec<MetadataRecord>, Refusal> {
        self.check_resource(resource)?;
        self.config_records(resource, changes)
    }

    fn check_resource(&self, resource: &ConfigResource) -> Result<(), Refusal> {
        let name = &*resource.name;
        match resource.resource_type {
            ConfigResourceType::Topic if name.is_empty() => {
                Err((ErrorCode::InvalidRequest, "Default topic resources are not allowed.".to_owned()))
            }
            ConfigResourceType::Topic if self.image.topics.by_name(name).is_none() => {
                let sentence = format!("The topic '{name}' does not exist.");
                Err((ErrorCode::UnknownTopicOrPartition, sentence))
            }
            ConfigResourceType::Broker if !name.is_empty() => {
                let id = name.parse().map(NodeId).map_err(|_| {
                    (ErrorCode::InvalidRequest, format!("Invalid broker name {name}: a number was expected."))
                })?;
                let controllers = &self.image.cluster;
                match controllers.broker(id).is_some() || controllers.controller(id).is_some() {
                    true => Ok(()),
                    false => Err((ErrorCode::BrokerIdNotRegistered, format!("No node with id {id} found."))),
                }
            }
            ConfigResourceType::Group if name.is_empty() => {
                Err((ErrorCode::InvalidRequest, "Default group resources are not allowed.".to_owned()))
            }
            ConfigResourceType::ClientMetrics if name.is_empty() => {
                Err((ErrorCode::InvalidRequest, "Subscription name can't be empty".to_owned()))
            }
            ConfigResourceType::BrokerLogger => {
                let sentence = "Levels of loggers belong to a broker and are not altered here.".to_owned();
                Err((ErrorCode::InvalidRequest, sentence))
            }
            ConfigResourceType::Unknown(code) => {
                Err((ErrorCode::InvalidRequest, format!("Unknown resource type {code}")))
            }
            _ => Ok(()),
        }
    }

    /// The records of the changes, unless one of them is refused.
    fn config_records(
        &self,
        resource: &ConfigResource,
        changes: &[(&Str, Operation<'_>)],
    ) -> Result<Vec<MetadataRecord>, Refusal> {
        let mut records = Vec::new();
        let mut clears_elr = false;
        for (name, operation) in changes {
            let present = self.image.configs.get(resource, name);
            let value = self.new_value(resource, name, *operation)?;
            self.check_value(resource, name, *operation, value.as_deref())?;
            let is_same = present.map(|value| &**value) == value.as_deref();
            // A broker's configuration is written even when it is the same: that makes brokers read files
            // anew.
            if is_same && resource.resource_type != ConfigResourceType::Broker {
                continue;
            }
            clears_elr |= **name == *MIN_ISR;
            let record = ConfigRecord {
                resource_type: resource.resource_type.code(),
                resource_name: (*resource.name).into(),
                name: name.detach(),
                value: value.map(Str::from),
                ..Default::default()
            };
            records.push(record.into());
        }
        if clears_elr && self.image.features.has_elr() {
            // What was eligible under the old bound may not be under the new one.
            let topic_name = match resource.resource_type {
                ConfigResourceType::Topic => (*resource.name).into(),
                _ => Str::default(),
            };
            records.push(ClearElrRecord { topic_name, ..Default::default() }.into());
        }
        Ok(records)
    }

    fn new_value(
        &self,
        resource: &ConfigResource,
        name: &str,
        operation: Operation<'_>,
    ) -> Result<Option<String>, Refusal> {
        let (given, verb) = match operation {
            Operation::Set(value) => return Ok(value.map(|value| value.to_string())),
            Operation::Delete => return Ok(None),
            Operation::Append(value) => (value, "APPEND"),
            Operation::Subtract(value) => (value, "SUBTRACT"),
        };
        let definition = match resource.resource_type {
            ConfigResourceType::Topic => topic_definition(name),
            _ => crate::config::broker_definition(name),
        };
        if definition.is_none_or(|definition| definition.kind != Kind::List) {
            let sentence = format!("Can't {verb} to key {name} because its type is not LIST.");
            return Err((ErrorCode::InvalidConfig, sentence));
        }
        let default = definition.and_then(|definition| match definition.default {
            DefaultValue::Text(text) => Some(text),
            DefaultValue::Null | DefaultValue::Required => None,
        });
        let present = self.image.configs.get(resource, name).map(|value| value.to_string());
        let present = present.or(default.map(str::to_owned)).unwrap_or_default();
        let mut items: Vec<&str> = list(&present).collect();
        for item in list(given.map_or("", |value| value)) {
            match operation {
                Operation::Append(_) if !items.contains(&item) => items.push(item),
                Operation::Subtract(_) => items.retain(|known| *known != item),
                _ => {}
            }
        }
        Ok(Some(items.join(",")))
    }

    fn check_value(
        &self,
        resource: &ConfigResource,
        name: &str,
        operation: Operation<'_>,
        value: Option<&str>,
    ) -> Result<(), Refusal> {
        let invalid = |sentence: String| Err((ErrorCode::InvalidConfig, sentence));
        let is_min_isr = name == MIN_ISR && self.image.features.has_elr();
        match resource.resource_type {
            ConfigResourceType::Topic if asks_for_tiers(name, value) && !self.has_tiers() => invalid(
                "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with \
                 remote log storage."
                    .to_owned(),
            ),
            ConfigResourceType::Topic if operation != Operation::Delete => {
                validate_topic(name, value).or_else(|error| invalid(error.to_string()))
            }
            ConfigResourceType::Broker if is_min_isr && !resource.name.is_empty() => {
                invalid("Broker-level min.insync.replicas cannot be altered while ELR is enabled.".to_owned())
            }
            ConfigResourceType::Broker if is_min_isr && value.is_none() => invalid(
                "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.".to_owned(),
            ),
            ConfigResourceType::Group if operation != Operation::Delete => {
                let bounds = |bound: &str| self.settings.config.long(bound);
                validate_group(name, value, bounds).or_else(invalid)
            }
            ConfigResourceType::ClientMetrics if operation != Operation::Delete => {
                validate_client_metrics(name, value).map_err(|sentence| (ErrorCode::InvalidRequest, sentence))
            }
            _ => Ok(()),
        }
    }

    fn has_tiers(&self) -> bool {
        self.settings.config.boolean("remote.log.storage.system.enable")
    }

    /// What holds for a topic with these configurations, as the answer to CreateTopics lists it.
    pub(super) fn effective_topic_configs(
        &self,
        configs: &[(&Str, Option<&Str>)],
    ) -> Vec<CreatableTopicConfigs> {
        const DYNAMIC_TOPIC: i8 = 1;
        const STATIC_BROKER: i8 = 4;
        const DYNAMIC_DEFAULT_BROKER: i8 = 3;
        const DEFAULT: i8 = 5;
        let everyone = ConfigResource::all_brokers();
        let shown = topic_definitions().iter().filter(|definition| !definition.internal);
        let entry = |definition: &crate::config::Definition| {
            let own = configs.iter().find(|(name, _)| **name == *definition.name);
            let own = own.and_then(|(_, value)| value.map(|value| value.to_string()));
            let mut synonyms = definition.synonyms.iter();
            let cluster = || synonyms.clone().find_map(|name| self.image.configs.get(&everyone, name));
            let (value, config_source) = match own {
                Some(value) => (Some(value), DYNAMIC_TOPIC),
                None => match cluster() {
                    Some(value) => (Some(value.to_string()), DYNAMIC_DEFAULT_BROKER),
                    None => match synonyms.find_map(|name| {
                        let value = self.settings.config.explicit(name)?;
                        Some(in_milliseconds(name, value))
                    }) {
                        Some(value) => (Some(value), STATIC_BROKER),
                        None => match definition.default {
                            DefaultValue::Text(text) => (Some(text.to_owned()), DEFAULT),
                            DefaultValue::Null | DefaultValue::Required => (None, DEFAULT),
                        },
                    },
                },
            };
            CreatableTopicConfigs {
                name: definition.name.into(),
                value: value.map(Str::from),
                config_source,
                ..Default::default()
            }
        };
        shown.map(entry).collect()
    }
}

fn outcome(
    altered: Result<Vec<MetadataRecord>, Refusal>,
    records: &mut Vec<MetadataRecord>,
) -> (i16, Option<Str>) {
    match altered {
        Ok(altered) => {
            records.extend(altered);
            (ErrorCode::None.code(), None)
        }
        Err((error, sentence)) => (error.code(), Some(sentence.into())),
    }
}

fn asks_for_tiers(name: &str, value: Option<&str>) -> bool {
    name == "remote.storage.enable" && value.is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
}
