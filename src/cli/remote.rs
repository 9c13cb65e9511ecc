//! What all commands have in common that talk to a cluster.

use super::CliError;
use crate::client::{Client, ClientSettings};
use crate::runtime::{RealRuntime, Runtime};
use std::io::{self, Write};
use std::time::Duration;

/// Which cluster a command talks to.
#[derive(Debug, clap::Args)]
pub struct Remote {
    /// One or several brokers, as host:port separated by commas; one that answers tells the others
    #[arg(
        short,
        long,
        value_name = "HOST:PORT",
        default_value = "localhost:9092",
        env = "VLTAVA_BOOTSTRAP_SERVER"
    )]
    bootstrap_server: String,
    /// Seconds until a cluster that does not answer is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    timeout: u64,
}

/// No command opens log files.
const OPEN_FILES: usize = 1;

impl Remote {
    /// The runtime and a client of the cluster.
    pub fn connect(&self) -> Result<(Runtime, Client), CliError> {
        let runtime = Runtime::Real(RealRuntime::new(OPEN_FILES));
        let settings = ClientSettings {
            operation_timeout: Duration::from_secs(self.timeout),
            connect_timeout: Duration::from_secs(self.timeout.clamp(1, 10)),
            ..ClientSettings::new(&self.bootstrap_server)
        };
        let client = Client::new(&runtime, settings).map_err(CliError::new)?;
        Ok((runtime, client))
    }
}

/// Writes to standard output, on a thread that may wait for whoever reads it. `false`: nobody does any more,
/// which ends the command in silence, as it does for other programs in a pipe.
pub async fn print(runtime: &Runtime, bytes: Vec<u8>) -> Result<bool, CliError> {
    let written = runtime.offload("standard output", move || {
        let mut out = io::stdout().lock();
        out.write_all(&bytes).and_then(|()| out.flush())
    });
    match written.await {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CliError::new(format_args!("standard output cannot be written: {error}"))),
    }
}
