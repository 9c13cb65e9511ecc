//! `vltava format`: makes empty log directories into those of a node, as Kafka's `kafka-storage format` does.
//! `serve` does it by itself where it is needed; this is for who wants to choose the cluster's id, or hands
//! the directories to Kafka.

use super::CliError;
use super::serve::ConfigArgs;
use crate::broker;
use crate::runtime::{RealRuntime, Runtime};
use crate::types::Str;

/// Formats log directories.
#[derive(Debug, clap::Args)]
pub struct Format {
    #[command(flatten)]
    config: ConfigArgs,
    /// The cluster's id; a new one is chosen without it.
    #[arg(short = 't', long, value_name = "ID")]
    cluster_id: Option<String>,
    /// Leave directories alone that are formatted already, instead of refusing.
    #[arg(short = 'g', long)]
    ignore_formatted: bool,
    /// Accepted for Kafka's habits: this node is the only voter anyway.
    #[arg(short = 's', long)]
    standalone: bool,
}

impl Format {
    /// Runs the command.
    pub fn run(self) -> Result<(), CliError> {
        let runtime = Runtime::Real(RealRuntime::new(1));
        let config = self.config.read(&runtime)?;
        let cluster_id = self.cluster_id.map(Str::from);
        let formatted =
            broker::format(&runtime, &config, cluster_id, self.ignore_formatted).map_err(CliError::new)?;
        for path in &formatted {
            println!("formatted {}", path.display());
        }
        if formatted.is_empty() {
            println!("all log directories are formatted already");
        }
        Ok(())
    }
}
