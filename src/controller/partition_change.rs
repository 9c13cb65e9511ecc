//! What becomes of a partition when its replicas, in-sync set or the brokers around it change: who leads, who
//! is in the ISR and the ELR (KIP-966), and the record that says so.
//!
//! Invariant: without unclean election only a member of the ISR or the ELR is elected, or the last known
//! leader when both are empty and it is alone in having been one.

use crate::metadata::{
    ClusterImage, LEADER_UNCHANGED, LeaderRecoveryState, MetadataVersion, PartitionImage, ids,
};
use crate::protocol::metadata_records::{MetadataRecord, PartitionChangeRecord};
use crate::types::{NodeId, Uuid};

/// Which leader is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Election {
    /// The first replica, if it may lead.
    Preferred,
    /// The present leader, else the first that may lead.
    #[default]
    Online,
    /// As `Online`, and if nobody in sync is left, any live replica: records may be lost.
    Unclean,
}

/// Which brokers may lead, besides those that the cluster says are active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Brokers {
    /// It is being fenced or shut down.
    pub(super) removed: Option<NodeId>,
    /// It is being unfenced.
    pub(super) added: Option<NodeId>,
    /// It came back without a clean shutdown: what it had not synced is gone.
    pub(super) unclean: Option<NodeId>,
}

/// The rules of the topic and the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    /// `min.insync.replicas` of the topic.
    pub(super) min_isr: usize,
    /// Whether eligible leader replicas are on.
    pub(super) has_elr: bool,
    /// The metadata version.
    pub(super) version: MetadataVersion,
}

/// A change in the making.
pub(super) struct PartitionChange<'a> {
    partition: &'a PartitionImage,
    cluster: &'a ClusterImage,
    rules: Rules,
    brokers: Brokers,
    election: Election,
    isr: Vec<NodeId>,
    elr: Vec<NodeId>,
    recovery: LeaderRecoveryState,
}

struct Elected {
    leader: Option<NodeId>,
    unclean: bool,
}

impl<'a> PartitionChange<'a> {
    /// No change yet, but the leader is looked at anew.
    pub(super) fn new(
        partition: &'a PartitionImage,
        cluster: &'a ClusterImage,
        rules: Rules,
        brokers: Brokers,
        election: Election,
    ) -> PartitionChange<'a> {
        let gone = |node: &NodeId| Some(*node) == brokers.removed || Some(*node) == brokers.unclean;
        PartitionChange {
            partition,
            cluster,
            rules,
            brokers,
            election,
            isr: partition.isr.iter().copied().filter(|node| !gone(node)).collect(),
            elr: partition.elr.clone(),
            recovery: partition.leader_recovery_state,
        }
    }

    /// Asks for this in-sync set, as a leader proposed it.
    pub(super) fn with_isr(mut self, isr: Vec<NodeId>, recovery: LeaderRecoveryState) -> Self {
        self.isr = isr;
        self.recovery = recovery;
        self
    }

    /// The record, unless nothing changes.
    pub(super) fn build(mut self, topic_id: Uuid, partition_id: i32) -> Option<MetadataRecord> {
        let unchanged = PartitionChangeRecord { topic_id, partition_id, ..Default::default() };
        let mut record = unchanged.clone();
        self.find_eligible();
        self.elect(&mut record);
        let may_be_empty = self.rules.has_elr;
        let is_new = self.isr != self.partition.isr;
        if record.isr.is_none() && is_new && (!self.isr.is_empty() || may_be_empty) {
            record.isr = Some(ids(&self.isr));
        }
        let shrinks = self.partition.isr.iter().any(|node| !self.isr.contains(node));
        if record.leader == LEADER_UNCHANGED && self.rules.version.bumps_epoch_on_shrink() && shrinks {
            record.leader = self.partition.leader.unwrap_or(NodeId::NONE).0;
        }
        if record.leader_recovery_state < 0 && self.recovery != self.partition.leader_recovery_state {
            record.leader_recovery_state = self.recovery.code();
        }
        self.note_eligible(&mut record);
        self.note_last_known_leader(&mut record);
        (record != unchanged).then(|| record.into())
    }

    /// Who has everything that was committed though not in the ISR: those that left it while it was, or fell,
    /// below the smallest size at which anything is committed.
    fn find_eligible(&mut self) {
        if !self.rules.has_elr {
            return;
        }
        if self.isr.len() >= self.rules.min_isr.min(self.partition.replicas.len()) {
            return self.elr.clear();
        }
        let left = self.partition.isr.iter().filter(|node| !self.partition.elr.contains(node));
        self.elr.extend(left.copied().collect::<Vec<_>>());
        let (isr, unclean) = (&self.isr, self.brokers.unclean);
        self.elr.retain(|node| !isr.contains(node) && Some(*node) != unclean);
        self.elr.sort();
    }

    fn elect(&mut self, record: &mut PartitionChangeRecord) {
        let elected = self.choose();
        if elected.leader == self.partition.leader {
            return;
        }
        record.leader = elected.leader.unwrap_or(NodeId::NONE).0;
        let Some(leader) = elected.leader else { return };
        if elected.unclean {
            // The others may have records that this one lacks: they must follow it anew.
            self.isr = vec![leader];
            record.isr = Some(vec![leader.0]);
            if self.partition.leader_recovery_state != LeaderRecoveryState::Recovering {
                record.leader_recovery_state = LeaderRecoveryState::Recovering.code();
            }
            self.recovery = LeaderRecoveryState::Recovering;
        } else if !self.isr.contains(&leader) {
            self.isr = vec![leader];
            self.elr.retain(|node| *node != leader);
            if self.isr.len() >= self.rules.min_isr.min(self.partition.replicas.len()) {
                self.elr.clear();
            }
        }
    }

    fn choose(&self) -> Elected {
        let clean = |leader| Elected { leader: Some(leader), unclean: false };
        let replicas = &self.partition.replicas;
        let present = self.partition.leader.filter(|node| self.is_valid(*node));
        let preferred = replicas.first().copied().filter(|node| self.is_valid(*node));
        let wanted = match self.election {
            Election::Preferred => preferred.or(present),
            Election::Online | Election::Unclean => present,
        };
        if let Some(leader) = wanted {
            return clean(leader);
        }
        let acceptable = |node: &&NodeId| self.is_acceptable(**node);
        let in_sync = replicas.iter().filter(|node| self.isr.contains(node)).find(acceptable);
        let eligible = || replicas.iter().filter(|node| self.is_eligible(**node)).find(acceptable);
        if let Some(leader) = in_sync.or_else(eligible) {
            return clean(*leader);
        }
        if let Some(leader) = self.last_known_leader() {
            return Elected { leader: Some(leader), unclean: true };
        }
        let any = replicas.iter().find(acceptable).filter(|_| self.election == Election::Unclean);
        Elected { leader: any.copied(), unclean: any.is_some() }
    }

    fn is_eligible(&self, node: NodeId) -> bool {
        self.rules.has_elr && self.elr.contains(&node)
    }

    fn is_valid(&self, node: NodeId) -> bool {
        (self.isr.contains(&node) || self.is_eligible(node)) && self.is_acceptable(node)
    }

    /// Whether the broker is there to lead, with the directory that holds the replica.
    fn is_acceptable(&self, node: NodeId) -> bool {
        if Some(node) == self.brokers.removed || Some(node) == self.brokers.unclean {
            return false;
        }
        let is_active = Some(node) == self.brokers.added || self.cluster.is_active(node);
        let directory = self.partition.directory(node).unwrap_or(Uuid::ZERO);
        let is_online = self.cluster.broker(node).is_some_and(|broker| broker.has_directory(directory));
        is_active && (is_online || !self.rules.version.has_directories())
    }

    /// The one that led last, when nobody else can have more: it alone is known and nobody is eligible.
    fn last_known_leader(&self) -> Option<NodeId> {
        match self.partition.last_known_elr.as_slice() {
            [only] if self.rules.has_elr && self.elr.is_empty() && self.is_acceptable(*only) => Some(*only),
            _ => None,
        }
    }

    fn note_eligible(&mut self, record: &mut PartitionChangeRecord) {
        let is_unclean = record.leader_recovery_state == LeaderRecoveryState::Recovering.code();
        if is_unclean || !self.rules.has_elr {
            self.elr.clear();
        }
        if self.elr != self.partition.elr {
            record.eligible_leader_replicas = Some(ids(&self.elr));
        }
    }

    /// The last leader is remembered when the ISR becomes empty, and forgotten when there is a leader again.
    fn note_last_known_leader(&self, record: &mut PartitionChangeRecord) {
        if !self.rules.has_elr {
            return;
        }
        let known = self.partition.last_known_elr.as_slice();
        let stays = record.leader == LEADER_UNCHANGED && self.partition.leader.is_some();
        if record.isr.as_ref().is_some_and(Vec::is_empty)
            && let Some(leader) = self.partition.leader
            && known != [leader]
        {
            record.last_known_elr = Some(vec![leader.0]);
        } else if (record.leader >= 0 || stays) && !known.is_empty() {
            record.last_known_elr = Some(Vec::new());
        }
    }
}

#[cfg(test)]
mod tests;
