//! DeleteRecords 0 to 2: moves the start of partitions (KIP-107).
//!
//! Errors: UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, OFFSET_OUT_OF_RANGE, POLICY_VIOLATION for
//! topics that are compacted only, INVALID_TOPIC_EXCEPTION for internal ones, KAFKA_STORAGE_ERROR. Offset -1
//! means up to the high watermark. Omitted: throttling.

use crate::broker::{RequestContext, is_internal};
use crate::protocol::api::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};
use crate::types::{ErrorCode, Offset};
use std::sync::Arc;

/// The offset that stands for the high watermark.
const HIGH_WATERMARK: i64 = -1;

/// Moves the starts; each is on the device when the response leaves.
pub async fn handle(context: Arc<RequestContext>, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let runtime = context.broker.runtime.clone();
    let delete = move || {
        let topics = request.topics.iter().map(|topic| DeleteRecordsTopicResult {
            name: topic.name.clone(),
            partitions: topic.partitions.iter().map(|wanted| delete(&context, &topic.name, wanted)).collect(),
            ..Default::default()
        });
        let mut topics: Vec<DeleteRecordsTopicResult> = topics.collect();
        if let Err(error) = context.broker.replicas.checkpoint_log_starts() {
            // Until it is on the device a restart could bring the records back.
            tracing::error!("deleted records are not gone for good: {error}");
            let partitions = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
            for partition in partitions.filter(|partition| partition.error_code == ErrorCode::None.code()) {
                partition.error_code = ErrorCode::KafkaStorageError.code();
                partition.low_watermark = -1;
            }
        }
        DeleteRecordsResponse { topics, ..Default::default() }
    };
    runtime.offload("delete records", delete).await
}

fn delete(
    context: &RequestContext,
    topic: &str,
    wanted: &DeleteRecordsPartition,
) -> DeleteRecordsPartitionResult {
    let (low_watermark, error) = match try_delete(context, topic, wanted) {
        Ok(start) => (start.0, ErrorCode::None),
        Err(error) => (-1, error),
    };
    DeleteRecordsPartitionResult {
        partition_index: wanted.partition_index,
        low_watermark,
        error_code: error.code(),
        ..Default::default()
    }
}

fn try_delete(
    context: &RequestContext,
    topic: &str,
    wanted: &DeleteRecordsPartition,
) -> Result<Offset, ErrorCode> {
    let broker = &context.broker;
    let image = broker.image();
    let topic = image.topics.by_name(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if is_internal(&topic.name) {
        return Err(ErrorCode::InvalidTopicException);
    }
    let partition = broker.replicas.get(topic.id, wanted.partition_index).map_err(|error| error.code())?;
    if !partition.config().topic.cleanup_policy.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    if wanted.offset < HIGH_WATERMARK {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let upto = (wanted.offset != HIGH_WATERMARK).then_some(Offset(wanted.offset));
    partition.delete_records(upto).map_err(|error| error.code())
}
