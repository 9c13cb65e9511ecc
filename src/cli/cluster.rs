//! `vltava cluster`: describes a cluster.

use super::CliError;
use super::remote::{Remote, print, table};
use std::fmt::Write;

/// Describes a cluster.
#[derive(Debug, clap::Args)]
pub struct Cluster {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show the cluster's id, its controller and its brokers
    Describe {
        #[command(flatten)]
        remote: Remote,
    },
}

impl Cluster {
    /// Runs the command to its end.
    pub async fn run(self) -> Result<(), CliError> {
        let Action::Describe { remote } = &self.action;
        let (runtime, client) = remote.connect()?;
        let admin = client.admin().map_err(CliError::new)?;
        let cluster = admin.describe_cluster().await.map_err(CliError::new)?;
        let mut text = format!("cluster {}", cluster.id);
        if let Some(controller) = cluster.controller {
            write!(text, ", controller {controller}").expect("writing to memory does not fail");
        }
        text.push('\n');
        let rows = cluster.brokers.iter().map(|broker| {
            let address = format!("{}:{}", broker.host, broker.port);
            vec![broker.id.to_string(), address, broker.rack.as_deref().unwrap_or("-").to_owned()]
        });
        text += &table(&["BROKER", "ADDRESS", "RACK"], rows.collect());
        print(&runtime, text.into_bytes()).await.map(drop)
    }
}
