//! Producer ids, handed out from the block that the controller gave this broker (KIP-730).

use super::Broker;
use crate::protocol::api::allocate_producer_ids::{AllocateProducerIdsRequest, AllocateProducerIdsResponse};
use crate::types::{ErrorCode, ProducerId};
use std::ops::Range;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long a producer waits for the controller at most; then it is told to ask again.
const ALLOCATE_TIMEOUT: Duration = Duration::from_millis(5_000);

/// The rest of the block. A block is asked for when an id is first needed, and lost with the process.
pub struct ProducerIds(Mutex<Range<i64>>);

impl ProducerIds {
    /// No block yet.
    pub fn new() -> ProducerIds {
        ProducerIds(Mutex::new(0..0))
    }

    /// The next id, unique in the cluster.
    pub async fn next(&self, broker: &Broker) -> Result<ProducerId, ErrorCode> {
        // Held while the controller is asked: the others wait for the same block.
        let mut block = self.0.lock().await;
        if block.is_empty() {
            let request = AllocateProducerIdsRequest {
                broker_id: broker.node_id.0,
                broker_epoch: broker.epoch.0,
                ..Default::default()
            };
            let response: AllocateProducerIdsResponse = broker
                .controller_request(request, ALLOCATE_TIMEOUT)
                .await
                .map_err(|_| ErrorCode::CoordinatorLoadInProgress)?;
            if response.error_code != ErrorCode::None.code() {
                return Err(ErrorCode::CoordinatorLoadInProgress);
            }
            *block =
                response.producer_id_start..response.producer_id_start + i64::from(response.producer_id_len);
        }
        let id = block.next().ok_or(ErrorCode::CoordinatorLoadInProgress)?;
        Ok(ProducerId(id))
    }
}
