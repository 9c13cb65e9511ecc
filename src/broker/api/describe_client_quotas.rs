//! DescribeClientQuotas 0 and 1: quotas whose entities match a filter (KIP-546).
//!
//! Errors, for the whole: UNSUPPORTED_VERSION for an unknown type of entity, INVALID_REQUEST for a type that
//! is named twice or a name that does not go with its kind of match. Omitted: throttling.

use crate::broker::RequestContext;
use crate::metadata::QuotaEntity;
use crate::protocol::api::describe_client_quotas::{
    ComponentData, DescribeClientQuotasRequest, DescribeClientQuotasResponse, EntityData, EntryData,
    ValueData,
};
use crate::types::{ErrorCode, Str};
use std::collections::BTreeMap;

const ENTITY_TYPES: [&str; 3] = ["user", "client-id", "ip"];

/// What a filter wants of one part of an entity.
enum Wanted {
    Named(Str),
    Default,
    Any,
}

impl Wanted {
    fn of(component: &ComponentData) -> Result<Wanted, (ErrorCode, String)> {
        let invalid = |sentence: &str| Err((ErrorCode::InvalidRequest, sentence.to_owned()));
        match (component.match_type, &component.r#match) {
            (0, Some(name)) => Ok(Wanted::Named(name.clone())),
            (0, None) => invalid("Request specified MATCH_TYPE_EXACT, but set match string to null."),
            (1, None) => Ok(Wanted::Default),
            (1, Some(_)) => {
                invalid("Request specified MATCH_TYPE_DEFAULT, but also specified a match string.")
            }
            (2, None) => Ok(Wanted::Any),
            (2, Some(_)) => {
                invalid("Request specified MATCH_TYPE_SPECIFIED, but also specified a match string.")
            }
            (other, _) => Err((ErrorCode::InvalidRequest, format!("Unknown match type {other}"))),
        }
    }

    fn matches(&self, name: &Option<Str>) -> bool {
        match self {
            Wanted::Named(wanted) => name.as_ref() == Some(wanted),
            Wanted::Default => name.is_none(),
            Wanted::Any => true,
        }
    }
}

/// Lists quotas.
pub fn handle(
    context: &RequestContext,
    request: &DescribeClientQuotasRequest,
) -> DescribeClientQuotasResponse {
    let filter = match filter(&request.components) {
        Ok(filter) => filter,
        Err((error, sentence)) => {
            return DescribeClientQuotasResponse {
                error_code: error.code(),
                error_message: Some(sentence.into()),
                entries: None,
                ..Default::default()
            };
        }
    };
    let is_wanted = |entity: &QuotaEntity| {
        let matches =
            |(kind, wanted): (&Str, &Wanted)| entity.get(kind).is_some_and(|name| wanted.matches(name));
        filter.iter().all(matches) && (!request.strict || entity.len() == filter.len())
    };
    let image = context.broker.image();
    let found = image.client_quotas.entities.iter().filter(|(entity, _)| is_wanted(entity));
    let entries = found.map(|(entity, quotas)| {
        let part = |(entity_type, entity_name): (&Str, &Option<Str>)| EntityData {
            entity_type: entity_type.clone(),
            entity_name: entity_name.clone(),
            ..Default::default()
        };
        let value =
            |(key, value): (&Str, &f64)| ValueData { key: key.clone(), value: *value, ..Default::default() };
        EntryData {
            entity: entity.iter().map(part).collect(),
            values: quotas.iter().map(value).collect(),
            ..Default::default()
        }
    });
    DescribeClientQuotasResponse { entries: Some(entries.collect()), ..Default::default() }
}

fn filter(components: &[ComponentData]) -> Result<BTreeMap<Str, Wanted>, (ErrorCode, String)> {
    let mut filter = BTreeMap::new();
    for component in components {
        let kind = &component.entity_type;
        if kind.is_empty() {
            let sentence = "Invalid empty entity type.".to_owned();
            return Err((ErrorCode::InvalidRequest, sentence));
        }
        if !ENTITY_TYPES.contains(&&**kind) {
            return Err((ErrorCode::UnsupportedVersion, format!("Unsupported entity type {kind}")));
        }
        if filter.insert(kind.clone(), Wanted::of(component)?).is_some() {
            let sentence = format!("Entity type {kind} cannot appear more than once in the filter.");
            return Err((ErrorCode::InvalidRequest, sentence));
        }
    }
    Ok(filter)
}
