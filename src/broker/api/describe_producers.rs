//! DescribeProducers 0: the producers that partitions remember (KIP-664).
//!
//! Errors, per partition: UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR. Omitted:
//! throttling.

use crate::broker::RequestContext;
use crate::log::ProducerState as Remembered;
use crate::protocol::api::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState, TopicRequest,
    TopicResponse,
};
use crate::types::{ErrorCode, LeaderEpoch, ProducerId};

/// Lists producers.
pub fn handle(context: &RequestContext, request: &DescribeProducersRequest) -> DescribeProducersResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions =
            topic.partition_indexes.iter().map(|index| match producers(context, topic, *index) {
                Ok(active_producers) => PartitionResponse {
                    partition_index: *index,
                    error_message: None,
                    active_producers,
                    ..Default::default()
                },
                Err((error, sentence)) => PartitionResponse {
                    partition_index: *index,
                    error_code: error.code(),
                    error_message: sentence.map(Into::into),
                    ..Default::default()
                },
            });
        TopicResponse { name: topic.name.clone(), partitions: partitions.collect(), ..Default::default() }
    });
    DescribeProducersResponse { topics: topics.collect(), ..Default::default() }
}

fn producers(
    context: &RequestContext,
    topic: &TopicRequest,
    index: i32,
) -> Result<Vec<ProducerState>, (ErrorCode, Option<&'static str>)> {
    let image = context.broker.image();
    let unknown =
        (ErrorCode::UnknownTopicOrPartition, Some("This server does not host this topic-partition."));
    let topic = image.topics.by_name(&topic.name).ok_or(unknown)?;
    let refused = |error: crate::replication::PartitionError| (error.code(), None);
    let partition = context.broker.replicas.get(topic.id, index).map_err(refused)?;
    partition.check_leader(LeaderEpoch::NONE).map_err(refused)?;
    let log = partition.log();
    Ok(log.producers().iter().map(|(id, remembered)| describe(id, remembered)).collect())
}

fn describe(id: ProducerId, remembered: &Remembered) -> ProducerState {
    ProducerState {
        producer_id: id.0,
        producer_epoch: remembered.epoch.0.into(),
        last_sequence: remembered.last_sequence(),
        last_timestamp: remembered.last_timestamp.0,
        coordinator_epoch: remembered.coordinator_epoch,
        current_txn_start_offset: remembered.transaction_start.map_or(-1, |start| start.0),
        ..Default::default()
    }
}
