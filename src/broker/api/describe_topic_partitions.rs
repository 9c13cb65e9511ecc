//! DescribeTopicPartitions 0: topics and partitions page by page, with eligible leader replicas (KIP-966).
//!
//! Errors, per topic: UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC_EXCEPTION, INVALID_REQUEST for a cursor in
//! front of the first partition; per partition: LEADER_NOT_AVAILABLE. A page holds at most
//! `max.request.partition.size.limit` partitions, and at least one. Omitted: throttling.

use super::ALL_TOPIC_OPERATIONS;
use super::metadata::is_valid_topic_name;
use crate::broker::{RequestContext, is_internal};
use crate::metadata::{MetadataImage, PartitionImage, TopicImage, ids};
use crate::protocol::api::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use crate::types::{ErrorCode, NodeId, Str};
use std::collections::BTreeSet;

/// Describes the next page.
pub fn handle(
    context: &RequestContext,
    request: &DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    if request.cursor.as_ref().is_some_and(|cursor| cursor.partition_index < 0) {
        let refuse = |name: &Str| DescribeTopicPartitionsResponseTopic {
            error_code: ErrorCode::InvalidRequest.code(),
            name: Some(name.clone()),
            ..Default::default()
        };
        let topics = request.topics.iter().map(|topic| refuse(&topic.name)).collect();
        return DescribeTopicPartitionsResponse { topics, ..Default::default() };
    }
    let image = context.broker.image();
    let names: BTreeSet<Str> = if request.topics.is_empty() {
        image.topics.iter().map(|topic| (&*topic.name).into()).collect()
    } else {
        request.topics.iter().map(|topic| topic.name.clone()).collect()
    };
    let limit = i64::from(request.response_partition_limit)
        .min(context.broker.config.long("max.request.partition.size.limit"));
    let mut room = limit.max(1) as usize;
    let mut response = DescribeTopicPartitionsResponse::default();
    let (first_topic, first_partition) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.clone(), cursor.partition_index),
        None => (Str::default(), 0),
    };
    for name in names.range(first_topic.clone()..) {
        let Some(topic) = image.topics.by_name(name) else {
            response.topics.push(missing(name));
            continue;
        };
        let first = if *name == first_topic { first_partition } else { 0 };
        let mut left = topic.partitions.range(first..);
        if room == 0 {
            response.next_cursor = left.next().map(|(index, _)| cursor(name, *index));
            break;
        }
        let page = left.by_ref().take(room);
        let partitions: Vec<_> = page.map(|(index, partition)| describe(&image, *index, partition)).collect();
        room -= partitions.len();
        response.topics.push(DescribeTopicPartitionsResponseTopic { partitions, ..found(topic) });
        if let Some((index, _)) = left.next() {
            response.next_cursor = Some(cursor(name, *index));
            break;
        }
    }
    response
}

fn cursor(topic: &Str, partition_index: i32) -> Box<Cursor> {
    Box::new(Cursor { topic_name: topic.clone(), partition_index, ..Default::default() })
}

fn found(topic: &TopicImage) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        name: Some((&*topic.name).into()),
        topic_id: topic.id,
        is_internal: is_internal(&topic.name),
        topic_authorized_operations: ALL_TOPIC_OPERATIONS,
        ..Default::default()
    }
}

fn missing(name: &Str) -> DescribeTopicPartitionsResponseTopic {
    let error = match is_valid_topic_name(name) {
        true => ErrorCode::UnknownTopicOrPartition,
        false => ErrorCode::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: error.code(),
        name: Some(name.clone()),
        is_internal: is_internal(name),
        topic_authorized_operations: ALL_TOPIC_OPERATIONS,
        ..Default::default()
    }
}

fn describe(
    image: &MetadataImage,
    partition_index: i32,
    partition: &PartitionImage,
) -> DescribeTopicPartitionsResponsePartition {
    let is_live = |node: &NodeId| image.cluster.is_unfenced(*node);
    let leader = partition.leader.filter(is_live);
    let error = if leader.is_some() { ErrorCode::None } else { ErrorCode::LeaderNotAvailable };
    let offline = partition.replicas.iter().copied().filter(|node| !is_live(node));
    DescribeTopicPartitionsResponsePartition {
        error_code: error.code(),
        partition_index,
        leader_id: leader.map_or(-1, |leader| leader.0),
        leader_epoch: partition.leader_epoch.0,
        replica_nodes: ids(&partition.replicas),
        isr_nodes: ids(&partition.isr),
        eligible_leader_replicas: Some(ids(&partition.elr)),
        last_known_elr: Some(ids(&partition.last_known_elr)),
        offline_replicas: offline.map(|node| node.0).collect(),
        ..Default::default()
    }
}
