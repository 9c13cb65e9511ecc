//! What holds for one topic: its own configurations over the broker's over Kafka's defaults.

use super::definition::{DefaultValue, InvalidValue, list};
use super::layers::{Layers, in_milliseconds};
use super::{nearest, topic_definition, topic_definitions};

/// A topic configuration that is refused, as INVALID_CONFIG says it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicConfigError {
    /// No such key.
    #[error(
        "Unknown topic config name: {name}{}",
        .nearest.map_or_else(String::new, |n| format!(" (did you mean {n}?)"))
    )]
    Unknown {
        /// The key.
        name: String,
        /// A known one that differs by a slip of the finger.
        nearest: Option<&'static str>,
    },
    /// The value will not do.
    #[error(transparent)]
    Invalid(#[from] InvalidValue),
    /// Null was given where a value is needed.
    #[error("Null value not supported for topic configs: {0}")]
    Null(String),
}

/// Whether a topic may have `name` set to `value`.
pub fn validate_topic(name: &str, value: Option<&str>) -> Result<(), TopicConfigError> {
    let Some(definition) = topic_definition(name) else {
        let nearest = nearest(topic_definitions(), name);
        return Err(TopicConfigError::Unknown { name: name.to_owned(), nearest });
    };
    let value = value.ok_or_else(|| TopicConfigError::Null(name.to_owned()))?;
    Ok(definition.validate(value)?)
}

/// What happens to old data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Segments are deleted by age and size.
    pub delete: bool,
    /// Only the last value of each key is kept.
    pub compact: bool,
}

/// How stored batches are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionType {
    /// As the producer sent them.
    Producer,
    Uncompressed,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// Which time a record carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's, when it appended.
    LogAppendTime,
}

/// The effective configuration of one topic; each field is the topic configuration of that name in Kafka's
/// documentation, times in milliseconds and sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each field is the topic configuration of the same name, in Kafka's documentation"
)]
pub struct TopicConfig {
    pub cleanup_policy: CleanupPolicy,
    pub compression_type: CompressionType,
    pub compression_gzip_level: i32,
    pub compression_lz4_level: i32,
    pub compression_zstd_level: i32,
    pub file_delete_delay_ms: i64,
    pub flush_messages: i64,
    pub flush_ms: i64,
    pub index_interval_bytes: i32,
    pub max_message_bytes: i32,
    pub message_timestamp_after_max_ms: i64,
    pub message_timestamp_before_max_ms: i64,
    pub message_timestamp_type: TimestampType,
    pub min_insync_replicas: i32,
    pub preallocate: bool,
    pub retention_bytes: i64,
    pub retention_ms: i64,
    pub segment_bytes: i32,
    pub segment_index_bytes: i32,
    pub segment_jitter_ms: i64,
    pub segment_ms: i64,
}

impl TopicConfig {
    /// The configuration of a topic for which `own` gives what was set for it (checked when it was set).
    pub fn resolve<'a>(broker: Layers<'a>, own: impl Fn(&str) -> Option<&'a str>) -> TopicConfig {
        let values = Values { broker, own };
        let policies = values.text("cleanup.policy");
        TopicConfig {
            cleanup_policy: CleanupPolicy {
                delete: list(&policies).any(|policy| policy == "delete"),
                compact: list(&policies).any(|policy| policy == "compact"),
            },
            compression_type: match values.text("compression.type").as_str() {
                "uncompressed" => CompressionType::Uncompressed,
                "gzip" => CompressionType::Gzip,
                "snappy" => CompressionType::Snappy,
                "lz4" => CompressionType::Lz4,
                "zstd" => CompressionType::Zstd,
                _ => CompressionType::Producer,
            },
            compression_gzip_level: values.int("compression.gzip.level"),
            compression_lz4_level: values.int("compression.lz4.level"),
            compression_zstd_level: values.int("compression.zstd.level"),
            file_delete_delay_ms: values.long("file.delete.delay.ms"),
            flush_messages: values.long("flush.messages"),
            flush_ms: values.long("flush.ms"),
            index_interval_bytes: values.int("index.interval.bytes"),
            max_message_bytes: values.int("max.message.bytes"),
            message_timestamp_after_max_ms: values.long("message.timestamp.after.max.ms"),
            message_timestamp_before_max_ms: values.long("message.timestamp.before.max.ms"),
            message_timestamp_type: match values.text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            min_insync_replicas: values.int("min.insync.replicas"),
            preallocate: values.text("preallocate").eq_ignore_ascii_case("true"),
            retention_bytes: values.long("retention.bytes"),
            retention_ms: values.long("retention.ms"),
            segment_bytes: values.segment_bytes(),
            segment_index_bytes: values.int("segment.index.bytes"),
            segment_jitter_ms: values.long("segment.jitter.ms"),
            segment_ms: values.long("segment.ms"),
        }
    }
}

struct Values<'a, F> {
    broker: Layers<'a>,
    own: F,
}

impl<'a, F: Fn(&str) -> Option<&'a str>> Values<'a, F> {
    fn text(&self, name: &str) -> String {
        let definition = topic_definition(name).unwrap_or_else(|| panic!("no topic configuration {name}"));
        if let Some(own) = (self.own)(name) {
            return own.trim().to_owned();
        }
        let inherited = definition.synonyms.iter().find_map(|synonym| {
            let value = self.broker.explicit(synonym)?;
            Some(in_milliseconds(synonym, value))
        });
        inherited.unwrap_or_else(|| match definition.default {
            DefaultValue::Text(text) => text.to_owned(),
            DefaultValue::Null | DefaultValue::Required => panic!("{name} has no default"),
        })
    }

    fn long(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or_else(|_| panic!("{name} is no integer"))
    }

    fn int(&self, name: &str) -> i32 {
        self.text(name).parse().unwrap_or_else(|_| panic!("{name} is no integer"))
    }

    /// `internal.segment.bytes` lets tests have segments below the bound of 1 MiB.
    fn segment_bytes(&self) -> i32 {
        match (self.own)("internal.segment.bytes") {
            Some(bytes) => bytes.trim().parse().expect("checked when it was set"),
            None => self.int("segment.bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BrokerConfig;

    #[test]
    fn a_topics_own_value_wins_over_the_brokers_and_that_over_the_default() {
        let overrides = [("log.retention.hours", "2"), ("log.segment.bytes", "2097152")];
        let overrides = overrides.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let broker = BrokerConfig::new(None, overrides).unwrap();
        let own = |name: &str| (name == "segment.bytes").then_some("1048576");
        let config = TopicConfig::resolve(Layers::of_file(&broker), own);
        assert_eq!(config.retention_ms, 7_200_000);
        assert_eq!(config.segment_bytes, 1_048_576);
        assert_eq!(config.segment_ms, 604_800_000);
        assert_eq!(config.cleanup_policy, CleanupPolicy { delete: true, compact: false });
        assert_eq!(TopicConfig::resolve(Layers::of_file(&broker), |_| None).segment_bytes, 2_097_152);
    }

    #[test]
    fn refusals_name_the_key() {
        let unknown = validate_topic("colour", Some("1")).unwrap_err();
        assert_eq!(unknown.to_string(), "Unknown topic config name: colour");
        let slip = validate_topic("retention.mss", Some("1")).unwrap_err();
        assert_eq!(slip.to_string(), "Unknown topic config name: retention.mss (did you mean retention.ms?)");
        assert!(validate_topic("retention.ms", None).is_err());
        assert!(validate_topic("retention.ms", Some("-1")).is_ok());
    }
}
