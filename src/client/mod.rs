//! Talking to a Kafka cluster as a program does: producers, consumers, administration.
//!
//! Everything goes through [`Runtime`], so the same code runs on real sockets and inside the simulator.
//! Invariant: what a client reports is what the cluster said; where that is not known, it says so. It must
//! not know the broker's code.

mod admin;
mod cluster;
mod configs;
mod consumer;
mod error;
mod metadata;
mod offsets;
mod partitioner;
mod producer;
mod settings;
mod waiting;

pub use admin::{Admin, ClusterDescription, CreatedTopic, NewTopic, Results};
pub use configs::{ConfigChange, ConfigEntry, ConfigTarget};
pub use consumer::{ConsumeError, Consumer, ConsumerRecord, ConsumerSettings, Position};
pub use error::ClientError;
pub use metadata::{BrokerMetadata, ClusterMetadata, PartitionMetadata, TopicMetadata};
pub use offsets::{FoundOffset, Isolation, OffsetSpec};
pub use partitioner::{murmur2, partition_of_key};
pub use producer::{
    Acks, Delivery, DeliveryReport, ProduceError, Producer, ProducerRecord, ProducerSettings,
};
pub use settings::ClientSettings;

use crate::runtime::Runtime;
use cluster::Cluster;
use std::sync::Arc;

/// Where producers, consumers and admins of one cluster come from. It connects to nothing by itself.
///
/// ```no_run
/// # use vltava::client::{Client, ClientSettings, ProducerRecord, ProducerSettings};
/// # use vltava::runtime::{RealRuntime, Runtime};
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let runtime = Runtime::Real(RealRuntime::new(1000));
/// let client = Client::new(&runtime, ClientSettings::new("localhost:9092"))?;
/// let producer = client.producer(ProducerSettings::default())?;
/// producer.send(ProducerRecord::to("greetings").value("ahoj")).await?.await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    runtime: Runtime,
    settings: Arc<ClientSettings>,
}

impl Client {
    /// A client of the cluster behind `settings.bootstrap_servers`.
    pub fn new(runtime: &Runtime, settings: ClientSettings) -> Result<Client, ClientError> {
        settings::Address::parse_list(&settings.bootstrap_servers)?;
        Ok(Client { runtime: runtime.clone(), settings: Arc::new(settings) })
    }

    /// A producer with connections of its own.
    pub fn producer(&self, settings: ProducerSettings) -> Result<Producer, ClientError> {
        Producer::start(self.cluster()?, settings)
    }

    /// A consumer with connections of its own; it reads what it is assigned.
    pub fn consumer(&self, settings: ConsumerSettings) -> Result<Consumer, ClientError> {
        Ok(Consumer::new(self.cluster()?, settings))
    }

    /// An admin with connections of its own.
    pub fn admin(&self) -> Result<Admin, ClientError> {
        Ok(Admin::new(self.cluster()?))
    }

    fn cluster(&self) -> Result<Cluster, ClientError> {
        Cluster::new(&self.runtime, &self.settings)
    }
}
