//! Virtual time, in nanoseconds since the run began.
//!
//! madsim's own `Sleep` waits at least a millisecond, adds a timer with each poll and never cancels one. A
//! `Sleep` that is `reset` keeps its deadline exactly, and [`Timer`] arms one only when deadline or waker
//! changed.

use madsim::time::TimeHandle;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A millisecond in nanoseconds.
pub const MILLISECOND: u64 = 1_000_000;
/// A second in nanoseconds.
pub const SECOND: u64 = 1_000_000_000;

/// The clock of one run. It is a handle, so that code that runs while a task is dropped can use it too.
#[derive(Clone)]
pub struct Clock(TimeHandle);

impl Clock {
    pub(crate) fn new(handle: TimeHandle) -> Clock {
        Clock(handle)
    }

    /// Now.
    pub fn now(&self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }

    /// Resolves at `deadline`, or at once when it has passed.
    pub async fn sleep_until(&self, deadline: u64) {
        let mut timer = Timer::default();
        poll_fn(|cx| timer.poll(self, deadline, cx)).await
    }

    /// Resolves after `nanos`.
    pub async fn sleep(&self, nanos: u64) {
        self.sleep_until(self.now().saturating_add(nanos)).await
    }
}

/// Wakes a task at a deadline that may change from poll to poll.
#[derive(Default)]
pub struct Timer(Option<(u64, Waker)>);

impl Timer {
    /// Ready once `deadline` has come; otherwise the task is woken then.
    pub fn poll(&mut self, clock: &Clock, deadline: u64, cx: &mut Context<'_>) -> Poll<()> {
        let now = clock.now();
        if now >= deadline {
            self.0 = None;
            return Poll::Ready(());
        }
        if let Some((armed, waker)) = &self.0
            && *armed == deadline
            && waker.will_wake(cx.waker())
        {
            return Poll::Pending;
        }
        let mut sleep = pin!(clock.0.sleep(Duration::ZERO));
        sleep.as_mut().reset(clock.0.now_instant() + Duration::from_nanos(deadline - now));
        let polled = sleep.poll(cx);
        assert!(polled.is_pending(), "a deadline in the future is not reached");
        self.0 = Some((deadline, cx.waker().clone()));
        Poll::Pending
    }
}
