//! The producers of a log at an offset: from the newest snapshot in front of it, and the batches between the
//! two.

use super::access::Access;
use super::append::marker_of;
use super::config::LogConfig;
use super::error::{LogError, OnPath};
use super::producer_snapshot;
use super::producer_state::ProducerStates;
use super::scan::{BatchScan, Found, Look, read_batch};
use super::segment::{SNAPSHOT, Segment, segment_path};
use super::transaction_index::AbortedTransaction;
use super::view::Part;
use crate::protocol::records::BatchHeader;
use crate::runtime::Disk;
use crate::types::{Offset, Timestamp};
use std::path::Path;

/// The producers in front of `offset`, from the newest snapshot that can be read and the batches in `parts`
/// behind it.
pub(super) fn load_producers(
    disk: &dyn Disk,
    directory: &Path,
    parts: &[Part<'_>],
    offset: Offset,
    now: Timestamp,
    config: &LogConfig,
) -> Result<ProducerStates, LogError> {
    let mut from = Offset(i64::MIN);
    let mut producers = ProducerStates::default();
    for snapshot in snapshots(disk, directory)?.into_iter().rev().filter(|snapshot| *snapshot <= offset) {
        let path = segment_path(directory, snapshot, SNAPSHOT);
        match producer_snapshot::read(disk, &path, now, config.producer_id_expiration_ms) {
            Ok(read) => {
                (from, producers) = (snapshot, read);
                break;
            }
            Err(LogError::Malformed(error)) => tracing::warn!("an older snapshot is used instead: {error}"),
            Err(error) => return Err(error),
        }
    }
    for part in parts.iter().filter(|part| part.end_offset > from) {
        let segment = part.segment;
        let mut scan = BatchScan::new(segment.file(), segment.path(), Look::Headers, 0, part.size);
        loop {
            match scan.next()? {
                Found::Batch { header, .. } if header.base_offset >= offset => return Ok(producers),
                Found::Batch { header, .. } if header.last_offset() < from => {}
                Found::Batch { position, header } => {
                    note_found(segment, position, &header, &mut producers)?;
                }
                Found::End => break,
                Found::Invalid { position, reason } => return Err(segment.damage(position, reason)),
            }
        }
    }
    producers.remove_expired(now, config.producer_id_expiration_ms);
    Ok(producers)
}

/// Notes a batch of the log with its producer; returns the transaction that it aborted.
pub(super) fn note_found(
    segment: &Segment,
    position: u64,
    header: &BatchHeader,
    producers: &mut ProducerStates,
) -> Result<Option<AbortedTransaction>, LogError> {
    if !header.has_producer_id() {
        return Ok(None);
    }
    if !header.attributes.is_control() {
        producers.note_batch(header);
        return Ok(None);
    }
    let batch = read_batch(segment.file(), segment.path(), position, header, Access::Blocking)?;
    let batch = batch.map_err(|error| segment.damage(position, error.to_string()))?;
    let marker = marker_of(&batch).map_err(|reason| segment.damage(position, reason))?;
    let Some(marker) = marker else { return Ok(None) };
    let completed = producers.note_marker(header, &marker);
    Ok(completed.filter(|completed| !completed.committed).map(|completed| (&completed).into()))
}

/// The offsets of the snapshots in a directory, in order.
pub(super) fn snapshots(disk: &dyn Disk, directory: &Path) -> Result<Vec<Offset>, LogError> {
    let entries = disk.read_dir(directory).on("list", directory)?;
    let offset = |name: &str| {
        let digits = name.strip_suffix(SNAPSHOT).filter(|digits| digits.len() == 20)?;
        digits.parse().ok().map(Offset)
    };
    Ok(entries.iter().filter_map(|entry| offset(&entry.name)).collect())
}

/// Removes the snapshots whose offsets satisfy `goes`; whether there were any.
pub(super) fn remove_snapshots(
    disk: &dyn Disk,
    directory: &Path,
    goes: impl Fn(Offset) -> bool,
) -> Result<bool, LogError> {
    let mut removed = false;
    for snapshot in snapshots(disk, directory)?.into_iter().filter(|snapshot| goes(*snapshot)) {
        let path = segment_path(directory, snapshot, SNAPSHOT);
        disk.remove(&path).on("remove", &path)?;
        removed = true;
    }
    Ok(removed)
}
