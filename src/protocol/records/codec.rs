//! The four codecs, whole and in pieces.
//!
//! Owns the choice of library, the reuse of their contexts (one set per thread: they are large, hold no state
//! between uses, and a batch is compressed within one step) and the bound on what decompression may produce.
//! It must not know what the bytes mean.

use super::{lz4, snappy};
use bytes::Bytes;
use flate2::bufread::GzDecoder;
use std::cell::RefCell;
use std::io::{Cursor, Read};
use zstd::zstd_safe::{CCtx, CParameter, DCtx, InBuffer, OutBuffer, ResetDirective, compress_bound};

/// The most that one batch may decompress to, unless a caller says otherwise. Kafka has no such bound; its
/// producers make batches of at most `max.request.size` before compression, 1 MiB by default.
pub const MAX_DECOMPRESSED_BATCH_BYTES: usize = 256 << 20;
/// Output of gzip and zstd is asked for in steps of this many bytes.
const STEP_BYTES: usize = 32 << 10;
/// A zstd context that grew beyond this is given back to the allocator instead of being kept: windows of 8
/// MiB (level 19) fit, the 128 MiB of level 22 do not.
const MAX_IDLE_CONTEXT_BYTES: usize = 9 << 20;

/// A compression codec, by its number in the attributes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Codec {
    /// Records as they are.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy blocks, in the framing of snappy-java or bare.
    Snappy,
    /// The LZ4 frame format.
    Lz4,
    /// RFC 8878.
    Zstd,
}

impl Codec {
    /// All of them, by number.
    pub const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// The codec with this number.
    pub fn from_id(id: u8) -> Option<Codec> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// The number in the attributes.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The name in configurations, such as `zstd`.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }
}

impl std::fmt::Display for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why bytes cannot be decompressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The number of a codec that does not exist, or not in the batch's format.
    #[error("the batch is compressed with codec {0}, which its format does not have")]
    Unknown(u8),
    /// The library refuses the bytes.
    #[error("the {codec} data is corrupt: {reason}")]
    Corrupt {
        /// The codec.
        codec: Codec,
        /// What it says.
        reason: String,
    },
    /// There is more than the limit allows.
    #[error("the {codec} data holds more than the allowed {limit} bytes")]
    TooLarge {
        /// The codec.
        codec: Codec,
        /// The limit, in bytes.
        limit: usize,
    },
}

impl CodecError {
    pub(super) fn corrupt(codec: Codec, reason: impl ToString) -> CodecError {
        CodecError::Corrupt { codec, reason: reason.to_string() }
    }
}

/// A codec and how hard it tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Compression {
    codec: Codec,
    level: i32,
}

impl Compression {
    /// Uncompressed.
    pub const NONE: Compression = Compression { codec: Codec::None, level: 0 };

    /// `codec` at the level that Kafka takes unless told otherwise.
    pub fn new(codec: Codec) -> Compression {
        let level = match codec {
            Codec::Gzip => -1,
            Codec::Lz4 => 9,
            Codec::Zstd => 3,
            Codec::None | Codec::Snappy => 0,
        };
        Compression { codec, level }
    }

    /// `codec` at `level`, as `compression.gzip.level` (-1, 1 to 9) and `compression.zstd.level` (-131072 to
    /// 22) count; beyond those bounds the nearest is taken. There is one way to write lz4, whatever
    /// `compression.lz4.level` says.
    pub fn with_level(codec: Codec, level: i32) -> Compression {
        let level = match codec {
            Codec::Gzip if level == 0 => -1,
            Codec::Gzip => level.clamp(-1, 9),
            Codec::Zstd => level.clamp(-131_072, 22),
            _ => level,
        };
        Compression { codec, level }
    }

    /// The codec.
    pub fn codec(self) -> Codec {
        self.codec
    }
}

/// Appends `plain`, compressed, to `out`.
pub fn compress(compression: Compression, plain: &[u8], out: &mut Vec<u8>) {
    match compression.codec {
        Codec::None => out.extend_from_slice(plain),
        Codec::Gzip => gzip(compression.level, plain, out),
        Codec::Snappy => snappy::compress(plain, out),
        Codec::Lz4 => lz4::compress(plain, out),
        Codec::Zstd => zstd(compression.level, plain, out),
    }
}

/// All of `compressed`, plain: shared where the codec is none, else in a buffer of its own of at most `limit`
/// bytes.
pub fn decompress(codec: Codec, compressed: &Bytes, limit: usize) -> Result<Bytes, CodecError> {
    if codec == Codec::None {
        return Ok(compressed.clone());
    }
    let mut decoder = Decoder::new(codec, compressed.clone(), limit)?;
    let mut plain = Vec::with_capacity(compressed.len().saturating_mul(2).min(limit));
    while decoder.append_to(&mut plain)? {}
    Ok(plain.into())
}

/// Decompresses in pieces of bounded size, so that a batch can be checked without being held in memory.
#[derive(Debug)]
pub struct Decoder {
    stage: Stage,
    codec: Codec,
    produced: usize,
    limit: usize,
}

#[derive(Debug)]
enum Stage {
    Plain(Bytes),
    Gzip(Box<GzDecoder<Cursor<Bytes>>>),
    Snappy(snappy::Decoder),
    Lz4(lz4::Decoder),
    Zstd { context: Context, input: Bytes, position: usize, frame_ended: bool },
    Ended,
}

/// `DCtx` has no `Debug` of its own.
struct Context(DCtx<'static>);

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DCtx")
    }
}

impl Decoder {
    /// Starts on `compressed`, which may give at most `limit` bytes in all.
    pub fn new(codec: Codec, compressed: Bytes, limit: usize) -> Result<Decoder, CodecError> {
        let stage = match codec {
            Codec::None => Stage::Plain(compressed),
            Codec::Gzip => Stage::Gzip(Box::new(take_gzip_decoder(compressed))),
            Codec::Snappy => Stage::Snappy(snappy::Decoder::new(compressed)),
            Codec::Lz4 => Stage::Lz4(lz4::Decoder::new(compressed, lz4::HeaderChecksum::Verified)?),
            Codec::Zstd => Stage::Zstd {
                context: take_zstd_decoder(),
                input: compressed,
                position: 0,
                frame_ended: false,
            },
        };
        Ok(Decoder { stage, codec, produced: 0, limit })
    }

    /// As [`Decoder::new`] for the lz4 frames of magic 0, whose header checksum the clients of that time
    /// computed wrongly.
    pub(super) fn new_lz4_unchecked(compressed: Bytes, limit: usize) -> Result<Decoder, CodecError> {
        let stage = Stage::Lz4(lz4::Decoder::new(compressed, lz4::HeaderChecksum::Ignored)?);
        Ok(Decoder { stage, codec: Codec::Lz4, produced: 0, limit })
    }

    /// Appends the next piece to `out`; false at the end, when nothing was appended.
    pub fn append_to(&mut self, out: &mut Vec<u8>) -> Result<bool, CodecError> {
        let before = out.len();
        let room = self.limit - self.produced;
        match &mut self.stage {
            Stage::Plain(bytes) => out.extend_from_slice(&std::mem::take(bytes)),
            Stage::Gzip(decoder) => append_gzip(decoder, out)?,
            Stage::Snappy(decoder) => {
                if !decoder.append_to(out, room)? {
                    return Err(CodecError::TooLarge { codec: self.codec, limit: self.limit });
                }
            }
            Stage::Lz4(decoder) => decoder.append_to(out)?,
            Stage::Zstd { context, input, position, frame_ended } => {
                append_zstd(&mut context.0, input, position, frame_ended, out)?;
            }
            Stage::Ended => {}
        }
        let appended = out.len() - before;
        if appended > room {
            out.truncate(before);
            return Err(CodecError::TooLarge { codec: self.codec, limit: self.limit });
        }
        self.produced += appended;
        if appended == 0 {
            give_back(std::mem::replace(&mut self.stage, Stage::Ended));
        }
        Ok(appended > 0)
    }
}

thread_local! {
    static CONTEXTS: RefCell<Contexts> = const { RefCell::new(Contexts::NONE) };
}

/// What a thread keeps between two batches.
struct Contexts {
    gzip: Option<GzDecoder<Cursor<Bytes>>>,
    gzip_encoder: Option<(i32, flate2::Compress)>,
    zstd: Option<DCtx<'static>>,
    zstd_encoder: Option<CCtx<'static>>,
}

impl Contexts {
    const NONE: Contexts = Contexts { gzip: None, gzip_encoder: None, zstd: None, zstd_encoder: None };
}

fn give_back(stage: Stage) {
    CONTEXTS.with_borrow_mut(|contexts| match stage {
        Stage::Gzip(mut decoder) => {
            decoder.reset(Cursor::default());
            contexts.gzip = Some(*decoder);
        }
        Stage::Zstd { context, .. } if context.0.sizeof() <= MAX_IDLE_CONTEXT_BYTES => {
            contexts.zstd = Some(context.0);
        }
        _ => {}
    });
}

fn take_gzip_decoder(compressed: Bytes) -> GzDecoder<Cursor<Bytes>> {
    let input = Cursor::new(compressed);
    match CONTEXTS.with_borrow_mut(|contexts| contexts.gzip.take()) {
        Some(mut decoder) => {
            decoder.reset(input);
            decoder
        }
        None => GzDecoder::new(input),
    }
}

/// Concatenated members are read one after the other; what follows them without being one is ignored, as Java
/// does.
fn append_gzip(decoder: &mut GzDecoder<Cursor<Bytes>>, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let before = out.len();
    out.resize(before + STEP_BYTES, 0);
    loop {
        let read =
            decoder.read(&mut out[before..]).map_err(|error| CodecError::corrupt(Codec::Gzip, error))?;
        let input = decoder.get_ref();
        let rest = input.get_ref().slice((input.position() as usize).min(input.get_ref().len())..);
        if read > 0 || !rest.starts_with(&[0x1f, 0x8b]) {
            out.truncate(before + read);
            return Ok(());
        }
        decoder.reset(Cursor::new(rest));
    }
}

fn take_zstd_decoder() -> Context {
    let mut context = CONTEXTS.with_borrow_mut(|contexts| contexts.zstd.take()).unwrap_or_else(DCtx::create);
    context.reset(ResetDirective::SessionOnly).expect("the reset of a session cannot fail");
    Context(context)
}

fn append_zstd(
    context: &mut DCtx<'static>,
    input: &Bytes,
    position: &mut usize,
    frame_ended: &mut bool,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let before = out.len();
    out.resize(before + STEP_BYTES, 0);
    let mut written = 0;
    while written == 0 && !(*frame_ended && *position == input.len()) {
        let mut from = InBuffer::around(&input[*position..]);
        let mut to = OutBuffer::around(&mut out[before..]);
        let left = context
            .decompress_stream(&mut to, &mut from)
            .map_err(|code| CodecError::corrupt(Codec::Zstd, zstd::zstd_safe::get_error_name(code)))?;
        let read = from.pos();
        written = to.pos();
        *position += read;
        *frame_ended = left == 0;
        if read == 0 && written == 0 {
            return Err(CodecError::corrupt(Codec::Zstd, "the last frame is cut short"));
        }
    }
    out.truncate(before + written);
    Ok(())
}

fn gzip(level: i32, plain: &[u8], out: &mut Vec<u8>) {
    let kept = CONTEXTS.with_borrow_mut(|contexts| contexts.gzip_encoder.take());
    let mut encoder = match kept {
        Some((kept_level, mut encoder)) if kept_level == level => {
            encoder.reset();
            encoder
        }
        _ => {
            let level = u32::try_from(level).map_or(flate2::Compression::default(), flate2::Compression::new);
            flate2::Compress::new_gzip(level, 15)
        }
    };
    loop {
        let consumed = encoder.total_in() as usize;
        out.reserve((plain.len() - consumed) / 2 + STEP_BYTES);
        let status = encoder.compress_vec(&plain[consumed..], out, flate2::FlushCompress::Finish);
        match status.expect("deflate of bytes in memory cannot fail") {
            flate2::Status::StreamEnd => break,
            flate2::Status::Ok | flate2::Status::BufError => {}
        }
    }
    CONTEXTS.with_borrow_mut(|contexts| contexts.gzip_encoder = Some((level, encoder)));
}

fn zstd(level: i32, plain: &[u8], out: &mut Vec<u8>) {
    let kept = CONTEXTS.with_borrow_mut(|contexts| contexts.zstd_encoder.take());
    let mut encoder = kept.unwrap_or_else(CCtx::create);
    encoder.set_parameter(CParameter::CompressionLevel(level)).expect("the level was clamped to its bounds");
    let before = out.len();
    out.resize(before + compress_bound(plain.len()), 0);
    let written =
        encoder.compress2(&mut out[before..], plain).expect("compression into a buffer that is large enough");
    out.truncate(before + written);
    if encoder.sizeof() <= MAX_IDLE_CONTEXT_BYTES {
        CONTEXTS.with_borrow_mut(|contexts| contexts.zstd_encoder = Some(encoder));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compressed(compression: Compression, plain: &[u8]) -> Bytes {
        let mut out = Vec::new();
        compress(compression, plain, &mut out);
        out.into()
    }

    /// Bytes that compress in some places and not in others, up to several blocks of every codec.
    fn any_plain() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec((any::<[u8; 8]>(), 1..4_000_usize), 0..12)
            .prop_map(|runs| runs.into_iter().flat_map(|(bytes, times)| bytes.repeat(times)).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn every_codec_gives_back_what_it_was_given(plain in any_plain()) {
            for codec in Codec::ALL {
                let bytes = compressed(Compression::new(codec), &plain);
                let again = decompress(codec, &bytes, plain.len()).unwrap();
                prop_assert_eq!(&again[..], &plain[..], "{}", codec);
            }
        }

        #[test]
        fn any_bytes_give_an_error_or_no_more_than_the_limit(bytes: Vec<u8>) {
            for codec in Codec::ALL {
                if let Ok(plain) = decompress(codec, &bytes.clone().into(), 1 << 16) {
                    prop_assert!(plain.len() <= (1 << 16));
                }
            }
        }

        #[test]
        fn damaged_bytes_give_an_error_or_no_more_than_the_limit(
            plain in any_plain(), at: usize, bit in 0..8,
        ) {
            for codec in Codec::ALL {
                let mut bytes = compressed(Compression::new(codec), &plain).to_vec();
                if !bytes.is_empty() {
                    let at = at % bytes.len();
                    bytes[at] ^= 1_u8 << bit;
                }
                let limit = plain.len() + 100;
                if let Ok(damaged) = decompress(codec, &bytes.into(), limit) {
                    prop_assert!(damaged.len() <= limit);
                }
            }
        }
    }

    #[test]
    fn the_limit_is_exact_and_a_bomb_is_refused() {
        let plain = vec![7; 3_000_000];
        for codec in Codec::ALL.into_iter().skip(1) {
            let bytes = compressed(Compression::new(codec), &plain);
            assert!(decompress(codec, &bytes, plain.len()).is_ok(), "{codec}");
            let error = decompress(codec, &bytes, plain.len() - 1);
            assert_eq!(error, Err(CodecError::TooLarge { codec, limit: plain.len() - 1 }));
        }
    }

    #[test]
    fn levels_are_kept_within_what_each_codec_has() {
        for (codec, level) in [(Codec::Gzip, -9), (Codec::Gzip, 0), (Codec::Gzip, 99), (Codec::Zstd, 99)] {
            let bytes = compressed(Compression::with_level(codec, level), b"levels");
            assert_eq!(decompress(codec, &bytes, 100).as_deref(), Ok(&b"levels"[..]));
        }
    }

    #[test]
    fn concatenated_gzip_members_and_zstd_frames_are_read_as_one() {
        for codec in [Codec::Gzip, Codec::Zstd] {
            let mut bytes = compressed(Compression::new(codec), b"one ").to_vec();
            bytes.extend_from_slice(&compressed(Compression::new(codec), b"two"));
            assert_eq!(decompress(codec, &bytes.into(), 100).as_deref(), Ok(&b"one two"[..]), "{codec}");
        }
    }
}
