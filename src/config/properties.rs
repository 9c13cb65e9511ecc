//! Java properties files, the format of `server.properties` and `meta.properties`.

use std::collections::BTreeMap;

/// A line that is no property.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {text:?} ends in the middle of a \\u escape; four hexadecimal digits were expected")]
pub struct PropertiesError {
    /// From 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

/// Reads properties: `key=value`, `key: value` or `key value`; `#` and `!` begin comments; a backslash at the
/// end of a line joins it with the next. A key given twice has its last value, as in Java.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, PropertiesError> {
    let mut properties = BTreeMap::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, first)) = lines.next() {
        let first = first.trim_start();
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = first.to_owned();
        while is_continued(&logical) {
            logical.pop();
            match lines.next() {
                Some((_, next)) => logical.push_str(next.trim_start()),
                None => break,
            }
        }
        let error = || PropertiesError { line: index + 1, text: logical.clone() };
        let (key, value) = split(&logical);
        properties.insert(unescape(key).ok_or_else(error)?, unescape(value).ok_or_else(error)?);
    }
    Ok(properties)
}

/// Writes `value` so that [`parse`] and Java read it back.
pub fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for (index, character) in value.chars().enumerate() {
        match character {
            ' ' if index == 0 => out.push_str("\\ "),
            '\\' | '=' | ':' | '#' | '!' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ => out.push(character),
        }
    }
    out
}

/// Whether a line ends with an odd number of backslashes.
fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1
}

/// Key and value of a logical line, both still escaped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|character: char| {
        let found = !escaped && (character == '=' || character == ':' || character.is_whitespace());
        escaped = character == '\\' && !escaped;
        found
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start();
    (key, rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start())
}

fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let digits: String = characters.by_ref().take(4).collect();
                let unit = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4)?;
                out.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_forms_that_java_reads() {
        let text =
            "# comment\n! comment\n\na=1\nb : 2\n c 3\nlist=x,\\\n   y\nescaped\\=key=\\u0041\\tz\nempty=\n";
        let read = parse(text).unwrap();
        let expected =
            [("a", "1"), ("b", "2"), ("c", "3"), ("list", "x,y"), ("escaped=key", "A\tz"), ("empty", "")];
        assert_eq!(read.len(), expected.len());
        for (key, value) in expected {
            assert_eq!(read[key], value, "{key}");
        }
        assert_eq!(parse("a=\\u12").unwrap_err().line, 1);
    }

    proptest! {
        #[test]
        fn what_escape_writes_parse_reads(value in "[ -~\n\t]{0,40}") {
            let read = parse(&format!("key={}", escape(&value))).unwrap();
            prop_assert_eq!(&read["key"], &value);
        }
    }
}
