//! The configurations that one broker was started with: `server.properties`, then overrides, then what is
//! known of the directory. Values are checked once, here; reading one later cannot fail.

use super::definition::{DefaultValue, InvalidValue, list};
use super::{broker_definition, broker_definitions, nearest};
use crate::types::NodeId;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Prefixes whose keys Kafka hands on to plugins and listeners, whatever they are.
const PASSED_THROUGH: [&str; 7] = [
    "listener.name.",
    "config.providers",
    "rlmm.config.",
    "rsm.config.",
    "ssl.",
    "super.users",
    "allow.everyone.if.no.acl.found",
];

/// What a broker runs with when it is started without a file: one combined node on loopback.
const WITHOUT_A_FILE: [(&str, &str); 4] = [
    ("process.roles", "broker,controller"),
    ("listeners", "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:0"),
    ("controller.listener.names", "CONTROLLER"),
    ("log.dirs", "./data"),
];

/// A configuration that the broker cannot be started with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No such key.
    #[error("there is no broker configuration {name}{}; remove it or correct its name", suggestion(.nearest))]
    Unknown {
        /// The key.
        name: String,
        /// A known one that differs by a slip of the finger.
        nearest: Option<&'static str>,
    },
    /// The value will not do.
    #[error(transparent)]
    Invalid(#[from] InvalidValue),
    /// Values that cannot stand together, or a feature that is not there.
    #[error("{0}")]
    Unusable(String),
}

fn suggestion(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean {name}?)"))
}

/// How a listener protects its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub enum SecurityProtocol {
    Plaintext = 0,
    Ssl = 1,
    SaslPlaintext = 2,
    SaslSsl = 3,
}

/// One listener: `NAME://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener's name, in capitals.
    pub listener: String,
    /// Where to listen or connect; empty means every interface.
    pub host: String,
    /// 0 lets the system choose.
    pub port: u16,
    /// How its connections are protected.
    pub protocol: SecurityProtocol,
}

/// The checked configuration of one broker.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    values: BTreeMap<String, String>,
}

impl BrokerConfig {
    /// Checks the keys and values of a file and of overrides, of which the last wins. Without a file, the
    /// defaults are those of one combined node on loopback that needs no configuration.
    pub fn new(
        file: Option<BTreeMap<String, String>>,
        overrides: impl IntoIterator<Item = (String, String)>,
    ) -> Result<BrokerConfig, ConfigError> {
        let defaults = || WITHOUT_A_FILE.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let mut values: BTreeMap<String, String> = file.unwrap_or_else(defaults);
        values.extend(overrides);
        for (name, value) in &values {
            match broker_definition(name) {
                Some(definition) => definition.validate(value)?,
                None if PASSED_THROUGH.iter().any(|prefix| name.starts_with(prefix)) => {
                    tracing::warn!("the configuration {name} is for a plugin; nothing here reads it");
                }
                None => {
                    let nearest = nearest(broker_definitions(), name);
                    return Err(ConfigError::Unknown { name: name.clone(), nearest });
                }
            }
        }
        // Two names of one thing; Kafka describes both.
        for (given, other) in [("node.id", "broker.id"), ("broker.id", "node.id")] {
            if let Some(id) = values.get(given).cloned() {
                values.entry(other.to_owned()).or_insert(id);
            }
        }
        let config = BrokerConfig { values };
        config.check()?;
        Ok(config)
    }

    /// What was set for `name`, if anything.
    pub fn explicit(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.trim())
    }

    /// What was set, or the default; `None` where that is null.
    ///
    /// # Panics
    /// When Kafka has no broker configuration of that name: a bug of the caller.
    pub fn text(&self, name: &str) -> Option<&str> {
        let definition = broker_definition(name).unwrap_or_else(|| panic!("no configuration {name}"));
        self.explicit(name).or(match definition.default {
            DefaultValue::Text(text) => Some(text),
            DefaultValue::Null | DefaultValue::Required => None,
        })
    }

    /// A number that always has a value.
    ///
    /// # Panics
    /// When `name` is no number or may be null: a bug of the caller.
    pub fn long(&self, name: &str) -> i64 {
        let text = self.text(name).unwrap_or_else(|| panic!("{name} may be null"));
        text.parse().unwrap_or_else(|_| panic!("{name} is no integer"))
    }

    /// A switch.
    ///
    /// # Panics
    /// When `name` is no boolean: a bug of the caller.
    pub fn boolean(&self, name: &str) -> bool {
        self.text(name).unwrap_or_else(|| panic!("{name} may be null")).eq_ignore_ascii_case("true")
    }

    /// `node.id`, if it was set; otherwise the directory's own counts.
    pub fn node_id(&self) -> Option<NodeId> {
        self.explicit("node.id").map(|text| NodeId(text.parse().expect("checked when it was read")))
    }

    /// The log directories, in the order given.
    pub fn log_dirs(&self) -> Vec<PathBuf> {
        let dirs = self.text("log.dirs").or(self.text("log.dir")).unwrap_or_default();
        list(dirs).map(PathBuf::from).collect()
    }

    /// The directory of the metadata log: `metadata.log.dir`, or the first log directory.
    pub fn metadata_log_dir(&self) -> PathBuf {
        match self.text("metadata.log.dir") {
            Some(dir) => PathBuf::from(dir),
            None => self.log_dirs().swap_remove(0),
        }
    }

    /// The listeners that serve clients and other brokers.
    pub fn broker_listeners(&self) -> Vec<Endpoint> {
        self.listeners().into_iter().filter(|endpoint| !self.is_controller(&endpoint.listener)).collect()
    }

    /// The listener that the quorum uses.
    pub fn controller_listener(&self) -> Option<Endpoint> {
        self.listeners().into_iter().find(|endpoint| self.is_controller(&endpoint.listener))
    }

    /// The endpoints that clients are told; empty where the listeners themselves count.
    pub fn advertised_listeners(&self) -> Vec<Endpoint> {
        self.endpoints("advertised.listeners").expect("checked when it was read")
    }

    fn is_controller(&self, listener: &str) -> bool {
        let names = self.text("controller.listener.names").unwrap_or_default();
        list(names).any(|name| name.eq_ignore_ascii_case(listener))
    }

    fn listeners(&self) -> Vec<Endpoint> {
        self.endpoints("listeners").expect("checked when it was read")
    }

    fn endpoints(&self, name: &str) -> Result<Vec<Endpoint>, ConfigError> {
        list(self.text(name).unwrap_or_default()).map(|text| self.endpoint(name, text)).collect()
    }

    fn endpoint(&self, name: &str, text: &str) -> Result<Endpoint, ConfigError> {
        let unusable = |why: &str| ConfigError::Unusable(format!("{name} has {text}, but {why}"));
        let (listener, address) =
            text.split_once("://").ok_or_else(|| unusable("NAME://host:port was expected"))?;
        let (host, port) = address.rsplit_once(':').ok_or_else(|| unusable("it has no port"))?;
        let port = port.parse().map_err(|_| unusable("its port is no number from 0 to 65535"))?;
        let listener = listener.to_ascii_uppercase();
        let protocol = self.protocol(&listener).ok_or_else(|| {
            unusable("listener.security.protocol.map does not say which protocol that listener speaks")
        })?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Endpoint { listener, host, port, protocol })
    }

    fn protocol(&self, listener: &str) -> Option<SecurityProtocol> {
        let map = self.text("listener.security.protocol.map").unwrap_or_default();
        let mapped = list(map).filter_map(|pair| pair.split_once(':'));
        let mut of_listener = mapped.filter(|(name, _)| name.trim().eq_ignore_ascii_case(listener));
        // Kafka lets a controller listener that the default map does not name speak PLAINTEXT.
        let unnamed = if self.is_controller(listener) { "PLAINTEXT" } else { "" };
        match of_listener.next().map_or(unnamed, |(_, protocol)| protocol.trim()) {
            "PLAINTEXT" => Some(SecurityProtocol::Plaintext),
            "SSL" => Some(SecurityProtocol::Ssl),
            "SASL_PLAINTEXT" => Some(SecurityProtocol::SaslPlaintext),
            "SASL_SSL" => Some(SecurityProtocol::SaslSsl),
            _ => None,
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let unusable = |sentence: &str| Err(ConfigError::Unusable(sentence.to_owned()));
        let roles: Vec<&str> = list(self.text("process.roles").unwrap_or_default()).collect();
        if !roles.contains(&"broker") || !roles.contains(&"controller") {
            return unusable(
                "process.roles must be broker,controller: this version runs a combined node, its separate \
                 roles are not there yet",
            );
        }
        if self.text("authorizer.class.name").is_some_and(|class| !class.trim().is_empty()) {
            return unusable(
                "authorizer.class.name asks for access control, which this version does not have: without it \
                 everybody may do everything; remove the key if that is meant",
            );
        }
        if self.boolean("remote.log.storage.system.enable") {
            return unusable(
                "remote.log.storage.system.enable asks for tiered storage, which this version does not have; \
                 remove the key",
            );
        }
        if self.log_dirs().is_empty() {
            return unusable("log.dirs names no directory; give at least one");
        }
        let advertised = self.endpoints("advertised.listeners")?;
        if advertised.iter().any(|endpoint| endpoint.host == "0.0.0.0") {
            return unusable(
                "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0: give the name or \
                 address by which clients reach this host",
            );
        }
        let listeners = self.endpoints("listeners")?;
        for endpoint in listeners.iter().chain(&advertised) {
            if endpoint.protocol != SecurityProtocol::Plaintext {
                return Err(ConfigError::Unusable(format!(
                    "the listener {} is to speak {:?}, but only PLAINTEXT is there yet",
                    endpoint.listener, endpoint.protocol
                )));
            }
        }
        if self.broker_listeners().is_empty() {
            return unusable(
                "listeners has no listener for clients; give one, such as PLAINTEXT://127.0.0.1:9092",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<BrokerConfig, ConfigError> {
        BrokerConfig::new(None, pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn what_would_be_ignored_to_somebodys_harm_is_refused() {
        let refused = [
            ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
            ("remote.log.storage.system.enable", "true"),
            ("advertised.listeners", "PLAINTEXT://0.0.0.0:9092"),
        ];
        for (name, value) in refused {
            let error = config(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        assert!(config(&[("super.users", "User:admin")]).is_ok(), "an authorizer's own key");
    }

    #[test]
    fn without_a_file_it_is_one_node_on_loopback() {
        let config = config(&[]).unwrap();
        let listeners = config.broker_listeners();
        assert_eq!((listeners[0].host.as_str(), listeners[0].port, listeners.len()), ("127.0.0.1", 9092, 1));
        assert_eq!(config.controller_listener().unwrap().listener, "CONTROLLER");
        assert_eq!(config.log_dirs(), [PathBuf::from("./data")]);
        assert_eq!(config.node_id(), None);
        assert_eq!(config.long("num.partitions"), 1);
    }

    #[test]
    fn refusals_say_what_to_do() {
        let refusal = |name, value| config(&[(name, value)]).unwrap_err().to_string();
        assert_eq!(
            refusal("log.dir.s", "x"),
            "there is no broker configuration log.dir.s (did you mean log.dirs?); \
             remove it or correct its name"
        );
        assert_eq!(
            refusal("listeners", "PLAINTEXT//x"),
            "listeners has PLAINTEXT//x, but NAME://host:port was expected"
        );
        assert_eq!(
            refusal("num.partitions", "0"),
            "Invalid value 0 for configuration num.partitions: Value must be at least 1"
        );
        assert!(refusal("listeners", "SASL_SSL://:9093").contains("only PLAINTEXT"));
        assert!(config(&[("listener.name.x.y", "z")]).is_ok());
    }
}
