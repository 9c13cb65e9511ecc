//! `vltava topic`: creates, lists, describes and deletes topics.

use super::CliError;
use super::remote::{Remote, key_and_value, print, table};
use crate::client::{Admin, ClientError, Isolation, NewTopic, OffsetSpec, TopicMetadata};
use crate::types::{ErrorCode, NodeId, TopicPartition};
use std::fmt::Write;

/// Creates, lists, describes and deletes topics.
#[derive(Debug, clap::Args)]
pub struct Topic {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Create a topic
    Create {
        #[command(flatten)]
        remote: Remote,
        /// The topic's name
        name: String,
        /// How many partitions; without it as many as the broker's num.partitions says
        #[arg(short, long)]
        partitions: Option<i32>,
        /// How many copies of each; without it as many as the broker's default.replication.factor says
        #[arg(short, long, value_name = "COPIES")]
        replication_factor: Option<i16>,
        /// A configuration of the topic; may be given several times
        #[arg(short, long, value_name = "KEY=VALUE", value_parser = key_and_value)]
        config: Vec<(String, String)>,
        /// Do nothing, successfully, if the topic exists
        #[arg(long)]
        if_not_exists: bool,
    },
    /// List topics
    List {
        #[command(flatten)]
        remote: Remote,
        /// List Kafka's own topics too
        #[arg(long)]
        internal: bool,
    },
    /// Show the partitions of topics: leaders, replicas, first and next offsets
    Describe {
        #[command(flatten)]
        remote: Remote,
        /// The topics' names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Give a topic more partitions; what has a key may go to another one from then on
    AddPartitions {
        #[command(flatten)]
        remote: Remote,
        /// The topic's name
        name: String,
        /// How many partitions it shall have in all
        #[arg(short, long)]
        partitions: i32,
    },
    /// Delete topics with their records
    Delete {
        #[command(flatten)]
        remote: Remote,
        /// The topics' names
        #[arg(required = true)]
        names: Vec<String>,
    },
}

impl Topic {
    /// Runs the command to its end.
    pub async fn run(self) -> Result<(), CliError> {
        let (Action::Create { remote, .. }
        | Action::List { remote, .. }
        | Action::Describe { remote, .. }
        | Action::AddPartitions { remote, .. }
        | Action::Delete { remote, .. }) = &self.action;
        let (runtime, client) = remote.connect()?;
        let admin = client.admin().map_err(CliError::new)?;
        let (text, failures) = match self.action {
            Action::Create { name, partitions, replication_factor, config, if_not_exists, .. } => {
                let topic = NewTopic { name, partitions, replication_factor, configs: config };
                (create(&admin, topic, if_not_exists).await?, Vec::new())
            }
            Action::List { internal, .. } => (list(&admin, internal).await?, Vec::new()),
            Action::Describe { names, .. } => describe(&admin, &names).await?,
            Action::AddPartitions { name, partitions, .. } => {
                (add_partitions(&admin, name, partitions).await?, Vec::new())
            }
            Action::Delete { names, .. } => delete(&admin, &names).await?,
        };
        print(&runtime, text.into_bytes()).await?;
        match failures.iter().map(ToString::to_string).collect::<Vec<_>>() {
            sentences if sentences.is_empty() => Ok(()),
            sentences => Err(CliError::new(sentences.join("\nvltava: "))),
        }
    }
}

async fn create(admin: &Admin, topic: NewTopic, if_not_exists: bool) -> Result<String, CliError> {
    let name = topic.name.clone();
    let results = admin.create_topics(&[topic], false).await.map_err(CliError::new)?;
    match results.into_values().next() {
        Some(Ok(created)) => Ok(format!(
            "created {name} with {} partitions and replication factor {}\n",
            created.partitions, created.replication_factor
        )),
        Some(Err(error)) if if_not_exists && error.code() == Some(ErrorCode::TopicAlreadyExists) => {
            Ok(format!("{name} exists already\n"))
        }
        Some(Err(error)) => Err(CliError::new(error)),
        None => {
            Err(CliError::new(format_args!("the broker's answer does not tell whether {name} was created")))
        }
    }
}

async fn list(admin: &Admin, internal: bool) -> Result<String, CliError> {
    let topics = admin.list_topics().await.map_err(CliError::new)?;
    let shown = topics.iter().filter(|topic| internal || !topic.is_internal);
    let rows = shown.map(|topic| {
        let replicas = topic.partitions.values().map(|partition| partition.replicas.len()).max().unwrap_or(0);
        vec![topic.name.to_string(), topic.partitions.len().to_string(), replicas.to_string()]
    });
    Ok(table(&["TOPIC", "PARTITIONS", "REPLICAS"], rows.collect()))
}

async fn describe(admin: &Admin, names: &[String]) -> Result<(String, Vec<ClientError>), CliError> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut text, mut failures) = (String::new(), Vec::new());
    for result in admin.describe_topics(&names).await.map_err(CliError::new)?.into_values() {
        match result {
            Ok(topic) => text += &describe_one(admin, &topic).await,
            Err(error) => failures.push(error),
        }
    }
    Ok((text, failures))
}

async fn describe_one(admin: &Admin, topic: &TopicMetadata) -> String {
    let led = topic.partitions.iter().filter(|(_, partition)| partition.leader.is_some());
    let led: Vec<_> = led.map(|(&index, _)| TopicPartition::new(topic.name.clone(), index)).collect();
    let find =
        |spec| admin.list_offsets(led.iter().map(move |p| (p.clone(), spec)), Isolation::ReadUncommitted);
    let (starts, ends) = (find(OffsetSpec::Earliest).await, find(OffsetSpec::Latest).await);
    let rows = topic.partitions.iter().map(|(&index, partition)| {
        let key = TopicPartition::new(topic.name.clone(), index);
        let offset = |found: &crate::client::Results<_, crate::client::FoundOffset>| {
            let offset = found.get(&key).and_then(|found| found.as_ref().ok()).and_then(|found| found.offset);
            offset.map_or("-".to_owned(), |offset| offset.to_string())
        };
        vec![
            index.to_string(),
            partition.leader.map_or("none".to_owned(), |leader| leader.to_string()),
            partition.leader_epoch.to_string(),
            nodes(&partition.replicas),
            nodes(&partition.in_sync),
            offset(&starts),
            offset(&ends),
        ]
    });
    let head = ["PARTITION", "LEADER", "EPOCH", "REPLICAS", "IN SYNC", "FIRST", "NEXT"];
    format!("{} (id {})\n{}", topic.name, topic.id, table(&head, rows.collect()))
}

async fn add_partitions(admin: &Admin, name: String, partitions: i32) -> Result<String, CliError> {
    let counts = [(name.clone(), partitions)].into();
    let results = admin.create_partitions(&counts, false).await.map_err(CliError::new)?;
    match results.into_values().next() {
        Some(result) => result.map_err(CliError::new)?,
        None => return Err(CliError::new(format_args!("the broker's answer does not name {name}"))),
    }
    Ok(format!("{name} has {partitions} partitions now\n"))
}

async fn delete(admin: &Admin, names: &[String]) -> Result<(String, Vec<ClientError>), CliError> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut text, mut failures) = (String::new(), Vec::new());
    for (name, result) in admin.delete_topics(&names).await.map_err(CliError::new)? {
        match result {
            Ok(()) => writeln!(text, "deleted {name}").expect("writing to memory does not fail"),
            Err(error) => failures.push(error),
        }
    }
    Ok((text, failures))
}

fn nodes(ids: &[NodeId]) -> String {
    ids.iter().map(NodeId::to_string).collect::<Vec<_>>().join(",")
}
