//! The whole metadata of a cluster at one offset. An image that others hold never changes: replaying a record
//! copies the section that it touches, once, and shares the rest.

use super::changes::{MetadataChanges, MetadataUpdate};
use super::cluster::ClusterImage;
use super::configs::{ConfigResource, ConfigsImage};
use super::features::{FeaturesImage, check_level};
use super::records::RecordsError;
use super::security::{ClientQuotasImage, SecurityImage};
use super::topics::TopicsImage;
use crate::protocol::metadata_records::MetadataRecord;
use crate::types::{BrokerEpoch, LeaderEpoch, NodeId, Offset, ProducerId};
use std::sync::Arc;

/// Everything that metadata records say, up to an offset. Cloning shares all sections.
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataImage {
    /// The offset of the last record contained; -1 for none.
    pub offset: Offset,
    /// The epoch of that record.
    pub epoch: LeaderEpoch,
    /// Finalised features.
    pub features: Arc<FeaturesImage>,
    /// Brokers and controllers.
    pub cluster: Arc<ClusterImage>,
    /// Topics and partitions.
    pub topics: Arc<TopicsImage>,
    /// Dynamic configurations.
    pub configs: Arc<ConfigsImage>,
    /// Client quotas.
    pub client_quotas: Arc<ClientQuotasImage>,
    /// The first producer id that no block holds.
    pub next_producer_id: ProducerId,
    /// Access control entries, credentials, tokens.
    pub security: Arc<SecurityImage>,
}

impl Default for MetadataImage {
    fn default() -> MetadataImage {
        MetadataImage {
            offset: Offset(-1),
            epoch: LeaderEpoch::NONE,
            features: Arc::default(),
            cluster: Arc::default(),
            topics: Arc::default(),
            configs: Arc::default(),
            client_quotas: Arc::default(),
            next_producer_id: ProducerId(0),
            security: Arc::default(),
        }
    }
}

impl MetadataImage {
    /// Takes one record in, and notes in `changes` what it touched. An error means that the log is damaged,
    /// or was written by a release that this one does not understand.
    pub fn replay(
        &mut self,
        record: &MetadataRecord,
        changes: &mut MetadataChanges,
    ) -> Result<(), RecordsError> {
        match record {
            MetadataRecord::Topic(_)
            | MetadataRecord::Partition(_)
            | MetadataRecord::PartitionChange(_)
            | MetadataRecord::RemoveTopic(_)
            | MetadataRecord::ClearElr(_) => self.replay_topics(record, changes)?,
            MetadataRecord::RegisterBroker(_)
            | MetadataRecord::UnregisterBroker(_)
            | MetadataRecord::FenceBroker(_)
            | MetadataRecord::UnfenceBroker(_)
            | MetadataRecord::BrokerRegistrationChange(_)
            | MetadataRecord::RegisterController(_) => self.replay_cluster(record, changes)?,
            MetadataRecord::FeatureLevel(record) => {
                check_level(&record.name, record.feature_level)?;
                changes.features = true;
                Arc::make_mut(&mut self.features).replay(record);
            }
            MetadataRecord::Config(record) => Arc::make_mut(&mut self.configs).replay(record, changes),
            MetadataRecord::ClientQuota(record) => {
                changes.client_quotas = true;
                Arc::make_mut(&mut self.client_quotas).replay(record);
            }
            MetadataRecord::ProducerIds(record) => {
                changes.producer_ids = true;
                self.next_producer_id = ProducerId(record.next_producer_id);
            }
            MetadataRecord::DelegationToken(_)
            | MetadataRecord::RemoveDelegationToken(_)
            | MetadataRecord::UserScramCredential(_)
            | MetadataRecord::RemoveUserScramCredential(_)
            | MetadataRecord::AccessControlEntry(_)
            | MetadataRecord::RemoveAccessControlEntry(_) => self.replay_security(record, changes),
            MetadataRecord::NoOp(_)
            | MetadataRecord::ZkMigrationState(_)
            | MetadataRecord::BeginTransaction(_)
            | MetadataRecord::EndTransaction(_)
            | MetadataRecord::AbortTransaction(_) => {}
        }
        Ok(())
    }

    fn replay_topics(
        &mut self,
        record: &MetadataRecord,
        changes: &mut MetadataChanges,
    ) -> Result<(), RecordsError> {
        let topics = Arc::make_mut(&mut self.topics);
        match record {
            MetadataRecord::Topic(record) => topics.add_topic(record, changes),
            MetadataRecord::Partition(record) => topics.add_partition(record, changes)?,
            MetadataRecord::PartitionChange(record) => topics.change_partition(record, changes)?,
            MetadataRecord::ClearElr(record) => topics.clear_elr(&record.topic_name, changes)?,
            MetadataRecord::RemoveTopic(record) => {
                let topic = topics.remove_topic(record.topic_id, changes)?;
                let resource = ConfigResource::topic(&topic.name);
                Arc::make_mut(&mut self.configs).remove(&resource, changes);
            }
            other => unreachable!("{} is no record about topics", other.name()),
        }
        Ok(())
    }

    fn replay_cluster(
        &mut self,
        record: &MetadataRecord,
        changes: &mut MetadataChanges,
    ) -> Result<(), RecordsError> {
        let cluster = Arc::make_mut(&mut self.cluster);
        match record {
            MetadataRecord::RegisterBroker(record) => cluster.register_broker(record, changes),
            MetadataRecord::RegisterController(record) => cluster.register_controller(record, changes),
            MetadataRecord::UnregisterBroker(record) => {
                let (id, epoch) = (NodeId(record.broker_id), BrokerEpoch(record.broker_epoch));
                cluster.unregister_broker(id, epoch, changes)?;
            }
            MetadataRecord::FenceBroker(record) => {
                cluster.fence(NodeId(record.id), BrokerEpoch(record.epoch), true, changes)?;
            }
            MetadataRecord::UnfenceBroker(record) => {
                cluster.fence(NodeId(record.id), BrokerEpoch(record.epoch), false, changes)?;
            }
            MetadataRecord::BrokerRegistrationChange(record) => {
                cluster.change_registration(record, changes)?;
            }
            other => unreachable!("{} is no record about nodes", other.name()),
        }
        Ok(())
    }

    fn replay_security(&mut self, record: &MetadataRecord, changes: &mut MetadataChanges) {
        changes.security = true;
        let security = Arc::make_mut(&mut self.security);
        match record {
            MetadataRecord::AccessControlEntry(record) => {
                security.acls.insert(record.id, record.clone());
            }
            MetadataRecord::RemoveAccessControlEntry(record) => {
                security.acls.remove(&record.id);
            }
            MetadataRecord::UserScramCredential(record) => security.add_scram(record),
            MetadataRecord::RemoveUserScramCredential(record) => {
                security.scram.remove(&(record.mechanism, record.name.clone()));
            }
            MetadataRecord::DelegationToken(record) => security.add_token(record),
            MetadataRecord::RemoveDelegationToken(record) => {
                security.tokens.remove(&record.token_id);
            }
            other => unreachable!("{} is no record about security", other.name()),
        }
    }

    /// The records that bring an empty image to this one, in Kafka's order.
    pub fn write(&self, out: &mut dyn FnMut(MetadataRecord)) {
        let metadata_version = self.features.metadata_version();
        self.features.write(out);
        self.cluster.write(metadata_version, out);
        self.topics.write(metadata_version, out);
        self.configs.write(out);
        self.client_quotas.write(out);
        if self.next_producer_id.0 > 0 {
            let record = crate::protocol::metadata_records::ProducerIdsRecord {
                broker_id: -1,
                broker_epoch: -1,
                next_producer_id: self.next_producer_id.0,
                ..Default::default()
            };
            out(record.into());
        }
        self.security.write(out);
    }
}

/// Builds the next image from records, and keeps back those of a transaction until it ends (KIP-868).
#[derive(Debug, Clone)]
pub struct MetadataDelta {
    previous: Arc<MetadataImage>,
    next: MetadataImage,
    changes: MetadataChanges,
    /// Where the open transaction began: what to go back to when it is aborted.
    transaction: Option<(MetadataImage, MetadataChanges)>,
}

impl MetadataDelta {
    /// No change yet.
    pub fn new(previous: Arc<MetadataImage>) -> MetadataDelta {
        let next = MetadataImage::clone(&previous);
        MetadataDelta { previous, next, changes: MetadataChanges::default(), transaction: None }
    }

    /// Takes in the record at `offset`.
    pub fn replay(
        &mut self,
        offset: Offset,
        epoch: LeaderEpoch,
        record: &MetadataRecord,
    ) -> Result<(), RecordsError> {
        match record {
            MetadataRecord::BeginTransaction(_) => {
                self.transaction = Some((self.next.clone(), self.changes.clone()));
            }
            MetadataRecord::EndTransaction(_) => self.transaction = None,
            MetadataRecord::AbortTransaction(_) => {
                if let Some((image, changes)) = self.transaction.take() {
                    self.next = image;
                    self.changes = changes;
                }
            }
            record => self.next.replay(record, &mut self.changes)?,
        }
        self.advance(offset, epoch);
        Ok(())
    }

    /// Notes a control record, which only takes an offset.
    pub fn advance(&mut self, offset: Offset, epoch: LeaderEpoch) {
        self.next.offset = offset;
        self.next.epoch = epoch;
    }

    /// The newest state outside of any transaction, and whether one is open.
    pub fn stable(&self) -> (MetadataImage, bool) {
        match &self.transaction {
            Some((image, _)) => (image.clone(), true),
            None => (self.next.clone(), false),
        }
    }

    /// The step so far, unless a transaction is open or nothing was taken in; the delta goes on from there.
    pub fn take(&mut self) -> Option<MetadataUpdate> {
        if self.transaction.is_some() || self.next.offset == self.previous.offset {
            return None;
        }
        let image = Arc::new(self.next.clone());
        let previous = std::mem::replace(&mut self.previous, image.clone());
        let changes = Arc::new(std::mem::take(&mut self.changes));
        Some(MetadataUpdate { previous, image, changes })
    }
}
