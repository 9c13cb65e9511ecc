//! Reading a view of the log: batches from an offset on, aborted transactions, and offsets by timestamp.
//!
//! A read begins at the batch that contains its offset, and may end inside a batch, as a consumer expects. It
//! never goes beyond the bound that it was given. CRCs are checked the first time that bytes are read after
//! their file was opened. It must not know requests, sessions or who asks.

use super::access::Access;
use super::error::{LogError, OnPath};
use super::scan::read_batch;
use super::segment::{BatchAt, HeaderWalk};
use super::transaction_index::AbortedTransaction;
use super::view::{LogView, Part};
use crate::protocol::records::Record;
use crate::runtime::File;
use crate::types::{LeaderEpoch, Offset, Timestamp};
use bytes::Bytes;
use std::io;
use std::sync::Arc;

/// How far apart the probes are that tell whether a stretch of a file lies in memory.
const PROBE_BYTES: u64 = 64 << 10;

/// Up to where a reader may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadBound {
    /// All there is: replicas.
    LogEnd,
    /// What is replicated: consumers.
    HighWatermark,
    /// What is replicated and belongs to no open transaction: consumers of committed records, which are told
    /// about aborted transactions too.
    LastStable,
}

/// What to read.
#[derive(Debug, Clone, Copy)]
pub struct ReadRequest {
    /// The first offset that is wanted.
    pub offset: Offset,
    /// Bytes that may be returned.
    pub max_bytes: usize,
    /// Up to where.
    pub bound: ReadBound,
    /// Whether the first batch is returned whole even when it is larger than `max_bytes`.
    pub at_least_one: bool,
    /// From which length on a part of a file is returned instead of bytes, for a connection that can send
    /// files.
    pub file_from_bytes: Option<usize>,
}

/// Batches, back to back; the last may be cut short.
#[derive(Clone)]
pub enum FetchedRecords {
    /// As bytes.
    Bytes(Bytes),
    /// As part of a file, whose bytes lie in memory and were checked.
    File {
        /// The segment's file.
        file: File,
        /// Where the first batch begins.
        position: u64,
        /// Bytes to send.
        length: u64,
    },
}

impl FetchedRecords {
    /// Bytes that would be sent.
    pub fn len(&self) -> usize {
        match self {
            FetchedRecords::Bytes(bytes) => bytes.len(),
            FetchedRecords::File { length, .. } => *length as usize,
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a read found.
#[derive(Clone)]
pub struct Fetched {
    /// The batches.
    pub records: FetchedRecords,
    /// The aborted transactions that overlap them, by the offsets of their markers; only for
    /// [`ReadBound::LastStable`].
    pub aborted: Option<Vec<AbortedTransaction>>,
}

/// The outcome of a read that may not wait.
pub enum Read {
    /// It is done.
    Ready(Fetched),
    /// Some of the bytes are on the device only.
    Cold(ColdRead),
}

/// A read that has to wait for the device: to be run where waiting is allowed.
pub struct ColdRead {
    view: Arc<LogView>,
    request: ReadRequest,
}

impl ColdRead {
    /// Reads, waiting for the device.
    pub fn run(self) -> Result<Fetched, ReadError> {
        self.view.read_blocking(&self.request)
    }
}

/// Why nothing was read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The log does not have the offset: deleted already, or not written yet.
    #[error("offset {offset} was asked for, and the log has {log_start} to {log_end}")]
    OffsetOutOfRange {
        /// The offset.
        offset: Offset,
        /// Where the log begins.
        log_start: Offset,
        /// Where it ends.
        log_end: Offset,
    },
    /// The log was cut while it was read: what was found may be of different times. The newest view knows
    /// what is there now.
    #[error("the log was cut while it was read; read again")]
    Cut,
    /// The disk, or what is on it.
    #[error(transparent)]
    Storage(#[from] LogError),
}

/// A record that was found by its timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundTimestamp {
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its offset.
    pub offset: Offset,
    /// The leader epoch of its batch, or none.
    pub leader_epoch: LeaderEpoch,
}

/// Where in a segment a read begins and ends.
struct Span<'a> {
    part: Part<'a>,
    index: usize,
    start: u64,
    length: u64,
}

impl LogView {
    /// Reads without waiting for the device.
    pub fn read(self: &Arc<Self>, request: &ReadRequest) -> Result<Read, ReadError> {
        match self.read_with(request, Access::Cached) {
            Err(ReadError::Storage(error)) if error.is_would_block() => {
                Ok(Read::Cold(ColdRead { view: self.clone(), request: *request }))
            }
            result => result.map(Read::Ready),
        }
    }

    /// Reads, waiting for the device where that is needed.
    pub fn read_blocking(&self, request: &ReadRequest) -> Result<Fetched, ReadError> {
        self.read_with(request, Access::Blocking)
    }

    /// The offset that `bound` stands for.
    pub fn bound(&self, bound: ReadBound) -> Offset {
        match bound {
            ReadBound::LogEnd => self.log_end,
            ReadBound::HighWatermark => self.high_watermark,
            ReadBound::LastStable => self.last_stable,
        }
    }

    fn read_with(&self, request: &ReadRequest, access: Access) -> Result<Fetched, ReadError> {
        let result = self.read_in_range(request, access);
        if self.was_cut() {
            return Err(ReadError::Cut);
        }
        match result {
            // Retention took the file after this view was published, which was closed for want of handles.
            Err(ReadError::Storage(error)) if self.is_gone(request.offset, &error) => {
                Err(self.out_of_range(request.offset))
            }
            result => result,
        }
    }

    /// Whether `error` comes from the segment of `offset` having been deleted.
    fn is_gone(&self, offset: Offset, error: &LogError) -> bool {
        self.part(self.index_of(offset)).is_some_and(|part| part.segment.explains(error))
    }

    fn out_of_range(&self, offset: Offset) -> ReadError {
        ReadError::OffsetOutOfRange { offset, log_start: self.log_start, log_end: self.log_end }
    }

    fn read_in_range(&self, request: &ReadRequest, access: Access) -> Result<Fetched, ReadError> {
        self.check_online()?;
        let offset = request.offset;
        if offset < self.log_start || offset > self.log_end {
            return Err(self.out_of_range(offset));
        }
        let wants_aborted = request.bound == ReadBound::LastStable;
        let bound = self.bound(request.bound);
        let Some(span) = self.span(request, bound, access)? else {
            let records = FetchedRecords::Bytes(Bytes::new());
            return Ok(Fetched { records, aborted: wants_aborted.then(Vec::new) });
        };
        let records = self.records(&span, request, access)?;
        let aborted = if wants_aborted { Some(self.aborted_in(&span, offset, bound, access)?) } else { None };
        Ok(Fetched { records, aborted })
    }

    /// Where the batches lie that answer `request`; none when there are none.
    fn span(
        &self,
        request: &ReadRequest,
        bound: Offset,
        access: Access,
    ) -> Result<Option<Span<'_>>, LogError> {
        if request.offset >= bound {
            return Ok(None);
        }
        let mut index = self.index_of(request.offset);
        let (part, first) = loop {
            let Some(part) = self.part(index) else { return Ok(None) };
            // What is left of a compacted segment may end in front of the offset.
            match part.segment.find(&*self.disk, request.offset, part.size, access)? {
                Some(first) => break (part, first),
                None => index += 1,
            }
        };
        let end = self.end_position(part, bound, access)?;
        let (start, available) = (first.position, end.saturating_sub(first.position));
        let first_bytes = first.header.size_in_bytes() as u64;
        let mut length = available.min(request.max_bytes as u64);
        if length < first_bytes {
            // A piece of one batch is of no use to anybody.
            length = if request.at_least_one { first_bytes.min(available) } else { 0 };
        }
        Ok((length > 0).then_some(Span { part, index, start, length }))
    }

    /// Where the first batch begins that is not wholly below `bound`.
    fn end_position(&self, part: Part<'_>, bound: Offset, access: Access) -> Result<u64, LogError> {
        if bound >= part.end_offset {
            return Ok(part.size);
        }
        let batch = part.segment.find(&*self.disk, bound, part.size, access)?;
        Ok(batch.map_or(part.size, |batch| batch.position))
    }

    fn records(
        &self,
        span: &Span<'_>,
        request: &ReadRequest,
        access: Access,
    ) -> Result<FetchedRecords, LogError> {
        let (segment, position, length) = (span.part.segment, span.start, span.length);
        let as_file = request.file_from_bytes.is_some_and(|from| length >= from as u64);
        if as_file && segment.is_checked(position, length) {
            match probe(segment.file(), position, length).on("read", segment.path()) {
                Ok(()) => {
                    let file = segment.file().clone();
                    return Ok(FetchedRecords::File { file, position, length });
                }
                Err(error) if error.is_would_block() && access == Access::Blocking => {}
                Err(error) => return Err(error),
            }
        }
        let mut bytes = vec![0; length as usize];
        access.read_exact(segment.file(), &mut bytes, position).on("read", segment.path())?;
        let bytes = Bytes::from(bytes);
        segment.verify(position, &bytes)?;
        Ok(FetchedRecords::Bytes(bytes))
    }

    /// The aborted transactions with records among those of `span`, wherever their markers are.
    fn aborted_in(
        &self,
        span: &Span<'_>,
        from: Offset,
        bound: Offset,
        access: Access,
    ) -> Result<Vec<AbortedTransaction>, LogError> {
        let behind = span.start + span.length;
        let to = if behind >= span.part.size {
            span.part.end_offset
        } else {
            let known = span.part.segment.offset_bound(&*self.disk, behind, access)?;
            known.unwrap_or(span.part.end_offset)
        };
        let mut found = Vec::new();
        for index in span.index..self.segment_count() {
            let Some(part) = self.part(index) else { break };
            if part.segment.collect_aborted(&*self.disk, from, to.min(bound), access, &mut found)? {
                break;
            }
        }
        Ok(found)
    }

    /// The first record below `bound` whose timestamp is at least `timestamp`. It may decompress batches: not
    /// for a connection's own thread.
    pub fn offset_for_timestamp(
        &self,
        timestamp: Timestamp,
        bound: Offset,
    ) -> Result<Option<FoundTimestamp>, ReadError> {
        let result = self.first_below(timestamp, bound);
        if self.was_cut() { Err(ReadError::Cut) } else { Ok(result?) }
    }

    fn first_below(&self, timestamp: Timestamp, bound: Offset) -> Result<Option<FoundTimestamp>, LogError> {
        self.check_online()?;
        for index in self.index_of(self.log_start)..self.segment_count() {
            let Some(part) = self.part(index) else { break };
            let largest = part.segment.largest_timestamp();
            if largest.is_none_or(|largest| largest.timestamp < timestamp) {
                continue;
            }
            match self.first_in(part, timestamp) {
                Ok(Some(found)) => return Ok(Some(found).filter(|found| found.offset < bound)),
                Ok(None) => {}
                // Retention took it meanwhile; the log goes on in the next one.
                Err(error) if part.segment.explains(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The first record with the largest timestamp of the log, whether replicated or not.
    pub fn max_timestamp(&self) -> Result<Option<FoundTimestamp>, ReadError> {
        let result = self.first_of_largest_timestamp();
        if self.was_cut() { Err(ReadError::Cut) } else { Ok(result?) }
    }

    fn first_of_largest_timestamp(&self) -> Result<Option<FoundTimestamp>, LogError> {
        self.check_online()?;
        while let Some((part, largest)) = self.largest_timestamp() {
            match self.first_in(part, largest) {
                // Retention took the segment meanwhile: it does not count any more.
                Err(error) if part.segment.explains(&error) => {}
                result => return result,
            }
        }
        Ok(None)
    }

    /// The largest timestamp, and the first segment that has it, of those that are still there.
    fn largest_timestamp(&self) -> Option<(Part<'_>, Timestamp)> {
        let mut largest: Option<(Part<'_>, Timestamp)> = None;
        for index in self.index_of(self.log_start)..self.segment_count() {
            let part = self.part(index)?;
            if let Some(here) = part.segment.largest_timestamp()
                && largest.is_none_or(|(_, there)| here.timestamp > there)
                && !part.segment.is_retired()
            {
                largest = Some((part, here.timestamp));
            }
        }
        largest
    }

    /// The first record of a segment, at the log start or behind it, with at least this timestamp.
    fn first_in(&self, part: Part<'_>, timestamp: Timestamp) -> Result<Option<FoundTimestamp>, LogError> {
        let access = Access::Blocking;
        let (position, _) = part.segment.search_start(&*self.disk, timestamp, part.size, access)?;
        let mut walk = HeaderWalk::new(part.segment, position, part.size, access);
        while let Some(at) = walk.next()? {
            if at.header.max_timestamp < timestamp || at.header.last_offset() < self.log_start {
                continue;
            }
            for record in records_of(part, &at)? {
                if record.timestamp >= timestamp && record.offset >= self.log_start {
                    return Ok(Some(FoundTimestamp {
                        timestamp: record.timestamp,
                        offset: record.offset,
                        leader_epoch: at.header.partition_leader_epoch,
                    }));
                }
            }
        }
        Ok(None)
    }
}

/// All records of one batch; bytes that are no records are damage.
fn records_of(part: Part<'_>, at: &BatchAt) -> Result<Vec<Record>, LogError> {
    let segment = part.segment;
    let batch = read_batch(segment.file(), segment.path(), at.position, &at.header, Access::Blocking)?;
    let damage = |reason: String| segment.damage(at.position, reason);
    let batch = batch.map_err(|error| damage(error.to_string()))?;
    segment.verify(at.position, batch.bytes())?;
    let records = batch.records().map_err(|error| damage(error.to_string()))?;
    records.collect::<Result<_, _>>().map_err(|error| damage(error.to_string()))
}

/// Refuses with `WouldBlock` when bytes of this stretch are seen not to lie in memory.
fn probe(file: &File, position: u64, length: u64) -> io::Result<()> {
    let last = position + length - 1;
    let mut at = position;
    let mut byte = [0];
    while at < last {
        file.read_cached(&mut byte, at)?;
        at += PROBE_BYTES;
    }
    file.read_cached(&mut byte, last).map(|_| ())
}
