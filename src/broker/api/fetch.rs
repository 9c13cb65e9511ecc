//! Fetch 4 to 18: record batches from where the reader stands (KIP-74, 98, 107, 207, 227, 320, 392, 516,
//! 595).
//!
//! Errors, on the partition: UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID, NOT_LEADER_OR_FOLLOWER,
//! FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, OFFSET_OUT_OF_RANGE, KAFKA_STORAGE_ERROR, CORRUPT_MESSAGE; on
//! top: FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR. Omitted:
//! throttling, reading from followers.

use crate::broker::dispatch::Reply;
use crate::broker::fetch_session::{FetchPlan, PartitionKey, Wanted};
use crate::broker::{NodeAddress, RequestContext};
use crate::log::{self, ReadBound, ReadRequest};
use crate::protocol::api::fetch::{
    AbortedTransaction, EpochEndOffset, FetchRequest, FetchResponse, LeaderIdAndEpoch, NodeEndpoint,
    PartitionData,
};
use crate::replication::{Partition, PartitionError, PartitionRead, ReaderEpochs, bound};
use crate::runtime::{Either, race};
use crate::types::{ErrorCode, Instant, LeaderEpoch, Offset};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// The first version that names topics by id.
const FIRST_WITH_TOPIC_IDS: i16 = 13;
/// The first version that tells who leads, where this broker does not.
const FIRST_WITH_ENDPOINTS: i16 = 16;
/// `replica_id` of a consumer.
const CONSUMER: i32 = -1;

/// Answers at once when there is enough to tell; otherwise when there is, or when the reader's patience ends.
pub fn handle(context: &Arc<RequestContext>, request: FetchRequest) -> Reply {
    let broker = &context.broker;
    let version = context.header.api_version;
    let now = broker.runtime.now();
    let plan = match broker.fetch_sessions.begin(&request, version >= FIRST_WITH_TOPIC_IDS, now) {
        Ok(plan) => plan,
        Err(error) => return FetchResponse { error_code: error.code(), ..Default::default() }.into(),
    };
    let fetch = Arc::new(Fetch::new(context.clone(), &request, plan, now));
    match fetch.read(Source::Memory) {
        Ok(found) if fetch.is_enough(&found) => respond(&fetch, found.data).into(),
        outcome => {
            // Only how much there was is kept: what waits holds no records.
            let seen = outcome.ok().map(|found| found.seen());
            Reply::Waiting(Box::pin(async move { wait(fetch, seen).await.into() }))
        }
    }
}

/// One request, resolved to partitions.
struct Fetch {
    context: Arc<RequestContext>,
    plan: FetchPlan,
    partitions: Vec<Result<Arc<Partition>, ErrorCode>>,
    bound: ReadBound,
    min_bytes: usize,
    max_bytes: usize,
    deadline: Instant,
    waits: bool,
}

/// Where a read may take bytes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Memory,
    Disk,
}

/// The bytes are not in memory: the read must leave this thread.
struct Cold;

/// What one pass over the partitions found.
struct Found {
    data: Vec<PartitionData>,
    bytes: usize,
    /// Something to tell at once: an error, or a log that diverged.
    urgent: bool,
    /// Bytes ever appended to these partitions, before they were read.
    appended: u64,
}

/// How much a pass over the partitions found, and how much had been appended to them.
#[derive(Clone, Copy)]
struct Seen {
    bytes: usize,
    appended: u64,
}

impl Found {
    fn seen(&self) -> Seen {
        Seen { bytes: self.bytes, appended: self.appended }
    }
}

impl Fetch {
    fn new(context: Arc<RequestContext>, request: &FetchRequest, plan: FetchPlan, now: Instant) -> Fetch {
        let by_id = context.header.api_version >= FIRST_WITH_TOPIC_IDS;
        let image = context.broker.image();
        let resolve = |(key, _): &(PartitionKey, Wanted)| {
            let topic_id = if by_id {
                image.topics.by_id(key.topic_id).map(|topic| topic.id).ok_or(ErrorCode::UnknownTopicId)
            } else {
                image
                    .topics
                    .by_name(&key.topic)
                    .map(|topic| topic.id)
                    .ok_or(ErrorCode::UnknownTopicOrPartition)
            };
            context.broker.replicas.get(topic_id?, key.partition).map_err(|error| error.code())
        };
        let replica_id = match request.replica_state.replica_id {
            CONSUMER => request.replica_id,
            replica_id => replica_id,
        };
        let partitions = plan.partitions.iter().map(resolve).collect();
        let limit = context.broker.config.long("fetch.max.bytes");
        Fetch {
            partitions,
            bound: bound(replica_id, request.isolation_level),
            min_bytes: request.min_bytes.max(0) as usize,
            max_bytes: i64::from(request.max_bytes).clamp(0, limit) as usize,
            deadline: now + Duration::from_millis(request.max_wait_ms.max(0) as u64),
            waits: request.max_wait_ms > 0 && !plan.partitions.is_empty(),
            plan,
            context,
        }
    }

    /// Reads every partition in order, as far as the limits go. The first batch comes whole, so that a reader
    /// moves on.
    fn read(&self, source: Source) -> Result<Found, Cold> {
        let appended = self.appended();
        let mut found =
            Found { data: Vec::with_capacity(self.partitions.len()), bytes: 0, urgent: false, appended };
        for ((key, wanted), partition) in self.plan.partitions.iter().zip(&self.partitions) {
            let result = match partition {
                Ok(partition) => {
                    let left = self.max_bytes.saturating_sub(found.bytes);
                    let (request, epochs) = self.read_request(wanted, left, found.bytes == 0);
                    match partition.read(&request, epochs, source == Source::Disk) {
                        Err(PartitionError::Cold) => return Err(Cold),
                        Ok(read) => Ok(read),
                        Err(error) => {
                            self.log_if_damaged(partition, &error);
                            Err((error.code(), Some(partition)))
                        }
                    }
                }
                Err(code) => Err((*code, None)),
            };
            let data = match result {
                Ok(read) => {
                    found.bytes += read.records.len();
                    found.urgent |= read.diverging.is_some();
                    answer(key.partition, read)
                }
                Err((code, partition)) => {
                    found.urgent = true;
                    self.refusal(key.partition, code, partition)
                }
            };
            found.data.push(data);
        }
        Ok(found)
    }

    fn read_request(&self, wanted: &Wanted, left: usize, at_least_one: bool) -> (ReadRequest, ReaderEpochs) {
        let request = ReadRequest {
            offset: Offset(wanted.fetch_offset),
            max_bytes: left.min(wanted.max_bytes.max(0) as usize),
            bound: self.bound,
            at_least_one,
            file_from_bytes: None,
        };
        let epochs = ReaderEpochs {
            current: LeaderEpoch(wanted.current_leader_epoch),
            last_fetched: LeaderEpoch(wanted.last_fetched_epoch),
        };
        (request, epochs)
    }

    /// A client learns the code; what is damaged, and where, stands in the log.
    fn log_if_damaged(&self, partition: &Partition, error: &PartitionError) {
        if let PartitionError::Storage(error) = error {
            tracing::error!("a fetch from {} failed: {error}", partition.name());
        }
    }

    fn is_enough(&self, found: &Found) -> bool {
        !self.waits || found.urgent || found.bytes >= self.min_bytes
    }

    fn appended(&self) -> u64 {
        self.partitions.iter().flatten().map(|partition| partition.appended_bytes()).sum()
    }

    fn refusal(
        &self,
        partition_index: i32,
        code: ErrorCode,
        partition: Option<&Arc<Partition>>,
    ) -> PartitionData {
        // Null behind what a read ran into, empty behind what was seen before.
        let is_seen_before = matches!(
            code,
            ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId | ErrorCode::InconsistentTopicId
        );
        let aborted = is_seen_before.then(Vec::new);
        let moved = matches!(code, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch);
        let current_leader = match partition {
            Some(partition) if moved && self.context.header.api_version >= FIRST_WITH_ENDPOINTS => {
                let leadership = partition.leadership();
                LeaderIdAndEpoch {
                    leader_id: leadership.leader.0,
                    leader_epoch: leadership.epoch.0,
                    ..Default::default()
                }
            }
            _ => LeaderIdAndEpoch::default(),
        };
        PartitionData {
            partition_index,
            error_code: code.code(),
            high_watermark: -1,
            aborted_transactions: aborted,
            records: Some(Bytes::new()),
            current_leader,
            ..Default::default()
        }
    }
}

fn answer(partition_index: i32, read: PartitionRead) -> PartitionData {
    let aborted = read.aborted.map(|aborted| {
        let transaction = |transaction: log::AbortedTransaction| AbortedTransaction {
            producer_id: transaction.producer_id.0,
            first_offset: transaction.first_offset.0,
            ..Default::default()
        };
        aborted.into_iter().map(transaction).collect()
    });
    let diverging = read.diverging.map(|end| EpochEndOffset {
        epoch: end.epoch.0,
        end_offset: end.end_offset.0,
        ..Default::default()
    });
    PartitionData {
        partition_index,
        high_watermark: read.high_watermark.0,
        last_stable_offset: read.last_stable_offset.0,
        log_start_offset: read.log_start_offset.0,
        aborted_transactions: aborted,
        diverging_epoch: diverging.unwrap_or_default(),
        records: Some(read.records),
        ..Default::default()
    }
}

/// Waits until there is enough, or the reader's patience ends, or a partition has another leader.
async fn wait(fetch: Arc<Fetch>, first: Option<Seen>) -> FetchResponse {
    let runtime = fetch.context.broker.runtime.clone();
    let news = Arc::new(Notify::new());
    let mut last = first;
    let mut woken = false;
    loop {
        for partition in fetch.partitions.iter().flatten() {
            partition.fetch_waiters().register(&news);
        }
        // Between a read and its look at the waiters' list records may have come: so look again after
        // registering.
        let worth_reading = last.is_none_or(|seen| {
            let grown = fetch.appended() - seen.appended;
            // Who is woken without growth is told of a change of leaders.
            grown >= fetch.min_bytes.saturating_sub(seen.bytes) as u64 || (woken && grown == 0)
        });
        if worth_reading || fetch.deadline <= runtime.now() {
            let found = read_anywhere(&fetch).await;
            if fetch.is_enough(&found) || fetch.deadline <= runtime.now() {
                return respond(&fetch, found.data);
            }
            last = Some(found.seen());
        }
        woken = race(news.notified(), runtime.sleep_until(fetch.deadline)).await == Either::Left(());
    }
}

/// Reads from memory if it can, otherwise on a thread that may wait for the disk.
async fn read_anywhere(fetch: &Arc<Fetch>) -> Found {
    if let Ok(found) = fetch.read(Source::Memory) {
        return found;
    }
    let offloaded = fetch.clone();
    let outcome =
        fetch.context.broker.runtime.offload("cold fetch", move || offloaded.read(Source::Disk)).await;
    outcome.unwrap_or_else(|Cold| unreachable!("a read that may wait for the disk is never cold"))
}

fn respond(fetch: &Fetch, data: Vec<PartitionData>) -> FetchResponse {
    let broker = &fetch.context.broker;
    let moved = data.iter().any(|data| data.current_leader.leader_id >= 0);
    let candidate_id = (broker.runtime.random_u64() >> 33) as i32;
    let now = broker.runtime.now();
    let (session_id, responses) = broker.fetch_sessions.finish(&fetch.plan, data, candidate_id, now);
    let endpoint = |node: NodeAddress| NodeEndpoint {
        node_id: node.id.0,
        host: node.host,
        port: node.port.into(),
        rack: node.rack,
        ..Default::default()
    };
    let nodes = if moved { broker.live_brokers(&fetch.context.listener) } else { Vec::new() };
    let node_endpoints = nodes.into_iter().map(endpoint).collect();
    FetchResponse { session_id, responses, node_endpoints, ..Default::default() }
}
