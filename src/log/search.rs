//! The search for valid batches behind bytes that are none: it tells the torn end of a log from damage in its
//! middle.

use super::error::{LogError, OnPath};
use super::scan::{BatchScan, Found, Look};
use crate::protocol::records::{BatchHeader, HEADER_BYTES, MAGIC};
use crate::runtime::File;
use crate::types::{LeaderEpoch, Offset};
use std::path::Path;

/// Bytes that are searched at a time.
const WINDOW_BYTES: u64 = 1 << 20;
/// Bytes of CRCs that one search may compute. Bytes that look like so many batches are no torn end.
const CRC_BUDGET_BYTES: u64 = 4 << 30;
/// Where the magic stands in a batch.
const MAGIC_AT: usize = 16;

/// Where in `from..end` of a file the first batch with a right CRC begins, behind `expected` in a log whose
/// newest leader epoch is `epoch`. Batches of older epochs or offsets are remains of what was cut off
/// before.
pub(super) fn valid_batch_behind(
    file: &File,
    path: &Path,
    from: u64,
    end: u64,
    expected: Offset,
    epoch: LeaderEpoch,
) -> Result<Option<u64>, LogError> {
    let mut budget = CRC_BUDGET_BYTES;
    let mut at = from;
    let mut window = Vec::new();
    while at + (HEADER_BYTES as u64) <= end {
        window.resize((end - at).min(WINDOW_BYTES) as usize, 0);
        let read = file.read_full_at(&mut window, at).on("read", path)?;
        if read < HEADER_BYTES {
            break;
        }
        let starts = read - HEADER_BYTES + 1;
        for start in 0..starts {
            if window[start + MAGIC_AT] != MAGIC as u8 {
                continue;
            }
            let Ok(header) = BatchHeader::parse(&window[start..]) else { continue };
            let position = at + start as u64;
            let size = header.size_in_bytes() as u64;
            let plausible = size <= end - position
                && header.base_offset >= expected
                && header.last_offset_delta >= 0
                && header.partition_leader_epoch >= epoch;
            if !plausible {
                continue;
            }
            let mut scan = BatchScan::new(file, path, Look::Crcs, position, position + size);
            if size > budget || matches!(scan.next()?, Found::Batch { .. }) {
                return Ok(Some(position));
            }
            budget -= size;
        }
        at += starts as u64;
    }
    Ok(None)
}
