//! `vltava produce`: each line of standard input becomes a record, in order, and none is lost without a word.

use super::CliError;
use super::remote::Remote;
use crate::client::{Acks, Delivery, ProduceError, Producer, ProducerRecord, ProducerSettings};
use crate::protocol::records::{Codec, Compression};
use crate::runtime::{Either, Runtime, StopSignals, race};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::{self, IsTerminal, Read};
use std::sync::Arc;
use std::time::Duration;

/// Sends the lines of standard input as records.
#[derive(Debug, clap::Args)]
pub struct Produce {
    #[command(flatten)]
    remote: Remote,
    /// The topic to send to
    #[arg(short, long)]
    topic: String,
    /// The partition to send to; without it the key decides, and without a key the producer
    #[arg(short, long)]
    partition: Option<i32>,
    /// What separates key and value in a line; a line without it has no key
    #[arg(short, long, value_name = "TEXT", value_parser = super::format_string::unescape)]
    key_delimiter: Option<Bytes>,
    /// Send an empty value as null, which deletes its key from a compacted topic
    #[arg(short = 'Z', long)]
    null: bool,
    /// A header for every record; may be given several times
    #[arg(short = 'H', long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    header: Vec<(Bytes, Bytes)>,
    /// How batches are compressed: none, gzip, snappy, lz4 or zstd, perhaps with a level, as in zstd:9
    #[arg(short = 'z', long, value_name = "CODEC[:LEVEL]", default_value = "none")]
    #[arg(value_parser = compression)]
    compression: Compression,
    /// Who has to have a record before it counts as sent: nobody (0), the leader (1), or all replicas in
    /// sync. With all, a record is stored once and in order, however often it had to be sent
    #[arg(long, value_name = "0|1|ALL", default_value = "all", value_parser = acks)]
    acks: Acks,
    /// Milliseconds that a batch waits for further lines
    #[arg(long, value_name = "MS", default_value_t = 5)]
    linger: u64,
    /// Bytes of a full batch
    #[arg(long, value_name = "BYTES", default_value_t = 128 * 1024)]
    batch_size: usize,
    /// Seconds until a record that cannot be delivered is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    delivery_timeout: u64,
    /// Tell at the end how many records were sent
    #[arg(short, long)]
    verbose: bool,
}

/// What one read of standard input asks for.
const READ_BYTES: usize = 256 * 1024;
/// Bytes of records that may wait for their acknowledgement.
const BUFFER_BYTES: usize = 64 * 1024 * 1024;

fn name_and_value(text: &str) -> Result<(Bytes, Bytes), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE was expected")?;
    Ok((Bytes::copy_from_slice(name.as_bytes()), Bytes::copy_from_slice(value.as_bytes())))
}

fn compression(text: &str) -> Result<Compression, String> {
    let (name, level) = text.split_once(':').map_or((text, None), |(name, level)| (name, Some(level)));
    let codec = Codec::ALL.into_iter().find(|codec| codec.name() == name);
    let codec = codec.ok_or("none, gzip, snappy, lz4 or zstd was expected")?;
    match level {
        None => Ok(Compression::new(codec)),
        Some(level) => {
            let level = level.parse().map_err(|_| format!("{level:?} is no level: a number was expected"))?;
            Ok(Compression::with_level(codec, level))
        }
    }
}

fn acks(text: &str) -> Result<Acks, String> {
    match text {
        "0" => Ok(Acks::None),
        "1" => Ok(Acks::Leader),
        "all" | "-1" => Ok(Acks::All),
        _ => Err("0, 1 or all was expected".to_owned()),
    }
}

impl Produce {
    /// Runs the command to its end.
    pub async fn run(self) -> Result<(), CliError> {
        let (runtime, client) = self.remote.connect()?;
        let settings = ProducerSettings {
            acks: self.acks,
            idempotent: self.acks == Acks::All,
            compression: self.compression,
            batch_bytes: self.batch_size,
            linger: Duration::from_millis(self.linger),
            buffer_bytes: BUFFER_BYTES,
            max_request_bytes: ProducerSettings::default().max_request_bytes.max(self.batch_size),
            delivery_timeout: Duration::from_secs(self.delivery_timeout),
            ..ProducerSettings::default()
        };
        let limit = settings.max_request_bytes;
        let producer = client.producer(settings).map_err(CliError::new)?;
        let mut signals = StopSignals::listen().map_err(CliError::new)?;
        let mut pipe = Pipe {
            topic: self.topic.as_str().into(),
            lines: Lines::new(limit),
            pending: VecDeque::new(),
            tally: Tally::default(),
            command: &self,
        };
        let read = race(pipe.send_all(&runtime, &producer), signals.next()).await;
        let interrupted = match read {
            Either::Left(result) => {
                pipe.tally.note(result);
                None
            }
            Either::Right(signal) => Some(signal),
        };
        // A second signal does not wait for what is under way.
        if let Either::Right(signal) = race(producer.flush(), signals.next()).await {
            tracing::debug!("{signal} received again");
        }
        pipe.settle(true);
        pipe.tally.report(&self, interrupted)
    }

    fn record(&self, topic: &Arc<str>, line: Bytes) -> ProducerRecord {
        let mut record = ProducerRecord::to(topic.clone());
        record.partition = self.partition;
        let (key, value) = match self.key_delimiter.as_deref().and_then(|delimiter| find(&line, delimiter)) {
            Some((at, behind)) => (Some(line.slice(..at)), line.slice(behind..)),
            None => (None, line),
        };
        record.key = key;
        record.value = Some(value).filter(|value| !(self.null && value.is_empty()));
        record.headers =
            self.header.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
        record
    }
}

/// Where `text` begins in `line`, and ends.
fn find(line: &[u8], text: &[u8]) -> Option<(usize, usize)> {
    let at = line.windows(text.len()).position(|window| window == text)?;
    Some((at, at + text.len()))
}

/// What became of the lines.
#[derive(Debug, Default)]
struct Tally {
    sent: u64,
    /// Certainly not stored.
    failed: u64,
    /// Nobody knows.
    unknown: u64,
    first_error: Option<String>,
}

impl Tally {
    fn note(&mut self, result: Result<(), String>) {
        if let Err(error) = result {
            self.first_error.get_or_insert(error);
        }
    }

    fn report(self, command: &Produce, interrupted: Option<&str>) -> Result<(), CliError> {
        let Tally { sent, failed, unknown, first_error } = self;
        let mut counts = format!("{sent} {} sent to {}", records(sent), command.topic);
        if failed > 0 {
            counts += &format!(", {failed} not");
        }
        if unknown > 0 {
            counts += &format!(", and of {unknown} it is not known");
        }
        match (first_error, interrupted) {
            (Some(error), _) => Err(CliError::new(format_args!("{counts}. {error}"))),
            (None, Some(signal)) => Err(CliError::interrupted(format_args!("{signal}: {counts}"))),
            (None, None) => {
                if command.verbose || (io::stderr().is_terminal() && io::stdin().is_terminal()) {
                    eprintln!("{counts}");
                }
                Ok(())
            }
        }
    }
}

fn records(count: u64) -> &'static str {
    if count == 1 { "record" } else { "records" }
}

/// Lines on their way to the cluster.
struct Pipe<'a> {
    command: &'a Produce,
    topic: Arc<str>,
    lines: Lines,
    /// Lines, by number, whose delivery is not decided.
    pending: VecDeque<(u64, Delivery)>,
    tally: Tally,
}

impl Pipe<'_> {
    /// Sends all lines, up to the first that fails.
    async fn send_all(&mut self, runtime: &Runtime, producer: &Producer) -> Result<(), String> {
        loop {
            let more = self.lines.read(runtime).await?;
            while let Some(line) = self.lines.next(!more)? {
                let record = self.command.record(&self.topic, line);
                let number = self.lines.number;
                match producer.send(record).await {
                    Ok(delivery) => self.pending.push_back((number, delivery)),
                    Err(error) => {
                        self.tally.failed += 1;
                        return Err(format!("Line {number}: {error}"));
                    }
                }
            }
            self.settle(false);
            if self.tally.first_error.is_some() || !more {
                return Ok(());
            }
        }
    }

    /// Counts what is decided. At the end, what is not counts as unknown.
    fn settle(&mut self, end: bool) {
        while let Some((number, delivery)) = self.pending.front() {
            match delivery.try_get() {
                Some(Ok(_)) => self.tally.sent += 1,
                Some(Err(error)) => self.fail(*number, &error),
                None if end => self.tally.unknown += 1,
                None => return,
            }
            self.pending.pop_front();
        }
    }

    fn fail(&mut self, number: u64, error: &ProduceError) {
        let count = if error.is_definite() { &mut self.tally.failed } else { &mut self.tally.unknown };
        *count += 1;
        self.tally.first_error.get_or_insert_with(|| format!("Line {number}: {error}"));
    }
}

/// The lines of standard input, without their ends.
struct Lines {
    buffer: BytesMut,
    /// Bytes at the front of the buffer that hold no end of a line.
    searched: usize,
    number: u64,
    limit: usize,
}

impl Lines {
    fn new(limit: usize) -> Lines {
        Lines { buffer: BytesMut::new(), searched: 0, number: 0, limit }
    }

    /// Reads what is there, on a thread that may wait for it. `false`: that was all.
    async fn read(&mut self, runtime: &Runtime) -> Result<bool, String> {
        let read = runtime.offload("standard input", || {
            let mut bytes = vec![0; READ_BYTES];
            let length = loop {
                match io::stdin().lock().read(&mut bytes) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => break result?,
                }
            };
            bytes.truncate(length);
            Ok::<_, io::Error>(bytes)
        });
        let bytes = read.await.map_err(|error| format!("Standard input cannot be read: {error}"))?;
        let more = !bytes.is_empty();
        if self.buffer.is_empty() {
            self.buffer = Bytes::from(bytes).into();
        } else {
            self.buffer.extend_from_slice(&bytes);
        }
        Ok(more)
    }

    /// The next whole line of what was read; at the end also one that nothing ends.
    fn next(&mut self, at_end: bool) -> Result<Option<Bytes>, String> {
        let end = self.buffer[self.searched..].iter().position(|&byte| byte == b'\n');
        let line = match end {
            Some(end) => {
                let mut line = self.buffer.split_to(self.searched + end + 1);
                line.truncate(line.len() - 1);
                line
            }
            None if at_end && !self.buffer.is_empty() => self.buffer.split(),
            None => {
                self.searched = self.buffer.len();
                return self.check(self.searched).map(|()| None);
            }
        };
        self.searched = 0;
        self.check(line.len())?;
        self.number += 1;
        Ok(Some(line.freeze()))
    }

    fn check(&self, length: usize) -> Result<(), String> {
        if length <= self.limit {
            return Ok(());
        }
        let (number, limit) = (self.number + 1, self.limit);
        Err(format!(
            "Line {number} is longer than the {limit} bytes that a record may have: raise --batch-size."
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Result<Vec<String>, String> {
        let mut lines = Lines::new(10);
        let mut all = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            lines.buffer.extend_from_slice(piece);
            while let Some(line) = lines.next(index + 1 == pieces.len())? {
                all.push(String::from_utf8_lossy(&line).into_owned());
            }
        }
        assert_eq!(lines.number as usize, all.len());
        Ok(all)
    }

    #[test]
    fn lines_are_whole_however_they_are_read() {
        assert_eq!(lines(&[b"a\nb", b"c\n\nd"]).unwrap(), ["a", "bc", "", "d"]);
        assert_eq!(lines(&[b"a\n", b""]).unwrap(), ["a"]);
        assert_eq!(lines(&[b""]).unwrap(), Vec::<String>::new());
        assert!(lines(&[b"a\n0123456", b"789x"]).unwrap_err().starts_with("Line 2 is longer"));
    }

    #[test]
    fn arguments_are_read_or_refused() {
        assert_eq!(compression("zstd").unwrap(), Compression::new(Codec::Zstd));
        assert_eq!(compression("gzip:9").unwrap(), Compression::with_level(Codec::Gzip, 9));
        assert!(compression("brotli").is_err() && compression("zstd:x").is_err());
        assert_eq!(acks("all").unwrap(), Acks::All);
        assert!(acks("2").is_err());
        assert_eq!(find(b"key::value", b"::"), Some((3, 5)));
        assert_eq!(find(b"key", b"::"), None);
    }
}
