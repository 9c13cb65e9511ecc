//! The bytes of DescribeClientQuotas. KIP-546.

use crate::types::Str;

api! {
    /// Lists client quotas that match a filter.
    DescribeClientQuotas = 48, versions 0..=1, flexible 1..;

    request DescribeClientQuotasRequest {
        components: Vec<ComponentData>,
        /// Leaves out quotas of entities that name more than the filter does.
        strict: bool,
    }

    response DescribeClientQuotasResponse {
        throttle_time_ms: i32,
        error_code: i16,
        error_message: Option<Str> = Some(empty),
        entries: Option<Vec<EntryData>> = Some(empty),
    }

    struct ComponentData { entity_type: Str, match_type: i8, r#match: Option<Str> = Some(empty) }

    struct EntryData { entity: Vec<EntityData>, values: Vec<ValueData> }

    struct EntityData { entity_type: Str, entity_name: Option<Str> = Some(empty) }

    struct ValueData { key: Str, value: f64 }
}
