//! BrokerRegistration (62, v0-4), UnregisterBroker (64, v0) and ControllerRegistration (70, v0).
//!
//! Errors of the first: INCONSISTENT_CLUSTER_ID, DUPLICATE_BROKER_REGISTRATION while another incarnation has
//! a session, INVALID_REGISTRATION for its directories, UNSUPPORTED_VERSION when it lacks a finalised
//! feature. A broker that did not shut down cleanly loses its place among the eligible leader replicas in the
//! same batch (KIP-966); the broker epoch is the offset of that batch.

use super::heartbeat::Session;
use super::machine::{ControllerMachine, Decision, Timer};
use super::partition_change::Brokers;
use crate::machine::{Moment, Outcome, ReplyKey};
use crate::metadata::{BrokerImage, KRAFT_VERSION, METADATA_VERSION, MetadataVersion};
use crate::protocol::Response;
use crate::protocol::api::broker_registration::{
    BrokerRegistrationRequest, BrokerRegistrationResponse, Feature, Listener,
};
use crate::protocol::api::controller_registration::{
    self, ControllerRegistrationRequest, ControllerRegistrationResponse,
};
use crate::protocol::api::unregister_broker::{UnregisterBrokerRequest, UnregisterBrokerResponse};
use crate::protocol::metadata_records::{
    BrokerEndpoint, BrokerFeature, ControllerEndpoint, ControllerFeature, MetadataRecord,
    RegisterBrokerRecord, RegisterControllerRecord, UnregisterBrokerRecord,
};
use crate::types::{ErrorCode, NodeId, Str};
use std::collections::BTreeSet;

impl ControllerMachine {
    /// Registers one incarnation of a broker.
    pub(super) fn register_broker(
        &mut self,
        at: Moment,
        key: ReplyKey,
        request: &BrokerRegistrationRequest,
    ) -> Decision {
        let mut response = BrokerRegistrationResponse::default();
        let features = match self.check_registration(at, request) {
            Ok(features) => features,
            Err(error) => {
                response.error_code = error.code();
                return Outcome::reply(key, Response::BrokerRegistration(response));
            }
        };
        let id = NodeId(request.broker_id);
        let known = self.image.cluster.broker(id).cloned();
        let mut records = Vec::new();
        let mut record = registration_record(request, features);
        match known.filter(|broker| broker.incarnation == request.incarnation_id) {
            Some(broker) => {
                record.broker_epoch = broker.epoch.0;
                record.fenced = broker.fenced;
                record.in_controlled_shutdown = broker.in_controlled_shutdown;
            }
            None => {
                self.shutdown_records(request, &mut records);
                record.broker_epoch = at.next_offset.0;
            }
        }
        response.broker_epoch = record.broker_epoch;
        records.push(record.into());
        self.sessions.insert(id, Session::begin(at.now));
        let ends = at.now + self.settings.session_timeout;
        let replies = vec![(key, Response::BrokerRegistration(response))];
        Outcome { records, replies, timers: vec![(Timer::Session(id), Some(ends))] }
    }

    fn check_registration(
        &self,
        at: Moment,
        request: &BrokerRegistrationRequest,
    ) -> Result<Vec<BrokerFeature>, ErrorCode> {
        if request.cluster_id != self.settings.cluster_id {
            return Err(ErrorCode::InconsistentClusterId);
        }
        let id = NodeId(request.broker_id);
        if let Some(known) = self.image.cluster.broker(id) {
            let has_session = self.sessions.get(&id).is_some_and(|session| {
                at.now.since(session.last_contact) < self.settings.session_timeout && !session.ended
            });
            if has_session && known.incarnation != request.incarnation_id && !known.in_controlled_shutdown {
                return Err(ErrorCode::DuplicateBrokerRegistration);
            }
        }
        if request.is_migrating_zk_broker {
            return Err(ErrorCode::InvalidRegistration);
        }
        if self.image.features.metadata_version().has_directories() {
            self.check_directories(request)?;
        }
        self.check_features(request)
    }

    fn check_directories(&self, request: &BrokerRegistrationRequest) -> Result<(), ErrorCode> {
        let distinct: BTreeSet<_> = request.log_dirs.iter().collect();
        let has_reserved = request.log_dirs.iter().any(|directory| directory.is_reserved());
        let is_taken = |broker: &BrokerImage| {
            broker.id.0 != request.broker_id && broker.log_dirs.iter().any(|dir| distinct.contains(dir))
        };
        let taken = self.image.cluster.brokers().any(|broker| is_taken(broker));
        let bad = distinct.is_empty() || distinct.len() != request.log_dirs.len() || has_reserved || taken;
        if bad { Err(ErrorCode::InvalidRegistration) } else { Ok(()) }
    }

    /// Every finalised feature must lie within what the broker supports; one that it does not name it
    /// supports at 0 only.
    fn check_features(&self, request: &BrokerRegistrationRequest) -> Result<Vec<BrokerFeature>, ErrorCode> {
        let level = |name: &str| match name {
            KRAFT_VERSION => self.settings.kraft_version,
            METADATA_VERSION => self.image.features.metadata_version().0,
            name => self.image.features.level(name),
        };
        let mut features: Vec<BrokerFeature> = request.features.iter().map(broker_feature).collect();
        if !features.iter().any(|feature| feature.name == *METADATA_VERSION) {
            let oldest = MetadataVersion::MIN.0;
            features.push(BrokerFeature {
                name: METADATA_VERSION.into(),
                min_supported_version: oldest,
                max_supported_version: oldest,
                ..Default::default()
            });
        }
        let covers = |feature: &BrokerFeature| {
            let supported = feature.min_supported_version..=feature.max_supported_version;
            let level = level(&feature.name);
            // Kafka lets level 0 pass for features whose range begins at 1.
            supported.contains(&level) || (level == 0 && feature.min_supported_version <= 1)
        };
        let named = |name: &str| features.iter().any(|feature| feature.name == *name);
        let finalized = self.image.features.iter().map(|(name, _)| name.as_str());
        let mut required = finalized.chain([KRAFT_VERSION]).filter(|name| level(name) != 0);
        if !features.iter().all(covers) || !required.all(named) {
            return Err(ErrorCode::UnsupportedVersion);
        }
        Ok(features)
    }

    /// What a new incarnation means for partitions that still count on the old one.
    fn shutdown_records(&self, request: &BrokerRegistrationRequest, records: &mut Vec<MetadataRecord>) {
        let id = NodeId(request.broker_id);
        let stored = self.image.cluster.broker(id).map_or(-2, |broker| broker.epoch.0);
        let is_clean = !self.image.features.has_elr() || stored == request.previous_broker_epoch;
        let brokers = match is_clean {
            true => Brokers { removed: Some(id), ..Brokers::default() },
            false => Brokers { unclean: Some(id), ..Brokers::default() },
        };
        self.leader_and_isr_records(brokers, records, |partition| {
            partition.isr.contains(&id) || (!is_clean && partition.elr.contains(&id))
        });
    }

    /// Removes a registration; partitions that count on the broker look for other leaders.
    pub(super) fn unregister_broker(
        &mut self,
        request: &UnregisterBrokerRequest,
    ) -> (Vec<MetadataRecord>, Response) {
        let id = NodeId(request.broker_id);
        let mut response = UnregisterBrokerResponse { error_message: None, ..Default::default() };
        let mut records = Vec::new();
        match self.image.cluster.broker(id) {
            Some(broker) => {
                let removed = Brokers { removed: Some(id), ..Brokers::default() };
                self.leader_and_isr_records(removed, &mut records, |p| p.isr.contains(&id));
                let (broker_id, broker_epoch) = (id.0, broker.epoch.0);
                records.push(UnregisterBrokerRecord { broker_id, broker_epoch, ..Default::default() }.into());
                self.sessions.remove(&id);
            }
            None => {
                response.error_code = ErrorCode::BrokerIdNotRegistered.code();
                response.error_message = Some(format!("Broker ID {id} is not currently registered").into());
            }
        }
        (records, Response::UnregisterBroker(response))
    }

    /// Another controller registers.
    pub(super) fn controller_registration(
        &mut self,
        request: &ControllerRegistrationRequest,
    ) -> (Vec<MetadataRecord>, Response) {
        let endpoint = |e: &controller_registration::Listener| ControllerEndpoint {
            name: e.name.detach(),
            host: e.host.detach(),
            port: e.port,
            security_protocol: e.security_protocol,
            ..Default::default()
        };
        let feature = |f: &controller_registration::Feature| ControllerFeature {
            name: f.name.detach(),
            min_supported_version: f.min_supported_version,
            max_supported_version: f.max_supported_version,
            ..Default::default()
        };
        let mut response = ControllerRegistrationResponse { error_message: None, ..Default::default() };
        let mut records = Vec::new();
        if self.image.features.metadata_version().has_controller_registration() {
            let record = RegisterControllerRecord {
                controller_id: request.controller_id,
                incarnation_id: request.incarnation_id,
                zk_migration_ready: request.zk_migration_ready,
                end_points: request.listeners.iter().map(endpoint).collect(),
                features: request.features.iter().map(feature).collect(),
                ..Default::default()
            };
            records.push(record.into());
        } else {
            response.error_code = ErrorCode::UnsupportedVersion.code();
            let message = "The current MetadataVersion is too old to support controller registrations.";
            response.error_message = Some(message.into());
        }
        (records, Response::ControllerRegistration(response))
    }
}

fn registration_record(
    request: &BrokerRegistrationRequest,
    features: Vec<BrokerFeature>,
) -> RegisterBrokerRecord {
    let endpoint = |e: &Listener| BrokerEndpoint {
        name: e.name.detach(),
        host: e.host.detach(),
        port: e.port,
        security_protocol: e.security_protocol,
        ..Default::default()
    };
    RegisterBrokerRecord {
        broker_id: request.broker_id,
        incarnation_id: request.incarnation_id,
        end_points: request.listeners.iter().map(endpoint).collect(),
        features,
        rack: request.rack.as_ref().map(Str::detach),
        fenced: true,
        log_dirs: request.log_dirs.clone(),
        ..Default::default()
    }
}

fn broker_feature(feature: &Feature) -> BrokerFeature {
    BrokerFeature {
        name: feature.name.detach(),
        min_supported_version: feature.min_supported_version,
        max_supported_version: feature.max_supported_version,
        ..Default::default()
    }
}
