//! Creating, listing, describing and deleting topics, and what else concerns a cluster rather than its
//! records.

use super::cluster::{Cluster, Topics};
use super::error::ClientError;
use super::metadata::{BrokerMetadata, ClusterMetadata, TopicMetadata};
use super::offsets::{FoundOffset, Isolation, OffsetSpec, list_offsets, missing};
use crate::protocol::api::create_partitions::{
    CreatePartitions, CreatePartitionsRequest, CreatePartitionsTopic,
};
use crate::protocol::api::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopics, CreateTopicsRequest,
};
use crate::protocol::api::delete_records::{
    DeleteRecords, DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use crate::protocol::api::delete_topics::{DeleteTopicState, DeleteTopics, DeleteTopicsRequest};
use crate::protocol::api::describe_cluster::{DescribeCluster, DescribeClusterRequest};
use crate::protocol::{Api, ApiKey};
use crate::types::{ErrorCode, NodeId, Offset, Str, TopicPartition, Uuid};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A topic to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; none takes the broker's `num.partitions`.
    pub partitions: Option<i32>,
    /// How many copies of each; none takes the broker's `default.replication.factor`.
    pub replication_factor: Option<i16>,
    /// Configurations that differ from the broker's.
    pub configs: Vec<(String, String)>,
}

impl NewTopic {
    /// A topic with what the broker takes by default.
    pub fn new(name: impl Into<String>) -> NewTopic {
        NewTopic { name: name.into(), partitions: None, replication_factor: None, configs: Vec::new() }
    }
}

/// A topic that was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id; zero where the broker does not tell ids.
    pub id: Uuid,
    /// How many partitions it has, or -1.
    pub partitions: i32,
    /// How many copies there are of each, or -1.
    pub replication_factor: i16,
}

/// What a cluster consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterDescription {
    /// Its id.
    pub id: Arc<str>,
    /// The broker that stands for the controller, if one is known.
    pub controller: Option<NodeId>,
    /// Its brokers, by id.
    pub brokers: Vec<BrokerMetadata>,
}

/// The result for each name or partition that was asked for.
pub type Results<K, V> = BTreeMap<K, Result<V, ClientError>>;

/// Administers a cluster.
///
/// ```no_run
/// # use vltava::client::{Client, NewTopic};
/// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// let admin = client.admin()?;
/// let topic = NewTopic { partitions: Some(6), ..NewTopic::new("orders") };
/// for (name, result) in admin.create_topics(&[topic], false).await? {
///     println!("{name}: {:?}", result?.id);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Admin {
    cluster: Cluster,
}

impl Admin {
    pub(super) fn new(cluster: Cluster) -> Admin {
        Admin { cluster }
    }

    /// Creates topics, or with `validate_only` tells what creating them would do. If the answer to a first
    /// attempt was lost, a further one may tell that the topic exists already.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Results<String, CreatedTopic>, ClientError> {
        let creatable = |topic: &NewTopic| CreatableTopic {
            name: Str::from(topic.name.as_str()),
            num_partitions: topic.partitions.unwrap_or(-1),
            replication_factor: topic.replication_factor.unwrap_or(-1),
            configs: topic.configs.iter().map(|(name, value)| config(name, value)).collect(),
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest {
            topics: topics.iter().map(creatable).collect(),
            timeout_ms: self.timeout_ms(),
            validate_only,
            ..CreateTopicsRequest::default()
        };
        let response = self.request::<CreateTopics>("creating topics", &request, |response| {
            response.topics.iter().map(|topic| topic.error_code).collect()
        });
        let results = response.await?.topics.into_iter().map(|topic| {
            let message = topic.error_message.as_deref();
            let checked = ClientError::check(ApiKey::CreateTopics, &topic.name, topic.error_code, message);
            let created = CreatedTopic {
                id: topic.topic_id,
                partitions: topic.num_partitions,
                replication_factor: topic.replication_factor,
            };
            (topic.name.to_string(), checked.map(|()| created))
        });
        Ok(results.collect())
    }

    /// Deletes topics by name. Their records are gone when brokers find the time.
    pub async fn delete_topics(&self, names: &[&str]) -> Result<Results<String, ()>, ClientError> {
        let by_name = |name: &&str| DeleteTopicState { name: Some(Str::from(*name)), ..Default::default() };
        let request = DeleteTopicsRequest {
            topics: names.iter().map(by_name).collect(),
            timeout_ms: self.timeout_ms(),
            ..DeleteTopicsRequest::default()
        };
        let response = self.request::<DeleteTopics>("deleting topics", &request, |response| {
            response.responses.iter().map(|topic| topic.error_code).collect()
        });
        let results = response.await?.responses.into_iter().map(|topic| {
            let name = topic.name.as_deref().unwrap_or_default().to_owned();
            let message = topic.error_message.as_deref();
            let checked = ClientError::check(ApiKey::DeleteTopics, &name, topic.error_code, message);
            (name, checked)
        });
        Ok(results.collect())
    }

    /// Gives topics more partitions, so that each has as many as is said; or with `validate_only` tells
    /// whether that could be done.
    pub async fn create_partitions(
        &self,
        counts: &BTreeMap<String, i32>,
        validate_only: bool,
    ) -> Result<Results<String, ()>, ClientError> {
        let topic = |(name, &count): (&String, &i32)| CreatePartitionsTopic {
            name: Str::from(name.as_str()),
            count,
            assignments: None,
            ..CreatePartitionsTopic::default()
        };
        let request = CreatePartitionsRequest {
            topics: counts.iter().map(topic).collect(),
            timeout_ms: self.timeout_ms(),
            validate_only,
            ..CreatePartitionsRequest::default()
        };
        let response = self.request::<CreatePartitions>("adding partitions", &request, |response| {
            response.results.iter().map(|topic| topic.error_code).collect()
        });
        let results = response.await?.results.into_iter().map(|topic| {
            let message = topic.error_message.as_deref();
            let checked =
                ClientError::check(ApiKey::CreatePartitions, &topic.name, topic.error_code, message);
            (topic.name.to_string(), checked)
        });
        Ok(results.collect())
    }

    /// All topics, by name.
    pub async fn list_topics(&self) -> Result<Vec<TopicMetadata>, ClientError> {
        let metadata = self.refresh(Topics::All, "listing topics").await?;
        Ok(metadata.topics.values().cloned().collect())
    }

    /// Topics with their partitions.
    pub async fn describe_topics(
        &self,
        names: &[&str],
    ) -> Result<Results<String, TopicMetadata>, ClientError> {
        let wanted: Vec<Arc<str>> = names.iter().map(|&name| name.into()).collect();
        let topics = Topics::Named { names: &wanted, create: false };
        let metadata = self.refresh(topics, "describing topics").await?;
        let results = wanted.iter().map(|name| {
            let result = match (metadata.errors.get(name), metadata.topics.get(name)) {
                (None, Some(topic)) => Ok(topic.clone()),
                (error, _) => Err(missing_topic(name, error)),
            };
            (name.to_string(), result)
        });
        Ok(results.collect())
    }

    /// Finds offsets: ends of partitions, or the first record of a time.
    pub async fn list_offsets(
        &self,
        wanted: impl IntoIterator<Item = (TopicPartition, OffsetSpec)>,
        isolation: Isolation,
    ) -> Results<TopicPartition, FoundOffset> {
        list_offsets(&self.cluster, wanted.into_iter().collect(), isolation).await
    }

    /// Deletes the records below an offset of each partition, and tells where each begins then.
    pub async fn delete_records(
        &self,
        before: &BTreeMap<TopicPartition, Offset>,
    ) -> Result<Results<TopicPartition, Offset>, ClientError> {
        let mut results = Results::new();
        let mut retry = self.cluster.retry("deleting records");
        loop {
            let names: Vec<Arc<str>> = topic_names(before.keys());
            let topics = Topics::Named { names: &names, create: false };
            let metadata = self.refresh(topics, "finding the leaders of partitions").await?;
            let mut last = None;
            for (partition, &offset) in before {
                if matches!(results.get(partition), Some(Ok(_))) {
                    continue;
                }
                let result = self.delete_records_of(&metadata, partition, offset).await;
                if let Err(error) = result.as_ref().map_err(Clone::clone)
                    && error.is_retriable()
                {
                    last = Some(error);
                }
                results.insert(partition.clone(), result);
            }
            let Some(error) = last else { return Ok(results) };
            if retry.pause(error).await.is_err() {
                return Ok(results);
            }
        }
    }

    /// The cluster's id, brokers and controller.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, ClientError> {
        let request = DescribeClusterRequest::default();
        let response = self.request::<DescribeCluster>("describing the cluster", &request, |response| {
            vec![response.error_code]
        });
        let response = response.await?;
        let message = response.error_message.as_deref();
        ClientError::check(ApiKey::DescribeCluster, "the cluster", response.error_code, message)?;
        let brokers = response.brokers.iter().map(|broker| BrokerMetadata {
            id: NodeId(broker.broker_id),
            host: broker.host.as_str().into(),
            port: broker.port as u16,
            rack: broker.rack.as_deref().map(Into::into),
        });
        let mut brokers: Vec<_> = brokers.collect();
        brokers.sort_by_key(|broker| broker.id);
        Ok(ClusterDescription {
            id: response.cluster_id.as_str().into(),
            controller: Some(NodeId(response.controller_id)).filter(|id| *id != NodeId::NONE),
            brokers,
        })
    }

    async fn delete_records_of(
        &self,
        metadata: &ClusterMetadata,
        partition: &TopicPartition,
        offset: Offset,
    ) -> Result<Offset, ClientError> {
        let leader = metadata.leader(partition);
        let (leader, _) = leader.ok_or_else(|| missing(partition, metadata.errors.get(&partition.topic)))?;
        let asked = DeleteRecordsPartition {
            partition_index: partition.partition,
            offset: offset.0,
            ..DeleteRecordsPartition::default()
        };
        let topic = DeleteRecordsTopic {
            name: Str::from(&*partition.topic),
            partitions: vec![asked],
            ..DeleteRecordsTopic::default()
        };
        let request = DeleteRecordsRequest {
            topics: vec![topic],
            timeout_ms: self.timeout_ms(),
            ..DeleteRecordsRequest::default()
        };
        let connection = self.cluster.connection(leader).await?;
        let response = connection.request::<DeleteRecords>(&request).await?;
        let answer = response.topics.first().and_then(|topic| topic.partitions.first());
        let unanswered =
            || ClientError::Unanswered { api: ApiKey::DeleteRecords, subject: partition.to_string().into() };
        let answer = answer.ok_or_else(unanswered)?;
        ClientError::check(ApiKey::DeleteRecords, partition, answer.error_code, None)?;
        Ok(Offset(answer.low_watermark))
    }

    /// Sends a request to any broker, and again as long as some error in the answer may go away. `codes`
    /// lists them.
    pub(super) async fn request<A: Api>(
        &self,
        what: &'static str,
        request: &A::Request,
        codes: impl Fn(&A::Response) -> Vec<i16>,
    ) -> Result<A::Response, ClientError> {
        self.request_of::<A>(None, what, request, codes).await
    }

    /// The same, to one broker where only that can answer.
    pub(super) async fn request_of<A: Api>(
        &self,
        broker: Option<NodeId>,
        what: &'static str,
        request: &A::Request,
        codes: impl Fn(&A::Response) -> Vec<i16>,
    ) -> Result<A::Response, ClientError> {
        let mut retry = self.cluster.retry(what);
        loop {
            let answered = match broker {
                None => self.cluster.request_any::<A>(request).await,
                Some(node) => self.request_node::<A>(node, request).await,
            };
            let error = match answered {
                Ok(response) => {
                    let passing = |code: &i16| is_passing(ErrorCode::from_i16(*code));
                    let Some(code) = codes(&response).into_iter().find(passing) else { return Ok(response) };
                    let error = ErrorCode::from_i16(code);
                    ClientError::Refused { api: A::KEY, subject: "the cluster".into(), error, message: None }
                }
                Err(error) => error,
            };
            retry.pause(error).await?;
        }
    }

    async fn request_node<A: Api>(
        &self,
        node: NodeId,
        request: &A::Request,
    ) -> Result<A::Response, ClientError> {
        if !self.cluster.metadata().brokers.contains_key(&node) {
            self.cluster.refresh(Topics::Named { names: &[], create: false }).await?;
        }
        Ok(self.cluster.connection(node).await?.request::<A>(request).await?)
    }

    async fn refresh(
        &self,
        topics: Topics<'_>,
        what: &'static str,
    ) -> Result<Arc<ClusterMetadata>, ClientError> {
        let mut retry = self.cluster.retry(what);
        loop {
            match self.cluster.refresh(topics).await {
                Ok(metadata) => return Ok(metadata),
                Err(error) => retry.pause(error).await?,
            }
        }
    }

    fn timeout_ms(&self) -> i32 {
        i32::try_from(self.cluster.settings().request_timeout.as_millis()).unwrap_or(i32::MAX)
    }
}

/// Whether the cluster could not do it just now. A topic that is unknown is so for good: nobody waits for it
/// here.
fn is_passing(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::NotController
            | ErrorCode::BrokerNotAvailable
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::ThrottlingQuotaExceeded
    )
}

fn config(name: &str, value: &str) -> CreatableTopicConfig {
    CreatableTopicConfig {
        name: Str::from(name),
        value: Some(Str::from(value)),
        ..CreatableTopicConfig::default()
    }
}

fn missing_topic(name: &str, error: Option<&ErrorCode>) -> ClientError {
    let error = error.copied().unwrap_or(ErrorCode::UnknownTopicOrPartition);
    ClientError::Refused { api: ApiKey::Metadata, subject: name.into(), error, message: None }
}

fn topic_names<'a>(partitions: impl Iterator<Item = &'a TopicPartition>) -> Vec<Arc<str>> {
    let names: std::collections::BTreeSet<_> = partitions.map(|partition| partition.topic.clone()).collect();
    names.into_iter().collect()
}
