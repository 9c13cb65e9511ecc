//! One broker's configuration as it is while it runs: what was set dynamically for it, for all brokers, in
//! its file, and Kafka's defaults, in this order (KIP-226).
//!
//! Invariant: a dynamic value counts only where Kafka lets it be dynamic and where it is a value at all.

use super::broker::BrokerConfig;
use super::broker_definition;
use super::definition::{DefaultValue, UpdateMode};
use crate::types::Str;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Dynamic values by name.
pub type DynamicConfigs = BTreeMap<Arc<str>, Str>;

/// Where a value comes from, with its number in DescribeConfigs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
pub enum ConfigSource {
    /// Set for the topic.
    Topic = 1,
    /// Set for this broker while it runs.
    DynamicBroker = 2,
    /// Set for all brokers while they run.
    DynamicDefaultBroker = 3,
    /// Its file or an override.
    StaticBroker = 4,
    /// Kafka's default.
    Default = 5,
    /// A logger's level.
    BrokerLogger = 6,
    /// Set for a subscription to client metrics.
    ClientMetrics = 7,
    /// Set for a group.
    Group = 8,
}

impl ConfigSource {
    /// The source of the protocol's number.
    pub fn from_code(code: i8) -> Option<ConfigSource> {
        [
            ConfigSource::Topic,
            ConfigSource::DynamicBroker,
            ConfigSource::DynamicDefaultBroker,
            ConfigSource::StaticBroker,
            ConfigSource::Default,
            ConfigSource::BrokerLogger,
            ConfigSource::ClientMetrics,
            ConfigSource::Group,
        ]
        .into_iter()
        .find(|source| *source as i8 == code)
    }
}

/// What was said of a configuration in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said<'a> {
    /// The configuration or a synonym of it.
    pub name: &'static str,
    /// Its value there.
    pub value: &'a str,
    /// Where that is.
    pub source: ConfigSource,
}

/// The layers of one broker's configuration.
#[derive(Debug, Clone, Copy)]
pub struct Layers<'a> {
    file: &'a BrokerConfig,
    of_this_broker: Option<&'a DynamicConfigs>,
    of_all_brokers: Option<&'a DynamicConfigs>,
}

impl<'a> Layers<'a> {
    /// The file and the defaults alone.
    pub fn of_file(file: &'a BrokerConfig) -> Layers<'a> {
        Layers { file, of_this_broker: None, of_all_brokers: None }
    }

    /// The file, and over it what was set for all brokers, and over that what was set for this one.
    pub fn new(
        file: &'a BrokerConfig,
        of_this_broker: &'a DynamicConfigs,
        of_all_brokers: &'a DynamicConfigs,
    ) -> Layers<'a> {
        Layers { file, of_this_broker: Some(of_this_broker), of_all_brokers: Some(of_all_brokers) }
    }

    /// What was set for `name`, in the strongest place; `None` where it has its default.
    pub fn explicit(&self, name: &str) -> Option<&'a str> {
        let dynamic = [self.of_this_broker, self.of_all_brokers];
        let dynamic = dynamic.into_iter().find_map(|layer| in_layer(layer, name));
        dynamic.or_else(|| self.file.explicit(name))
    }

    /// Everything that was said of a broker configuration and its synonyms, the strongest first. What is said
    /// of synonyms before the configuration itself is left out, as Kafka does.
    pub fn said(&self, name: &str) -> Vec<Said<'a>> {
        let synonyms = synonyms(name);
        let default = |name: &str| match broker_definition(name)?.default {
            DefaultValue::Text(text) => Some(text),
            DefaultValue::Null | DefaultValue::Required => None,
        };
        let mut said = Vec::new();
        let mut note = |source, value_of: &dyn Fn(&str) -> Option<&'a str>| {
            let here =
                synonyms.iter().filter_map(|&name| Some(Said { name, value: value_of(name)?, source }));
            said.extend(here);
        };
        note(ConfigSource::DynamicBroker, &|name| in_layer(self.of_this_broker, name));
        note(ConfigSource::DynamicDefaultBroker, &|name| in_layer(self.of_all_brokers, name));
        note(ConfigSource::StaticBroker, &|name| self.file.explicit(name));
        note(ConfigSource::Default, &default);
        said.into_iter().skip_while(|said| said.name != name).collect()
    }
}

fn in_layer<'a>(layer: Option<&'a DynamicConfigs>, name: &str) -> Option<&'a str> {
    let value = layer?.get(name)?.as_str();
    let definition = broker_definition(name)?;
    (definition.update != UpdateMode::ReadOnly && definition.validate(value).is_ok()).then_some(value.trim())
}

/// The broker configurations that say the same in other units, the finest first.
fn synonyms(name: &str) -> &'static [&'static str] {
    const FAMILIES: [&[&str]; 4] = [
        &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
        &["log.roll.ms", "log.roll.hours"],
        &["log.roll.jitter.ms", "log.roll.jitter.hours"],
        &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"],
    ];
    match FAMILIES.into_iter().find(|family| family.contains(&name)) {
        Some(family) => family,
        None => broker_definition(name).map_or(&[], |definition| std::slice::from_ref(&definition.name)),
    }
}

/// The broker's retention and roll times come in three units; topics count in milliseconds.
pub fn in_milliseconds(name: &str, value: &str) -> String {
    let unit: i64 = match name.rsplit('.').next() {
        Some("hours") => 3_600_000,
        Some("minutes") => 60_000,
        _ => return value.to_owned(),
    };
    // A negative retention means for ever, in every unit.
    let in_unit = |value: i64| if value < 0 { value } else { value.saturating_mul(unit) };
    value.parse().map_or_else(|_| value.to_owned(), |value| in_unit(value).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dynamic(values: &[(&str, &str)]) -> DynamicConfigs {
        values.iter().map(|(name, value)| (Arc::from(*name), Str::from(*value))).collect()
    }

    #[test]
    fn the_strongest_place_wins_and_all_are_told() {
        let overrides = [("log.retention.bytes".to_owned(), "7".to_owned())];
        let file = BrokerConfig::new(None, overrides).unwrap();
        let own =
            dynamic(&[("log.retention.ms", "5000"), ("num.partitions", "9"), ("log.segment.bytes", "x")]);
        let all = dynamic(&[("log.retention.bytes", "6")]);
        let layers = Layers::new(&file, &own, &all);
        assert_eq!(layers.explicit("log.retention.bytes"), Some("6"));
        assert_eq!(layers.explicit("num.partitions"), None, "Kafka reads it at the start only");
        assert_eq!(layers.explicit("log.segment.bytes"), None, "it is no number");
        let said: Vec<_> = layers.said("log.retention.ms").iter().map(|s| (s.name, s.value)).collect();
        assert_eq!(said, [("log.retention.ms", "5000"), ("log.retention.hours", "168")]);
        let said: Vec<_> = layers.said("log.retention.bytes").iter().map(|s| s.source as i8).collect();
        assert_eq!(said, [3, 4, 5]);
        assert_eq!(Layers::of_file(&file).said("log.roll.ms"), []);
    }

    #[test]
    fn units_become_milliseconds() {
        assert_eq!(in_milliseconds("log.retention.hours", "2"), "7200000");
        assert_eq!(in_milliseconds("log.retention.minutes", "-1"), "-1");
        assert_eq!(in_milliseconds("log.retention.ms", "3"), "3");
    }
}
