//! Fetch sessions (KIP-227): what a reader fetches is remembered, so that requests and responses carry only
//! what changed.
//!
//! Invariants: there are at most `max.incremental.fetch.session.cache.slots` sessions; a session moves by one
//! epoch a request, so a request that is repeated, lost or out of order is refused and never skips data. It
//! knows offsets and sizes as the reader sent them, no logs.

use crate::protocol::api::fetch::{FetchRequest, FetchableTopicResponse, PartitionData};
use crate::types::{ErrorCode, Instant, Str, Uuid};
use indexmap::IndexMap;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A session that was not used for this long may make room for another
/// (`min.incremental.fetch.session.eviction.ms`).
const EVICTION_AGE: Duration = Duration::from_millis(120_000);

/// Session epoch of a request that opens a session.
const INITIAL_EPOCH: i32 = 0;
/// Session epoch of a request that closes its session, or does without.
const FINAL_EPOCH: i32 = -1;

/// A partition as fetch requests name it: by topic name up to version 12, by topic id after.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PartitionKey {
    /// Empty where the id counts.
    pub topic: Str,
    /// Zero where the name counts.
    pub topic_id: Uuid,
    /// The partition's index.
    pub partition: i32,
}

/// What a reader wants of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The epoch that the reader believes to be current; -1 if it does not say.
    pub current_leader_epoch: i32,
    /// The first offset it wants.
    pub fetch_offset: i64,
    /// The epoch of the record before that; -1 if it does not say.
    pub last_fetched_epoch: i32,
    /// At most this many bytes, but for a first batch.
    pub max_bytes: i32,
}

#[derive(Debug)]
struct Cached {
    wanted: Wanted,
    high_watermark: i64,
    log_start_offset: i64,
}

#[derive(Debug)]
struct Session {
    epoch: i32,
    uses_topic_ids: bool,
    partitions: IndexMap<PartitionKey, Cached>,
    last_used: Instant,
}

/// All sessions of a broker.
pub struct FetchSessions {
    slots: usize,
    sessions: Mutex<BTreeMap<i32, Arc<Mutex<Session>>>>,
}

/// One fetch: what to read, and how to answer.
pub struct FetchPlan {
    kind: Kind,
    /// What to read, in order.
    pub partitions: Vec<(PartitionKey, Wanted)>,
}

enum Kind {
    Sessionless,
    New { uses_topic_ids: bool },
    Incremental { id: i32, session: Arc<Mutex<Session>> },
}

impl FetchSessions {
    /// Room for `slots` sessions.
    pub fn new(slots: usize) -> FetchSessions {
        FetchSessions { slots, sessions: Mutex::new(BTreeMap::new()) }
    }

    /// What `request` asks for, together with what its session remembers.
    pub fn begin(
        &self,
        request: &FetchRequest,
        uses_topic_ids: bool,
        now: Instant,
    ) -> Result<FetchPlan, ErrorCode> {
        if matches!(request.session_epoch, INITIAL_EPOCH | FINAL_EPOCH) {
            if request.session_id != 0 {
                self.lock().remove(&request.session_id);
            }
            let kind = match request.session_epoch {
                FINAL_EPOCH => Kind::Sessionless,
                _ => Kind::New { uses_topic_ids },
            };
            return Ok(FetchPlan { kind, partitions: wanted_by(request).collect() });
        }
        let id = request.session_id;
        let session = self.lock().get(&id).cloned().ok_or(ErrorCode::FetchSessionIdNotFound)?;
        let mut state = session.lock().unwrap_or_else(PoisonError::into_inner);
        if state.epoch != request.session_epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if state.uses_topic_ids != uses_topic_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        state.epoch = if state.epoch == i32::MAX { 1 } else { state.epoch + 1 };
        state.last_used = now;
        for key in forgotten_by(request) {
            state.partitions.shift_remove(&key);
        }
        for (key, wanted) in wanted_by(request) {
            let unknown = || Cached { wanted, high_watermark: -1, log_start_offset: -1 };
            match state.partitions.get_mut(&key) {
                Some(cached) => cached.wanted = wanted,
                None => drop(state.partitions.insert(key.detached(), unknown())),
            }
        }
        let partitions = state.partitions.iter().map(|(key, cached)| (key.clone(), cached.wanted)).collect();
        drop(state);
        Ok(FetchPlan { kind: Kind::Incremental { id, session }, partitions })
    }

    /// The session id and the topics of the response: all of them for a first fetch, what changed for a later
    /// one. `candidate_id` is the id that a new session may get.
    pub fn finish(
        &self,
        plan: &FetchPlan,
        results: Vec<PartitionData>,
        candidate_id: i32,
        now: Instant,
    ) -> (i32, Vec<FetchableTopicResponse>) {
        assert_eq!(plan.partitions.len(), results.len(), "each partition that was asked for has a result");
        let results = plan.partitions.iter().zip(results);
        match &plan.kind {
            Kind::Sessionless => (0, by_topic(results.map(|((key, _), data)| (key.clone(), data)))),
            Kind::New { uses_topic_ids } => {
                let (mut cached, mut answered) = (IndexMap::new(), Vec::new());
                for ((key, wanted), data) in results {
                    cached.insert(key.detached(), Cached::after(*wanted, &data));
                    answered.push((key.clone(), data));
                }
                let session =
                    Session { epoch: 1, uses_topic_ids: *uses_topic_ids, partitions: cached, last_used: now };
                (self.admit(session, candidate_id, now), by_topic(answered.into_iter()))
            }
            Kind::Incremental { id, session } => {
                let mut state = session.lock().unwrap_or_else(PoisonError::into_inner);
                let changed = results.filter_map(|((key, _), data)| {
                    state.take_changed(key, &data).then(|| (key.clone(), data))
                });
                (*id, by_topic(changed.collect::<Vec<_>>().into_iter()))
            }
        }
    }

    /// Gives the session a place, if there is one; 0 if not.
    fn admit(&self, session: Session, candidate_id: i32, now: Instant) -> i32 {
        if session.partitions.is_empty() {
            return 0;
        }
        let mut sessions = self.lock();
        if sessions.len() >= self.slots {
            let used = |session: &Arc<Mutex<Session>>| {
                session.lock().unwrap_or_else(PoisonError::into_inner).last_used
            };
            let oldest = sessions.iter().map(|(&id, session)| (used(session), id)).min();
            match oldest {
                Some((last_used, id)) if now.since(last_used) > EVICTION_AGE => sessions.remove(&id),
                _ => return 0,
            };
        }
        let mut id = candidate_id.saturating_abs().max(1);
        while sessions.contains_key(&id) {
            id = if id == i32::MAX { 1 } else { id + 1 };
        }
        sessions.insert(id, Arc::new(Mutex::new(session)));
        id
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<i32, Arc<Mutex<Session>>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartitionKey {
    /// The same, without a hold on the request's frame.
    fn detached(&self) -> PartitionKey {
        PartitionKey { topic: self.topic.detach(), ..self.clone() }
    }
}

impl Cached {
    fn after(wanted: Wanted, data: &PartitionData) -> Cached {
        Cached { wanted, high_watermark: data.high_watermark, log_start_offset: data.log_start_offset }
    }
}

impl Session {
    /// Whether the response must tell this partition; then what it tells is remembered. A partition with data
    /// goes to the end, so that the others get their turn first next time.
    fn take_changed(&mut self, key: &PartitionKey, data: &PartitionData) -> bool {
        let Some((index, _, cached)) = self.partitions.get_full_mut(key) else { return true };
        let has_records = data.records.as_ref().is_some_and(|records| !records.is_empty());
        let failed = data.error_code != ErrorCode::None.code();
        let changed = has_records
            || failed
            || data.diverging_epoch.end_offset >= 0
            || data.preferred_read_replica >= 0
            || cached.high_watermark != data.high_watermark
            || cached.log_start_offset != data.log_start_offset;
        cached.high_watermark = if failed { -1 } else { data.high_watermark };
        cached.log_start_offset = data.log_start_offset;
        if has_records {
            let last = self.partitions.len() - 1;
            self.partitions.move_index(index, last);
        }
        changed
    }
}

fn wanted_by(request: &FetchRequest) -> impl Iterator<Item = (PartitionKey, Wanted)> + '_ {
    request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| {
            let key = PartitionKey {
                topic: topic.topic.clone(),
                topic_id: topic.topic_id,
                partition: partition.partition,
            };
            let wanted = Wanted {
                current_leader_epoch: partition.current_leader_epoch,
                fetch_offset: partition.fetch_offset,
                last_fetched_epoch: partition.last_fetched_epoch,
                max_bytes: partition.partition_max_bytes,
            };
            (key, wanted)
        })
    })
}

fn forgotten_by(request: &FetchRequest) -> impl Iterator<Item = PartitionKey> + '_ {
    request.forgotten_topics_data.iter().flat_map(|topic| {
        topic.partitions.iter().map(|&partition| PartitionKey {
            topic: topic.topic.clone(),
            topic_id: topic.topic_id,
            partition,
        })
    })
}

/// Results of neighbouring partitions of one topic under one entry.
fn by_topic(results: impl Iterator<Item = (PartitionKey, PartitionData)>) -> Vec<FetchableTopicResponse> {
    let mut topics: Vec<FetchableTopicResponse> = Vec::new();
    for (key, data) in results {
        match topics.last_mut() {
            Some(last) if last.topic == key.topic && last.topic_id == key.topic_id => {
                last.partitions.push(data)
            }
            _ => topics.push(FetchableTopicResponse {
                topic: key.topic,
                topic_id: key.topic_id,
                partitions: vec![data],
                ..Default::default()
            }),
        }
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::api::fetch::{FetchPartition, FetchTopic, ForgottenTopic};

    const NOW: Instant = Instant(0);

    fn request(session_id: i32, session_epoch: i32, partitions: &[(i32, i64)]) -> FetchRequest {
        let partitions = partitions.iter().map(|&(partition, fetch_offset)| FetchPartition {
            partition,
            fetch_offset,
            ..Default::default()
        });
        let topic = FetchTopic { topic: "t".into(), partitions: partitions.collect(), ..Default::default() };
        FetchRequest { session_id, session_epoch, topics: vec![topic], ..Default::default() }
    }

    fn data(partition_index: i32, high_watermark: i64) -> PartitionData {
        PartitionData { partition_index, high_watermark, ..Default::default() }
    }

    fn partitions_of(topics: &[FetchableTopicResponse]) -> Vec<i32> {
        topics.iter().flat_map(|topic| topic.partitions.iter().map(|data| data.partition_index)).collect()
    }

    #[test]
    fn a_session_answers_only_what_changed_and_refuses_what_is_out_of_order() {
        let sessions = FetchSessions::new(10);
        let plan = sessions.begin(&request(0, 0, &[(0, 0), (1, 0)]), false, NOW).unwrap();
        let (id, topics) = sessions.finish(&plan, vec![data(0, 5), data(1, 7)], 77, NOW);
        assert_eq!((id, partitions_of(&topics)), (77, vec![0, 1]));

        let plan = sessions.begin(&request(id, 1, &[]), false, NOW).unwrap();
        assert_eq!(plan.partitions.len(), 2, "the session remembers what is fetched");
        let (_, topics) = sessions.finish(&plan, vec![data(0, 5), data(1, 8)], 0, NOW);
        assert_eq!(partitions_of(&topics), [1]);

        let error = |request| sessions.begin(&request, false, NOW).map(|_| ()).unwrap_err();
        assert_eq!(error(request(id, 1, &[])), ErrorCode::InvalidFetchSessionEpoch);
        assert_eq!(error(request(id + 1, 2, &[])), ErrorCode::FetchSessionIdNotFound);
        let with_ids = sessions.begin(&request(id, 2, &[]), true, NOW).map(|_| ());
        assert_eq!(with_ids, Err(ErrorCode::FetchSessionTopicIdError));
    }

    #[test]
    fn forgotten_partitions_leave_and_a_closed_session_is_gone() {
        let sessions = FetchSessions::new(10);
        let plan = sessions.begin(&request(0, 0, &[(0, 0), (1, 0)]), false, NOW).unwrap();
        let (id, _) = sessions.finish(&plan, vec![data(0, 0), data(1, 0)], 5, NOW);
        let forgotten = ForgottenTopic { topic: "t".into(), partitions: vec![0], ..Default::default() };
        let next = FetchRequest { forgotten_topics_data: vec![forgotten], ..request(id, 1, &[(1, 9)]) };
        let plan = sessions.begin(&next, false, NOW).unwrap();
        assert_eq!(plan.partitions.len(), 1);
        assert_eq!((plan.partitions[0].0.partition, plan.partitions[0].1.fetch_offset), (1, 9));
        sessions.begin(&request(id, -1, &[(1, 9)]), false, NOW).unwrap();
        let gone = sessions.begin(&request(id, 2, &[]), false, NOW).map(|_| ());
        assert_eq!(gone, Err(ErrorCode::FetchSessionIdNotFound));
    }

    #[test]
    fn a_full_cache_evicts_only_what_is_old() {
        let sessions = FetchSessions::new(1);
        let open = |candidate, now| {
            let plan = sessions.begin(&request(0, 0, &[(0, 0)]), false, now).unwrap();
            sessions.finish(&plan, vec![data(0, 0)], candidate, now).0
        };
        assert_eq!(open(1, NOW), 1);
        assert_eq!(open(2, NOW), 0);
        assert_eq!(open(3, NOW + EVICTION_AGE + Duration::from_millis(1)), 3);
    }
}
