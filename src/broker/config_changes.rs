//! What a broker checks of changes to configurations before the controller sees them, for both APIs that make
//! such changes: only the broker knows which of its own values it can take while it runs.
//!
//! Invariant: each resource gets one answer, in the order of the request. It must not know how changes are
//! stored.

use super::Broker;
use crate::config::{UpdateMode, broker_definition};
use crate::metadata::ConfigResourceType;
use crate::types::{ErrorCode, NodeId, Str};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

/// How long the controller may take; these requests have no limit of their own.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// A resource by type and name.
pub type Key = (i8, Str);

/// One change.
pub struct Change {
    pub name: Str,
    pub value: Value,
}

/// What a change does to a value.
#[derive(PartialEq, Eq)]
pub enum Value {
    Set(Str),
    /// It sets null, which no configuration takes.
    Null,
    /// It takes something away.
    Unset,
}

/// The error code and sentence of one resource; no error is 0 and none.
pub type Answer = (i16, Option<Str>);

/// The changes to one resource.
pub struct Asked<R> {
    pub key: Key,
    pub changes: Vec<Change>,
    /// The same as the request has it.
    pub resource: R,
}

/// Refuses what this broker must refuse, lets `forward` ask the controller for the rest, and answers
/// everything in the order of the request.
pub async fn alter<R, F>(
    broker: &Broker,
    asked: Vec<Asked<R>>,
    forward: impl FnOnce(Vec<R>) -> F,
) -> Vec<(Key, Answer)>
where
    F: Future<Output = Result<Vec<(Key, Answer)>, ErrorCode>>,
{
    let keys: Vec<Key> = asked.iter().map(|asked| asked.key.clone()).collect();
    let mut times: BTreeMap<&Key, usize> = BTreeMap::new();
    keys.iter().for_each(|key| *times.entry(key).or_default() += 1);
    let mut answers: BTreeMap<Key, Answer> = BTreeMap::new();
    let mut passed: Vec<(Key, R)> = Vec::new();
    for Asked { key, changes, resource } in asked {
        let checked = match times[&key] {
            1 => check(broker, &key, &changes),
            _ => invalid("Each resource must appear at most once.".to_owned()),
        };
        match checked {
            Ok(()) => passed.push((key, resource)),
            Err((error, sentence)) => drop(answers.insert(key, (error.code(), Some(sentence.into())))),
        }
    }
    if !passed.is_empty() {
        let (passed, resources): (Vec<Key>, Vec<R>) = passed.into_iter().unzip();
        match forward(resources).await {
            Ok(answered) => answers.extend(answered),
            Err(error) => answers.extend(passed.into_iter().map(|key| (key, (error.code(), None)))),
        }
    }
    let answer = |key: Key| {
        let answer = answers.get(&key).cloned().unwrap_or_default();
        (key, answer)
    };
    keys.into_iter().map(answer).collect()
}

type Refusal = (ErrorCode, String);

fn invalid(sentence: String) -> Result<(), Refusal> {
    Err((ErrorCode::InvalidRequest, sentence))
}

fn check(broker: &Broker, (resource_type, name): &Key, changes: &[Change]) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    if changes.iter().any(|change| !seen.insert(&change.name)) {
        return invalid("Error due to duplicate config keys".to_owned());
    }
    let nulls: Vec<&str> = changes
        .iter()
        .filter(|change| change.value == Value::Null)
        .map(|change| change.name.as_str())
        .collect();
    if !nulls.is_empty() {
        return invalid(format!("Null value not supported for : {}", nulls.join(",")));
    }
    match ConfigResourceType::from_code(*resource_type) {
        ConfigResourceType::Broker => {
            if !name.is_empty() {
                check_id(broker, name)?;
            }
            check_values(changes, !name.is_empty())
        }
        ConfigResourceType::BrokerLogger => {
            check_id(broker, name)?;
            invalid("Levels of loggers are chosen at the start, by RUST_LOG.".to_owned())
        }
        _ => Ok(()),
    }
}

fn check_id(broker: &Broker, name: &str) -> Result<(), Refusal> {
    match name.parse().map(NodeId) {
        Ok(id) if id == broker.node_id => Ok(()),
        Ok(id) => {
            let expected = broker.node_id.0;
            invalid(format!("Unexpected broker id, expected {expected}, but received {}", id.0))
        }
        Err(_) => invalid(format!("Node id must be an integer, but it is: {name}")),
    }
}

/// Names that nobody knows pass: they may be a plugin's.
fn check_values(changes: &[Change], is_for_one_broker: bool) -> Result<(), Refusal> {
    let names_of = |mode: UpdateMode| -> Vec<&str> {
        let names = changes.iter().map(|change| change.name.as_str());
        names.filter(|name| broker_definition(name).is_some_and(|d| d.update == mode)).collect()
    };
    let read_only = names_of(UpdateMode::ReadOnly);
    if !read_only.is_empty() {
        return invalid(format!("Cannot update these configs dynamically: [{}]", read_only.join(", ")));
    }
    for Change { name, value } in changes {
        if let (Some(definition), Value::Set(value)) = (broker_definition(name), value)
            && let Err(error) = definition.validate(value)
        {
            return invalid(error.to_string());
        }
    }
    let for_one = names_of(UpdateMode::PerBroker);
    if !is_for_one_broker && !for_one.is_empty() {
        let what = "Cannot update these configs at default cluster level, broker id must be specified";
        return invalid(format!("{what}: [{}]", for_one.join(", ")));
    }
    Ok(())
}
