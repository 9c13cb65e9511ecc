//! OffsetForLeaderEpoch 2 to 4: where an epoch ended in the leader's log, so that readers notice lost records
//! (KIP-101, 279, 320).
//!
//! Errors: UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH. An
//! epoch that is newer than the log knows is answered with -1, -1 and no error. Omitted: throttling.

use crate::broker::RequestContext;
use crate::protocol::api::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
};
use crate::types::{ErrorCode, LeaderEpoch};

/// Looks the epochs up.
pub fn handle(
    context: &RequestContext,
    request: &OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.iter().map(|topic| OffsetForLeaderTopicResult {
        topic: topic.topic.clone(),
        partitions: topic.partitions.iter().map(|wanted| look_up(context, &topic.topic, wanted)).collect(),
        ..Default::default()
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..Default::default() }
}

fn look_up(context: &RequestContext, topic: &str, wanted: &OffsetForLeaderPartition) -> EpochEndOffset {
    let answer = EpochEndOffset { partition: wanted.partition, ..Default::default() };
    let image = context.broker.image();
    let Some(topic) = image.topics.by_name(topic) else {
        return EpochEndOffset { error_code: ErrorCode::UnknownTopicOrPartition.code(), ..answer };
    };
    let end = context.broker.replicas.get(topic.id, wanted.partition).and_then(|partition| {
        partition.check_leader(LeaderEpoch(wanted.current_leader_epoch))?;
        Ok(partition.end_of_epoch(LeaderEpoch(wanted.leader_epoch)))
    });
    match end {
        Ok(Some(end)) => EpochEndOffset { leader_epoch: end.epoch.0, end_offset: end.end_offset.0, ..answer },
        Ok(None) => answer,
        Err(error) => EpochEndOffset { error_code: error.code().code(), ..answer },
    }
}
