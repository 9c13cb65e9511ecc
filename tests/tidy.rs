//! Holds the table of rooms and the limits of the house, and fails on whatever breaks them.
//!
//! It reads the sources as text formatted by rustfmt; comments and strings are blanked first: only code
//! counts.
#![allow(clippy::disallowed_methods, reason = "it reads this repository's files")]

use std::fs;
use std::path::{Path, PathBuf};

/// Every room of `src/` and its floor: a room may import rooms of lower floors only.
const FLOORS: &[(u8, &[&str])] = &[
    (0, &["types"]),
    (1, &["runtime", "protocol", "metrics"]),
    (2, &["connection", "config"]),
    (3, &["log", "raft", "metadata"]),
    (4, &["machine"]),
    (5, &["replication", "controller", "coordinator"]),
    (6, &["broker", "client"]),
    (7, &["cli"]),
];

/// Calls that no seed controls; `std::net` addresses are plain values, and allowed. And atomics, whose
/// mistakes the simulator's one thread cannot see: a mutex does, or they need a model of all interleavings.
#[rustfmt::skip]
const BANNED: &[&str] = &[
    "std::fs", "std::net::Tcp", "std::net::Udp", "std::net::ToSocketAddrs", "std::net::{", "std::net::*",
    "std::thread", "Instant::now", "SystemTime", "tokio::spawn", "tokio::time", "tokio::net", "tokio::fs",
    "tokio::task", "tokio::sync::watch", "tokio::runtime", "spawn_blocking", "block_in_place", "JoinSet",
    "rayon::", "fastrand", "getrandom", "ahash::", "rand::random", "thread_rng", "futures::select!",
    "futures_util::select!", "available_parallelism", "sync::atomic",
];

/// Where the banned calls are at home: the runtime's real half, and `main`, which builds tokio.
/// `task.rs` holds tokio's handle of a task.
const REAL: &[&str] = &["src/runtime/real/", "src/runtime/task.rs", "src/main.rs"];

/// What no file may hold, wherever it is.
const UNFINISHED: &[&str] = &["todo!(", "unimplemented!(", "#[ignore", "dbg!("];

const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 70;
const LINE_COLUMNS: usize = 110;

#[test]
fn the_house_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for top in ["src", "sim", "fuzz", "tests", "specs", ".cargo"] {
        walk(&root.join(top), &mut files);
    }
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    let mut findings = Vec::new();
    for path in &files {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if let Some(extension) = path.extension().and_then(|e| e.to_str())
            && ["rs", "md", "py", "sh", "java"].contains(&extension)
        {
            let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("cannot read {name}: {e}"));
            check(&name, &text, &mut findings);
        }
    }
    assert!(files.len() > 20, "the walk found too few files to believe: {}", files.len());
    assert!(findings.is_empty(), "{} findings\n{}", findings.len(), findings.join("\n"));
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_file() {
            files.push(path);
        } else if !["target", "corpus", "artifacts", "snapshots"].contains(&name) {
            walk(&path, files);
        }
    }
}

/// Everything that is wrong with one file, as `path:line: sentence`.
fn check(name: &str, text: &str, findings: &mut Vec<String>) {
    for (number, line) in text.lines().enumerate() {
        let columns = line.chars().count();
        let unbreakable = name.ends_with(".md") && (line.starts_with('|') || !line.trim().contains(' '));
        if columns > LINE_COLUMNS && !unbreakable {
            findings.push(format!("{name}:{}: {columns} columns, at most {LINE_COLUMNS}", number + 1));
        }
    }
    let source = [".rs", ".py", ".sh", ".java"].iter().any(|end| name.ends_with(end));
    let lines = text.lines().count();
    if source && lines > FILE_LINES {
        findings.push(format!("{name}:1: {lines} lines, at most {FILE_LINES}: find its two subjects"));
    }
    if name.ends_with(".rs") {
        let code = code_only(text);
        functions(name, &code, findings);
        banned(name, &code, findings);
        imports(name, &code, findings);
    }
}

fn banned(name: &str, code: &str, findings: &mut Vec<String>) {
    let deterministic = name.starts_with("src/") && !REAL.iter().any(|home| name.starts_with(home));
    let lines: Vec<&str> = code.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let calls = if deterministic { BANNED } else { &[] };
        for call in calls.iter().chain(UNFINISHED).filter(|call| line.contains(*call)) {
            findings.push(format!("{name}:{}: `{call}` is banned here", index + 1));
        }
        let selects = line.contains("select! {") || line.trim_end().ends_with("select!(");
        let head = lines[index..].iter().take(2).any(|line| line.contains("biased;"));
        if deterministic && selects && !head {
            findings.push(format!("{name}:{}: select! without `biased;` draws its own order", index + 1));
        }
    }
}

/// A function ends at the first line that closes a brace at the indentation of its signature.
fn functions(name: &str, code: &str, findings: &mut Vec<String>) {
    let lines: Vec<&str> = code.lines().collect();
    for (start, line) in lines.iter().enumerate().filter(|(_, line)| opens_function(line)) {
        let indent = &line[..line.len() - line.trim_start().len()];
        let declared = format!("{indent})");
        let closed = format!("{indent}}}");
        let end = lines[start..].iter().position(|line| {
            line.trim_end() == closed || (line.starts_with(&declared) && line.trim_end().ends_with(';'))
        });
        let length = 1 + end.unwrap_or(0);
        if length > FUNCTION_LINES {
            findings.push(format!("{name}:{}: a function of {length} lines, at most 70", start + 1));
        }
    }
}

/// Whether a function starts on this line and goes on after it.
fn opens_function(line: &str) -> bool {
    let qualifier = |word: &&str| {
        ["pub", "const", "async", "unsafe", "extern", "\"\""].contains(word) || word.starts_with("pub(")
    };
    let named = line.split_whitespace().find(|word| !qualifier(word)) == Some("fn");
    named && !line.trim_end().ends_with(['}', ';'])
}

/// Finds `crate::room` in every form, and `super::` chains that climb out of the room.
fn imports(name: &str, code: &str, findings: &mut Vec<String>) {
    let Some(inside) = name.strip_prefix("src/") else { return };
    let Some((room, rest)) = inside.split_once('/') else {
        let room = inside.trim_end_matches(".rs");
        if !["lib", "main"].contains(&room) && floor(room).is_none() {
            findings.push(format!("{name}:1: no floor in tests/tidy.rs holds `{room}`"));
        }
        return;
    };
    let Some(own) = floor(room) else {
        findings.push(format!("{name}:1: no floor in tests/tidy.rs holds `{room}`"));
        return;
    };
    let depth = 1 + rest.matches('/').count() + usize::from(!rest.ends_with("mod.rs"));
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        for other in first_segments(&code[at + "crate::".len()..]) {
            if other != room && floor(other).is_some_and(|floor| floor >= own) {
                let line = 1 + code[..at].matches('\n').count();
                findings.push(format!("{name}:{line}: `{room}` must not import `{other}`"));
            }
        }
    }
    for (number, line) in code.lines().enumerate() {
        let nested = usize::from(line.starts_with(' '));
        let longest = line.split(|c: char| !c.is_alphanumeric() && c != ':' && c != '_');
        let climbs = longest.map(|path| path.matches("super::").count()).max().unwrap_or(0);
        if climbs >= depth + nested {
            findings.push(format!("{name}:{}: `super::` leaves the room: write `crate::`", number + 1));
        }
    }
}

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(_, rooms)| rooms.contains(&room)).map(|(floor, _)| *floor)
}

/// The first segments of a path or of a group of paths: `a::b` has `a`; `{a::b, c::{d, e}}` has `a` and `c`.
fn first_segments(path: &str) -> Vec<&str> {
    let word = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    if !path.starts_with('{') {
        return vec![&path[..word(path)]];
    }
    let (mut segments, mut depth) = (Vec::new(), 0);
    for (at, character) in path.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && (character == '{' || character == ',') {
            let next = path[at + 1..].trim_start();
            segments.push(&next[..word(next)]);
        }
    }
    segments
}

/// The text with the insides of comments, strings and characters blanked; lines stay where they are.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = token_to_blank(rest);
        if length == 0 || (code.ends_with(|c: char| c.is_alphanumeric() || c == '_') && first == 'r') {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let quote = if rest.starts_with(['"', 'r', '\'']) { "\"" } else { "" };
            code.push_str(quote);
            code.extend(rest[..length].chars().filter(|c| *c == '\n'));
            code.push_str(quote);
            rest = &rest[length..];
        }
    }
    code
}

/// The length in bytes of the comment, string or character that `text` starts with; 0 when it starts with
/// none.
fn token_to_blank(text: &str) -> usize {
    let through =
        |from: usize, end: &str| text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return through(2, "*/");
    }
    if text.starts_with("r\"") || text.starts_with("r#") {
        let hashes = text[1..].bytes().take_while(|byte| *byte == b'#').count();
        let opens = text[1 + hashes..].starts_with('"');
        return if opens { through(2 + hashes, &format!("\"{}", "#".repeat(hashes))) } else { 0 };
    }
    let quote = match text.as_bytes()[0] {
        b'"' => '"',
        b'\'' if text[1..].starts_with('\\') || text.chars().nth(2) == Some('\'') => '\'',
        _ => return 0,
    };
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        if character == quote && !escaped {
            return at + 1;
        }
        escaped = character == '\\' && !escaped;
    }
    text.len()
}

fn findings(name: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    check(name, text, &mut findings);
    findings
}

#[test]
fn each_rule_bites() {
    let up = "use crate::{types::Offset, log::{Segment, Log}, runtime::Runtime};\n";
    assert_eq!(findings("src/protocol/mod.rs", up).len(), 2, "log is above, runtime is beside");
    assert!(findings("src/broker/mod.rs", up).is_empty());
    assert_eq!(findings("src/log/a.rs", "    use super::super::b;\n").len(), 0, "nested: one more");
    assert_eq!(findings("src/log/a.rs", "use super::super::raft;\n").len(), 1);
    assert_eq!(findings("src/attic/mod.rs", "").len(), 1, "a room without a floor");
    assert_eq!(findings("src/log/a.rs", "fn a() { std::fs::read(x) }\n").len(), 1);
    assert_eq!(findings("src/runtime/real/a.rs", "fn a() { std::fs::read(x) }\n").len(), 0);
    assert_eq!(findings("src/log/a.rs", "// std::fs\nconst A: &str = \"std::fs\"; // '\"'\n").len(), 0);
    assert_eq!(findings("src/log/a.rs", "tokio::select! {\n    a => {}\n}\n").len(), 1);
    assert_eq!(findings("src/log/a.rs", "tokio::select! {\n    biased;\n}\n").len(), 0);
    let long = |lines| format!("pub(crate) async fn a() {{\n{}}}\n", "    b();\n".repeat(lines));
    assert_eq!(findings("sim/a.rs", &long(FUNCTION_LINES - 2)).len(), 0);
    assert_eq!(findings("sim/a.rs", &long(FUNCTION_LINES - 1)).len(), 1);
    assert_eq!(findings("tests/a.rs", &"\n".repeat(FILE_LINES + 1)).len(), 1);
    assert_eq!(findings("specs/a.md", &"a b ".repeat(LINE_COLUMNS / 4 + 1)).len(), 1);
}
