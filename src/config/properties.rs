//! Java properties files, the format of `server.properties` and `meta.properties`, as `java.util.Properties`
//! reads and writes them. It must not know what the keys mean.

use std::collections::BTreeMap;

/// A line that is no property.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {text:?} has a \\u escape without four hexadecimal digits; write those, or \\\\u")]
pub struct PropertiesError {
    /// From 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

/// Reads properties: `key=value`, `key: value` or `key value`; `#` and `!` begin comments; a backslash at the
/// end of a line joins it with the next, elsewhere it escapes a character, and `\uXXXX` gives a UTF-16 unit
/// by number. A key given twice has its last value.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, PropertiesError> {
    let mut properties = BTreeMap::new();
    let mut lines = lines(text).enumerate();
    while let Some((index, first)) = lines.next() {
        let first = first.trim_start_matches(is_blank);
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = first.to_owned();
        while is_continued(&logical) {
            logical.pop();
            match lines.next() {
                Some((_, next)) => logical.push_str(next.trim_start_matches(is_blank)),
                None => break,
            }
        }
        let error = || PropertiesError { line: index + 1, text: logical.clone() };
        let (key, value) = split(&logical);
        properties.insert(unescape(key).ok_or_else(error)?, unescape(value).ok_or_else(error)?);
    }
    Ok(properties)
}

/// Writes `value` so that [`parse`] and Java read it back as a value.
pub fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for (index, character) in value.chars().enumerate() {
        match character {
            ' ' if index == 0 => out.push_str("\\ "),
            '\\' | '=' | ':' | '#' | '!' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            }
        }
    }
    out
}

/// What Java takes for white space in a line; other spaces of Unicode are letters to it.
fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\u{c}')
}

/// A line ends with `\n`, `\r` or both.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// Whether a line ends with an odd number of backslashes.
fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1
}

/// Key and value of a logical line, both still escaped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|character: char| {
        let found = !escaped && (matches!(character, '=' | ':') || is_blank(character));
        escaped = character == '\\' && !escaped;
        found
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(is_blank);
    (key, rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(is_blank))
}

/// None where a `\u` is not followed by four hexadecimal digits.
fn unescape(text: &str) -> Option<String> {
    // Java's escapes are UTF-16 units; two of them may make one character.
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            push(&mut units, character);
            continue;
        }
        match characters.next() {
            Some('n') => push(&mut units, '\n'),
            Some('r') => push(&mut units, '\r'),
            Some('t') => push(&mut units, '\t'),
            Some('f') => push(&mut units, '\u{c}'),
            Some('u') => {
                let mut unit = 0;
                for _ in 0..4 {
                    unit = unit << 4 | characters.next()?.to_digit(16)? as u16;
                }
                units.push(unit);
            }
            Some(other) => push(&mut units, other),
            None => {}
        }
    }
    Some(String::from_utf16_lossy(&units))
}

fn push(units: &mut Vec<u16>, character: char) {
    units.extend_from_slice(character.encode_utf16(&mut [0; 2]));
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
    }

    #[test]
    fn an_escape_needs_four_digits() {
        assert_eq!(parse("\na=\\u12").unwrap_err().line, 2);
        assert!(parse("a=\\u+123").is_err());
        assert_eq!(parse("a=\\uD83D\\uDE00").unwrap()["a"], "\u{1f600}", "two units, one character");
    }

    #[test]
    fn lines_and_blanks_are_those_of_java() {
        let read = parse("a=1\rb=2\r\nc\u{a0}d=3\n\\ e=\u{a0}4\n=5\nf==6").unwrap();
        let expected = [("", "5"), (" e", "\u{a0}4"), ("a", "1"), ("b", "2"), ("c\u{a0}d", "3"), ("f", "=6")];
        assert!(read.iter().map(|(key, value)| (key.as_str(), value.as_str())).eq(expected), "{read:?}");
    }

    proptest! {
        #[test]
        fn what_escape_writes_parse_reads(value in "(?s).{0,40}") {
            let written = escape(&value);
            prop_assert!(written.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
            let read = parse(&format!("key={written}")).unwrap();
            prop_assert_eq!(&read["key"], &value);
        }

        #[test]
        fn any_text_is_an_answer(text in "\\PC{0,200}") {
            let _ = parse(&text);
        }
    }
}
