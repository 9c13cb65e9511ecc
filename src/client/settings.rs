//! Where the cluster is, and how patient a client is with it.

use super::error::ClientError;
use crate::connection::ConnectionSettings;
use crate::types::Str;
use std::time::Duration;

/// Settings that producers, consumers and admins share. The names in parentheses are Kafka's.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// `host:port` of one or several brokers, separated by commas (`bootstrap.servers`). One that answers is
    /// enough: it tells the others. They are asked again when no known broker can be reached.
    pub bootstrap_servers: String,
    /// The name that brokers log and count this client under (`client.id`).
    pub client_id: String,
    /// How long connecting may take (`socket.connection.setup.timeout.ms`).
    pub connect_timeout: Duration,
    /// How long one response may take (`request.timeout.ms`).
    pub request_timeout: Duration,
    /// How long an operation is tried again before it fails (`default.api.timeout.ms`).
    pub operation_timeout: Duration,
    /// Pause before the second attempt (`retry.backoff.ms`); it doubles with each further one.
    pub retry_backoff: Duration,
    /// Longest pause between two attempts (`retry.backoff.max.ms`).
    pub retry_backoff_max: Duration,
    /// Age at which metadata is asked for again although nothing failed (`metadata.max.age.ms`).
    pub metadata_max_age: Duration,
    /// Largest response, in bytes.
    pub max_response_bytes: usize,
}

impl Default for ClientSettings {
    /// Kafka's defaults, and a broker on this machine.
    fn default() -> Self {
        ClientSettings {
            bootstrap_servers: "localhost:9092".to_owned(),
            client_id: "vltava".to_owned(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            operation_timeout: Duration::from_secs(60),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            metadata_max_age: Duration::from_secs(300),
            max_response_bytes: crate::connection::DEFAULT_MAX_FRAME_BYTES,
        }
    }
}

impl ClientSettings {
    /// The defaults, for the cluster behind `bootstrap_servers`.
    pub fn new(bootstrap_servers: impl Into<String>) -> ClientSettings {
        ClientSettings { bootstrap_servers: bootstrap_servers.into(), ..ClientSettings::default() }
    }

    pub(super) fn connection(&self) -> ConnectionSettings {
        ConnectionSettings {
            client_id: Some(Str::from(self.client_id.as_str())),
            connect_timeout: self.connect_timeout,
            request_timeout: self.request_timeout,
            max_response_bytes: self.max_response_bytes,
            ..ConnectionSettings::default()
        }
    }

    /// The pause after `failures` failed attempts: doubled each time up to the maximum, and up to a fifth
    /// longer or shorter so that clients which failed together do not return together. `random` is any 64
    /// bits.
    pub(super) fn backoff(&self, failures: u32, random: u64) -> Duration {
        let doubled = self.retry_backoff.saturating_mul(1u32 << failures.saturating_sub(1).min(16));
        let thousandths = 800 + (random % 401) as u32;
        doubled.min(self.retry_backoff_max).saturating_mul(thousandths) / 1000
    }
}

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub host: String,
    pub port: u16,
}

impl Address {
    /// The addresses in `bootstrap.servers`.
    pub fn parse_list(servers: &str) -> Result<Vec<Address>, ClientError> {
        let list = servers.split(',').map(str::trim).filter(|server| !server.is_empty());
        let addresses = list.map(Address::parse).collect::<Result<Vec<_>, _>>()?;
        if addresses.is_empty() {
            return Err(bad_server(servers, "at least one host:port is needed"));
        }
        Ok(addresses)
    }

    fn parse(server: &str) -> Result<Address, ClientError> {
        let (host, port) =
            server.rsplit_once(':').ok_or_else(|| bad_server(server, "write it as host:port"))?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        match port.parse() {
            Ok(port) if port > 0 && !host.is_empty() => Ok(Address { host: host.to_owned(), port }),
            _ => Err(bad_server(server, "write it as host:port, with a port from 1 to 65535")),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

fn bad_server(value: &str, reason: &'static str) -> ClientError {
    ClientError::Setting { setting: "bootstrap.servers", value: value.into(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bootstrap_servers_are_hosts_with_ports() {
        let parsed = Address::parse_list(" a:1, [::1]:9092,b.example:65535 ,").unwrap();
        let texts: Vec<_> = parsed.iter().map(Address::to_string).collect();
        assert_eq!(texts, ["a:1", "::1:9092", "b.example:65535"]);
        for wrong in ["", ",", "host", "host:", "host:0", "host:70000", ":9092"] {
            assert!(matches!(Address::parse_list(wrong), Err(ClientError::Setting { .. })), "{wrong:?}");
        }
    }

    #[test]
    fn pauses_double_up_to_their_maximum_and_spread() {
        let settings = ClientSettings::default();
        assert_eq!(settings.backoff(1, 200), Duration::from_millis(100));
        assert_eq!(settings.backoff(3, 200), Duration::from_millis(400));
        assert_eq!(settings.backoff(99, 200), Duration::from_secs(1));
        assert_eq!(settings.backoff(99, 0), Duration::from_millis(800));
        assert_eq!(settings.backoff(99, 400), Duration::from_millis(1200));
    }
}
