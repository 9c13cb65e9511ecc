//! Every configuration by name, type, default and validator, and the values that one broker runs with.
//! It knows no broker and no client: it turns text into checked values.

mod broker;
mod broker_table;
mod definition;
mod group_table;
mod layers;
pub mod properties;
mod topic;
mod topic_table;

pub use broker::{BrokerConfig, ConfigError, Endpoint, SecurityProtocol};
pub use definition::{DefaultValue, Definition, Importance, InvalidValue, Kind, UpdateMode, list};
pub use group_table::{validate_client_metrics, validate_group};
pub use layers::{ConfigSource, DynamicConfigs, Layers, Said, in_milliseconds};
pub use topic::{
    CleanupPolicy, CompressionType, TimestampType, TopicConfig, TopicConfigError, validate_topic,
};

/// Every broker configuration, sorted by name.
pub fn broker_definitions() -> &'static [Definition] {
    broker_table::TABLE
}

/// Every topic configuration, sorted by name.
pub fn topic_definitions() -> &'static [Definition] {
    topic_table::TABLE
}

/// Every configuration of groups, sorted by name.
pub fn group_definitions() -> &'static [Definition] {
    group_table::GROUPS
}

/// Every configuration of a subscription to client metrics (KIP-714), sorted by name.
pub fn client_metrics_definitions() -> &'static [Definition] {
    group_table::CLIENT_METRICS
}

fn find(table: &'static [Definition], name: &str) -> Option<&'static Definition> {
    table.binary_search_by(|definition| definition.name.cmp(name)).ok().map(|index| &table[index])
}

/// The broker configuration called `name`.
pub fn broker_definition(name: &str) -> Option<&'static Definition> {
    find(broker_table::TABLE, name)
}

/// The topic configuration called `name`.
pub fn topic_definition(name: &str) -> Option<&'static Definition> {
    find(topic_table::TABLE, name)
}

/// The name in `table` with the fewest changed letters from `name`, if it is near enough to be a slip of the
/// finger.
pub fn nearest(table: &'static [Definition], name: &str) -> Option<&'static str> {
    let distances = table.iter().map(|definition| (edit_distance(definition.name, name), definition.name));
    distances.min().filter(|(distance, _)| *distance * 3 <= name.len().max(3)).map(|(_, nearest)| nearest)
}

/// Letters to insert, delete or replace to turn one text into the other (Levenshtein).
fn edit_distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, r) in right.bytes().enumerate() {
            let replaced = diagonal + usize::from(l != r);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_their_defaults_are_values() {
        for table in [broker_definitions(), topic_definitions()] {
            assert!(table.is_sorted_by(|a, b| a.name < b.name));
            for definition in table {
                if let DefaultValue::Text(text) = definition.default {
                    let lenient = matches!(definition.kind, Kind::String | Kind::List) && text.is_empty();
                    assert!(lenient || definition.validate(text).is_ok(), "{}={text}", definition.name);
                }
                for synonym in definition.synonyms {
                    assert!(broker_definition(synonym).is_some(), "{synonym}");
                }
            }
        }
        assert_eq!((broker_definitions().len(), topic_definitions().len()), (360, 34));
    }

    #[test]
    fn refusals_are_kafkas_sentences() {
        let refuse = |name, value| topic_definition(name).unwrap().validate(value).unwrap_err().to_string();
        assert_eq!(
            refuse("retention.ms", "soon"),
            "Invalid value soon for configuration retention.ms: Not a number of type LONG"
        );
        assert_eq!(
            refuse("min.insync.replicas", "0"),
            "Invalid value 0 for configuration min.insync.replicas: Value must be at least 1"
        );
        assert!(topic_definition("cleanup.policy").unwrap().validate("compact,delete").is_ok());
        assert!(topic_definition("cleanup.policy").unwrap().validate("compact,shred").is_err());
    }

    #[test]
    fn the_nearest_name_is_found_and_nonsense_is_not() {
        assert_eq!(nearest(broker_definitions(), "log.dir.s"), Some("log.dirs"));
        assert_eq!(nearest(topic_definitions(), "retention.mss"), Some("retention.ms"));
        assert_eq!(nearest(topic_definitions(), "qqqqqqqq"), None);
    }
}
