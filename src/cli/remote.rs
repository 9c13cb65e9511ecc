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

/// Reads `KEY=VALUE`.
pub fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("KEY=VALUE was expected, such as retention.ms=60000")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// Columns as wide as their widest cell.
pub fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].len());
        cells.chain([head[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let head = head.iter().map(|cell| cell.to_string()).collect();
    let lines = std::iter::once(&head).chain(&rows).map(|row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows =
            vec![vec!["a-long-name".to_owned(), "1".to_owned()], vec!["b".to_owned(), "12".to_owned()]];
        assert_eq!(table(&["TOPIC", "N"], rows), "TOPIC        N\na-long-name  1\nb            12\n");
    }
}
