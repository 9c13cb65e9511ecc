//! `vltava consume`: prints the records of a topic, from a position on, until an end or for ever.

use super::CliError;
use super::format_string::Format;
use super::remote::{Remote, print};
use crate::client::{
    Admin, Client, Consumer, ConsumerRecord, ConsumerSettings, Isolation, OffsetSpec, Position,
};
use crate::runtime::{Either, Runtime, StopSignals, race};
use crate::types::{Offset, Timestamp, TopicPartition};
use std::collections::BTreeMap;
use std::time::Duration;

/// Prints the records of a topic.
#[derive(Debug, clap::Args)]
pub struct Consume {
    #[command(flatten)]
    remote: Remote,
    /// The topic to read
    #[arg(short, long)]
    topic: String,
    /// A partition to read, of several if given several times; all of them without
    #[arg(short, long)]
    partition: Vec<i32>,
    /// Start with the oldest record, instead of those that come from now on
    #[arg(long, conflicts_with = "offset")]
    from_beginning: bool,
    /// Where to start: beginning, end, an offset, -N for N records before the end, @MS for a time in
    /// milliseconds
    #[arg(short, long, default_value = "end", value_parser = start, allow_hyphen_values = true)]
    offset: Start,
    /// Where to stop: end stops at the end of each partition as it is now, a number in front of that offset
    #[arg(short, long, value_name = "end|OFFSET", value_parser = until)]
    until: Option<Until>,
    /// Stop after so many records
    #[arg(short = 'n', long, value_name = "COUNT")]
    max_records: Option<u64>,
    /// How a record is printed: %t topic, %p partition, %o offset, %T timestamp, %k key, %K its length, %s
    /// value, %S its length, %h headers
    #[arg(short, long, default_value = "%s\\n", value_parser = Format::parse)]
    format: Format,
    /// Print records of open and aborted transactions too
    #[arg(long)]
    read_uncommitted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    At(Position),
    BeforeEnd(i64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    End,
    Offset(i64),
}

/// Records that are printed at a time.
const RECORDS_A_TIME: usize = 10_000;
/// Bytes of one partition in one fetch.
const PARTITION_BYTES: i32 = 4 * 1024 * 1024;
/// How long one poll waits; the next follows at once.
const POLL: Duration = Duration::from_secs(60);

fn start(text: &str) -> Result<Start, String> {
    let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number >= 0);
    match text {
        "beginning" => return Ok(Start::At(Position::Beginning)),
        "end" => return Ok(Start::At(Position::End)),
        _ => {}
    }
    let found = if let Some(count) = text.strip_prefix('-') {
        number(count).map(Start::BeforeEnd)
    } else if let Some(time) = text.strip_prefix('@') {
        number(time).map(|time| Start::At(Position::Timestamp(Timestamp(time))))
    } else {
        number(text).map(|offset| Start::At(Position::Offset(Offset(offset))))
    };
    found.ok_or_else(|| "beginning, end, an offset, -N or @MS was expected".to_owned())
}

fn until(text: &str) -> Result<Until, String> {
    let offset = text.parse::<i64>().ok().filter(|offset| *offset >= 0).map(Until::Offset);
    if text == "end" {
        Ok(Until::End)
    } else {
        offset.ok_or_else(|| "end or an offset was expected".to_owned())
    }
}

impl Consume {
    /// Runs the command to its end.
    pub async fn run(self) -> Result<(), CliError> {
        let (runtime, client) = self.remote.connect()?;
        let mut signals = StopSignals::listen().map_err(CliError::new)?;
        // To be interrupted is how this command usually ends.
        match race(self.read(&runtime, &client), signals.next()).await {
            Either::Left(result) => result,
            Either::Right(_) => Ok(()),
        }
    }

    async fn read(&self, runtime: &Runtime, client: &Client) -> Result<(), CliError> {
        let admin = client.admin().map_err(CliError::new)?;
        let partitions = self.partitions(&admin).await?;
        let mut ends = self.ends(&admin, &partitions).await?;
        let mut consumer = client
            .consumer(ConsumerSettings {
                isolation: self.isolation(),
                max_poll_records: RECORDS_A_TIME,
                max_partition_bytes: PARTITION_BYTES,
                ..ConsumerSettings::default()
            })
            .map_err(CliError::new)?;
        consumer.assign(self.positions(&admin, partitions).await?);
        let mut left = self.max_records.unwrap_or(u64::MAX);
        while left > 0 {
            stop_at_ends(&mut consumer, &mut ends);
            if self.until.is_some() && ends.is_empty() {
                break;
            }
            let records = consumer.poll(self.poll_time()).await.map_err(CliError::new)?;
            let wanted = |record: &&ConsumerRecord| {
                self.until.is_none() || ends.get(&record.partition).is_some_and(|end| record.offset < *end)
            };
            let mut out = Vec::new();
            for record in records.iter().filter(wanted).take(usize::try_from(left).unwrap_or(usize::MAX)) {
                self.format.write(record, &mut out);
                left -= 1;
            }
            if !out.is_empty() && !print(runtime, out).await? {
                break;
            }
        }
        Ok(())
    }

    /// A position can pass control records and gaps without a record being returned: then it is looked at
    /// again soon.
    fn poll_time(&self) -> Duration {
        if self.until.is_some() { Duration::from_millis(100) } else { POLL }
    }

    fn isolation(&self) -> Isolation {
        if self.read_uncommitted { Isolation::ReadUncommitted } else { Isolation::ReadCommitted }
    }

    /// The partitions to read.
    async fn partitions(&self, admin: &Admin) -> Result<Vec<TopicPartition>, CliError> {
        let described = admin.describe_topics(&[&self.topic]).await.map_err(CliError::new)?;
        let topic =
            described.into_values().next().expect("one topic was asked for").map_err(CliError::new)?;
        if let Some(missing) = self.partition.iter().find(|index| !topic.partitions.contains_key(index)) {
            let count = topic.partitions.len();
            return Err(CliError::new(format_args!(
                "topic {} has {count} partitions and no partition {missing}",
                topic.name
            )));
        }
        let read = |index: &i32| self.partition.is_empty() || self.partition.contains(index);
        let indexes = topic.partitions.keys().filter(|index| read(index));
        Ok(indexes.map(|&index| TopicPartition::new(topic.name.clone(), index)).collect())
    }

    /// Where to stop in each partition; none for those that end nowhere.
    async fn ends(
        &self,
        admin: &Admin,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Offset>, CliError> {
        match self.until {
            None => Ok(BTreeMap::new()),
            Some(Until::Offset(offset)) => {
                Ok(partitions.iter().map(|partition| (partition.clone(), Offset(offset))).collect())
            }
            Some(Until::End) => self.list(admin, partitions, OffsetSpec::Latest).await,
        }
    }

    async fn positions(
        &self,
        admin: &Admin,
        partitions: Vec<TopicPartition>,
    ) -> Result<Vec<(TopicPartition, Position)>, CliError> {
        let start = if self.from_beginning { Start::At(Position::Beginning) } else { self.offset };
        let count = match start {
            Start::At(position) => return Ok(partitions.into_iter().map(|p| (p, position)).collect()),
            Start::BeforeEnd(count) => count,
        };
        let ends = self.list(admin, &partitions, OffsetSpec::Latest).await?;
        let starts = self.list(admin, &partitions, OffsetSpec::Earliest).await?;
        let position = |partition: &TopicPartition| {
            Position::Offset(Offset((ends[partition].0 - count).max(starts[partition].0)))
        };
        Ok(partitions.into_iter().map(|partition| (partition.clone(), position(&partition))).collect())
    }

    async fn list(
        &self,
        admin: &Admin,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, Offset>, CliError> {
        let wanted = partitions.iter().map(|partition| (partition.clone(), spec));
        let found = admin.list_offsets(wanted, self.isolation()).await;
        let offsets = found.into_iter().map(|(partition, found)| {
            let found = found.map_err(CliError::new)?;
            Ok((partition, found.offset.unwrap_or(Offset::ZERO)))
        });
        offsets.collect()
    }
}

/// Reads no more of partitions that have been read to their end.
fn stop_at_ends(consumer: &mut Consumer, ends: &mut BTreeMap<TopicPartition, Offset>) {
    let reached = |consumer: &Consumer, partition: &TopicPartition, end: Offset| {
        end == Offset::ZERO || consumer.position(partition).is_some_and(|position| position >= end)
    };
    let done: Vec<_> = ends
        .iter()
        .filter(|(partition, end)| reached(consumer, partition, **end))
        .map(|(p, _)| p.clone())
        .collect();
    for partition in done {
        ends.remove(&partition);
        consumer.pause(&partition).expect("it is assigned");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_or_refused() {
        assert_eq!(start("beginning"), Ok(Start::At(Position::Beginning)));
        assert_eq!(start("17"), Ok(Start::At(Position::Offset(Offset(17)))));
        assert_eq!(start("-5"), Ok(Start::BeforeEnd(5)));
        assert_eq!(start("@1700"), Ok(Start::At(Position::Timestamp(Timestamp(1700)))));
        assert!(start("--5").is_err() && start("x").is_err() && start("@").is_err());
        assert_eq!(until("end"), Ok(Until::End));
        assert_eq!(until("9"), Ok(Until::Offset(9)));
        assert!(until("-1").is_err());
    }
}
