//! `vltava config`: lists, describes, sets and unsets configurations.

use super::CliError;
use super::remote::{Remote, key_and_value, print, table};
use crate::client::{ConfigChange, ConfigEntry, ConfigTarget};
use crate::config::ConfigSource;
use crate::types::NodeId;

/// Lists, describes, sets and unsets configurations of topics, brokers and groups.
#[derive(Debug, clap::Args)]
pub struct Config {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List everything that has configurations
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// Show what is in force, and where each value comes from
    Describe {
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        of: Of,
        /// Show defaults too, not only what was set
        #[arg(long)]
        all: bool,
        /// The configurations to show; without any all of them
        names: Vec<String>,
    },
    /// Set configurations; running brokers take them at once
    Set {
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        of: Of,
        /// What to set, such as retention.ms=60000
        #[arg(required = true, value_name = "KEY=VALUE", value_parser = key_and_value)]
        values: Vec<(String, String)>,
        /// Tell whether it would be taken, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Let configurations go back to what holds otherwise
    Unset {
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        of: Of,
        /// The configurations
        #[arg(required = true, value_name = "KEY")]
        names: Vec<String>,
    },
}

/// Whose configurations.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Of {
    /// Of this topic
    #[arg(short, long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Of this broker
    #[arg(long, value_name = "ID")]
    broker: Option<i32>,
    /// Of all brokers together
    #[arg(long)]
    brokers: bool,
    /// Of this group
    #[arg(short, long, value_name = "GROUP")]
    group: Option<String>,
    /// Of this subscription to client metrics
    #[arg(long, value_name = "NAME")]
    client_metrics: Option<String>,
}

impl Of {
    fn target(&self) -> ConfigTarget {
        match self {
            Of { topic: Some(name), .. } => ConfigTarget::Topic(name.clone()),
            Of { broker: Some(id), .. } => ConfigTarget::Broker(NodeId(*id)),
            Of { group: Some(name), .. } => ConfigTarget::Group(name.clone()),
            Of { client_metrics: Some(name), .. } => ConfigTarget::ClientMetrics(name.clone()),
            Of { .. } => ConfigTarget::AllBrokers,
        }
    }
}

impl Config {
    /// Runs the command to its end.
    pub async fn run(self) -> Result<(), CliError> {
        let (Action::List { remote }
        | Action::Describe { remote, .. }
        | Action::Set { remote, .. }
        | Action::Unset { remote, .. }) = &self.action;
        let (runtime, client) = remote.connect()?;
        let admin = client.admin().map_err(CliError::new)?;
        let text = match self.action {
            Action::List { .. } => {
                let targets = admin.list_config_targets().await.map_err(CliError::new)?;
                targets.iter().map(|target| format!("{target}\n")).collect()
            }
            Action::Describe { of, all, names, .. } => {
                let entries = admin.describe_configs(&of.target()).await.map_err(CliError::new)?;
                described(&of.target(), entries, all, &names)?
            }
            Action::Set { of, values, dry_run, .. } => {
                let told = values.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
                let changes = values.into_iter().map(|(name, value)| (name, ConfigChange::Set(value)));
                admin.alter_configs(&of.target(), changes, dry_run).await.map_err(CliError::new)?;
                let verb = if dry_run { "would set" } else { "set" };
                format!("{verb} {} for {}\n", told.join(", "), of.target())
            }
            Action::Unset { of, names, .. } => {
                let changes = names.iter().map(|name| (name.clone(), ConfigChange::Unset));
                admin.alter_configs(&of.target(), changes, false).await.map_err(CliError::new)?;
                format!("unset {} for {}\n", names.join(", "), of.target())
            }
        };
        print(&runtime, text.into_bytes()).await.map(drop)
    }
}

fn described(
    target: &ConfigTarget,
    entries: Vec<ConfigEntry>,
    all: bool,
    names: &[String],
) -> Result<String, CliError> {
    if let Some(unknown) = names.iter().find(|name| !entries.iter().any(|entry| entry.name == **name)) {
        return Err(CliError::new(format_args!("{target} has no configuration {unknown}")));
    }
    let is_shown = |entry: &&ConfigEntry| {
        let is_set = entry.source != Some(ConfigSource::Default);
        if names.is_empty() { all || is_set } else { names.contains(&entry.name) }
    };
    let row = |entry: &ConfigEntry| {
        let value = match &entry.value {
            _ if entry.sensitive => "(secret)".to_owned(),
            Some(value) => value.clone(),
            None => "null".to_owned(),
        };
        let changes = if entry.read_only { "at a restart" } else { "at once" };
        vec![entry.name.clone(), value, source(entry.source).to_owned(), changes.to_owned()]
    };
    let rows: Vec<_> = entries.iter().filter(is_shown).map(row).collect();
    if rows.is_empty() {
        return Ok(format!("nothing is set for {target}; --all shows the defaults\n"));
    }
    Ok(table(&["NAME", "VALUE", "SET BY", "CHANGES"], rows))
}

fn source(source: Option<ConfigSource>) -> &'static str {
    match source {
        Some(ConfigSource::Topic) => "topic",
        Some(ConfigSource::DynamicBroker) => "broker",
        Some(ConfigSource::DynamicDefaultBroker) => "all brokers",
        Some(ConfigSource::StaticBroker) => "file",
        Some(ConfigSource::Default) => "default",
        Some(ConfigSource::BrokerLogger) => "logger",
        Some(ConfigSource::ClientMetrics) => "client metrics",
        Some(ConfigSource::Group) => "group",
        None => "unknown",
    }
}
