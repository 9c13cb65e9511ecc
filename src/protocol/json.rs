//! Messages as JSON, with the field names and the forms of Kafka's own converters: what `vltava log dump`
//! prints and what the vectors of Kafka's classes are compared with.

use crate::types::{Str, Uuid};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};

/// A value that can be shown as JSON in the form it has in one version of its message.
pub trait ToJson {
    /// The value; fields that `version` does not carry are left out, and so are tagged fields with their
    /// default.
    fn to_json(&self, version: i16) -> Value;
}

/// Adds a field under Kafka's name for it: `topic_id` becomes `topicId`.
pub(crate) fn put(object: &mut Map<String, Value>, field: &str, value: Value) {
    let field = field.trim_start_matches("r#");
    let mut name = String::with_capacity(field.len());
    for (index, word) in field.split('_').enumerate() {
        match word.chars().next() {
            Some(first) if index > 0 => {
                name.push(first.to_ascii_uppercase());
                name.push_str(&word[first.len_utf8()..]);
            }
            _ => name.push_str(word),
        }
    }
    object.insert(name, value);
}

macro_rules! plain {
    ($($plain:ty),*) => { $(
        impl ToJson for $plain {
            fn to_json(&self, _: i16) -> Value {
                Value::from(*self)
            }
        }
    )* };
}
plain!(bool, i8, i16, u16, i32, i64, f64);

impl ToJson for Str {
    fn to_json(&self, _: i16) -> Value {
        Value::from(self.as_str())
    }
}

impl ToJson for Uuid {
    fn to_json(&self, _: i16) -> Value {
        Value::from(self.to_string())
    }
}

impl ToJson for Bytes {
    fn to_json(&self, _: i16) -> Value {
        Value::from(STANDARD.encode(self))
    }
}

impl<T: ToJson> ToJson for Vec<T> {
    fn to_json(&self, version: i16) -> Value {
        self.iter().map(|element| element.to_json(version)).collect()
    }
}

impl<T: ToJson> ToJson for Box<T> {
    fn to_json(&self, version: i16) -> Value {
        T::to_json(self, version)
    }
}

impl<T: ToJson> ToJson for Option<T> {
    fn to_json(&self, version: i16) -> Value {
        self.as_ref().map_or(Value::Null, |inner| inner.to_json(version))
    }
}
