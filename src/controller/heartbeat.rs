//! BrokerHeartbeat (63, v0-2): sessions, fencing, unfencing, controlled shutdown (KIP-631, KIP-841), offline
//! and cordoned directories (KIP-858, KIP-1066). Error: STALE_BROKER_EPOCH.
//!
//! Invariant: a broker is unfenced only once it has applied its own registration, and may stop only once
//! every active broker has seen that it leads nothing any more.

use super::machine::{ControllerMachine, Decision, Timer};
use super::partition_change::{Brokers, Election, PartitionChange};
use crate::machine::{Moment, Outcome, ReplyKey};
use crate::metadata::{BrokerImage, PartitionImage};
use crate::protocol::Response;
use crate::protocol::api::broker_heartbeat::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};
use crate::protocol::metadata_records::{BrokerRegistrationChangeRecord, MetadataRecord};
use crate::types::{Instant, NodeId, Offset, Uuid};

/// What the controller remembers of a broker between heartbeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) last_contact: Instant,
    /// It was fenced for silence; the next heartbeat begins anew.
    pub(super) ended: bool,
    /// Up to where it has applied the metadata log.
    metadata_offset: Offset,
    /// Since when every active broker must have seen that it leads nothing.
    shutdown_offset: Option<Offset>,
}

/// Where a broker stands after a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Fenced,
    Unfenced,
    ControlledShutdown,
    ShutdownNow,
}

impl Session {
    pub(super) fn begin(now: Instant) -> Session {
        Session { last_contact: now, ended: false, metadata_offset: Offset(-1), shutdown_offset: None }
    }
}

impl ControllerMachine {
    /// Takes a heartbeat: the broker's wishes, and what the controller makes of them.
    pub(super) fn heartbeat(
        &mut self,
        at: Moment,
        key: ReplyKey,
        request: &BrokerHeartbeatRequest,
    ) -> Decision {
        let mut response = BrokerHeartbeatResponse::default();
        if let Err(error) = self.check_broker_epoch(request.broker_id, request.broker_epoch) {
            response.error_code = error.code();
            return Outcome::reply(key, Response::BrokerHeartbeat(response));
        }
        let id = NodeId(request.broker_id);
        let Some(broker) = self.image.cluster.broker(id).cloned() else {
            unreachable!("a broker with an epoch is registered")
        };
        let before = current(&broker);
        let next = self.next_state(&broker, before, request);
        let mut records = Vec::new();
        if next != before {
            match next {
                State::Fenced | State::ShutdownNow => self.fence_unless_fenced(&broker, &mut records),
                State::Unfenced => self.unfence_records(&broker, &mut records),
                State::ControlledShutdown => self.controlled_shutdown_records(&broker, &mut records),
            }
        }
        self.directory_records(&broker, request, &mut records);
        let session = self.sessions.entry(id).or_insert(Session::begin(at.now));
        session.last_contact = at.now;
        session.ended = false;
        session.metadata_offset = Offset(request.current_metadata_offset);
        if next == State::ControlledShutdown {
            let end = Offset(at.next_offset.0 + records.len() as i64 - 1);
            session.shutdown_offset.get_or_insert(end);
        }
        response.is_caught_up = request.current_metadata_offset >= broker.epoch.0;
        response.is_fenced = matches!(next, State::Fenced | State::ShutdownNow);
        response.should_shut_down = next == State::ShutdownNow;
        let ends = at.now + self.settings.session_timeout;
        let timer = (next != State::ShutdownNow).then_some(ends);
        let replies = vec![(key, Response::BrokerHeartbeat(response))];
        Outcome { records, replies, timers: vec![(Timer::Session(id), timer)] }
    }

    fn next_state(&self, broker: &BrokerImage, before: State, request: &BrokerHeartbeatRequest) -> State {
        let has_applied_registration = request.current_metadata_offset >= broker.epoch.0;
        match before {
            State::Fenced if request.want_shut_down => State::ShutdownNow,
            State::Fenced if !request.want_fence && has_applied_registration => State::Unfenced,
            State::Fenced => State::Fenced,
            State::Unfenced if request.want_fence && request.want_shut_down => State::ShutdownNow,
            State::Unfenced if request.want_fence => State::Fenced,
            State::Unfenced if request.want_shut_down => match self.leads_something(broker.id) {
                true => State::ControlledShutdown,
                false => State::ShutdownNow,
            },
            State::Unfenced => State::Unfenced,
            State::ControlledShutdown | State::ShutdownNow => match self.may_stop(broker.id) {
                true => State::ShutdownNow,
                false => State::ControlledShutdown,
            },
        }
    }

    fn leads_something(&self, id: NodeId) -> bool {
        let topics = self.image.topics.iter();
        topics.flat_map(|topic| topic.partitions.values()).any(|partition| partition.leader == Some(id))
    }

    fn may_stop(&self, id: NodeId) -> bool {
        let active = self.image.cluster.brokers().filter(|broker| broker.is_active());
        let seen = |broker: NodeId| self.sessions.get(&broker).map(|session| session.metadata_offset);
        let lowest = active.filter_map(|broker| seen(broker.id)).min().unwrap_or(Offset::MAX);
        let needed = self.sessions.get(&id).and_then(|session| session.shutdown_offset);
        !self.leads_something(id) && needed.is_none_or(|needed| needed <= lowest)
    }

    /// A broker was silent for too long.
    pub(super) fn end_session(&mut self, now: Instant, id: NodeId) -> Decision {
        let mut records = Vec::new();
        let timeout = self.settings.session_timeout;
        let Some(session) = self.sessions.get_mut(&id) else { return Decision::default() };
        let ends = session.last_contact + timeout;
        if now < ends {
            let timers = vec![(Timer::Session(id), Some(ends))];
            return Decision { timers, ..Decision::default() };
        }
        session.ended = true;
        let broker = self.image.cluster.broker(id).cloned();
        if let Some(broker) = broker.filter(|broker| !broker.fenced) {
            tracing::info!("broker {id} was not heard from for {timeout:?} and is fenced");
            self.fence_records(broker.id, &mut records);
        }
        Decision { records, ..Decision::default() }
    }

    fn fence_unless_fenced(&self, broker: &BrokerImage, records: &mut Vec<MetadataRecord>) {
        if !broker.fenced {
            self.fence_records(broker.id, records);
        }
    }

    /// Takes a broker out of every leadership and ISR, then fences it.
    pub(super) fn fence_records(&self, id: NodeId, records: &mut Vec<MetadataRecord>) {
        let removed = Brokers { removed: Some(id), ..Brokers::default() };
        self.leader_and_isr_records(removed, records, |partition| partition.isr.contains(&id));
        if let Some(broker) = self.image.cluster.broker(id) {
            records.push(BrokerRegistrationChangeRecord { fenced: 1, ..change(broker) }.into());
        }
    }

    fn unfence_records(&self, broker: &BrokerImage, records: &mut Vec<MetadataRecord>) {
        records.push(BrokerRegistrationChangeRecord { fenced: -1, ..change(broker) }.into());
        let added = Brokers { added: Some(broker.id), ..Brokers::default() };
        self.leader_and_isr_records(added, records, |partition| partition.leader.is_none());
    }

    fn controlled_shutdown_records(&self, broker: &BrokerImage, records: &mut Vec<MetadataRecord>) {
        let change = BrokerRegistrationChangeRecord { in_controlled_shutdown: 1, ..change(broker) };
        records.push(change.into());
        let removed = Brokers { removed: Some(broker.id), ..Brokers::default() };
        self.leader_and_isr_records(removed, records, |partition| partition.isr.contains(&broker.id));
    }

    fn directory_records(
        &self,
        broker: &BrokerImage,
        request: &BrokerHeartbeatRequest,
        records: &mut Vec<MetadataRecord>,
    ) {
        let version = self.image.features.metadata_version();
        let is_offline = |directory: &Uuid| request.offline_log_dirs.contains(directory);
        if version.has_directories() && broker.log_dirs.iter().any(is_offline) {
            let online: Vec<Uuid> = broker.log_dirs.iter().copied().filter(|d| !is_offline(d)).collect();
            let lost: Vec<Uuid> = broker.log_dirs.iter().copied().filter(is_offline).collect();
            records.push(BrokerRegistrationChangeRecord { log_dirs: online, ..change(broker) }.into());
            let removed = Brokers { removed: Some(broker.id), ..Brokers::default() };
            self.leader_and_isr_records(removed, records, |partition| {
                partition.directory(broker.id).is_some_and(|directory| lost.contains(&directory))
                    && (partition.leader == Some(broker.id) || partition.isr.contains(&broker.id))
            });
        }
        if version.has_cordoned_directories()
            && let Some(cordoned) = &request.cordoned_log_dirs
            && broker.cordoned_log_dirs.as_ref() != Some(cordoned)
        {
            let cordoned_log_dirs = Some(cordoned.clone());
            records.push(BrokerRegistrationChangeRecord { cordoned_log_dirs, ..change(broker) }.into());
        }
    }

    /// A change record for every partition that `concerns` and that changes when these brokers come or go.
    pub(super) fn leader_and_isr_records(
        &self,
        brokers: Brokers,
        records: &mut Vec<MetadataRecord>,
        concerns: impl Fn(&PartitionImage) -> bool,
    ) {
        for topic in self.image.topics.iter() {
            let mut rules = None;
            for (index, partition) in topic.partitions.iter().filter(|(_, partition)| concerns(partition)) {
                let rules = *rules.get_or_insert_with(|| self.rules(&topic.name));
                let election = match self.allows_unclean_election(&topic.name) {
                    true => Election::Unclean,
                    false => Election::Online,
                };
                let cluster = &self.image.cluster;
                let change = PartitionChange::new(partition, cluster, rules, brokers, election);
                records.extend(change.build(topic.id, *index));
            }
        }
    }
}

fn current(broker: &BrokerImage) -> State {
    match (broker.fenced, broker.in_controlled_shutdown) {
        (true, _) => State::Fenced,
        (false, true) => State::ControlledShutdown,
        (false, false) => State::Unfenced,
    }
}

fn change(broker: &BrokerImage) -> BrokerRegistrationChangeRecord {
    BrokerRegistrationChangeRecord {
        broker_id: broker.id.0,
        broker_epoch: broker.epoch.0,
        ..Default::default()
    }
}
