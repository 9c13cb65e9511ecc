//! What a broker's answer, or the lack of one, means for a batch. Pure.
//!
//! Invariant: a batch counts as certainly not appended only where the broker checks the error's condition
//! before it appends; in doubt it may have been appended.

use super::delivery::Stored;
use super::error::ProduceError;
use super::queue::Verdict;
use crate::client::cluster::means_stale_metadata;
use crate::connection::ConnectionError;
use crate::protocol::api::produce::{PartitionProduceResponse, ProduceResponse};
use crate::types::{ErrorCode, Offset, Timestamp, TopicPartition, Uuid};
use std::sync::Arc;

/// A verdict and what else the answer tells.
#[derive(Debug)]
pub(super) struct Judged {
    pub verdict: Verdict,
    /// The error in words.
    pub reason: Option<Arc<str>>,
    pub stale_metadata: bool,
    /// The leader and its epoch, where the broker names another one.
    pub leader: Option<(i32, i32)>,
}

/// What the result of a request means for its batch of `partition`. `Ok(None)`: no answer was asked for.
pub(super) fn judge(
    partition: &TopicPartition,
    topic_id: Uuid,
    result: &Result<Option<ProduceResponse>, ConnectionError>,
) -> Judged {
    let plain = |verdict, reason| Judged { verdict, reason, stale_metadata: false, leader: None };
    match result {
        Ok(None) => plain(Verdict::Stored(Stored { base_offset: None, append_time: None }), None),
        Ok(Some(response)) => match find(partition, topic_id, response) {
            Some(answer) => judge_answer(partition, answer),
            None => plain(
                Verdict::Again { maybe_appended: true },
                Some("the broker's answer leaves the partition out".into()),
            ),
        },
        Err(error) => {
            let reason: Arc<str> = error.to_string().into();
            let verdict = match error {
                ConnectionError::Version(_) | ConnectionError::Encode(_) => Verdict::Refused {
                    error: ProduceError::Client(error.clone().into()),
                    maybe_appended: false,
                },
                _ => Verdict::Again { maybe_appended: !error.is_unsent() },
            };
            plain(verdict, Some(reason))
        }
    }
}

fn find<'a>(
    partition: &TopicPartition,
    topic_id: Uuid,
    response: &'a ProduceResponse,
) -> Option<&'a PartitionProduceResponse> {
    // From version 13 on the answer names topics by their id.
    let topic = response.responses.iter().find(|topic| {
        topic.name == *partition.topic || (topic.name.is_empty() && topic.topic_id == topic_id)
    })?;
    topic.partition_responses.iter().find(|answer| answer.index == partition.partition)
}

fn judge_answer(partition: &TopicPartition, answer: &PartitionProduceResponse) -> Judged {
    let error = ErrorCode::from_i16(answer.error_code);
    let verdict = match error {
        ErrorCode::None => Verdict::Stored(Stored {
            base_offset: Some(Offset(answer.base_offset)).filter(|offset| offset.0 >= 0),
            append_time: Some(Timestamp(answer.log_append_time_ms)).filter(|time| time.0 >= 0),
        }),
        // The broker has it, and no longer knows where.
        ErrorCode::DuplicateSequenceNumber => {
            Verdict::Stored(Stored { base_offset: None, append_time: None })
        }
        ErrorCode::OutOfOrderSequenceNumber => Verdict::OutOfOrder,
        ErrorCode::InvalidProducerEpoch
        | ErrorCode::UnknownProducerId
        | ErrorCode::InvalidProducerIdMapping
        | ErrorCode::ProducerFenced => Verdict::IdentityRefused,
        error if error.is_retriable() => Verdict::Again { maybe_appended: !is_checked_before(error) },
        error => Verdict::Refused {
            error: ProduceError::Refused {
                partition: partition.clone(),
                error,
                message: answer.error_message.as_deref().map(Into::into),
            },
            maybe_appended: error == ErrorCode::UnknownServerError,
        },
    };
    let leader = &answer.current_leader;
    Judged {
        verdict,
        reason: (error != ErrorCode::None).then(|| format!("the broker answered {error}").into()),
        stale_metadata: means_stale_metadata(error),
        leader: (leader.leader_id >= 0).then_some((leader.leader_id, leader.leader_epoch)),
    }
}

/// Whether the broker finds the error before it appends anything. A leader that is deposed while it waits for
/// its followers answers like one that was none, so the others prove nothing.
fn is_checked_before(error: ErrorCode) -> bool {
    matches!(error, ErrorCode::NotEnoughReplicas | ErrorCode::CorruptMessage | ErrorCode::UnknownTopicId)
}
