//! The controller as a state machine: requests of brokers and administrators in, metadata records and answers
//! out.
//!
//! Invariant: what it knows of the cluster is the image of the records so far; sessions and random choices
//! are all that it has besides. Each family of requests has a file: `registration`, `heartbeat`,
//! `create_topics`, ...

use super::heartbeat::Session;
use crate::config::BrokerConfig;
use crate::machine::{Input, Moment, Outcome, ReplyKey, StateMachine};
use crate::metadata::{
    ControllerImage, FeatureRange, ListenerEndpoint, MetadataChanges, MetadataImage, SUPPORTED_FEATURES,
};
use crate::protocol::metadata_records::{
    AbortTransactionRecord, BeginTransactionRecord, ConfigRecord, EndTransactionRecord, MetadataRecord,
    NoOpRecord,
};
use crate::protocol::{Request, Response};
use crate::types::{ErrorCode, Instant, NodeId, Str, Uuid};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What the controller of one node is told once.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) node_id: NodeId,
    pub(super) cluster_id: Str,
    /// Which run of this process it is.
    pub(super) incarnation: Uuid,
    /// Its own listeners.
    pub(super) endpoints: Vec<ListenerEndpoint>,
    /// Log directories that this process holds the locks of: nobody else can be using them.
    pub(super) locked_directories: Vec<Uuid>,
    /// What `format` wrote: the records that begin a cluster.
    pub(super) bootstrap: Vec<MetadataRecord>,
    /// The level of kraft.version, which brokers must support.
    pub(super) kraft_version: i16,
    pub(super) config: Arc<BrokerConfig>,
    pub(super) session_timeout: Duration,
    /// `metadata.max.idle.interval.ms`; zero writes no NoOpRecords.
    pub(super) idle_interval: Duration,
}

/// What the controller waits for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The controller registers itself, in a batch of its own.
    RegisterController,
    /// Nothing was written for `metadata.max.idle.interval.ms`.
    Idle,
    /// A broker's session ends unless it was heard from.
    Session(NodeId),
}

/// Records, answers, timers.
pub(super) type Decision = Outcome<MetadataRecord, Response, Timer>;

/// The controller.
pub(super) struct ControllerMachine {
    pub(super) settings: Arc<Settings>,
    pub(super) image: MetadataImage,
    /// The log ends inside of a transaction that another controller began.
    in_transaction: bool,
    pub(super) sessions: BTreeMap<NodeId, Session>,
    random: u64,
}

impl ControllerMachine {
    /// A controller that has read nothing yet. `seed` is where its random choices begin.
    pub(super) fn new(settings: Arc<Settings>, seed: u64) -> ControllerMachine {
        ControllerMachine {
            settings,
            image: MetadataImage::default(),
            in_transaction: false,
            sessions: BTreeMap::new(),
            random: seed,
        }
    }

    /// The next number of a SplitMix64 sequence.
    pub(super) fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn random_uuid(&mut self) -> Uuid {
        Uuid::from_random(self.random(), self.random())
    }

    /// What a new leader writes first: the end of a transaction that nobody will end, the records that begin
    /// a cluster, or the fencing of this node's own earlier run.
    fn activate(&mut self, now: Instant) -> Decision {
        let mut records = Vec::new();
        if self.in_transaction {
            let reason = Some("Controller failover".into());
            records.push(AbortTransactionRecord { reason, ..Default::default() }.into());
        }
        if self.image.features.is_empty() {
            records.extend(self.bootstrap_records());
        }
        let mut timers = vec![(Timer::RegisterController, Some(now))];
        let brokers: Vec<_> = self.image.cluster.brokers().filter(|broker| !broker.fenced).cloned().collect();
        for broker in brokers {
            let locked = &self.settings.locked_directories;
            let is_own = broker.id == self.settings.node_id
                && broker.log_dirs.iter().all(|directory| locked.contains(directory));
            if is_own && !locked.is_empty() {
                // Its locks are held here, so that run has ended: there is no session to wait for.
                self.fence_records(broker.id, &mut records);
            } else {
                let ends = now + self.settings.session_timeout;
                self.sessions.insert(broker.id, Session::begin(now));
                timers.push((Timer::Session(broker.id), Some(ends)));
            }
        }
        Outcome { records, replies: Vec::new(), timers }
    }

    fn bootstrap_records(&self) -> Vec<MetadataRecord> {
        let mut records = self.settings.bootstrap.clone();
        let level_of = |name: &str| {
            records.iter().find_map(|record| match record {
                MetadataRecord::FeatureLevel(record) if record.name == *name => Some(record.feature_level),
                _ => None,
            })
        };
        let version = level_of(crate::metadata::METADATA_VERSION).unwrap_or(0);
        if level_of(crate::metadata::ELR_VERSION).unwrap_or(0) >= 1 {
            // With eligible leader replicas the bound must be the same everywhere (KIP-966).
            let value = self.settings.config.text("min.insync.replicas").unwrap_or("1");
            let record = ConfigRecord {
                resource_type: crate::metadata::ConfigResourceType::Broker.code(),
                name: "min.insync.replicas".into(),
                value: Some(value.into()),
                ..Default::default()
            };
            records.push(record.into());
        }
        if crate::metadata::MetadataVersion(version).has_transactions() {
            let name = Some("Bootstrap records".into());
            records.insert(0, BeginTransactionRecord { name, ..Default::default() }.into());
            records.push(EndTransactionRecord::default().into());
        }
        records
    }

    fn register_controller(&self) -> Vec<MetadataRecord> {
        if !self.image.features.metadata_version().has_controller_registration() {
            return Vec::new();
        }
        let feature = |f: &crate::metadata::SupportedFeature| FeatureRange {
            name: f.name.into(),
            min: f.min,
            max: f.max,
        };
        let controller = ControllerImage {
            id: self.settings.node_id,
            incarnation: self.settings.incarnation,
            zk_migration_ready: false,
            endpoints: self.settings.endpoints.clone(),
            features: SUPPORTED_FEATURES.iter().map(feature).collect(),
        };
        vec![controller.to_record()]
    }

    fn answer(&mut self, at: Moment, key: ReplyKey, request: Request) -> Decision {
        let (records, response) = match request {
            Request::BrokerRegistration(request) => return self.register_broker(at, key, &request),
            Request::BrokerHeartbeat(request) => return self.heartbeat(at, key, &request),
            Request::UnregisterBroker(request) => self.unregister_broker(&request),
            Request::CreateTopics(request) => self.create_topics(&request),
            Request::DeleteTopics(request) => self.delete_topics(&request),
            Request::CreatePartitions(request) => self.create_partitions(&request),
            Request::AlterPartition(request) => self.alter_partition(&request),
            Request::ElectLeaders(request) => self.elect_leaders(&request),
            Request::AssignReplicasToDirs(request) => self.assign_replicas(&request),
            Request::AlterPartitionReassignments(request) => self.alter_reassignments(&request),
            Request::ListPartitionReassignments(request) => self.list_reassignments(&request),
            Request::IncrementalAlterConfigs(request) => self.incremental_alter_configs(&request),
            Request::AlterConfigs(request) => self.alter_configs(&request),
            Request::AllocateProducerIds(request) => self.allocate_producer_ids(&request),
            Request::UpdateFeatures(request) => self.update_features(&request),
            Request::ControllerRegistration(request) => self.controller_registration(&request),
            other => unreachable!("{} is refused before it gets here", other.key().name()),
        };
        Outcome::records(records, key, response)
    }

    /// Refuses a broker that is not registered, or was registered anew meanwhile.
    pub(super) fn check_broker_epoch(&self, id: i32, epoch: i64) -> Result<(), ErrorCode> {
        match self.image.cluster.broker(NodeId(id)) {
            Some(broker) if broker.epoch.0 == epoch => Ok(()),
            _ => Err(ErrorCode::StaleBrokerEpoch),
        }
    }
}

impl StateMachine for ControllerMachine {
    type Request = Request;
    type Response = Response;
    type Record = MetadataRecord;
    type Timer = Timer;

    fn handle(&mut self, at: Moment, input: Input<Request, Timer>) -> Decision {
        let mut decision = match input {
            Input::Loaded => self.activate(at.now),
            Input::Request(key, request) => self.answer(at, key, request),
            Input::Timer(Timer::RegisterController) => {
                Outcome { records: self.register_controller(), ..Outcome::default() }
            }
            Input::Timer(Timer::Idle) => {
                Outcome { records: vec![NoOpRecord::default().into()], ..Outcome::default() }
            }
            Input::Timer(Timer::Session(broker)) => self.end_session(at.now, broker),
            Input::Committed(_) => Outcome::default(),
        };
        if !decision.records.is_empty() && !self.settings.idle_interval.is_zero() {
            decision.timers.push((Timer::Idle, Some(at.now + self.settings.idle_interval)));
        }
        decision
    }

    fn replay(&mut self, record: &MetadataRecord) {
        match record {
            MetadataRecord::BeginTransaction(_) => self.in_transaction = true,
            MetadataRecord::EndTransaction(_) | MetadataRecord::AbortTransaction(_) => {
                self.in_transaction = false;
            }
            _ => {}
        }
        let mut changes = MetadataChanges::default();
        if let Err(error) = self.image.replay(record, &mut changes) {
            panic!("{error}");
        }
    }
}
