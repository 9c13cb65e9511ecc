//! The bytes of AlterClientQuotas. KIP-546.

use crate::types::Str;

api! {
    /// Changes client quotas.
    AlterClientQuotas = 49, versions 0..=1, flexible 1..;

    request AlterClientQuotasRequest { entries: Vec<RequestEntryData>, validate_only: bool }

    response AlterClientQuotasResponse { throttle_time_ms: i32, entries: Vec<ResponseEntryData> }

    struct RequestEntryData { entity: Vec<EntityData>, ops: Vec<OpData> }

    struct EntityData { entity_type: Str, entity_name: Option<Str> = Some(empty) }

    struct OpData {
        key: Str,
        value: f64,
        /// Removes the quota; `value` is ignored then.
        remove: bool,
    }

    struct ResponseEntryData {
        error_code: i16,
        error_message: Option<Str> = Some(empty),
        entity: Vec<EntityData>,
    }
}
