//! Connections and listeners, as byte streams.

#[cfg(feature = "real")]
use super::real::net::{TcpListener, TcpStream};
use super::{BoxFuture, File};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// A connection of the simulator.
pub trait SimulatedConnection: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static {
    /// Address of the other side.
    fn peer_addr(&self) -> SocketAddr;
}

/// A listener of the simulator.
pub trait SimulatedListener: Send + Sync + 'static {
    /// The next connection.
    fn accept(&self) -> BoxFuture<'_, io::Result<Box<dyn SimulatedConnection>>>;
    /// Where it listens.
    fn local_addr(&self) -> SocketAddr;
}

/// A listening socket.
pub enum Listener {
    /// A socket of the operating system.
    #[cfg(feature = "real")]
    Real(TcpListener),
    /// A listener of the simulator.
    Simulated(Box<dyn SimulatedListener>),
}

impl Listener {
    /// The next connection.
    pub async fn accept(&self) -> io::Result<Connection> {
        match self {
            #[cfg(feature = "real")]
            Listener::Real(listener) => super::real::net::accept(listener).await.map(Connection::Real),
            Listener::Simulated(listener) => listener.accept().await.map(Connection::Simulated),
        }
    }

    /// Where it listens, with the port that was chosen.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            #[cfg(feature = "real")]
            Listener::Real(listener) => listener.local_addr(),
            Listener::Simulated(listener) => Ok(listener.local_addr()),
        }
    }
}

/// An open connection, both ways.
pub enum Connection {
    /// A socket of the operating system.
    #[cfg(feature = "real")]
    Real(TcpStream),
    /// A connection of the simulator.
    Simulated(Box<dyn SimulatedConnection>),
}

/// Bytes that a simulated `send_file` moves at a time.
const SEND_FILE_STEP: usize = 64 * 1024;

impl Connection {
    /// Address of the other side.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self {
            #[cfg(feature = "real")]
            Connection::Real(stream) => stream.peer_addr(),
            Connection::Simulated(connection) => Ok(connection.peer_addr()),
        }
    }

    /// Sends `length` bytes of `file` from `offset`, through sendfile(2) when real. `UnexpectedEof` when the
    /// file is shorter.
    pub async fn send_file(&mut self, file: &File, mut offset: u64, mut length: u64) -> io::Result<()> {
        #[cfg(feature = "real")]
        if let (Connection::Real(stream), File::Real(file)) = (&*self, file) {
            return super::real::net::send_file(stream, file, offset, length).await;
        }
        let mut buffer = vec![0; SEND_FILE_STEP.min(length as usize)];
        while length > 0 {
            let step = buffer.len().min(length as usize);
            let read = file.read_at(&mut buffer[..step], offset)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.write_all(&buffer[..read]).await?;
            (offset, length) = (offset + read as u64, length - read as u64);
        }
        Ok(())
    }
}

macro_rules! each {
    ($connection:expr, $inner:ident => $call:expr) => {
        match $connection.get_mut() {
            #[cfg(feature = "real")]
            Connection::Real(stream) => {
                let $inner = Pin::new(stream);
                $call
            }
            Connection::Simulated(connection) => {
                let $inner = Pin::new(&mut **connection);
                $call
            }
        }
    };
}

impl AsyncRead for Connection {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, c => c.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Connection {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, c => c.poll_write(cx, bytes))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, c => c.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, c => c.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, c => c.poll_shutdown(cx))
    }
}
