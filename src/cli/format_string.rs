//! How `vltava consume` prints a record: the format strings that users of kcat know.

use crate::client::ConsumerRecord;
use bytes::Bytes;
use std::io::Write;

/// A format, ready to be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Timestamp,
    Key,
    KeyLength,
    Value,
    ValueLength,
    Headers,
}

impl Format {
    /// Reads a format: `%t` topic, `%p` partition, `%o` offset, `%T` timestamp, `%k` key, `%K` its length,
    /// `%s` value, `%S` its length, `%h` headers, `%%` a percent sign; and escapes as in [`unescape`].
    pub fn parse(text: &str) -> Result<Format, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            push_text(&mut parts, &rest[..at])?;
            let letter = rest[at + 1..].chars().next().ok_or("a letter was expected behind the last %")?;
            let part = match letter {
                't' => Part::Topic,
                'p' => Part::Partition,
                'o' => Part::Offset,
                'T' => Part::Timestamp,
                'k' => Part::Key,
                'K' => Part::KeyLength,
                's' => Part::Value,
                'S' => Part::ValueLength,
                'h' => Part::Headers,
                '%' => Part::Text(b"%".to_vec()),
                other => return Err(format!("%{other} is not known; t p o T k K s S h and % are")),
            };
            parts.push(part);
            rest = &rest[at + 1 + letter.len_utf8()..];
        }
        push_text(&mut parts, rest)?;
        Ok(Format(parts))
    }

    /// Appends the record to `out`. Null keys and values are empty, and their length is -1.
    pub fn write(&self, record: &ConsumerRecord, out: &mut Vec<u8>) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Topic => out.extend_from_slice(record.partition.topic.as_bytes()),
                Part::Partition => number(out, record.partition.partition.into()),
                Part::Offset => number(out, record.offset.0),
                Part::Timestamp => number(out, record.timestamp.0),
                Part::Key => out.extend_from_slice(record.key.as_deref().unwrap_or_default()),
                Part::KeyLength => number(out, length(&record.key)),
                Part::Value => out.extend_from_slice(record.value.as_deref().unwrap_or_default()),
                Part::ValueLength => number(out, length(&record.value)),
                Part::Headers => headers(record, out),
            }
        }
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) -> Result<(), String> {
    let text = unescape(text)?;
    if !text.is_empty() {
        parts.push(Part::Text(text.to_vec()));
    }
    Ok(())
}

fn headers(record: &ConsumerRecord, out: &mut Vec<u8>) {
    for (index, header) in record.headers.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(header.name);
        out.push(b'=');
        out.extend_from_slice(header.value.unwrap_or(b"NULL"));
    }
}

fn number(out: &mut Vec<u8>, number: i64) {
    write!(out, "{number}").expect("writing to memory does not fail");
}

fn length(bytes: &Option<Bytes>) -> i64 {
    bytes.as_ref().map_or(-1, |bytes| bytes.len() as i64)
}

/// The bytes of a text with `\n`, `\r`, `\t`, `\0`, `\\` and `\xNN` in it.
pub fn unescape(text: &str) -> Result<Bytes, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let letter = rest[at + 1..].chars().next().ok_or("a letter was expected behind the last \\")?;
        rest = &rest[at + 1 + letter.len_utf8()..];
        bytes.push(match letter {
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            '0' => 0,
            '\\' => b'\\',
            'x' => {
                let digits = rest.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
                rest = rest.get(2..).unwrap_or_default();
                digits.ok_or("two hexadecimal digits were expected behind \\x")?
            }
            other => return Err(format!("\\{other} is not known; n r t 0 x and \\ are")),
        });
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::records::RecordHeaders;
    use crate::types::{LeaderEpoch, Offset, Timestamp, TopicPartition};

    #[test]
    fn records_are_printed_as_the_format_says() {
        let record = ConsumerRecord {
            partition: TopicPartition::new("topic", 3),
            offset: Offset(42),
            leader_epoch: LeaderEpoch(0),
            timestamp: Timestamp(1_700),
            key: None,
            value: Some(Bytes::from_static(b"v")),
            headers: RecordHeaders::default(),
        };
        let print = |text: &str| {
            let mut out = Vec::new();
            Format::parse(text).unwrap().write(&record, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(print(r"%t[%p]@%o %T %k|%K|%s|%S %h%%\n"), "topic[3]@42 1700 |-1|v|1 %\n");
        assert!(Format::parse("%x").is_err() && Format::parse("100%").is_err());
    }

    #[test]
    fn escapes_are_bytes() {
        assert_eq!(&unescape(r"a\tb\x00\\\n").unwrap()[..], b"a\tb\0\\\n");
        for wrong in [r"\", r"\q", r"\x1", r"\xzz"] {
            assert!(unescape(wrong).is_err(), "{wrong}");
        }
    }
}
