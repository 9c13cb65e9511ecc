//! ListOffsets 1 to 11: offsets by time (KIP-79, 207, 320, 734, 405, 1005, 1023).
//!
//! Timestamps: -1 latest, -2 earliest, -3 of the largest timestamp (from version 7), -4 earliest kept locally
//! (8), -5 latest kept remotely (9), -6 earliest that waits for its upload (11), others the first record that
//! is not older. Errors: UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH,
//! UNKNOWN_LEADER_EPOCH, UNSUPPORTED_VERSION, KAFKA_STORAGE_ERROR. Omitted: throttling; nothing is ever kept
//! remotely.

use crate::broker::RequestContext;
use crate::broker::dispatch::Reply;
use crate::log::ReadBound;
use crate::protocol::api::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use crate::replication::{OffsetAtTime, OffsetQuery, PartitionError, bound};
use crate::types::{ErrorCode, LeaderEpoch, Timestamp};
use std::sync::Arc;

/// The first version that tells the epoch of the offset (KIP-320).
const FIRST_WITH_EPOCH: i16 = 4;
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// Looks offsets up. Those that need the log's files are looked up off this thread.
pub fn handle(context: &Arc<RequestContext>, request: ListOffsetsRequest) -> Reply {
    let by_time =
        |partition: &ListOffsetsPartition| partition.timestamp >= 0 || partition.timestamp == MAX_TIMESTAMP;
    if !request.topics.iter().flat_map(|topic| &topic.partitions).any(by_time) {
        return look_up_all(context, &request).into();
    }
    let context = context.clone();
    Reply::Waiting(Box::pin(async move {
        let runtime = context.broker.runtime.clone();
        runtime.offload("offsets by time", move || look_up_all(&context, &request)).await.into()
    }))
}

fn look_up_all(context: &RequestContext, request: &ListOffsetsRequest) -> ListOffsetsResponse {
    let bound = bound(request.replica_id, request.isolation_level);
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let found = look_up(context, &topic.name, partition, bound);
            let (error, found) = match found {
                Ok(found) => (ErrorCode::None, found),
                Err(error) => (error, OffsetAtTime::NOTHING),
            };
            let has_epoch = context.header.api_version >= FIRST_WITH_EPOCH;
            ListOffsetsPartitionResponse {
                partition_index: partition.partition_index,
                error_code: error.code(),
                timestamp: found.timestamp.0,
                offset: found.offset.0,
                leader_epoch: if has_epoch { found.epoch.0 } else { LeaderEpoch::NONE.0 },
                ..Default::default()
            }
        });
        ListOffsetsTopicResponse {
            name: topic.name.clone(),
            partitions: partitions.collect(),
            ..Default::default()
        }
    });
    ListOffsetsResponse { topics: topics.collect(), ..Default::default() }
}

fn look_up(
    context: &RequestContext,
    topic: &str,
    wanted: &ListOffsetsPartition,
    bound: ReadBound,
) -> Result<OffsetAtTime, ErrorCode> {
    let version = context.header.api_version;
    let since = |first: i16, query: OffsetQuery| (version >= first).then_some(query);
    let query = match wanted.timestamp {
        LATEST => Some(OffsetQuery::Latest),
        EARLIEST => Some(OffsetQuery::Earliest),
        MAX_TIMESTAMP => since(7, OffsetQuery::MaxTimestamp),
        EARLIEST_LOCAL => since(8, OffsetQuery::Earliest),
        LATEST_TIERED => since(9, OffsetQuery::Nothing),
        EARLIEST_PENDING_UPLOAD => since(11, OffsetQuery::Nothing),
        timestamp if timestamp >= 0 => Some(OffsetQuery::AtTime(Timestamp(timestamp))),
        _ => None,
    };
    let query = query.ok_or(ErrorCode::UnsupportedVersion)?;
    let image = context.broker.image();
    let topic = image.topics.by_name(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let look_up = || {
        let partition = context.broker.replicas.get(topic.id, wanted.partition_index)?;
        partition.check_leader(LeaderEpoch(wanted.current_leader_epoch))?;
        partition.look_up_offset(query, bound)
    };
    look_up().map_err(|error: PartitionError| error.code())
}
