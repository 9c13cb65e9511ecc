//! Finding offsets: the ends of a partition, or the first record of a time.

use super::cluster::{Cluster, Topics, means_stale_metadata};
use super::error::ClientError;
use crate::protocol::ApiKey;
use crate::protocol::api::list_offsets::{
    ListOffsets, ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsTopic,
};
use crate::types::{ErrorCode, LeaderEpoch, NodeId, Offset, Str, Timestamp, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Which offset of a partition is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// That of the first record that is kept.
    Earliest,
    /// The one behind the last record that readers may see.
    Latest,
    /// That of the record with the highest timestamp.
    MaxTimestamp,
    /// That of the first record of this time or a later one.
    Timestamp(Timestamp),
}

impl OffsetSpec {
    fn code(self) -> i64 {
        match self {
            OffsetSpec::Latest => -1,
            OffsetSpec::Earliest => -2,
            OffsetSpec::MaxTimestamp => -3,
            OffsetSpec::Timestamp(Timestamp(time)) => time,
        }
    }
}

/// Which records a reader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// All that are replicated, those of open and aborted transactions among them.
    #[default]
    ReadUncommitted,
    /// Those outside of transactions and of committed ones.
    ReadCommitted,
}

impl Isolation {
    pub(super) fn code(self) -> i8 {
        match self {
            Isolation::ReadUncommitted => 0,
            Isolation::ReadCommitted => 1,
        }
    }
}

/// An offset that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset; none where no record is as late as asked.
    pub offset: Option<Offset>,
    /// The record's timestamp, or -1 where an end was looked for.
    pub timestamp: Timestamp,
    /// The leader epoch of the record, or -1.
    pub leader_epoch: LeaderEpoch,
}

type Wanted = BTreeMap<TopicPartition, OffsetSpec>;
type Found = BTreeMap<TopicPartition, Result<FoundOffset, ClientError>>;

/// Finds all of `wanted`, each from its partition's leader, and tries again what may succeed later.
pub(super) async fn list_offsets(cluster: &Cluster, mut wanted: Wanted, isolation: Isolation) -> Found {
    let mut found = Found::new();
    let mut retry = cluster.retry("finding offsets");
    loop {
        let mut last = None;
        for (partition, result) in one_round(cluster, &wanted, isolation).await {
            match result {
                Err(error) if error.is_retriable() => last = Some(error),
                result => {
                    wanted.remove(&partition);
                    found.insert(partition, result);
                }
            }
        }
        let Some(last) = last else { return found };
        if let Err(error) = retry.pause(last).await {
            found.extend(wanted.into_keys().map(|partition| (partition, Err(error.clone()))));
            return found;
        }
    }
}

async fn one_round(cluster: &Cluster, wanted: &Wanted, isolation: Isolation) -> Found {
    let mut found = Found::new();
    let names: BTreeSet<_> = wanted.keys().map(|partition| partition.topic.clone()).collect();
    let names: Vec<_> = names.into_iter().collect();
    let known = cluster.metadata();
    let metadata = if wanted.keys().all(|partition| known.leader(partition).is_some()) {
        known
    } else {
        match cluster.refresh(Topics::Named { names: &names, create: false }).await {
            Ok(metadata) => metadata,
            Err(error) => return wanted.keys().map(|p| (p.clone(), Err(error.clone()))).collect(),
        }
    };
    let mut by_leader: BTreeMap<NodeId, Vec<(TopicPartition, LeaderEpoch)>> = BTreeMap::new();
    for partition in wanted.keys() {
        match metadata.leader(partition) {
            Some((leader, epoch)) => by_leader.entry(leader).or_default().push((partition.clone(), epoch)),
            None => {
                found.insert(
                    partition.clone(),
                    Err(missing(partition, metadata.errors.get(&partition.topic))),
                );
            }
        }
    }
    let mut stale = false;
    for (leader, partitions) in by_leader {
        for (partition, result) in ask(cluster, leader, &partitions, wanted, isolation).await {
            stale |= match &result {
                Err(ClientError::Refused { error, .. }) => means_stale_metadata(*error),
                Err(ClientError::Connection(_) | ClientError::BrokerAway(_)) => true,
                _ => false,
            };
            found.insert(partition, result);
        }
    }
    if stale {
        // The next round asks the leaders of then; if this refresh fails, it fails there again.
        let _ = cluster.refresh(Topics::Named { names: &names, create: false }).await;
    }
    found
}

/// Why a partition has no leader that can be asked.
pub(super) fn missing(partition: &TopicPartition, error: Option<&ErrorCode>) -> ClientError {
    match error {
        Some(&error) => ClientError::Refused {
            api: ApiKey::Metadata,
            subject: partition.to_string().into(),
            error,
            message: None,
        },
        None => ClientError::NoLeader(partition.to_string().into()),
    }
}

async fn ask(
    cluster: &Cluster,
    leader: NodeId,
    partitions: &[(TopicPartition, LeaderEpoch)],
    wanted: &Wanted,
    isolation: Isolation,
) -> Found {
    let mut topics: Vec<ListOffsetsTopic> = Vec::new();
    for (partition, epoch) in partitions {
        let asked = ListOffsetsPartition {
            partition_index: partition.partition,
            current_leader_epoch: epoch.0,
            timestamp: wanted[partition].code(),
            ..Default::default()
        };
        match topics.last_mut().filter(|topic| topic.name == *partition.topic) {
            Some(topic) => topic.partitions.push(asked),
            None => topics.push(ListOffsetsTopic {
                name: Str::from(&*partition.topic),
                partitions: vec![asked],
                ..Default::default()
            }),
        }
    }
    let timeout = cluster.settings().request_timeout.as_millis();
    let request = ListOffsetsRequest {
        replica_id: -1,
        isolation_level: isolation.code(),
        topics,
        timeout_ms: i32::try_from(timeout).unwrap_or(i32::MAX),
        ..Default::default()
    };
    let response = match cluster.connection(leader).await {
        Ok(connection) => connection.request::<ListOffsets>(&request).await.map_err(ClientError::from),
        Err(error) => Err(error),
    };
    let response = match response {
        Ok(response) => response,
        Err(error) => return partitions.iter().map(|(p, _)| (p.clone(), Err(error.clone()))).collect(),
    };
    let read = |partition: &TopicPartition| {
        let topic = response.topics.iter().find(|topic| topic.name == *partition.topic)?;
        topic.partitions.iter().find(|answer| answer.partition_index == partition.partition)
    };
    let answer = |partition: &TopicPartition| match read(partition) {
        Some(answer) => found_offset(partition, answer),
        None => Err(ClientError::Unanswered {
            api: ApiKey::ListOffsets,
            subject: Arc::from(partition.to_string()),
        }),
    };
    partitions.iter().map(|(partition, _)| (partition.clone(), answer(partition))).collect()
}

fn found_offset(
    partition: &TopicPartition,
    answer: &ListOffsetsPartitionResponse,
) -> Result<FoundOffset, ClientError> {
    ClientError::check(ApiKey::ListOffsets, partition, answer.error_code, None)?;
    Ok(FoundOffset {
        offset: Some(Offset(answer.offset)).filter(|offset| offset.0 >= 0),
        timestamp: Timestamp(answer.timestamp),
        leader_epoch: LeaderEpoch(answer.leader_epoch),
    })
}
