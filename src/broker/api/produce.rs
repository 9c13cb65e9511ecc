//! Produce 3 to 13: appends record batches (KIP-98, 360, 467, 516, 679, 951).
//!
//! Errors, on the partition: UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID, NOT_LEADER_OR_FOLLOWER,
//! CORRUPT_MESSAGE, INVALID_RECORD, INVALID_TIMESTAMP, MESSAGE_TOO_LARGE, UNSUPPORTED_COMPRESSION_TYPE,
//! OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, NOT_ENOUGH_REPLICAS, INVALID_REQUIRED_ACKS,
//! INVALID_TOPIC_EXCEPTION, KAFKA_STORAGE_ERROR. With acks=0 any error closes the connection. Omitted:
//! throttling, transactions (their coordinator is not there yet).

use crate::broker::dispatch::Reply;
use crate::broker::{NodeAddress, RequestContext, is_internal};
use crate::log::AppendError;
use crate::protocol::api::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceData,
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData, TopicProduceResponse,
};
use crate::protocol::records::{RecordRejection, RejectedRecord, is_transactional};
use crate::replication::{Acks, Partition, PartitionError, Produced};
use crate::types::{ErrorCode, Offset, Str, TopicPartition};
use std::sync::Arc;
use std::time::Duration;

/// The first version that names topics by id.
const FIRST_WITH_TOPIC_IDS: i16 = 13;
/// The first version that may bring zstd (KIP-110).
const FIRST_WITH_ZSTD: i16 = 7;
/// The first version that tells who leads, where this broker does not.
const FIRST_WITH_ENDPOINTS: i16 = 10;

/// An append that took effect and is not yet as durable as the producer or the topic asks.
struct Unsettled {
    partition: Arc<Partition>,
    upto: Offset,
    /// Where its answer stands: the topic's place in the response, and the partition's place in the topic.
    answer: (usize, usize),
}

/// Appends every batch of the request, and answers when they are as durable as `acks` and the topic ask.
pub fn handle(context: &Arc<RequestContext>, request: ProduceRequest) -> Reply {
    let acks = Acks::from_i16(request.acks);
    if request.transactional_id.is_none() && has_transactional_batch(&request) {
        return refuse_all(&request, acks, ErrorCode::TransactionalIdAuthorizationFailed);
    }
    let mut unsettled = Vec::new();
    let mut response = ProduceResponse::default();
    for topic in &request.topic_data {
        let mut answers = Vec::with_capacity(topic.partition_data.len());
        for data in &topic.partition_data {
            let answer = (response.responses.len(), answers.len());
            answers.push(match append(context, topic, data, acks) {
                Ok((partition, produced)) => {
                    match produced.settled_at {
                        Some(upto) if acks == Some(Acks::None) => partition.settle_unattended(upto),
                        Some(upto) => unsettled.push(Unsettled { partition, upto, answer }),
                        None => {}
                    }
                    success(data.index, &produced)
                }
                Err(failure) => failure.into_answer(data.index),
            });
        }
        response.responses.push(TopicProduceResponse {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partition_responses: answers,
            ..Default::default()
        });
    }
    if acks == Some(Acks::None) {
        return silence(&response);
    }
    add_endpoints(context, &mut response);
    if unsettled.is_empty() {
        return response.into();
    }
    let deadline = context.broker.runtime.now() + Duration::from_millis(request.timeout_ms.max(0) as u64);
    let runtime = context.broker.runtime.clone();
    Reply::Waiting(Box::pin(async move {
        for Unsettled { partition, upto, answer: (topic, index) } in unsettled {
            let patience = deadline.since(runtime.now());
            let error = match runtime.timeout(patience, partition.settled(upto)).await {
                Some(Ok(())) => continue,
                Some(Err(error)) => Failure::from(error),
                None => Failure::from(ErrorCode::RequestTimedOut),
            };
            let answer = &mut response.responses[topic].partition_responses[index];
            *answer = error.into_answer(answer.index);
        }
        response.into()
    }))
}

fn has_transactional_batch(request: &ProduceRequest) -> bool {
    let partitions = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
    partitions.flat_map(|partition| &partition.records).any(is_transactional)
}

/// Answers every partition with one error.
fn refuse_all(request: &ProduceRequest, acks: Option<Acks>, error: ErrorCode) -> Reply {
    let refuse = |topic: &TopicProduceData| TopicProduceResponse {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partition_responses: topic
            .partition_data
            .iter()
            .map(|data| Failure::from(error).into_answer(data.index))
            .collect(),
        ..Default::default()
    };
    let responses = request.topic_data.iter().map(refuse).collect();
    let response = ProduceResponse { responses, ..Default::default() };
    if acks == Some(Acks::None) { silence(&response) } else { response.into() }
}

fn append(
    context: &RequestContext,
    topic: &TopicProduceData,
    data: &PartitionProduceData,
    acks: Option<Acks>,
) -> Result<(Arc<Partition>, Produced), Failure> {
    let acks = acks.ok_or(ErrorCode::InvalidRequiredAcks)?;
    let version = context.header.api_version;
    let image = context.broker.image();
    let topic = if version >= FIRST_WITH_TOPIC_IDS {
        image.topics.by_id(topic.topic_id).ok_or(ErrorCode::UnknownTopicId)?
    } else {
        image.topics.by_name(&topic.name).ok_or(ErrorCode::UnknownTopicOrPartition)?
    };
    if is_internal(&topic.name) {
        return Err(ErrorCode::InvalidTopicException.into());
    }
    let partition = context.broker.replicas.get(topic.id, data.index)?;
    let records = data.records.as_ref().ok_or(ErrorCode::InvalidRecord)?;
    if is_transactional(records) {
        // Nobody could ever end the transaction: it would hold up those who read committed records for good.
        let message = "Transactions are not coordinated here yet; the batch was not appended.";
        let failure = Failure::from(ErrorCode::NotEnoughReplicas);
        return Err(Failure { message: Some(message.to_owned()), ..failure });
    }
    match partition.append_as_leader(records, acks, version >= FIRST_WITH_ZSTD) {
        Ok(produced) => Ok((partition, produced)),
        Err(error) => {
            let leader = leader_if_moved(&error, &partition);
            if let PartitionError::Append(AppendError::Storage(error)) = &error {
                tracing::error!("an append to {} failed: {error}", partition.name());
            }
            let record_errors = match &error {
                PartitionError::Invalid { error, .. } => {
                    let rejected = error.rejected_records().iter();
                    rejected.map(|record| record_error(record, partition.name())).collect()
                }
                _ => Vec::new(),
            };
            let mut failure = Failure { leader, record_errors, ..Failure::from(error) };
            if matches!(failure.code, ErrorCode::OutOfOrderSequenceNumber | ErrorCode::InvalidProducerEpoch) {
                failure.log_start_offset = partition.view().log_start().0;
            }
            Err(failure)
        }
    }
}

fn success(index: i32, produced: &Produced) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        base_offset: produced.base_offset.0,
        log_append_time_ms: produced.log_append_time.0,
        log_start_offset: produced.log_start_offset.0,
        ..Default::default()
    }
}

/// With acks=0 nobody is told; a producer learns of an error by its connection being closed.
fn silence(response: &ProduceResponse) -> Reply {
    let answers = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    match answers.map(|answer| ErrorCode::from_i16(answer.error_code)).find(|code| *code != ErrorCode::None) {
        Some(code) => {
            Reply::Close(format!("a Produce with acks=0 failed with {code}; closing is its answer"))
        }
        None => Reply::Silent,
    }
}

/// Tells where the brokers are, when a partition's leader turned out to be another one (KIP-951).
fn add_endpoints(context: &RequestContext, response: &mut ProduceResponse) {
    let mut answers = response.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses);
    if context.header.api_version < FIRST_WITH_ENDPOINTS {
        answers.for_each(|answer| answer.current_leader = LeaderIdAndEpoch::default());
        return;
    }
    if answers.any(|answer| answer.current_leader.leader_id >= 0) {
        let endpoint = |node: NodeAddress| NodeEndpoint {
            node_id: node.id.0,
            host: node.host,
            port: node.port.into(),
            rack: node.rack,
            ..Default::default()
        };
        let nodes = context.broker.live_brokers(&context.listener);
        response.node_endpoints = nodes.into_iter().map(endpoint).collect();
    }
}

fn leader_if_moved(error: &PartitionError, partition: &Partition) -> LeaderIdAndEpoch {
    match error {
        PartitionError::NotLeader => {
            let leadership = partition.leadership();
            LeaderIdAndEpoch {
                leader_id: leadership.leader.0,
                leader_epoch: leadership.epoch.0,
                ..Default::default()
            }
        }
        _ => LeaderIdAndEpoch::default(),
    }
}

/// Why a batch was not appended, as the response tells it.
struct Failure {
    code: ErrorCode,
    message: Option<String>,
    record_errors: Vec<BatchIndexAndErrorMessage>,
    log_start_offset: i64,
    leader: LeaderIdAndEpoch,
}

impl Failure {
    fn into_answer(self, index: i32) -> PartitionProduceResponse {
        PartitionProduceResponse {
            index,
            error_code: self.code.code(),
            base_offset: -1,
            log_start_offset: self.log_start_offset,
            record_errors: self.record_errors,
            error_message: self.message.map(Str::from),
            current_leader: self.leader,
            ..Default::default()
        }
    }
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Failure {
        let leader = LeaderIdAndEpoch::default();
        Failure { code, message: None, record_errors: Vec::new(), log_start_offset: -1, leader }
    }
}

impl From<PartitionError> for Failure {
    fn from(error: PartitionError) -> Failure {
        let mut failure = Failure::from(error.code());
        if let PartitionError::Invalid { error, log_start } = &error {
            failure.log_start_offset = log_start.0;
            failure.message = Some(match error.rejected_records() {
                [] => error.to_string(),
                _ if failure.code == ErrorCode::InvalidTimestamp => INVALID_TIMESTAMPS.to_owned(),
                _ => INVALID_RECORDS.to_owned(),
            });
        }
        if let PartitionError::Append(AppendError::Producer(_)) = &error {
            failure.message = Some(error.to_string());
        }
        failure
    }
}

const INVALID_TIMESTAMPS: &str = "One or more records have been rejected due to invalid timestamp";
const INVALID_RECORDS: &str = "One or more records have been rejected";

/// The sentences are Kafka's: clients show them.
fn record_error(rejected: &RejectedRecord, partition: &TopicPartition) -> BatchIndexAndErrorMessage {
    let index = rejected.index;
    let sentence = match rejected.reason {
        RecordRejection::NoKey => {
            format!("Compacted topic cannot accept message without key in topic partition {partition}")
        }
        RecordRejection::TimestampOutOfRange { timestamp, earliest, latest } => format!(
            "Timestamp {timestamp} of message with offset {index} is out of range. The timestamp should be \
             within [{earliest}, {latest}]"
        ),
        RecordRejection::TimestampType => format!("record {index} is wrong: {}", rejected.reason),
    };
    BatchIndexAndErrorMessage {
        batch_index: index,
        batch_index_error_message: Some(sentence.into()),
        ..Default::default()
    }
}
