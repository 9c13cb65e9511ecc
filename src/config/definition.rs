//! What is known of one configuration, and how a text becomes a value of it. The rules and the sentences of
//! refusal are those of Kafka's `ConfigDef`, because clients show them.

/// One configuration that Kafka knows.
#[derive(Debug)]
pub struct Definition {
    /// Its name, such as `retention.ms`.
    pub name: &'static str,
    /// The type of its value.
    pub kind: Kind,
    /// What it is when nobody sets it.
    pub default: DefaultValue,
    /// What values it takes.
    pub validator: Validator,
    /// How much most users should care.
    pub importance: Importance,
    /// Whether a running broker takes a new value. Topic configurations are always dynamic.
    pub update: UpdateMode,
    /// For a topic configuration: the broker configurations that give its default, the strongest first.
    pub synonyms: &'static [&'static str],
    /// Not for users: left out of listings.
    pub internal: bool,
}

/// The type of a value, with its number in DescribeConfigs (KIP-569).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum Kind {
    Boolean = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    List = 7,
    Class = 8,
    Password = 9,
}

/// What a configuration is when nobody sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultValue {
    /// The user must set it.
    Required,
    /// Nothing.
    Null,
    /// This text.
    Text(&'static str),
}

/// How much most users should care about a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// Who can change a configuration while the broker runs (KIP-226).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateMode {
    /// Nobody: a restart takes it.
    ReadOnly,
    /// For one broker.
    PerBroker,
    /// For one broker or for all.
    ClusterWide,
}

/// What values a configuration takes, beyond its type.
#[derive(Debug, Clone, Copy)]
pub enum Validator {
    Any,
    AtLeast(i64),
    Between(i64, i64),
    Fraction(f64, f64),
    OneOf(&'static [&'static str]),
    OneOfIgnoringCase(&'static [&'static str]),
    ListOf(&'static [&'static str]),
    NonEmpty,
    GzipLevel,
    ThrottledReplicas,
}

/// A text that is no value of a configuration. The sentence is Kafka's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid value {value} for configuration {name}: {reason}")]
pub struct InvalidValue {
    /// The configuration.
    pub name: String,
    /// What was given.
    pub value: String,
    /// Why it will not do.
    pub reason: String,
}

impl Definition {
    /// Whether `text` is a value of this configuration.
    pub fn validate(&self, text: &str) -> Result<(), InvalidValue> {
        self.reason_against(text.trim()).map_or(Ok(()), |reason| {
            let value = match (self.kind, text.trim().parse::<f64>()) {
                (Kind::Double, Ok(number)) => format!("{number:?}"),
                _ => text.to_owned(),
            };
            Err(InvalidValue { name: self.name.to_owned(), value, reason })
        })
    }

    fn reason_against(&self, text: &str) -> Option<String> {
        match self.kind {
            Kind::Boolean => match text.to_ascii_lowercase().as_str() {
                "true" | "false" => None,
                _ => Some("Expected value to be either true or false".to_owned()),
            },
            Kind::Int => self.reason_against_integer(text, i32::MIN.into(), i32::MAX.into(), "INT"),
            Kind::Short => self.reason_against_integer(text, i16::MIN.into(), i16::MAX.into(), "SHORT"),
            Kind::Long => self.reason_against_integer(text, i64::MIN, i64::MAX, "LONG"),
            Kind::Double => match (text.parse::<f64>(), self.validator) {
                (Err(_), _) => Some("Not a number of type DOUBLE".to_owned()),
                (Ok(value), Validator::Fraction(low, _)) if value < low => {
                    Some(format!("Value must be at least {low}"))
                }
                (Ok(value), Validator::Fraction(_, high)) if value > high => {
                    Some(format!("Value must be no more than {high}"))
                }
                _ => None,
            },
            Kind::String | Kind::List | Kind::Class | Kind::Password => self.reason_against_text(text),
        }
    }

    fn reason_against_integer(&self, text: &str, low: i64, high: i64, kind: &str) -> Option<String> {
        let Some(value) = text.parse::<i64>().ok().filter(|value| (low..=high).contains(value)) else {
            return Some(format!("Not a number of type {kind}"));
        };
        match self.validator {
            Validator::AtLeast(low) | Validator::Between(low, _) if value < low => {
                Some(format!("Value must be at least {low}"))
            }
            Validator::Between(_, high) if value > high => Some(format!("Value must be no more than {high}")),
            Validator::GzipLevel if value != -1 && !(1..=9).contains(&value) => {
                Some("Value must be between 1 and 9 or equal to -1".to_owned())
            }
            _ => None,
        }
    }

    fn reason_against_text(&self, text: &str) -> Option<String> {
        match self.validator {
            Validator::OneOf(valid) if !valid.contains(&text) => {
                Some(format!("String must be one of: {}", valid.join(", ")))
            }
            Validator::OneOfIgnoringCase(valid) if !valid.iter().any(|v| v.eq_ignore_ascii_case(text)) => {
                Some(format!("String must be one of (case insensitive): {}", valid.join(", ")))
            }
            Validator::ListOf(valid) => list(text)
                .find(|item| !valid.contains(item))
                .map(|_| format!("String must be one of: {}", valid.join(", "))),
            Validator::NonEmpty if text.is_empty() => Some("must be non-empty".to_owned()),
            Validator::ThrottledReplicas if !is_throttled_replicas(text) => Some(
                "[partitionId]:[brokerId],[partitionId]:[brokerId],... or * or none was expected".to_owned(),
            ),
            _ => None,
        }
    }
}

/// The items of a value of type list.
pub fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn is_throttled_replicas(text: &str) -> bool {
    let is_pair = |item: &str| {
        item.split_once(':').is_some_and(|(partition, broker)| {
            partition.parse::<u32>().is_ok() && broker.parse::<u32>().is_ok()
        })
    };
    text == "*" || list(text).all(is_pair)
}

macro_rules! default_value {
    (required) => {
        $crate::config::definition::DefaultValue::Required
    };
    (null) => {
        $crate::config::definition::DefaultValue::Null
    };
    ($text:literal) => {
        $crate::config::definition::DefaultValue::Text($text)
    };
}
pub(super) use default_value;

/// Declares the table of broker configurations, sorted by name.
macro_rules! broker_configs {
    ($( $name:literal $kind:ident $default:tt $validator:ident $(($($bound:expr),*))?
        $importance:ident $update:ident $($internal:ident)?; )*) => {
        /// The table, sorted by name.
        pub static TABLE: &[Definition] = &[ $( Definition {
            name: $name,
            kind: super::definition::Kind::$kind,
            default: super::definition::default_value!($default),
            validator: super::definition::Validator::$validator $(($($bound),*))?,
            importance: super::definition::Importance::$importance,
            update: super::definition::UpdateMode::$update,
            synonyms: &[],
            internal: super::definition::is_internal!($($internal)?),
        } ),* ];
    };
}
pub(super) use broker_configs;

/// Declares a table of configurations that are always dynamic, sorted by name.
macro_rules! topic_configs {
    ($table:ident: $( $name:literal $kind:ident $default:tt $validator:ident $(($($bound:expr),*))?
        $importance:ident [$($synonym:literal),*] $($internal:ident)?; )*) => {
        /// The table, sorted by name.
        pub static $table: &[Definition] = &[ $( Definition {
            name: $name,
            kind: super::definition::Kind::$kind,
            default: super::definition::default_value!($default),
            validator: super::definition::Validator::$validator $(($($bound),*))?,
            importance: super::definition::Importance::$importance,
            update: super::definition::UpdateMode::ClusterWide,
            synonyms: &[$($synonym),*],
            internal: super::definition::is_internal!($($internal)?),
        } ),* ];
    };
}
pub(super) use topic_configs;

macro_rules! is_internal {
    () => {
        false
    };
    (internal) => {
        true
    };
}
pub(super) use is_internal;
