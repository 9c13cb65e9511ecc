//! What a broker does to its logs beside appending: retention, flushes by time, checkpoints, forgetting idle
//! producers; and closing them.
//!
//! Invariant: a checkpoint never claims more than the logs hold: it is made from what they say after the
//! fact.

use super::directories::Directory;
use super::partition::Partition;
use super::replicas::Replicas;
use crate::config::BrokerConfig;
use crate::log::{Checkpoint, DoomedFiles, LogError};
use crate::runtime::{Runtime, Task};
use crate::types::{BrokerEpoch, Offset};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Logs that are closed at a time, so that their syncs overlap.
const PARALLEL_CLOSES: usize = 8;

type Job = fn(&Runtime, &Replicas);

/// Starts the tasks; they run until they are aborted.
pub fn maintain(runtime: &Runtime, replicas: &Arc<Replicas>, config: &BrokerConfig) -> Vec<Task> {
    let every = |name: &str| Duration::from_millis(config.long(name).max(1) as u64);
    let jobs: [(&'static str, Duration, Job); 3] = [
        ("retention", every("log.retention.check.interval.ms"), apply_retention),
        ("checkpoint", every("log.flush.offset.checkpoint.interval.ms"), write_recovery_points),
        ("high watermarks", every("replica.high.watermark.checkpoint.interval.ms"), write_high_watermarks),
    ];
    let mut tasks: Vec<Task> = jobs
        .into_iter()
        .map(|(name, interval, job)| {
            let (runtime, replicas) = (runtime.clone(), replicas.clone());
            runtime.clone().spawn(name, async move {
                loop {
                    runtime.sleep(interval).await;
                    let (within, replicas) = (runtime.clone(), replicas.clone());
                    runtime.offload(name, move || job(&within, &replicas)).await;
                }
            })
        })
        .collect();
    tasks.push(runtime.spawn("flush by time", flush_by_time(runtime.clone(), replicas.clone())));
    tasks
}

/// Deletes what retention does not keep, and forgets idle producers.
fn apply_retention(runtime: &Runtime, replicas: &Replicas) {
    let now = runtime.wall_clock();
    for partition in replicas.all() {
        let doomed = {
            let mut log = partition.log();
            log.remove_expired_producers(now);
            log.delete_old_segments(now)
        };
        match doomed {
            Ok(doomed) if doomed.is_empty() => {}
            Ok(doomed) => remove_later(runtime, &partition, doomed),
            Err(error) => tracing::error!("retention of {} failed: {error}", partition.name()),
        }
    }
    log_failure(write_checkpoints(replicas, Checkpoint::LogStarts));
}

/// Removes files when readers of older views have had their time.
fn remove_later(runtime: &Runtime, partition: &Partition, doomed: DoomedFiles) {
    let delay = partition.log().config().file_delete_delay;
    let (within, name) = (runtime.clone(), partition.name().clone());
    runtime.spawn("remove old segments", async move {
        within.sleep(delay).await;
        if let Err(error) = within.offload("remove old segments", move || doomed.remove()).await {
            tracing::error!("old segments of {name} cannot be removed: {error}");
        }
    });
}

fn write_high_watermarks(_: &Runtime, replicas: &Replicas) {
    log_failure(write_checkpoints(replicas, Checkpoint::HighWatermarks));
}

fn write_recovery_points(_: &Runtime, replicas: &Replicas) {
    log_failure(write_checkpoints(replicas, Checkpoint::RecoveryPoints));
}

/// Writes every checkpoint anew.
pub(super) fn write_all_checkpoints(replicas: &Replicas) {
    for which in [Checkpoint::RecoveryPoints, Checkpoint::HighWatermarks, Checkpoint::LogStarts] {
        log_failure(write_checkpoints(replicas, which));
    }
}

fn log_failure(written: Result<(), LogError>) {
    if let Err(error) = written {
        tracing::error!("a checkpoint is not up to date: {error}");
    }
}

/// Writes a checkpoint of every directory; the error of one does not keep the others from theirs.
pub(super) fn write_checkpoints(replicas: &Replicas, which: Checkpoint) -> Result<(), LogError> {
    let mut outcome = Ok(());
    for directory in replicas.directories() {
        outcome = outcome.and(write_checkpoint(replicas, directory, which));
    }
    outcome
}

fn write_checkpoint(replicas: &Replicas, directory: &Directory, which: Checkpoint) -> Result<(), LogError> {
    let offset = match which {
        Checkpoint::RecoveryPoints => recovery_point,
        Checkpoint::HighWatermarks => high_watermark,
        Checkpoint::LogStarts => log_start,
    };
    directory.write_checkpoint(which, &|| replicas.inside(directory), offset)
}

fn high_watermark(partition: &Partition) -> Option<Offset> {
    Some(partition.view().high_watermark())
}

fn recovery_point(partition: &Partition) -> Option<Offset> {
    Some(partition.log().recovery_point())
}

fn log_start(partition: &Partition) -> Option<Offset> {
    let log = partition.log();
    Some(log.log_start()).filter(|start| *start > log.first_segment_offset())
}

/// How often it is looked whether a log was left unflushed for `flush.ms`.
const FLUSH_CHECK_INTERVAL: Duration = Duration::from_millis(1_000);

/// Flushes logs that were left unflushed for `flush.ms`.
async fn flush_by_time(runtime: Runtime, replicas: Arc<Replicas>) {
    let mut unflushed_since = BTreeMap::new();
    loop {
        runtime.sleep(FLUSH_CHECK_INTERVAL).await;
        let now = runtime.now();
        for partition in replicas.all() {
            let flush_ms = partition.config().topic.flush_ms;
            if flush_ms == i64::MAX {
                continue;
            }
            let end = partition.view().log_end();
            if partition.log().recovery_point() >= end {
                unflushed_since.remove(partition.name());
                continue;
            }
            let since = *unflushed_since.entry(partition.name().clone()).or_insert(now);
            if now.since(since) >= Duration::from_millis(flush_ms.max(0) as u64) {
                unflushed_since.remove(partition.name());
                partition.settle_unattended(end);
            }
        }
    }
}

/// Closes every log, writes all checkpoints and, where everything is on the device, the marker of a clean
/// stop.
pub async fn close_all(runtime: &Runtime, replicas: &Arc<Replicas>, broker_epoch: Option<BrokerEpoch>) {
    for index in 0..replicas.directories().len() {
        let partitions = replicas.inside(&replicas.directories()[index]);
        let failed = Arc::new(Mutex::new(false));
        let queue = Arc::new(Mutex::new(partitions.clone()));
        let workers = (0..PARALLEL_CLOSES.min(partitions.len())).map(|_| {
            let (within, queue, failed) = (runtime.clone(), queue.clone(), failed.clone());
            runtime.spawn("close logs", async move {
                within.offload("close logs", move || close_from(&queue, &failed)).await;
            })
        });
        let mut all_closed = true;
        for worker in workers.collect::<Vec<_>>() {
            all_closed &= worker.join().await.is_ok();
        }
        all_closed &= !*failed.lock().unwrap_or_else(PoisonError::into_inner);
        let replicas = replicas.clone();
        let finish = move || finish_directory(&replicas, index, all_closed, broker_epoch);
        if let Err(error) = runtime.offload("close log directory", finish).await {
            tracing::error!("a log directory was not closed cleanly and will be recovered: {error}");
        }
    }
}

fn finish_directory(
    replicas: &Replicas,
    index: usize,
    all_closed: bool,
    broker_epoch: Option<BrokerEpoch>,
) -> Result<(), LogError> {
    let directory = &replicas.directories()[index];
    for which in [Checkpoint::RecoveryPoints, Checkpoint::HighWatermarks, Checkpoint::LogStarts] {
        write_checkpoint(replicas, directory, which)?;
    }
    // The marker speaks for every log: not where one was never opened.
    if all_closed && directory.all_unopened().is_empty() {
        return directory.logs.close(broker_epoch);
    }
    directory.logs.unlock();
    Ok(())
}

fn close_from(queue: &Mutex<Vec<Arc<Partition>>>, failed: &Mutex<bool>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(partition) = next else { break };
        if let Err(error) = partition.log().close() {
            tracing::error!("{} was not closed cleanly and will be recovered: {error}", partition.name());
            *failed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        }
    }
}
