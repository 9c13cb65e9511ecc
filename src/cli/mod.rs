//! The command line: one file a command. It knows everything below it and is built only with the feature
//! `real`.

mod cluster;
mod config;
mod consume;
mod format;
mod format_string;
mod produce;
mod remote;
mod serve;
mod topic;

use std::fmt::Display;
use std::process::ExitCode;

/// Apache Kafka 4.3 as one program: a broker, and the tools to talk to one.
#[derive(Debug, clap::Parser)]
#[command(name = "vltava", version, about, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Run a broker; without configuration on 127.0.0.1:9092 with its data in ./data
    Serve(serve::Serve),
    /// Make empty log directories into those of a node
    Format(format::Format),
    /// Send the lines of standard input as records
    Produce(produce::Produce),
    /// Print the records of a topic
    Consume(consume::Consume),
    /// Create, list, describe, enlarge and delete topics
    Topic(topic::Topic),
    /// List, describe, set and unset configurations
    Config(config::Config),
    /// Describe a cluster
    Cluster(cluster::Cluster),
}

/// A command that failed: one sentence for standard error, and the process's exit code.
#[derive(Debug)]
pub struct CliError {
    sentence: String,
    code: u8,
}

/// What shells expect of a process that ended because of Ctrl-C.
const INTERRUPTED: u8 = 130;

impl CliError {
    /// The sentence of `error`, and exit code 1.
    pub fn new(error: impl Display) -> CliError {
        CliError { sentence: error.to_string(), code: 1 }
    }

    /// The command was interrupted; exit code 130.
    fn interrupted(sentence: impl Display) -> CliError {
        CliError { sentence: sentence.to_string(), code: INTERRUPTED }
    }
}

impl Cli {
    /// Runs the command. A failure is told on standard error and by the exit code.
    pub async fn run(self) -> ExitCode {
        let outcome = match self.command {
            Command::Serve(serve) => serve.run().await,
            Command::Format(format) => format.run(),
            Command::Produce(produce) => produce.run().await,
            Command::Consume(consume) => consume.run().await,
            Command::Topic(topic) => topic.run().await,
            Command::Config(config) => config.run().await,
            Command::Cluster(cluster) => cluster.run().await,
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(CliError { sentence, code }) => {
                eprintln!("vltava: {sentence}");
                ExitCode::from(code)
            }
        }
    }
}
