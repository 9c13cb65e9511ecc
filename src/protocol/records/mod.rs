//! Record batches: what producers send, the log keeps and consumers receive.
//!
//! Owns the bytes of a batch: its 61-byte header ([`BatchHeader`]), the walk over back-to-back batches
//! ([`batches`]) and over the records of one ([`RecordBatch::records`]), the codecs, building
//! ([`BatchBuilder`]) and what a broker checks before it appends. Batches of magic 2 and the older message
//! sets of magic 0 and 1 are read; magic 2 alone is written.
//!
//! Invariant: no input makes this code panic, or allocate more than the bytes at hand or a named limit back.
//! It must not know files, sockets, clocks, or which offset a batch is going to get.

mod batch;
mod builder;
mod codec;
mod control;
mod header;
mod legacy;
mod lz4;
mod record;
mod refusal;
mod scan;
mod snappy;
mod validate;
mod varint;

pub use batch::{BatchError, Batches, RecordBatch, batches};
pub use builder::{BatchBuilder, Header};
pub use codec::{
    Codec, CodecError, Compression, Decoder, MAX_DECOMPRESSED_BATCH_BYTES, compress, decompress,
};
pub use control::{
    ControlRecord, ControlRecordError, ControlRecordType, EndTransactionMarker, TransactionResult,
};
pub use header::{
    Attributes, BatchHead, BatchHeader, HEAD_BYTES, HEADER_BYTES, LENGTH_END, MAGIC, TimestampType,
};
pub use header::{MAGIC_END, increment_sequence, is_transactional};
pub use record::{Record, RecordError, RecordHeaders, RecordIter};
pub use refusal::{RecordRejection, RejectedRecord, ValidationError};
pub use validate::{ValidatedBatch, ValidationRules, validate};
