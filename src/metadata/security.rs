//! What is kept for security and quotas: access control entries, SCRAM credentials, delegation tokens, client
//! quotas. They are stored and written back as their records say; whoever uses them looks them up here.

use crate::protocol::metadata_records::{
    AccessControlEntryRecord, ClientQuotaRecord, DelegationTokenRecord, EntityData, MetadataRecord,
    UserScramCredentialRecord,
};
use crate::types::{Str, Uuid};
use std::collections::BTreeMap;

/// The parts of a client quota's entity, such as `user=alice, client-id=default`; a missing name is the
/// default.
pub type QuotaEntity = BTreeMap<Str, Option<Str>>;

/// Quotas by entity and key.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClientQuotasImage {
    /// Values such as bytes per second by key.
    pub entities: BTreeMap<QuotaEntity, BTreeMap<Str, f64>>,
}

impl ClientQuotasImage {
    pub(super) fn replay(&mut self, record: &ClientQuotaRecord) {
        let part =
            |part: &EntityData| (part.entity_type.detach(), part.entity_name.as_ref().map(Str::detach));
        let entity: QuotaEntity = record.entity.iter().map(part).collect();
        let quotas = self.entities.entry(entity.clone()).or_default();
        match record.remove {
            true => quotas.remove(&record.key),
            false => quotas.insert(record.key.detach(), record.value),
        };
        if quotas.is_empty() {
            self.entities.remove(&entity);
        }
    }

    pub(super) fn write(&self, out: &mut dyn FnMut(MetadataRecord)) {
        for (entity, quotas) in &self.entities {
            let part = |(entity_type, entity_name): (&Str, &Option<Str>)| EntityData {
                entity_type: entity_type.clone(),
                entity_name: entity_name.clone(),
                ..Default::default()
            };
            for (key, value) in quotas {
                let entity = entity.iter().map(part).collect();
                let (key, value) = (key.clone(), *value);
                out(ClientQuotaRecord { entity, key, value, remove: false, ..Default::default() }.into());
            }
        }
    }
}

/// Access control entries, credentials and tokens.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SecurityImage {
    /// Access control entries by id.
    pub acls: BTreeMap<Uuid, AccessControlEntryRecord>,
    /// Credentials by mechanism (1 SHA-256, 2 SHA-512) and user.
    pub scram: BTreeMap<(i8, Str), UserScramCredentialRecord>,
    /// Delegation tokens by id.
    pub tokens: BTreeMap<Str, DelegationTokenRecord>,
}

impl SecurityImage {
    pub(super) fn add_scram(&mut self, record: &UserScramCredentialRecord) {
        let record = UserScramCredentialRecord { name: record.name.detach(), ..record.clone() };
        self.scram.insert((record.mechanism, record.name.clone()), record);
    }

    pub(super) fn add_token(&mut self, record: &DelegationTokenRecord) {
        self.tokens.insert(record.token_id.detach(), record.clone());
    }

    pub(super) fn write(&self, out: &mut dyn FnMut(MetadataRecord)) {
        self.acls.values().for_each(|record| out(record.clone().into()));
        self.scram.values().for_each(|record| out(record.clone().into()));
        self.tokens.values().for_each(|record| out(record.clone().into()));
    }
}
