//! Output of commands whose exit status says what was found, whoever reads along.

use std::io::{self, ErrorKind, Write};

/// A writer that goes on when its reader has seen enough (`grayflag check | head`): what is written
/// from then on is dropped, and the work ends with the status of what was found.
#[derive(Debug)]
pub(super) struct Unread<W> {
    inner: W,
    closed: bool,
}

impl<W: Write> Unread<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, closed: false }
    }

    fn or_closed<T>(&mut self, done: io::Result<T>, instead: T) -> io::Result<T> {
        match done {
            Err(problem) if problem.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(instead)
            }
            done => done,
        }
    }
}

impl<W: Write> Write for Unread<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Ok(bytes.len());
        }
        let done = self.inner.write(bytes);
        self.or_closed(done, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let done = self.inner.flush();
        self.or_closed(done, ())
    }
}
