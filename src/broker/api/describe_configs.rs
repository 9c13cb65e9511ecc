//! DescribeConfigs 1 to 4: what is set for topics, brokers, groups and client metrics, where it comes from,
//! and what it would be otherwise (KIP-133, 226, 569, 1142).
//!
//! Errors, per resource: UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC_EXCEPTION, INVALID_REQUEST for another
//! broker's id or an unknown type. Values of passwords are never told. Omitted: throttling, levels of single
//! loggers.

use super::metadata::is_valid_topic_name;
use crate::broker::RequestContext;
use crate::config::{
    ConfigSource, DefaultValue, Definition, Kind, Layers, Said, UpdateMode, broker_definition,
    broker_definitions, client_metrics_definitions, group_definitions, in_milliseconds, list,
    topic_definitions,
};
use crate::metadata::{ConfigMap, ConfigResource, ConfigResourceType, MetadataImage};
use crate::protocol::api::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::types::{ErrorCode, NodeId, Str};

/// Describes each resource.
pub fn handle(context: &RequestContext, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
    let image = context.broker.image();
    let results = request.resources.iter().map(|resource| {
        let described = Describing { context, request, resource, image: &image }.describe();
        let (error, sentence, configs) = match described {
            Ok(configs) => (ErrorCode::None, None, configs),
            Err((error, sentence)) => (error, sentence, Vec::new()),
        };
        DescribeConfigsResult {
            error_code: error.code(),
            error_message: Some(sentence.map(Str::from).unwrap_or_default()),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            configs,
            ..Default::default()
        }
    });
    DescribeConfigsResponse { results: results.collect(), ..Default::default() }
}

type Described = Result<Vec<DescribeConfigsResourceResult>, (ErrorCode, Option<String>)>;

struct Describing<'a> {
    context: &'a RequestContext,
    request: &'a DescribeConfigsRequest,
    resource: &'a DescribeConfigsResource,
    image: &'a MetadataImage,
}

impl Describing<'_> {
    fn describe(&self) -> Described {
        let name = self.resource.resource_name.as_str();
        let resource_type = ConfigResourceType::from_code(self.resource.resource_type);
        let own = self.image.configs.of(&ConfigResource::new(resource_type, name));
        match resource_type {
            ConfigResourceType::Topic if !is_valid_topic_name(name) => {
                let rule = "contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'";
                Err((
                    ErrorCode::InvalidTopicException,
                    Some(format!("Topic name is invalid: '{name}' {rule}")),
                ))
            }
            ConfigResourceType::Topic if self.image.topics.by_name(name).is_none() => {
                Err((ErrorCode::UnknownTopicOrPartition, None))
            }
            ConfigResourceType::Topic => Ok(self.with_layers(|layers| self.topic(&own, layers))),
            ConfigResourceType::Broker if name.is_empty() => {
                Ok(self.with_layers(|layers| self.defaults(layers)))
            }
            ConfigResourceType::Broker => {
                self.check_own_id(", expected {} or empty string, but received", name)?;
                Ok(self.with_layers(|layers| self.broker(layers)))
            }
            ConfigResourceType::BrokerLogger => {
                self.check_own_id(", expected {} but received", name)?;
                Ok(self.loggers())
            }
            ConfigResourceType::ClientMetrics if name.is_empty() => {
                let sentence = "Client metrics subscription name must not be empty".to_owned();
                Err((ErrorCode::InvalidRequest, Some(sentence)))
            }
            ConfigResourceType::Group if name.is_empty() => {
                Err((ErrorCode::InvalidRequest, Some("Group name must not be empty".to_owned())))
            }
            ConfigResourceType::ClientMetrics => Ok(self.client_metrics(&own)),
            ConfigResourceType::Group => Ok(self.with_layers(|layers| self.group(&own, layers))),
            ConfigResourceType::Unknown(_) => {
                let sentence = "This most likely occurs because of a request being malformed by the client \
                                library or the message was sent to an incompatible broker. See the broker \
                                logs for more details.";
                Err((ErrorCode::InvalidRequest, Some(sentence.to_owned())))
            }
        }
    }

    /// Runs `describe` with this broker's configuration as it is now.
    fn with_layers<T>(&self, describe: impl FnOnce(Layers<'_>) -> T) -> T {
        let broker = &self.context.broker;
        let own = self.image.configs.of(&ConfigResource::broker(broker.node_id));
        let all = self.image.configs.of(&ConfigResource::all_brokers());
        describe(Layers::new(&broker.config, &own, &all))
    }

    fn check_own_id(&self, expectation: &str, name: &str) -> Result<(), (ErrorCode, Option<String>)> {
        let own = self.context.broker.node_id;
        let refuse = |sentence: String| Err((ErrorCode::InvalidRequest, Some(sentence)));
        match name.parse().map(NodeId) {
            Ok(id) if id == own => Ok(()),
            Ok(id) => {
                let expectation = expectation.replace("{}", &own.0.to_string());
                refuse(format!("Unexpected broker id{expectation} {}", id.0))
            }
            Err(_) => refuse(format!("Broker id must be an integer, but it is: {name}")),
        }
    }

    fn is_wanted(&self, name: &str) -> bool {
        match &self.resource.configuration_keys {
            None => true,
            Some(keys) if keys.is_empty() => true,
            Some(keys) => keys.iter().any(|key| *key == *name),
        }
    }

    fn wanted<'d>(&self, table: &'d [Definition]) -> impl Iterator<Item = &'d Definition> {
        table.iter().filter(|definition| !definition.internal && self.is_wanted(definition.name))
    }

    fn topic(&self, own: &ConfigMap, layers: Layers<'_>) -> Vec<DescribeConfigsResourceResult> {
        let describe = |definition: &Definition| {
            let mut synonyms: Vec<DescribeConfigsSynonym> = Vec::new();
            let own = own.get(definition.name).map(|value| value.as_str());
            if let Some(value) = own {
                synonyms.push(synonym(definition.name, value, ConfigSource::Topic));
            }
            let of_broker = definition.synonyms.first().map(|name| layers.said(name)).unwrap_or_default();
            synonyms.extend(of_broker.iter().map(|said| synonym(said.name, said.value, said.source)));
            let inherited = definition.synonyms.iter();
            let inherited = || inherited.clone().find_map(|s| Some(in_milliseconds(s, layers.explicit(s)?)));
            let value = own.map(str::to_owned).or_else(inherited).or(default_of(definition));
            self.entry(definition, value, false, synonyms)
        };
        self.wanted(topic_definitions()).map(describe).collect()
    }

    fn broker(&self, layers: Layers<'_>) -> Vec<DescribeConfigsResourceResult> {
        let describe = |definition: &Definition| {
            let said = layers.said(definition.name);
            let value = layers.explicit(definition.name).map(str::to_owned).or(default_of(definition));
            self.broker_entry(definition, value, &said)
        };
        self.wanted(broker_definitions()).map(describe).collect()
    }

    /// What is set for all brokers.
    fn defaults(&self, layers: Layers<'_>) -> Vec<DescribeConfigsResourceResult> {
        let describe = |definition: &Definition| {
            let mut said = layers.said(definition.name);
            said.retain(|said| said.source == ConfigSource::DynamicDefaultBroker);
            let value = said.first()?.value.to_owned();
            Some(self.broker_entry(definition, Some(value), &said))
        };
        self.wanted(broker_definitions()).filter_map(describe).collect()
    }

    fn broker_entry(
        &self,
        definition: &Definition,
        value: Option<String>,
        said: &[Said<'_>],
    ) -> DescribeConfigsResourceResult {
        let is_secret = |name: &str| broker_definition(name).is_none_or(|d| d.kind == Kind::Password);
        let told = |said: &Said<'_>| DescribeConfigsSynonym {
            value: (!is_secret(said.name)).then(|| said.value.into()),
            ..synonym(said.name, said.value, said.source)
        };
        let read_only = definition.update == UpdateMode::ReadOnly;
        self.entry(definition, value, read_only, said.iter().map(told).collect())
    }

    fn client_metrics(&self, own: &ConfigMap) -> Vec<DescribeConfigsResourceResult> {
        let describe = |definition: &Definition| {
            let own = own.get(definition.name).map(|value| value.as_str());
            let set = own.map(|value| synonym(definition.name, value, ConfigSource::ClientMetrics));
            let value = own.map(str::to_owned).or(default_of(definition));
            self.entry(definition, value, false, set.into_iter().collect())
        };
        self.wanted(client_metrics_definitions()).map(describe).collect()
    }

    /// What holds for a group; the broker's values are its defaults.
    fn group(&self, own: &ConfigMap, layers: Layers<'_>) -> Vec<DescribeConfigsResourceResult> {
        let describe = |definition: &Definition| {
            let own = own.get(definition.name).map(|value| value.as_str());
            let mut synonyms: Vec<DescribeConfigsSynonym> =
                own.map(|value| synonym(definition.name, value, ConfigSource::Group)).into_iter().collect();
            match definition.synonyms.first() {
                Some(name) => {
                    let said = layers.said(name);
                    synonyms.extend(said.iter().map(|said| synonym(said.name, said.value, said.source)));
                }
                None => {
                    let default = default_of(definition);
                    synonyms
                        .extend(default.map(|value| synonym(definition.name, &value, ConfigSource::Default)));
                }
            }
            let value =
                synonyms.first().and_then(|strongest| strongest.value.as_ref()).map(|v| v.to_string());
            self.entry(definition, value, false, synonyms)
        };
        self.wanted(group_definitions()).map(describe).collect()
    }

    /// There is one logger, whose level is chosen at the start.
    fn loggers(&self) -> Vec<DescribeConfigsResourceResult> {
        const ROOT: &str = "root";
        let level = tracing::level_filters::LevelFilter::current().to_string().to_uppercase();
        let root = DescribeConfigsResourceResult {
            name: ROOT.into(),
            value: Some(level.into()),
            config_source: ConfigSource::BrokerLogger as i8,
            ..Default::default()
        };
        if self.is_wanted(ROOT) { vec![root] } else { Vec::new() }
    }

    fn entry(
        &self,
        definition: &Definition,
        value: Option<String>,
        read_only: bool,
        synonyms: Vec<DescribeConfigsSynonym>,
    ) -> DescribeConfigsResourceResult {
        let is_sensitive = definition.kind == Kind::Password;
        let value = value.filter(|_| !is_sensitive).map(|value| canonical(definition.kind, &value));
        DescribeConfigsResourceResult {
            name: definition.name.into(),
            value: value.map(Str::from),
            read_only,
            config_source: synonyms.first().map_or(ConfigSource::Default as i8, |first| first.source),
            is_sensitive,
            synonyms: if self.request.include_synonyms { synonyms } else { Vec::new() },
            config_type: definition.kind as i8,
            documentation: None,
            ..Default::default()
        }
    }
}

fn synonym(name: &str, value: &str, source: ConfigSource) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym {
        name: name.into(),
        value: Some(value.into()),
        source: source as i8,
        ..Default::default()
    }
}

fn default_of(definition: &Definition) -> Option<String> {
    match definition.default {
        DefaultValue::Text(text) => Some(text.to_owned()),
        DefaultValue::Null | DefaultValue::Required => None,
    }
}

/// A value as Kafka prints it once it has been read.
fn canonical(kind: Kind, value: &str) -> String {
    match kind {
        Kind::Boolean => value.trim().to_ascii_lowercase(),
        Kind::List => list(value).collect::<Vec<_>>().join(","),
        _ => value.trim().to_owned(),
    }
}
