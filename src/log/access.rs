//! How bytes are read from a file: only when they are in memory, or waiting for the device.

use crate::runtime::File;
use std::io;

/// Whether a read may wait for the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Only bytes in memory; others are `WouldBlock`. For a connection's own thread.
    Cached,
    /// Whatever it takes. For work that was offloaded, and at start.
    Blocking,
}

impl Access {
    /// Reads until `buffer` is full or the file ends, and tells how many bytes that was.
    pub(super) fn read_full(self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if self == Access::Blocking {
            return file.read_full_at(buffer, offset);
        }
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read_cached(&mut buffer[filled..], offset + filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(filled)
    }

    /// Fills `buffer`; `UnexpectedEof` when the file ends before that.
    pub(super) fn read_exact(self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if self.read_full(file, buffer, offset)? == buffer.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}
