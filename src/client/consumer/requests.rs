//! The consumer's requests to one broker, and what their answers mean for each partition.

use super::error::ConsumeError;
use super::fetched::Fetched;
use super::{Asked, Consumer, ConsumerSettings, current};
use crate::client::cluster::{Cluster, means_stale_metadata};
use crate::client::error::ClientError;
use crate::protocol::ApiKey;
use crate::protocol::api::fetch::{
    Fetch, FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData,
};
use crate::protocol::api::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpoch, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use crate::types::{ErrorCode, NodeId, Offset, Str, Uuid};

/// The last version of Fetch that names topics, for brokers that do not tell topic ids.
const LAST_FETCH_WITH_NAMES: i16 = 12;

/// Fetches partitions without a session: the broker keeps nothing between two requests.
pub(super) async fn fetch(
    cluster: &Cluster,
    node: NodeId,
    asked: &[Asked],
    settings: &ConsumerSettings,
) -> Result<FetchResponse, ClientError> {
    let connection = cluster.connection(node).await?;
    let named = asked.iter().any(|asked| asked.topic_id == Uuid::ZERO);
    let at_most = if named { LAST_FETCH_WITH_NAMES } else { i16::MAX };
    let version = connection
        .versions()
        .choose::<Fetch>(at_most)
        .map_err(|error| ClientError::Connection(error.into()))?;
    let mut topics: Vec<FetchTopic> = Vec::new();
    for asked in asked {
        let partition = FetchPartition {
            partition: asked.partition.partition,
            current_leader_epoch: asked.leader_epoch.0,
            fetch_offset: asked.offset.0,
            partition_max_bytes: settings.max_partition_bytes,
            ..FetchPartition::default()
        };
        match topics.last_mut().filter(|topic| topic.topic == *asked.partition.topic) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(FetchTopic {
                topic: Str::from(&*asked.partition.topic),
                topic_id: if version > LAST_FETCH_WITH_NAMES { asked.topic_id } else { Uuid::ZERO },
                partitions: vec![partition],
                ..FetchTopic::default()
            }),
        }
    }
    let request = FetchRequest {
        max_wait_ms: i32::try_from(settings.max_wait.as_millis()).unwrap_or(i32::MAX),
        min_bytes: settings.min_bytes,
        max_bytes: settings.max_bytes,
        isolation_level: settings.isolation.code(),
        topics,
        ..FetchRequest::default()
    };
    let response = connection.request_version::<Fetch>(&request, version).await?;
    ClientError::check(ApiKey::Fetch, format_args!("broker {node}"), response.error_code, None)?;
    Ok(response)
}

/// Asks where the epochs end that were read last.
pub(super) async fn validate(
    cluster: &Cluster,
    node: NodeId,
    asked: &[Asked],
) -> Result<OffsetForLeaderEpochResponse, ClientError> {
    let mut topics: Vec<OffsetForLeaderTopic> = Vec::new();
    for asked in asked {
        let partition = OffsetForLeaderPartition {
            partition: asked.partition.partition,
            current_leader_epoch: asked.leader_epoch.0,
            leader_epoch: asked.epoch.0,
            ..OffsetForLeaderPartition::default()
        };
        match topics.last_mut().filter(|topic| topic.topic == *asked.partition.topic) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(OffsetForLeaderTopic {
                topic: Str::from(&*asked.partition.topic),
                partitions: vec![partition],
                ..OffsetForLeaderTopic::default()
            }),
        }
    }
    let request = OffsetForLeaderEpochRequest { replica_id: -1, topics, ..Default::default() };
    Ok(cluster.connection(node).await?.request::<OffsetForLeaderEpoch>(&request).await?)
}

impl Consumer {
    pub(super) fn handle_fetched(&mut self, asked: Vec<Asked>, result: Result<FetchResponse, ClientError>) {
        for asked in asked {
            let answer = match &result {
                Ok(response) => find_fetched(response, &asked),
                Err(error) => Err(error.clone()),
            };
            match answer {
                Ok(data) => self.handle_partition(&asked, data),
                Err(error) => self.handle_failure(&asked, error),
            }
        }
    }

    fn handle_partition(&mut self, asked: &Asked, data: &PartitionData) {
        let partition = &asked.partition;
        let error = ErrorCode::from_i16(data.error_code);
        if let (true, epoch) = (data.current_leader.leader_id >= 0, data.current_leader.leader_epoch) {
            self.cluster.learn_leader(partition, data.current_leader.leader_id, epoch);
        }
        match error {
            ErrorCode::None => {
                let Some(assigned) = current(&mut self.assigned, partition, asked.generation) else { return };
                let records = data.records.clone().unwrap_or_default();
                let aborted = data.aborted_transactions.clone().unwrap_or_default();
                let (isolation, check_crcs) = (self.settings.isolation, self.settings.check_crcs);
                assigned.high_watermark = Some(Offset(data.high_watermark));
                let fetched =
                    Fetched::new(partition.clone(), &records, asked.offset, aborted, isolation, check_crcs);
                assigned.arrived(fetched, records.is_empty(), asked.leader_epoch);
            }
            ErrorCode::OffsetOutOfRange => {
                let Some(assigned) = current(&mut self.assigned, partition, asked.generation) else { return };
                let (partition, offset) = (partition.clone(), asked.offset);
                assigned.fail(ConsumeError::OutOfRange { partition, offset });
            }
            error => {
                let subject = format!("{partition} at offset {}", asked.offset);
                let refused = ClientError::Refused {
                    api: ApiKey::Fetch,
                    subject: subject.into(),
                    error,
                    message: None,
                };
                self.handle_failure(asked, refused);
            }
        }
    }

    pub(super) fn handle_validated(
        &mut self,
        asked: Vec<Asked>,
        result: Result<OffsetForLeaderEpochResponse, ClientError>,
    ) {
        for asked in asked {
            let answer = match &result {
                Ok(response) => find_validated(response, &asked),
                Err(error) => Err(error.clone()),
            };
            match answer {
                Ok(end) => {
                    let Some(assigned) = current(&mut self.assigned, &asked.partition, asked.generation)
                    else {
                        continue;
                    };
                    let known = end.end_offset >= 0 && end.leader_epoch >= 0;
                    let diverges_at = known.then_some(Offset(end.end_offset));
                    assigned.diverged(asked.leader_epoch, diverges_at);
                }
                Err(error) => self.handle_failure(&asked, error),
            }
        }
    }

    /// Tries again later, or stops the partition with the error. Damage on the broker does not heal by asking
    /// again.
    fn handle_failure(&mut self, asked: &Asked, error: ClientError) {
        let (now, cluster) = (self.cluster.runtime().now(), &self.cluster);
        let code = error.code();
        let connection = matches!(error, ClientError::Connection(_) | ClientError::BrokerAway(_));
        self.metadata.wanted |= connection || code.is_some_and(means_stale_metadata);
        let Some(assigned) = current(&mut self.assigned, &asked.partition, asked.generation) else { return };
        if error.is_retriable() && code != Some(ErrorCode::CorruptMessage) {
            tracing::debug!("{error}");
            assigned.again(now, |failures| cluster.backoff(failures));
        } else {
            assigned.fail(ConsumeError::Client { partition: asked.partition.clone(), error });
        }
    }
}

fn find_fetched<'a>(response: &'a FetchResponse, asked: &Asked) -> Result<&'a PartitionData, ClientError> {
    let topic = response.responses.iter().find(|topic| {
        topic.topic == *asked.partition.topic || (topic.topic.is_empty() && topic.topic_id == asked.topic_id)
    });
    let mut partitions = topic.iter().flat_map(|topic| &topic.partitions);
    let found = partitions.find(|data| data.partition_index == asked.partition.partition);
    found.ok_or_else(|| unanswered(ApiKey::Fetch, asked))
}

fn find_validated<'a>(
    response: &'a OffsetForLeaderEpochResponse,
    asked: &Asked,
) -> Result<&'a EpochEndOffset, ClientError> {
    let topic = response.topics.iter().find(|topic| topic.topic == *asked.partition.topic);
    let mut partitions = topic.iter().flat_map(|topic| &topic.partitions);
    let found = partitions.find(|end| end.partition == asked.partition.partition);
    let found = found.ok_or_else(|| unanswered(ApiKey::OffsetForLeaderEpoch, asked))?;
    ClientError::check(ApiKey::OffsetForLeaderEpoch, &asked.partition, found.error_code, None)?;
    Ok(found)
}

fn unanswered(api: ApiKey, asked: &Asked) -> ClientError {
    ClientError::Unanswered { api, subject: asked.partition.to_string().into() }
}
