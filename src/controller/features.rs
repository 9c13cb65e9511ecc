//! UpdateFeatures (57, v0-2; KIP-584) and AllocateProducerIds (67, v0; KIP-730).
//!
//! Errors: INVALID_UPDATE_VERSION, FEATURE_UPDATE_FAILED, INVALID_REQUEST; STALE_BROKER_EPOCH. One feature
//! that is refused refuses the whole request, as in Kafka. Omitted: a rise of kraft.version, and downgrades
//! of metadata.version.

use super::create_topics::Refusal;
use super::machine::ControllerMachine;
use crate::metadata::{KRAFT_VERSION, METADATA_VERSION, supported};
use crate::protocol::Response;
use crate::protocol::api::allocate_producer_ids::{AllocateProducerIdsRequest, AllocateProducerIdsResponse};
use crate::protocol::api::update_features::{
    FeatureUpdateKey, UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse,
};
use crate::protocol::metadata_records::{FeatureLevelRecord, MetadataRecord, ProducerIdsRecord};
use crate::types::ErrorCode;
use std::cmp::Ordering;

/// How many producer ids a broker gets at once.
const PRODUCER_ID_BLOCK: i32 = 1000;
/// How the refusal of a feature begins.
const UPDATE_FAILED: &str = "The update failed for all features since the following feature had an error:";

impl ControllerMachine {
    /// Gives a broker a block of producer ids that nobody had before.
    pub(super) fn allocate_producer_ids(
        &mut self,
        request: &AllocateProducerIdsRequest,
    ) -> (Vec<MetadataRecord>, Response) {
        let mut response = AllocateProducerIdsResponse::default();
        let first = self.image.next_producer_id.0;
        let next = first.checked_add(i64::from(PRODUCER_ID_BLOCK));
        let checked = self.check_broker_epoch(request.broker_id, request.broker_epoch);
        match checked.and(next.ok_or(ErrorCode::UnknownServerError)) {
            Ok(next_producer_id) => {
                response.producer_id_start = first;
                response.producer_id_len = PRODUCER_ID_BLOCK;
                let record = ProducerIdsRecord {
                    broker_id: request.broker_id,
                    broker_epoch: request.broker_epoch,
                    next_producer_id,
                    ..Default::default()
                };
                (vec![record.into()], Response::AllocateProducerIds(response))
            }
            Err(error) => {
                response.error_code = error.code();
                (Vec::new(), Response::AllocateProducerIds(response))
            }
        }
    }

    /// Finalises levels of features.
    pub(super) fn update_features(
        &mut self,
        request: &UpdateFeaturesRequest,
    ) -> (Vec<MetadataRecord>, Response) {
        let mut response = UpdateFeaturesResponse { error_message: None, ..Default::default() };
        let mut records = Vec::new();
        for update in &request.feature_updates {
            let mut result = UpdatableFeatureResult {
                feature: update.feature.clone(),
                error_message: None,
                ..Default::default()
            };
            match self.check_update(update) {
                // It has this level already, in the quorum's own records.
                Ok(()) if *update.feature == *KRAFT_VERSION => {}
                Ok(()) => records.push(
                    FeatureLevelRecord {
                        name: update.feature.detach(),
                        feature_level: update.max_version_level,
                        ..Default::default()
                    }
                    .into(),
                ),
                Err((error, sentence)) => {
                    let sentence = format!("{UPDATE_FAILED} {sentence}");
                    result.error_code = error.code();
                    result.error_message = Some(sentence.as_str().into());
                    response.error_code = error.code();
                    response.error_message = Some(sentence.into());
                }
            }
            response.results.push(result);
        }
        if response.error_code != 0 {
            records.clear();
            response.results.clear();
        }
        if request.validate_only {
            records.clear();
        }
        (records, Response::UpdateFeatures(response))
    }

    fn check_update(&self, update: &FeatureUpdateKey) -> Result<(), Refusal> {
        const UPGRADE: i8 = 1;
        const SAFE_DOWNGRADE: i8 = 2;
        const UNSAFE_DOWNGRADE: i8 = 3;
        let (name, level) = (&*update.feature, update.max_version_level);
        let node = self.settings.node_id;
        let invalid = |why: String| {
            let sentence = format!("Invalid update version {level} for feature {name}. {why}");
            Err((ErrorCode::InvalidUpdateVersion, sentence))
        };
        if name == KRAFT_VERSION {
            return match level.cmp(&self.settings.kraft_version) {
                Ordering::Less => invalid("Can't downgrade the version of this feature.".to_owned()),
                Ordering::Equal => Ok(()),
                Ordering::Greater => invalid("It is raised when the quorum is formatted.".to_owned()),
            };
        }
        let Some(feature) = supported(name) else {
            return invalid(format!("Local controller {node} does not support this feature."));
        };
        if level < 0 {
            return invalid("A feature version cannot be less than 0.".to_owned());
        }
        if level != 0 && !(feature.min..=feature.max).contains(&level) {
            let (min, max) = (feature.min, feature.max);
            return invalid(format!("Local controller {node} only supports versions {min}-{max}"));
        }
        let lacks = |f: &&crate::metadata::FeatureRange| f.name == *name && !(f.min..=f.max).contains(&level);
        let mut brokers = self.image.cluster.brokers();
        if let Some(broker) = brokers.find(|broker| level != 0 && broker.features.iter().any(|f| lacks(&f))) {
            return invalid(format!("Broker {} does not support this feature version.", broker.id));
        }
        if !update.allow_downgrade && !(UPGRADE..=UNSAFE_DOWNGRADE).contains(&update.upgrade_type) {
            return invalid("The controller does not support the given upgrade type.".to_owned());
        }
        let present = self.image.features.level(name);
        let may_fall = update.allow_downgrade
            || update.upgrade_type == SAFE_DOWNGRADE
            || update.upgrade_type == UNSAFE_DOWNGRADE;
        if level < present && may_fall && name == METADATA_VERSION {
            let sentence = format!(
                "Unsupported metadata.version downgrade from {present} to {level}. Refusing to perform the \
                 requested downgrade because it might delete metadata information."
            );
            return Err((ErrorCode::InvalidUpdateVersion, sentence));
        }
        if level < present && !may_fall {
            return invalid(
                "Can't downgrade the version of this feature without setting the upgrade type to either \
                 safe or unsafe downgrade."
                    .to_owned(),
            );
        }
        Ok(())
    }
}
