//! One console: written to without ever waiting for it for long.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

/// How long a console may accept no byte before it is left alone. A serial line
/// with flow control and nobody at the other end accepts none for ever; one at
/// 9600 baud accepts the next within a few milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// A console device, opened with `O_NONBLOCK`.
#[derive(Debug)]
pub(super) struct Tty {
    file: File,
    patience: Duration,
    /// Lines not shown because it was stuck.
    lost: u32,
    stuck: bool,
}

impl Tty {
    pub(super) fn new(file: File, patience: Duration) -> Self {
        Self { file, patience, lost: 0, stuck: false }
    }

    /// Shows `text`, or drops it if the console is stuck. A console found stuck
    /// once gets no second patience until it accepts something again.
    pub(super) fn show(&mut self, text: &str) {
        if self.lost > 0 && self.write(&format!("({} lines were not shown here)\n", self.lost)) {
            self.lost = 0;
        }
        if self.lost > 0 || !self.write(text) {
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// True if all of `text` was accepted.
    fn write(&mut self, text: &str) -> bool {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return false,
                Ok(count) => {
                    self.stuck = false;
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.stuck || !wait_for(self.file.as_fd(), PollFlags::OUT, self.patience) {
                        self.stuck = true;
                        return false;
                    }
                }
                // A console that is gone (a pulled USB adapter) is nobody's error.
                Err(_) => return false,
            }
        }
        true
    }

    /// What was typed since, without waiting. At most one line's worth.
    pub(super) fn typed(&mut self) -> String {
        let mut bytes = [0; 256];
        let count = self.file.read(&mut bytes).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Waits until `fd` is ready, at most `patience`. An error counts as ready: the
/// next read or write tells it.
pub(crate) fn wait_for(fd: BorrowedFd<'_>, ready: PollFlags, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        match poll(&mut [PollFd::from_borrowed_fd(fd, ready)], timeout.as_ref()) {
            Ok(0) => return false,
            Err(rustix::io::Errno::INTR) => {}
            Ok(_) | Err(_) => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    #[test]
    fn a_stuck_console_costs_its_patience_once_and_says_what_was_lost() {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK).unwrap();
        let patience = Duration::from_millis(50);
        let mut tty = Tty::new(File::from(writer), patience);
        let started = Instant::now();
        for _ in 0..100 {
            tty.show(&"x".repeat(4096));
        }
        assert!(started.elapsed() >= patience);
        let mut reader = File::from(reader);
        let mut drained = vec![0; 1 << 20];
        assert!(reader.read(&mut drained).unwrap() > 0);
        tty.show("after\n");
        let count = reader.read(&mut drained).unwrap();
        assert_eq!(&drained[..count], b"(84 lines were not shown here)\nafter\n");
    }

    #[test]
    fn a_console_that_is_gone_is_not_an_error() {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK).unwrap();
        drop(reader);
        Tty::new(File::from(writer), PATIENCE).show("nobody\n");
    }
}
