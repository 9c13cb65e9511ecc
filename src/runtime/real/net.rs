//! Sockets of the operating system.
#![expect(clippy::disallowed_types, reason = "this is the door itself")]

use super::file::RealFile;
use std::io;
use tokio::io::Interest;

/// A connection of the operating system.
pub type TcpStream = tokio::net::TcpStream;
/// A listening socket of the operating system.
pub type TcpListener = tokio::net::TcpListener;

/// The most that one sendfile(2) call moves.
const SEND_FILE_MAX: u64 = 0x7fff_f000;

pub(in crate::runtime) async fn bind(host: &str, port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((host, port)).await
}

pub(in crate::runtime) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

pub(in crate::runtime) async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

pub(in crate::runtime) async fn send_file(
    stream: &TcpStream,
    file: &RealFile,
    mut offset: u64,
    mut length: u64,
) -> io::Result<()> {
    let handle = file.open_file()?;
    while length > 0 {
        let step = length.min(SEND_FILE_MAX) as usize;
        let send = || Ok(rustix::fs::sendfile(stream, &*handle, Some(&mut offset), step)?);
        let sent = stream.async_io(Interest::WRITABLE, send).await?;
        if sent == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        length -= sent as u64;
    }
    Ok(())
}
