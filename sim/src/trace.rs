//! What happened in a run: a hash over every event, and its text when somebody asked for it.
//!
//! Two runs of one seed must have equal hashes; if they have not, something drew from outside the seed.

use crate::clock::Clock;
use crate::random::mix;
use std::fmt::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The record of one run.
pub struct Trace {
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    hash: u64,
    events: u64,
    text: Option<String>,
    line: String,
}

/// A trace when its run is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Hash over time, kind and numbers of every event.
    pub hash: u64,
    /// How many events there were.
    pub events: u64,
    /// One line an event, if text was asked for.
    pub text: Option<String>,
}

impl Trace {
    /// An empty trace; `text` keeps the lines too.
    pub fn new(clock: Clock, text: bool) -> Trace {
        let state = State { hash: 0, events: 0, text: text.then(String::new), line: String::new() };
        Trace { clock, state: Mutex::new(state) }
    }

    /// Records an event with its numbers. This is the path of network and disk, so nothing is formatted
    /// unless text is kept.
    pub fn numbers(&self, kind: &'static str, numbers: &[(&'static str, u64)]) {
        let now = self.clock.now();
        let mut state = self.lock();
        state.begin(now, kind);
        for (_, number) in numbers {
            state.hash = mix(state.hash ^ *number);
        }
        if let Some(text) = &mut state.text {
            let _ = write!(text, "{:>14} {kind}", Nanos(now));
            for (name, number) in numbers {
                let _ = write!(text, " {name}={number}");
            }
            text.push('\n');
        }
    }

    /// Records an event that is best told as text, which enters the hash.
    pub fn text(&self, kind: &'static str, told: fmt::Arguments<'_>) {
        let now = self.clock.now();
        let mut state = self.lock();
        state.begin(now, kind);
        let mut line = std::mem::take(&mut state.line);
        line.clear();
        let _ = line.write_fmt(told);
        state.hash = mix(state.hash ^ u64::from(crc32c::crc32c(line.as_bytes())));
        if let Some(text) = &mut state.text {
            let _ = writeln!(text, "{:>14} {kind} {line}", Nanos(now));
        }
        state.line = line;
    }

    /// Adds a message of the program under test to the text. It is no event and does not enter the hash.
    pub(crate) fn message(&self, told: fmt::Arguments<'_>) {
        let now = self.clock.now();
        if let Some(text) = &mut self.lock().text {
            let _ = writeln!(text, "{:>14} {told}", Nanos(now));
        }
    }

    /// What was recorded so far; the text is moved out.
    pub fn finish(&self) -> Summary {
        let mut state = self.lock();
        Summary { hash: state.hash, events: state.events, text: state.text.take() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn begin(&mut self, now: u64, kind: &'static str) {
        self.events += 1;
        let kind_hash = u64::from(crc32c::crc32c(kind.as_bytes()));
        self.hash = mix(mix(self.hash ^ now) ^ kind_hash);
    }
}

/// Nanoseconds, shown as seconds.
struct Nanos(u64);

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000))
    }
}
