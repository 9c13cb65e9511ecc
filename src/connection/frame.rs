//! Frames: a 32-bit size, then that many bytes. Owns reading them off a stream and writing chunks onto one.
//!
//! Invariants: memory grows with bytes that have arrived, never with what a size promises; a frame is handed
//! out as a slice of the buffer it was read into; a reader that waits for a frame's first byte holds no
//! buffer. It must not know what is inside a frame.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

/// Largest frame that a broker accepts unless it is configured otherwise: `socket.request.max.bytes`.
pub const DEFAULT_MAX_FRAME_BYTES: usize = 100 * 1024 * 1024;

/// Bytes in front of every frame that tell its size.
pub const FRAME_SIZE_BYTES: usize = 4;

/// What one read asks for as long as nothing tells that there is more.
const SMALL_READ_BYTES: usize = 16 * 1024;
/// What one read asks for at most.
const LARGE_READ_BYTES: usize = 256 * 1024;
/// A frame that misses at least this much is read to its end and no further, so that the next one starts in a
/// buffer of its own and is never moved.
const LARGE_REST_BYTES: usize = 64 * 1024;
/// Chunks that go into one vectored write; the kernel takes 1024.
const MAX_SLICES: usize = 64;

/// Why a stream gives no more frames.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A size below 1, or above the limit.
    #[error(
        "a frame announces {size} bytes; between 1 and {limit} are allowed, so the connection is closed{}",
        guess(*.size)
    )]
    BadSize {
        /// As announced.
        size: i32,
        /// As configured, in bytes.
        limit: usize,
    },
    /// The peer closed the connection within a frame.
    #[error("the peer closed the connection within a frame, after {0} bytes of it")]
    Truncated(usize),
    /// The stream failed.
    #[error("reading from the connection failed: {0}")]
    Io(#[from] io::Error),
}

/// What the other side may be that does not speak Kafka's protocol.
fn guess(size: i32) -> &'static str {
    match &size.to_be_bytes() {
        b"HTTP" | b"GET " | b"POST" | b"HEAD" | b"PUT " => ": the other side speaks HTTP",
        [0x15 | 0x16, 3, ..] => ": the other side speaks TLS",
        _ => "",
    }
}

/// Splits a stream of bytes into frames.
#[derive(Debug)]
pub struct FrameReader {
    buffer: BytesMut,
    limit: usize,
    next_read: usize,
}

impl FrameReader {
    /// A reader that refuses frames of more than `limit` bytes.
    pub fn new(limit: usize) -> FrameReader {
        assert!(limit <= i32::MAX as usize, "a frame's size is a positive i32");
        FrameReader { buffer: BytesMut::new(), limit, next_read: SMALL_READ_BYTES }
    }

    /// Waits for bytes and takes what one read brings. `false`: the peer closed the connection between two
    /// frames. Dropping the future loses nothing.
    pub async fn read<R: AsyncRead + Unpin>(&mut self, stream: &mut R) -> Result<bool, FrameError> {
        poll_fn(|cx| self.poll_read(cx, stream)).await
    }

    /// [`FrameReader::read`] for callers that poll.
    pub fn poll_read<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut R,
    ) -> Poll<Result<bool, FrameError>> {
        let wanted = self.wanted()?;
        self.buffer.reserve(wanted);
        let mut window = (&mut self.buffer).limit(wanted);
        let Poll::Ready(read) = pin!(stream.read_buf(&mut window)).poll(cx) else {
            if self.buffer.is_empty() {
                self.buffer = BytesMut::new();
                self.next_read = SMALL_READ_BYTES;
            }
            return Poll::Pending;
        };
        let read = read?;
        if read == 0 {
            let closed = if self.buffer.is_empty() {
                Ok(false)
            } else {
                Err(FrameError::Truncated(self.buffer.len()))
            };
            return Poll::Ready(closed);
        }
        if read == wanted {
            self.next_read = (self.next_read * 4).min(LARGE_READ_BYTES);
        }
        Poll::Ready(Ok(true))
    }

    /// The next whole frame among the bytes that were read, without its size, as a slice of them. `None`:
    /// read again.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(size) = self.size()? else { return Ok(None) };
        if self.buffer.len() < FRAME_SIZE_BYTES + size {
            return Ok(None);
        }
        self.buffer.advance(FRAME_SIZE_BYTES);
        Ok(Some(self.buffer.split_to(size).freeze()))
    }

    /// Waits for the next frame. `None`: the peer closed the connection between two frames.
    pub async fn next<R: AsyncRead + Unpin>(&mut self, stream: &mut R) -> Result<Option<Bytes>, FrameError> {
        loop {
            if let Some(frame) = self.next_frame()? {
                return Ok(Some(frame));
            }
            if !self.read(stream).await? {
                return Ok(None);
            }
        }
    }

    /// The size of the frame that the buffer starts with, once that is known.
    fn size(&self) -> Result<Option<usize>, FrameError> {
        let Some(size) = self.buffer.first_chunk::<FRAME_SIZE_BYTES>() else { return Ok(None) };
        let size = i32::from_be_bytes(*size);
        match usize::try_from(size) {
            Ok(length) if (1..=self.limit).contains(&length) => Ok(Some(length)),
            _ => Err(FrameError::BadSize { size, limit: self.limit }),
        }
    }

    /// How many bytes the next read asks for: for a large frame no more than have arrived of it already, or
    /// than earlier reads were worth.
    fn wanted(&self) -> Result<usize, FrameError> {
        let Some(size) = self.size()? else { return Ok(self.next_read) };
        let missing = (FRAME_SIZE_BYTES + size).saturating_sub(self.buffer.len());
        if missing < LARGE_REST_BYTES {
            return Ok(self.next_read.max(missing));
        }
        Ok(missing.min(self.buffer.len().max(self.next_read)))
    }
}

/// Chunks that wait to be written, in order. Its owner bounds what goes in.
#[derive(Debug, Default)]
pub struct WriteQueue {
    chunks: VecDeque<Bytes>,
    len: usize,
}

impl WriteQueue {
    /// An empty queue.
    pub fn new() -> WriteQueue {
        WriteQueue::default()
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds chunks behind those that wait.
    pub fn push(&mut self, chunks: impl IntoIterator<Item = Bytes>) {
        for chunk in chunks {
            if !chunk.is_empty() {
                self.len += chunk.len();
                self.chunks.push_back(chunk);
            }
        }
    }

    /// Writes until nothing waits. Dropping the future keeps what was not written.
    pub async fn flush<W: AsyncWrite + Unpin>(&mut self, stream: &mut W) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx, stream)).await
    }

    /// [`WriteQueue::flush`] for callers that poll.
    pub fn poll_flush<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut W,
    ) -> Poll<io::Result<()>> {
        while self.len > 0 {
            let written = if self.chunks.len() == 1 {
                ready!(Pin::new(&mut *stream).poll_write(cx, &self.chunks[0]))?
            } else {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let count = self.chunks.len().min(MAX_SLICES);
                for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
                    *slice = IoSlice::new(chunk);
                }
                ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &slices[..count]))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        Pin::new(stream).poll_flush(cx)
    }

    fn advance(&mut self, mut written: usize) {
        assert!(written <= self.len, "no more can be written than waits");
        self.len -= written;
        while written > 0 {
            let front = &mut self.chunks[0];
            if front.len() > written {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.chunks.pop_front();
        }
    }
}

/// Writes `chunks`, in order, with vectored writes: what one or several encoded frames consist of.
pub async fn write_chunks<W: AsyncWrite + Unpin>(
    stream: &mut W,
    chunks: impl IntoIterator<Item = Bytes>,
) -> io::Result<()> {
    let mut queue = WriteQueue::new();
    queue.push(chunks);
    queue.flush(stream).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Runs a future that never has to wait.
    fn now<F: Future>(future: F) -> F::Output {
        let mut future = pin!(future);
        match future.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("the future waits"),
        }
    }

    /// Gives its bytes in pieces of the lengths it was told, over and over.
    struct Pieces {
        bytes: Bytes,
        lengths: Vec<usize>,
        turn: usize,
    }

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            into: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let length = self.lengths[self.turn % self.lengths.len()];
            self.turn += 1;
            let length = length.min(into.remaining()).min(self.bytes.len());
            into.put_slice(&self.bytes.split_to(length));
            Poll::Ready(Ok(()))
        }
    }

    /// Takes what fits its appetite of the moment.
    struct Slow {
        taken: Vec<u8>,
        appetites: Vec<usize>,
        turn: usize,
    }

    impl AsyncWrite for Slow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let length = self.appetites[self.turn % self.appetites.len()].min(bytes.len());
            self.turn += 1;
            self.taken.extend_from_slice(&bytes[..length]);
            Poll::Ready(Ok(length))
        }
        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let bytes = slices.iter().flat_map(|slice| slice.to_vec()).collect::<Vec<_>>();
            self.poll_write(cx, &bytes)
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn framed(bodies: &[Vec<u8>]) -> Bytes {
        let mut bytes = BytesMut::new();
        for body in bodies {
            bytes.put_i32(body.len() as i32);
            bytes.put_slice(body);
        }
        bytes.freeze()
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_the_stream_is_cut(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..12),
            lengths in prop::collection::vec(1usize..300, 1..8),
        ) {
            let mut stream = Pieces { bytes: framed(&bodies), lengths, turn: 0 };
            let mut reader = FrameReader::new(1000);
            for body in &bodies {
                let frame = now(reader.next(&mut stream)).unwrap();
                prop_assert_eq!(frame.as_deref(), Some(&body[..]));
            }
            prop_assert!(now(reader.next(&mut stream)).unwrap().is_none());
        }

        #[test]
        fn chunks_arrive_in_order_however_little_each_write_takes(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..200),
            appetites in prop::collection::vec(1usize..500, 1..8),
        ) {
            let mut stream = Slow { taken: Vec::new(), appetites, turn: 0 };
            now(write_chunks(&mut stream, chunks.iter().cloned().map(Bytes::from))).unwrap();
            prop_assert_eq!(stream.taken, chunks.concat());
        }
    }

    #[test]
    fn large_frames_arrive_whole_and_the_buffer_follows_what_has_come() {
        let bodies = [vec![1; 3_000_000], vec![2; 70_000], vec![3; 5]];
        let mut stream = Pieces { bytes: framed(&bodies), lengths: vec![100_000], turn: 0 };
        let mut reader = FrameReader::new(DEFAULT_MAX_FRAME_BYTES);
        for body in &bodies {
            assert_eq!(now(reader.next(&mut stream)).unwrap().as_deref(), Some(&body[..]));
        }
        let mut promise = Pieces { bytes: framed(&[vec![0; 100]]), lengths: vec![4], turn: 0 };
        promise.bytes = [&100_000_000i32.to_be_bytes()[..], &[0; 8]].concat().into();
        let mut reader = FrameReader::new(DEFAULT_MAX_FRAME_BYTES);
        while now(reader.read(&mut promise)).unwrap_or(false) {}
        assert!(reader.buffer.capacity() <= 4 * SMALL_READ_BYTES, "{}", reader.buffer.capacity());
    }

    #[test]
    fn sizes_out_of_bounds_and_streams_cut_within_a_frame_are_errors() {
        for size in [0, -1, i32::MIN, 1001] {
            let mut stream =
                Pieces { bytes: Bytes::copy_from_slice(&i32::to_be_bytes(size)), lengths: vec![9], turn: 0 };
            let mut reader = FrameReader::new(1000);
            let error = now(reader.next(&mut stream)).unwrap_err();
            assert!(matches!(error, FrameError::BadSize { size: s, limit: 1000 } if s == size), "{error}");
        }
        let mut stream = Pieces { bytes: framed(&[vec![7; 10]]).slice(..9), lengths: vec![2], turn: 0 };
        let error = now(FrameReader::new(1000).next(&mut stream)).unwrap_err();
        assert!(matches!(error, FrameError::Truncated(9)), "{error}");
    }

    #[test]
    fn an_idle_reader_holds_no_buffer() {
        let (mut near, mut far) = tokio::io::duplex(1 << 20);
        let mut reader = FrameReader::new(1000);
        now(write_chunks(&mut far, [framed(&[vec![5; 50]])])).unwrap();
        assert_eq!(now(reader.next(&mut near)).unwrap().map(|frame| frame.len()), Some(50));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(reader.poll_read(&mut cx, &mut near).is_pending());
        assert_eq!(reader.buffer.capacity(), 0);
    }
}
