//! Metadata 0 to 13: brokers, topics, partitions and their leaders (KIP-4, 320, 430, 516, 1102).
//!
//! Errors, on the topic: UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID, INVALID_TOPIC_EXCEPTION; on the
//! partition: LEADER_NOT_AVAILABLE. A missing topic is created where request and broker allow it; the
//! response waits for it, where Kafka answers UNKNOWN_TOPIC_OR_PARTITION and lets the client ask again.
//! Omitted: throttling, REBOOTSTRAP_REQUIRED.

use super::{ALL_CLUSTER_OPERATIONS, ALL_TOPIC_OPERATIONS, create_topics};
use crate::broker::dispatch::Reply;
use crate::broker::{RequestContext, is_internal};
use crate::metadata::{MetadataImage, PartitionImage, TopicImage};
use crate::protocol::api::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use crate::types::{ErrorCode, NodeId, Str, Uuid};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The first version whose empty list of topics means none; before it means all.
const FIRST_WITH_EMPTY_LIST: i16 = 1;
/// The first version that serves topics by their ids, and whose topics may have no name.
const FIRST_WITH_NULL_NAME: i16 = 12;
/// Describes what was asked for; creates what is missing where that is allowed.
pub fn handle(context: &Arc<RequestContext>, request: MetadataRequest) -> Reply {
    if context.header.api_version < FIRST_WITH_NULL_NAME && asks_by_id(&request) {
        return refuse_ids(&request).into();
    }
    let missing = missing_topics(context, &request);
    if missing.is_empty() {
        return describe(context, &request).into();
    }
    let context = context.clone();
    Reply::Exclusive(Box::pin(async move {
        create_topics::auto_create(&context.broker, missing).await;
        describe(&context, &request).into()
    }))
}

/// Whether a topic is named by nothing but its id.
fn asks_by_id(request: &MetadataRequest) -> bool {
    request.topics.iter().flatten().any(|topic| topic.name.is_none() || topic.topic_id != Uuid::ZERO)
}

/// Versions 10 and 11 have room for ids, but Kafka does not serve them.
fn refuse_ids(request: &MetadataRequest) -> MetadataResponse {
    let refuse = |topic: &MetadataRequestTopic| MetadataResponseTopic {
        error_code: ErrorCode::InvalidRequest.code(),
        name: Some(topic.name.clone().unwrap_or_default()),
        topic_id: topic.topic_id,
        ..Default::default()
    };
    let topics = request.topics.iter().flatten().map(refuse).collect();
    MetadataResponse { topics, controller_id: -1, ..Default::default() }
}

/// The topics that the request lets the broker create.
fn missing_topics(context: &RequestContext, request: &MetadataRequest) -> Vec<Str> {
    let broker = &context.broker;
    if !request.allow_auto_topic_creation || !broker.config.boolean("auto.create.topics.enable") {
        return Vec::new();
    }
    let image = broker.image();
    let named = request.topics.iter().flatten().filter_map(|topic| topic.name.as_ref());
    let missing =
        named.filter(|name| is_valid_topic_name(name) && image.topics.by_name(name).is_none()).cloned();
    // A topic may be named twice.
    missing.collect::<BTreeSet<_>>().into_iter().collect()
}

fn describe(context: &RequestContext, request: &MetadataRequest) -> MetadataResponse {
    let broker = &context.broker;
    let image = broker.image();
    let version = context.header.api_version;
    let topics: Vec<_> = match &request.topics {
        Some(topics) if !(topics.is_empty() && version < FIRST_WITH_EMPTY_LIST) => {
            topics.iter().map(|topic| describe_asked(&image, topic)).collect()
        }
        _ => image.topics.iter().map(|topic| describe_topic(&image, topic)).collect(),
    };
    let brokers = broker.live_brokers(&context.listener).into_iter().map(|node| MetadataResponseBroker {
        node_id: node.id.0,
        host: node.host,
        port: node.port.into(),
        rack: node.rack,
        ..Default::default()
    });
    let mut response = MetadataResponse {
        brokers: brokers.collect(),
        cluster_id: Some(broker.cluster_id.as_str().into()),
        controller_id: broker.node_id.0,
        topics,
        ..Default::default()
    };
    if request.include_topic_authorized_operations {
        for topic in &mut response.topics {
            if topic.error_code == ErrorCode::None.code() {
                topic.topic_authorized_operations = ALL_TOPIC_OPERATIONS;
            }
        }
    }
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = ALL_CLUSTER_OPERATIONS;
    }
    response
}

fn describe_asked(image: &MetadataImage, asked: &MetadataRequestTopic) -> MetadataResponseTopic {
    let refuse = |error: ErrorCode| MetadataResponseTopic {
        error_code: error.code(),
        name: asked.name.clone(),
        topic_id: asked.topic_id,
        ..Default::default()
    };
    match &asked.name {
        Some(name) => match image.topics.by_name(name) {
            Some(topic) => describe_topic(image, topic),
            None if is_valid_topic_name(name) => refuse(ErrorCode::UnknownTopicOrPartition),
            None => refuse(ErrorCode::InvalidTopicException),
        },
        None if asked.topic_id == Uuid::ZERO => refuse(ErrorCode::UnknownTopicId),
        None => match image.topics.by_id(asked.topic_id) {
            Some(topic) => describe_topic(image, topic),
            None => refuse(ErrorCode::UnknownTopicId),
        },
    }
}

fn describe_topic(image: &MetadataImage, topic: &TopicImage) -> MetadataResponseTopic {
    MetadataResponseTopic {
        name: Some((&*topic.name).into()),
        topic_id: topic.id,
        is_internal: is_internal(&topic.name),
        partitions: topic
            .partitions
            .iter()
            .map(|(&index, partition)| describe_partition(image, index, partition))
            .collect(),
        ..Default::default()
    }
}

fn describe_partition(
    image: &MetadataImage,
    partition_index: i32,
    partition: &PartitionImage,
) -> MetadataResponsePartition {
    let is_live = |node: NodeId| image.cluster.is_unfenced(node);
    let leader = partition.leader.filter(|leader| is_live(*leader));
    let error = if leader.is_some() { ErrorCode::None } else { ErrorCode::LeaderNotAvailable };
    MetadataResponsePartition {
        error_code: error.code(),
        partition_index,
        leader_id: leader.unwrap_or(NodeId::NONE).0,
        leader_epoch: partition.leader_epoch.0,
        replica_nodes: partition.replicas.iter().map(|node| node.0).collect(),
        isr_nodes: partition.isr.iter().map(|node| node.0).collect(),
        offline_replicas: partition
            .replicas
            .iter()
            .filter(|node| !is_live(**node))
            .map(|node| node.0)
            .collect(),
        ..Default::default()
    }
}

/// Letters, digits, `.`, `_` and `-`, at most 249 of them, and not `.` or `..` (Kafka's rule for topics).
/// Whether a topic can have this name.
pub fn is_valid_topic_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name != "." && name != ".." && name.bytes().all(legal)
}
