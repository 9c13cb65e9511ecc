//! How a producer batches, retries and acknowledges.

use super::queue::Rules;
use crate::client::error::ClientError;
use crate::protocol::records::Compression;
use std::time::Duration;

/// What an acknowledgement promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acks {
    /// Nothing: the broker does not answer, and a record may be lost without a word.
    None,
    /// The leader has appended the record. It is lost with the leader.
    Leader,
    /// Every replica in sync has it.
    #[default]
    All,
}

impl Acks {
    pub(super) fn code(self) -> i16 {
        match self {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        }
    }
}

/// Settings of a producer. The names in parentheses are Kafka's.
#[derive(Debug, Clone)]
pub struct ProducerSettings {
    /// What an acknowledgement promises (`acks`).
    pub acks: Acks,
    /// Whether each record is stored once and in order although it may be sent several times
    /// (`enable.idempotence`). Needs [`Acks::All`].
    pub idempotent: bool,
    /// How batches are compressed (`compression.type`).
    pub compression: Compression,
    /// Bytes of records that go into one batch (`batch.size`). A larger record is a batch by itself.
    pub batch_bytes: usize,
    /// How long a batch that is not full waits for further records (`linger.ms`).
    pub linger: Duration,
    /// Bytes of records that may wait for their acknowledgement; `send` waits beyond that (`buffer.memory`).
    pub buffer_bytes: usize,
    /// Bytes of one request (`max.request.size`).
    pub max_request_bytes: usize,
    /// Requests to one broker without an answer (`max.in.flight.requests.per.connection`); with idempotence
    /// at most 5, since the broker remembers as many batches.
    pub max_in_flight: usize,
    /// From `send` to the end of all attempts (`delivery.timeout.ms`).
    pub delivery_timeout: Duration,
    /// How long the leader may wait for the other replicas (`request.timeout.ms`, as the broker is told it).
    pub ack_timeout: Duration,
    /// How long `send` waits for room (`max.block.ms`).
    pub max_block: Duration,
    /// The sequence number of each partition's first batch. Anything but 0 is for tests of what follows the
    /// largest.
    pub first_sequence: i32,
}

impl Default for ProducerSettings {
    /// Kafka's defaults: idempotent, all acknowledgements, batches of 16 KiB, 5 ms.
    fn default() -> Self {
        ProducerSettings {
            acks: Acks::All,
            idempotent: true,
            compression: Compression::NONE,
            batch_bytes: 16 * 1024,
            linger: Duration::from_millis(5),
            buffer_bytes: 32 * 1024 * 1024,
            max_request_bytes: 1024 * 1024,
            max_in_flight: 5,
            delivery_timeout: Duration::from_secs(120),
            ack_timeout: Duration::from_secs(30),
            max_block: Duration::from_secs(60),
            first_sequence: 0,
        }
    }
}

/// Batches of one producer that a broker remembers, and so can recognize when they come again.
const REMEMBERED_BATCHES: usize = 5;

impl ProducerSettings {
    pub(super) fn check(&self) -> Result<(), ClientError> {
        let refuse = |setting, value: String, reason| {
            Err(ClientError::Setting { setting, value: value.as_str().into(), reason })
        };
        let in_flight = self.max_in_flight;
        if self.idempotent && self.acks != Acks::All {
            let acks = self.acks.code().to_string();
            return refuse(
                "acks",
                acks,
                "an idempotent producer needs all; switch idempotence off or ask for all",
            );
        }
        if in_flight == 0 || (self.idempotent && in_flight > REMEMBERED_BATCHES) {
            let reason = "from 1 to 5 requests may be in flight, without idempotence any number from 1 on";
            return refuse("max.in.flight.requests.per.connection", in_flight.to_string(), reason);
        }
        if self.first_sequence < 0 {
            return refuse(
                "first sequence",
                self.first_sequence.to_string(),
                "sequences start at 0 or above",
            );
        }
        if self.buffer_bytes == 0 || self.buffer_bytes > u32::MAX as usize {
            let reason = "from 1 byte to 4 GiB can be buffered";
            return refuse("buffer.memory", self.buffer_bytes.to_string(), reason);
        }
        Ok(())
    }

    pub(super) fn rules(&self) -> Rules {
        // Without sequences the broker cannot put a record that comes again in its place, so the next one
        // waits for it.
        let ordered = self.idempotent || self.acks == Acks::None;
        Rules {
            idempotent: self.idempotent,
            max_in_flight: if ordered { self.max_in_flight } else { 1 },
            batch_bytes: self.batch_bytes,
            linger: self.linger,
            delivery_timeout: self.delivery_timeout,
            compression: self.compression,
            first_sequence: self.first_sequence,
        }
    }
}
