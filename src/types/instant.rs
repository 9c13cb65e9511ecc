//! Two kinds of time. `Instant` measures how long; `Timestamp` says when. Neither reads a clock: the runtime
//! does.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Monotonic time: nanoseconds since the runtime of this node began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

impl Instant {
    /// How long after `earlier` this is; zero when it is not later.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_add(nanos))
    }
}

/// Wall-clock time: milliseconds since 1970-01-01 UTC. Kafka writes -1 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// No timestamp.
    pub const NONE: Timestamp = Timestamp(-1);
}

impl Add<i64> for Timestamp {
    type Output = Timestamp;

    fn add(self, millis: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(millis))
    }
}

impl Sub<Timestamp> for Timestamp {
    /// Milliseconds.
    type Output = i64;

    fn sub(self, other: Timestamp) -> i64 {
        self.0.saturating_sub(other.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
