//! The cursor that messages are written with. Small values are copied into one buffer; record payloads are
//! kept by reference, so that they go from the file cache to the socket without a copy. It knows no message.

use super::error::{EncodeError, EncodeProblem};
use bytes::{BufMut, Bytes, BytesMut};

/// Payloads of at least this many bytes are shared instead of copied: below it a copy is cheaper than one
/// more slice in a vectored write.
pub const SHARED_PAYLOAD_BYTES: usize = 4096;

const FRAME_SIZE_BYTES: usize = 4;

/// What was written, in order: pieces for one vectored write.
#[derive(Debug, Clone, Default)]
pub struct Encoded {
    /// The pieces; none is empty.
    pub chunks: Vec<Bytes>,
    /// Bytes in all of them.
    pub len: usize,
}

impl Encoded {
    /// One contiguous piece; copies only if there are several.
    pub fn into_bytes(mut self) -> Bytes {
        match self.chunks.len() {
            0 => Bytes::new(),
            1 => self.chunks.remove(0),
            _ => self.chunks.concat().into(),
        }
    }
}

/// Collects one or several messages or frames. After [`Writer::finish`] it can be used again and reuses its
/// buffer once nobody holds the pieces.
#[derive(Debug, Default)]
pub struct Writer {
    head: BytesMut,
    done: Vec<Bytes>,
    done_len: usize,
    frame: Option<OpenFrame>,
    copy_everything: bool,
    error: Option<EncodeError>,
    pub(crate) version: i16,
    pub(crate) flexible: bool,
}

/// A frame whose size is not known yet.
#[derive(Debug)]
struct OpenFrame {
    start: usize,
    size: FrameSize,
}

/// Where the frame's size will go.
#[derive(Debug)]
enum FrameSize {
    /// Into the buffer, at this position.
    Head(usize),
    /// In place of this finished piece.
    Piece(usize, BytesMut),
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Writer {
        Writer::default()
    }

    /// Bytes written since the last [`Writer::finish`].
    pub fn len(&self) -> usize {
        self.done_len + self.head.len()
    }

    /// Whether nothing has been written since the last [`Writer::finish`].
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything written so far, and an empty writer.
    pub fn finish(&mut self) -> Encoded {
        assert!(self.frame.is_none(), "a frame is closed before its bytes are taken");
        self.flush();
        let len = std::mem::take(&mut self.done_len);
        Encoded { chunks: std::mem::take(&mut self.done), len }
    }

    /// Opens a frame: what follows until [`Writer::end_frame`] gets its size in front of it, four bytes.
    pub fn begin_frame(&mut self) {
        assert!(self.frame.is_none(), "frames do not nest");
        self.frame = Some(OpenFrame { start: self.len(), size: FrameSize::Head(self.head.len()) });
        self.head.put_bytes(0, FRAME_SIZE_BYTES);
    }

    /// Closes the frame and writes its size.
    pub fn end_frame(&mut self) -> Result<(), EncodeError> {
        let frame = self.frame.take().expect("a frame was opened");
        let Ok(size) = i32::try_from(self.len() - frame.start - FRAME_SIZE_BYTES) else {
            self.abandon(frame);
            return Err(EncodeProblem::TooLong.at("frame"));
        };
        match frame.size {
            FrameSize::Head(at) => self.head[at..at + FRAME_SIZE_BYTES].copy_from_slice(&size.to_be_bytes()),
            FrameSize::Piece(index, mut piece) => {
                piece.copy_from_slice(&size.to_be_bytes());
                self.done[index] = piece.freeze();
            }
        }
        Ok(())
    }

    /// Takes the open frame back, as if it had never been begun: for a message that turned out not to be
    /// writable.
    pub fn abandon_frame(&mut self) {
        let frame = self.frame.take().expect("a frame was opened");
        self.abandon(frame);
    }

    fn abandon(&mut self, frame: OpenFrame) {
        match frame.size {
            FrameSize::Head(at) => self.head.truncate(at),
            FrameSize::Piece(index, _) => {
                self.done.truncate(index);
                self.head.clear();
                self.done_len = frame.start;
            }
        }
        assert_eq!(self.len(), frame.start);
    }

    /// Notes that the message cannot be written; the first error counts, and is reported by
    /// [`Writer::check`].
    #[cold]
    pub(crate) fn fail(&mut self, problem: EncodeProblem, field: &'static str) {
        self.error.get_or_insert(problem.at(field));
    }

    /// The first error since the last check.
    pub(crate) fn check(&mut self, message: &'static str) -> Result<(), EncodeError> {
        match self.error.take() {
            None => Ok(()),
            Some(error) if error.field.is_empty() => Err(error.problem.at(message)),
            Some(error) => Err(error),
        }
    }

    /// Writes bytes as they are.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        self.head.extend_from_slice(bytes);
    }

    /// Writes a payload, by reference if it is large.
    pub fn put_payload(&mut self, payload: &Bytes) {
        if payload.len() < SHARED_PAYLOAD_BYTES || self.copy_everything {
            self.put(payload);
        } else {
            self.flush();
            self.done_len += payload.len();
            self.done.push(payload.clone());
        }
    }

    /// Moves the buffer's bytes to the finished pieces. The size of an open frame stays apart, to be filled
    /// in.
    fn flush(&mut self) {
        if let Some(OpenFrame { size: size @ FrameSize::Head(_), .. }) = &mut self.frame {
            let FrameSize::Head(at) = *size else { unreachable!("matched above") };
            if at > 0 {
                self.done.push(self.head.split_to(at).freeze());
            }
            *size = FrameSize::Piece(self.done.len(), self.head.split_to(FRAME_SIZE_BYTES));
            self.done.push(Bytes::new());
            self.done_len += at + FRAME_SIZE_BYTES;
        }
        if !self.head.is_empty() {
            self.done_len += self.head.len();
            self.done.push(self.head.split().freeze());
        }
    }

    /// An unsigned variable-length integer: seven bits a byte, the lowest first.
    #[inline]
    pub fn uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.head.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.head.put_u8(value as u8);
    }

    /// The length of a string; `None` is null.
    #[inline]
    pub fn string_length(&mut self, length: Option<usize>) {
        if self.flexible {
            return self.compact_length(length);
        }
        match length.map_or(Ok(-1), i16::try_from) {
            Ok(length) => self.put(&length.to_be_bytes()),
            Err(_) => self.fail(EncodeProblem::TooLong, ""),
        }
    }

    /// The length of an array or of bytes; `None` is null.
    #[inline]
    pub fn array_length(&mut self, length: Option<usize>) {
        if self.flexible {
            return self.compact_length(length);
        }
        match length.map_or(Ok(-1), i32::try_from) {
            Ok(length) => self.put(&length.to_be_bytes()),
            Err(_) => self.fail(EncodeProblem::TooLong, ""),
        }
    }

    /// Lengths are signed 32-bit integers in flexible versions too.
    #[inline]
    fn compact_length(&mut self, length: Option<usize>) {
        match length.map_or(Ok(-1), i32::try_from) {
            Ok(length) => self.uvarint((length + 1) as u32),
            Err(_) => self.fail(EncodeProblem::TooLong, ""),
        }
    }

    /// One tagged value: tag, size, bytes.
    pub(crate) fn tagged(&mut self, tag: u32, value: impl FnOnce(&mut Writer)) {
        self.uvarint(tag);
        let copy_everything = std::mem::replace(&mut self.copy_everything, true);
        let start = self.head.len();
        value(self);
        self.copy_everything = copy_everything;
        let size = self.head.len() - start;
        // The size goes in front of the value: written behind it, then rotated there.
        match i32::try_from(size) {
            Ok(size) => self.uvarint(size as u32),
            Err(_) => self.fail(EncodeProblem::TooLong, ""),
        }
        self.head[start..].rotate_left(size);
    }
}
