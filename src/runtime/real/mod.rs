//! The runtime of production: tokio's threads, the operating system's clock, sockets and disks.
//! The only folder where the calls that `clippy.toml` forbids are allowed.
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "this is the door itself")]

mod disk;
pub(super) mod file;
pub(super) mod net;
mod signal;

pub use signal::StopSignals;

use super::{Disk, Task};
use crate::types::{Instant, Timestamp};
use std::future::Future;
use std::sync::Arc;

/// The real runtime. Its tasks need a tokio runtime around them; its disk and clocks do not.
#[derive(Clone)]
pub struct RealRuntime {
    start: std::time::Instant,
    disk: Arc<disk::RealDisk>,
}

impl RealRuntime {
    /// A runtime that keeps at most `max_open_files` log files open at a time (at least one); those least
    /// recently used are closed and opened again when they are needed.
    pub fn new(max_open_files: usize) -> RealRuntime {
        RealRuntime { start: std::time::Instant::now(), disk: Arc::new(disk::RealDisk::new(max_open_files)) }
    }

    #[inline]
    pub(super) fn now(&self) -> Instant {
        Instant(self.start.elapsed().as_nanos() as u64)
    }

    #[inline]
    pub(super) fn wall_clock(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp(since.map_or(0, |elapsed| elapsed.as_millis() as i64))
    }

    pub(super) async fn sleep_until(&self, deadline: Instant) {
        tokio::time::sleep_until((self.start + std::time::Duration::from_nanos(deadline.0)).into()).await;
    }

    pub(super) fn spawn(
        &self,
        _name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> Task {
        Task::real(tokio::spawn(future))
    }

    pub(super) async fn offload<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        match tokio::task::spawn_blocking(work).await {
            Ok(output) => output,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    pub(super) fn random_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
        assert_eq!(filled, Ok(bytes.len()), "the kernel gives 8 random bytes without fail once it is up");
        u64::from_ne_bytes(bytes)
    }

    pub(super) fn disk(&self) -> Arc<dyn Disk> {
        self.disk.clone()
    }
}

/// Ends the process at once.
pub(super) fn halt() -> ! {
    std::process::exit(1)
}
