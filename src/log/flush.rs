//! Making a log durable, off the partition's lock, with one flush in flight that serves everybody who waits.
//!
//! Under the lock a [`FlushPlan`] is taken; it runs wherever waiting is allowed; under the lock its result is
//! noted. The recovery point moves only then, and only if everything in front of it is durable: data and
//! indexes of sealed segments, their producer snapshots, the leader epochs, and the names of all files. After
//! a failed sync nothing in the log is trusted: what the kernel holds may not be what the device has.

use super::epoch_cache::EpochCache;
use super::epochs_file::EpochsFile;
use super::error::{LogError, OnPath};
use super::partition_log::PartitionLog;
use super::segment::Segment;
use crate::runtime::watch::{self, Receiver, Sender};
use crate::runtime::{Disk, Event, OpenOptions, Runtime};
use crate::types::Offset;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use tokio::sync::Semaphore;

/// What is not durable yet, besides the bytes of the active segment.
pub(super) struct Durability {
    /// Everything in front of it is on the device.
    pub recovery_point: Offset,
    /// Sealed segments whose file or indexes were not synced.
    pub sealed: Vec<Arc<Segment>>,
    /// Producer snapshots that were written and not synced.
    pub snapshots: Vec<PathBuf>,
    /// Whether the directory has names that were not synced.
    pub names: bool,
    /// Whether the directory's own name was not synced.
    pub parent_name: bool,
    /// Whether the leader epochs differ from their checkpoint.
    pub epochs: bool,
    epochs_version: u64,
    in_flight: Option<InFlight>,
    finished: Sender<u64>,
}

struct InFlight {
    work: Work,
    ticket: Weak<Ticket>,
}

/// What a flush has to do.
#[derive(Clone, Default)]
struct Work {
    sealed: Vec<Arc<Segment>>,
    snapshots: Vec<PathBuf>,
    names: bool,
    parent_name: bool,
    epochs: bool,
}

/// Lives as long as the plan of the flush in flight; wakes those who wait when that is gone.
struct Ticket(Sender<u64>);

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.update(|finished| {
            *finished += 1;
            true
        });
    }
}

impl Durability {
    pub(super) fn new(recovery_point: Offset) -> Durability {
        Durability {
            recovery_point,
            sealed: Vec::new(),
            snapshots: Vec::new(),
            names: false,
            parent_name: false,
            epochs: false,
            epochs_version: 0,
            in_flight: None,
            finished: watch::channel(0).0,
        }
    }

    /// The log ends at `end` now: nothing behind it is durable any more, and no flush that began before
    /// counts.
    pub(super) fn truncated(&mut self, end: Offset) {
        self.give_back();
        self.recovery_point = self.recovery_point.min(end);
        self.sealed.retain(|segment| segment.base_offset() < end);
    }

    /// The version of the epochs as they are now, for [`EpochsFile::write`].
    pub(super) fn next_epochs_version(&mut self) -> u64 {
        self.epochs_version += 1;
        self.epochs_version
    }

    /// Takes back the work of a flush that was given up or failed.
    fn give_back(&mut self) {
        let Some(InFlight { work, .. }) = self.in_flight.take() else { return };
        let newer = std::mem::replace(&mut self.sealed, work.sealed);
        self.sealed.extend(newer);
        self.snapshots.extend(work.snapshots);
        self.names |= work.names;
        self.parent_name |= work.parent_name;
        self.epochs |= work.epochs;
    }

    fn take_work(&mut self) -> Work {
        Work {
            sealed: std::mem::take(&mut self.sealed),
            snapshots: std::mem::take(&mut self.snapshots),
            names: std::mem::take(&mut self.names),
            parent_name: std::mem::take(&mut self.parent_name),
            epochs: std::mem::take(&mut self.epochs),
        }
    }
}

/// What to do so that an offset becomes durable.
pub enum FlushStep {
    /// Nothing: it is.
    Done,
    /// Another flush is under way: wait for the value to change, then ask again.
    Wait(Receiver<u64>),
    /// Run this plan where waiting is allowed, then hand its result to [`PartitionLog::finish_flush`].
    Run(FlushPlan),
}

/// The syncs of one flush, to be run without the partition's lock.
pub struct FlushPlan {
    disk: Arc<dyn Disk>,
    directory: Arc<Path>,
    active: Arc<Segment>,
    epochs: Arc<EpochCache>,
    epochs_file: Arc<EpochsFile>,
    epochs_version: u64,
    work: Work,
    end: Offset,
    ticket: Arc<Ticket>,
}

impl FlushPlan {
    /// Syncs everything. Must be called once; its result belongs to [`PartitionLog::finish_flush`].
    pub fn run(&self) -> Result<(), LogError> {
        let disk = &*self.disk;
        for segment in &self.work.sealed {
            segment.sync_log()?;
            segment.write_indexes(disk)?;
            segment.publish_indexes(disk)?;
        }
        for path in &self.work.snapshots {
            sync_file(disk, path)?;
        }
        self.active.sync_log()?;
        if self.work.epochs {
            self.epochs_file.write(disk, self.epochs_version, &self.epochs)?;
        } else if self.work.names {
            disk.sync_dir(&self.directory).on("sync", &self.directory)?;
        }
        if self.work.parent_name
            && let Some(parent) = self.directory.parent()
        {
            disk.sync_dir(parent).on("sync", parent)?;
        }
        Ok(())
    }
}

impl PartitionLog {
    /// Whether `flush.messages` asks for a flush now.
    pub fn needs_flush(&self) -> bool {
        self.log_end - self.durability.recovery_point >= self.config.flush_messages
    }

    /// The next step towards everything in front of `offset` being durable; an offset behind the log end
    /// means that.
    pub fn begin_flush(&mut self, offset: Offset) -> Result<FlushStep, LogError> {
        self.check_online()?;
        if offset.min(self.log_end) <= self.durability.recovery_point {
            return Ok(FlushStep::Done);
        }
        if let Some(in_flight) = &self.durability.in_flight {
            // The receiver is made first: a plan that ends in between must not be missed.
            let receiver = self.durability.finished.subscribe();
            if in_flight.ticket.strong_count() > 0 {
                return Ok(FlushStep::Wait(receiver));
            }
            self.durability.give_back();
        }
        Ok(FlushStep::Run(self.flush_plan()))
    }

    fn flush_plan(&mut self) -> FlushPlan {
        let ticket = Arc::new(Ticket(self.durability.finished.clone()));
        let work = self.durability.take_work();
        self.durability.in_flight = Some(InFlight { work: work.clone(), ticket: Arc::downgrade(&ticket) });
        FlushPlan {
            disk: self.disk.clone(),
            directory: self.directory.clone(),
            active: self.active.segment.clone(),
            epochs: self.epochs.clone(),
            epochs_file: self.epochs_file.clone(),
            epochs_version: self.durability.next_epochs_version(),
            work,
            end: self.log_end,
            ticket,
        }
    }

    /// Notes how a flush ended. A failure for lack of room changes nothing; any other takes the log offline.
    pub fn finish_flush(&mut self, plan: FlushPlan, result: Result<(), LogError>) -> Result<(), LogError> {
        let current = self.durability.in_flight.as_ref();
        if current.is_none_or(|current| current.ticket.as_ptr() != Arc::as_ptr(&plan.ticket)) {
            // The log was cut meanwhile: what was synced proves nothing.
            return result.map_err(|error| self.failed(error));
        }
        if let Err(error) = result {
            self.durability.give_back();
            return Err(self.failed(error));
        }
        self.durability.in_flight = None;
        assert!(plan.end <= self.log_end, "{}: a flush ended behind the log", self.partition);
        if plan.end > self.durability.recovery_point {
            self.durability.recovery_point = plan.end;
            self.runtime.observe(|| Event::Flush { partition: self.partition.clone(), offset: plan.end });
        }
        Ok(())
    }

    /// Ends the use of the log for a clean stop: everything is written and made durable, and nothing can be
    /// appended or read any more. It waits for the device.
    pub fn close(&mut self) -> Result<(), LogError> {
        self.check_online()?;
        let active = self.active.segment.clone();
        if self.config.preallocate {
            let trimmed = active.file().set_len(self.active.size).on("trim", active.path());
            trimmed.map_err(|error| self.failed(error))?;
        }
        // At an offset of 0 there is nothing to say about producers, and Kafka has no file then.
        if self.log_end > Offset::ZERO {
            self.write_snapshot(self.log_end);
        }
        self.durability.names = true;
        self.durability.sealed.push(active);
        self.flush_blocking()?;
        self.offline = Some("it was closed".into());
        self.publish();
        Ok(())
    }

    /// Ends the use of a log whose partition is deleted: nothing is written any more, and readers are
    /// refused.
    pub fn abandon(&mut self) {
        self.offline = Some("it was deleted".into());
        // Its names may soon belong to another topic's log: whoever still reads or flushes must not take that
        // for this.
        self.cuts.begin();
        self.epochs_file.close();
        for part in self.parts() {
            part.segment.retire();
        }
        self.publish();
    }

    /// Makes the whole log durable, waiting for the device: at close, and where waiting is allowed.
    pub fn flush_blocking(&mut self) -> Result<(), LogError> {
        self.check_online()?;
        self.durability.give_back();
        let plan = self.flush_plan();
        let result = plan.run();
        self.finish_flush(plan, result)
    }
}

/// Makes everything in front of `offset` durable. Whoever comes while a flush is under way waits for the next
/// one, which serves all of them; `permits` bounds the flushes of a disk. Dropping this future lets a flush
/// that runs go on.
pub async fn flush(
    runtime: &Runtime,
    permits: &Semaphore,
    log: &Arc<Mutex<PartitionLog>>,
    offset: Offset,
) -> Result<(), LogError> {
    loop {
        let step = PartitionLog::lock(log).begin_flush(offset)?;
        match step {
            FlushStep::Done => return Ok(()),
            FlushStep::Wait(mut finished) => {
                // The log holds the sender; were it gone, the next step would not wait.
                let _ = finished.changed().await;
            }
            FlushStep::Run(plan) => {
                let permit = permits.acquire().await;
                let log = log.clone();
                let work = move || {
                    let result = plan.run();
                    PartitionLog::lock(&log).finish_flush(plan, result)
                };
                runtime.offload("flush", work).await?;
                drop(permit);
            }
        }
    }
}

fn sync_file(disk: &dyn Disk, path: &Path) -> Result<(), LogError> {
    match disk.open(path, OpenOptions::READ).and_then(|file| file.sync_data()) {
        // Retention took it away together with its segment; even in between, where its handle was closed.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result.on("sync", path),
    }
}
