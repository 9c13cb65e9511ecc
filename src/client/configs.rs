//! Configurations of topics, brokers and groups, as an administrator reads and changes them.
//!
//! Invariant: a broker's own configuration is asked of that broker; anything else of any. It must not know
//! what configurations there are.

use super::{Admin, ClientError};
use crate::config::ConfigSource;
use crate::protocol::ApiKey;
use crate::protocol::api::describe_configs::{
    DescribeConfigs, DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
};
use crate::protocol::api::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigs, IncrementalAlterConfigsRequest,
};
use crate::protocol::api::list_config_resources::{ListConfigResources, ListConfigResourcesRequest};
use crate::types::{NodeId, Str};
use std::fmt;

/// What has configurations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigTarget {
    /// A topic.
    Topic(String),
    /// One broker.
    Broker(NodeId),
    /// All brokers: what holds where nothing is set for one.
    AllBrokers,
    /// The loggers of a broker.
    BrokerLoggers(NodeId),
    /// A subscription to client metrics (KIP-714).
    ClientMetrics(String),
    /// A group.
    Group(String),
}

impl ConfigTarget {
    /// Type and name as the protocol has them.
    fn resource(&self) -> (i8, Str) {
        match self {
            ConfigTarget::Topic(name) => (2, name.as_str().into()),
            ConfigTarget::Broker(id) => (4, id.0.to_string().into()),
            ConfigTarget::AllBrokers => (4, Str::default()),
            ConfigTarget::BrokerLoggers(id) => (8, id.0.to_string().into()),
            ConfigTarget::ClientMetrics(name) => (16, name.as_str().into()),
            ConfigTarget::Group(name) => (32, name.as_str().into()),
        }
    }

    fn from_resource(resource_type: i8, name: &str) -> Option<ConfigTarget> {
        let id = || name.parse().ok().map(NodeId);
        Some(match resource_type {
            2 => ConfigTarget::Topic(name.to_owned()),
            4 if name.is_empty() => ConfigTarget::AllBrokers,
            4 => ConfigTarget::Broker(id()?),
            8 => ConfigTarget::BrokerLoggers(id()?),
            16 => ConfigTarget::ClientMetrics(name.to_owned()),
            32 => ConfigTarget::Group(name.to_owned()),
            _ => return None,
        })
    }

    /// Who alone can answer.
    fn broker(&self) -> Option<NodeId> {
        match self {
            ConfigTarget::Broker(id) | ConfigTarget::BrokerLoggers(id) => Some(*id),
            _ => None,
        }
    }
}

impl fmt::Display for ConfigTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigTarget::Topic(name) => write!(f, "topic {name}"),
            ConfigTarget::Broker(id) => write!(f, "broker {id}"),
            ConfigTarget::AllBrokers => f.write_str("all brokers"),
            ConfigTarget::BrokerLoggers(id) => write!(f, "loggers of broker {id}"),
            ConfigTarget::ClientMetrics(name) => write!(f, "client metrics {name}"),
            ConfigTarget::Group(name) => write!(f, "group {name}"),
        }
    }
}

/// One configuration as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// Its value; `None` where it is null, or secret.
    pub value: Option<String>,
    /// Where the value comes from; `None` where the cluster is newer than this client.
    pub source: Option<ConfigSource>,
    /// Only a restart changes it.
    pub read_only: bool,
    /// Its value is not told.
    pub sensitive: bool,
}

/// What is to become of one configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigChange {
    /// It gets this value.
    Set(String),
    /// It goes back to what holds otherwise.
    Unset,
    /// These items are added to a list.
    Append(String),
    /// These items are taken out of a list.
    Subtract(String),
}

impl Admin {
    /// Everything that has configurations.
    pub async fn list_config_targets(&self) -> Result<Vec<ConfigTarget>, ClientError> {
        let request = ListConfigResourcesRequest::default();
        let response =
            self.request::<ListConfigResources>("listing configured resources", &request, |response| {
                vec![response.error_code]
            });
        let response = response.await?;
        ClientError::check(ApiKey::ListConfigResources, "the cluster", response.error_code, None)?;
        let known = response.config_resources.iter().filter_map(|resource| {
            ConfigTarget::from_resource(resource.resource_type, &resource.resource_name)
        });
        let mut targets: Vec<ConfigTarget> = known.collect();
        targets.sort();
        Ok(targets)
    }

    /// The configurations of one target, by name.
    pub async fn describe_configs(&self, target: &ConfigTarget) -> Result<Vec<ConfigEntry>, ClientError> {
        let (resource_type, resource_name) = target.resource();
        let resource = DescribeConfigsResource {
            resource_type,
            resource_name,
            configuration_keys: None,
            ..DescribeConfigsResource::default()
        };
        let request =
            DescribeConfigsRequest { resources: vec![resource], ..DescribeConfigsRequest::default() };
        let response = self
            .request_of::<DescribeConfigs>(
                target.broker(),
                "describing configurations",
                &request,
                |response| response.results.iter().map(|result| result.error_code).collect(),
            )
            .await?;
        let unanswered =
            || ClientError::Unanswered { api: ApiKey::DescribeConfigs, subject: target.to_string().into() };
        let result = response.results.into_iter().next().ok_or_else(unanswered)?;
        let message = result.error_message.as_deref().filter(|message| !message.is_empty());
        ClientError::check(ApiKey::DescribeConfigs, target, result.error_code, message)?;
        let mut entries: Vec<ConfigEntry> = result.configs.iter().map(entry).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Changes single configurations of one target; all of them, or none.
    pub async fn alter_configs(
        &self,
        target: &ConfigTarget,
        changes: impl IntoIterator<Item = (String, ConfigChange)>,
        validate_only: bool,
    ) -> Result<(), ClientError> {
        let change = |(name, change): (String, ConfigChange)| {
            let (config_operation, value) = match change {
                ConfigChange::Set(value) => (0, Some(value)),
                ConfigChange::Unset => (1, None),
                ConfigChange::Append(value) => (2, Some(value)),
                ConfigChange::Subtract(value) => (3, Some(value)),
            };
            let (name, value) = (name.into(), value.map(Str::from));
            AlterableConfig { name, config_operation, value, ..AlterableConfig::default() }
        };
        let (resource_type, resource_name) = target.resource();
        let configs = changes.into_iter().map(change).collect();
        let resource =
            AlterConfigsResource { resource_type, resource_name, configs, ..AlterConfigsResource::default() };
        let resources = vec![resource];
        let request = IncrementalAlterConfigsRequest { resources, validate_only, ..Default::default() };
        let response = self
            .request_of::<IncrementalAlterConfigs>(
                target.broker(),
                "changing configurations",
                &request,
                |response| response.responses.iter().map(|result| result.error_code).collect(),
            )
            .await?;
        let unanswered = || ClientError::Unanswered {
            api: ApiKey::IncrementalAlterConfigs,
            subject: target.to_string().into(),
        };
        let result = response.responses.first().ok_or_else(unanswered)?;
        let message = result.error_message.as_deref();
        ClientError::check(ApiKey::IncrementalAlterConfigs, target, result.error_code, message)?;
        Ok(())
    }
}

fn entry(described: &DescribeConfigsResourceResult) -> ConfigEntry {
    ConfigEntry {
        name: described.name.to_string(),
        value: described.value.as_ref().map(|value| value.to_string()),
        source: ConfigSource::from_code(described.config_source),
        read_only: described.read_only,
        sensitive: described.is_sensitive,
    }
}
