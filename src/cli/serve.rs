//! `vltava serve`: runs a broker until SIGTERM or Ctrl-C, then stops it cleanly.

use super::CliError;
use crate::broker;
use crate::config::{BrokerConfig, properties};
use crate::runtime::{Either, RealRuntime, Runtime, StopSignals, race};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Log files that are open at a time; the rest of the process needs handles for connections too.
const MAX_OPEN_LOG_FILES: usize = 4_096;

/// Runs a broker.
#[derive(Debug, clap::Args)]
pub struct Serve {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Where a broker's configuration comes from.
#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    /// A server.properties as Kafka has it. Without one: a broker on 127.0.0.1:9092 with its data in ./data.
    properties: Option<PathBuf>,
    /// Sets one configuration, over the file; may be given several times.
    #[arg(long = "override", value_name = "KEY=VALUE", value_parser = key_and_value)]
    overrides: Vec<(String, String)>,
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("KEY=VALUE was expected, such as num.partitions=4")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

impl Serve {
    /// Runs the command to its end.
    pub async fn run(self) -> Result<(), CliError> {
        let runtime = Runtime::Real(RealRuntime::new(MAX_OPEN_LOG_FILES));
        let config = self.config.read(&runtime)?;
        let mut signals = StopSignals::listen().map_err(CliError::new)?;
        let directories = config.log_dirs();
        let directories: Vec<_> = directories.iter().map(|path| path.display().to_string()).collect();
        tracing::info!("vltava {}, data in {}", env!("CARGO_PKG_VERSION"), directories.join(", "));
        let running = broker::start(runtime, config).await.map_err(CliError::new)?;
        for endpoint in &running.listeners {
            tracing::info!("listening on {}://{}:{}", endpoint.listener, endpoint.host, endpoint.port);
        }
        let signal = signals.next().await;
        tracing::info!("{signal} received: stopping; a second one ends the process at once");
        match race(running.stop(), signals.next()).await {
            Either::Left(()) => {
                tracing::info!("stopped");
                Ok(())
            }
            Either::Right(signal) => Err(CliError::new(format!(
                "{signal} received again: the broker did not stop cleanly; its next start recovers its logs"
            ))),
        }
    }
}

impl ConfigArgs {
    /// Reads and checks it.
    pub fn read(self, runtime: &Runtime) -> Result<BrokerConfig, CliError> {
        let file = self.properties.as_deref().map(|path| read_properties(runtime, path)).transpose()?;
        BrokerConfig::new(file, self.overrides).map_err(CliError::new)
    }
}

fn read_properties(runtime: &Runtime, path: &std::path::Path) -> Result<BTreeMap<String, String>, CliError> {
    /// The largest file that is read, in bytes.
    const MAX_BYTES: u64 = 1024 * 1024;
    let named = |error: &dyn std::fmt::Display| CliError::new(format!("{}: {error}", path.display()));
    let bytes = runtime.disk().read(path, MAX_BYTES).map_err(|error| named(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| named(&error))?;
    properties::parse(&text).map_err(|error| named(&error))
}
