//! One console: written to without ever waiting for it for long, read key by key.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush,
    tcgetattr, tcsetattr,
};
use rustix::time::Timespec;

use super::editor::History;
use super::line::{Line, Typed};

/// How long a console may accept no byte before it is left alone. A serial line
/// with flow control and nobody at the other end accepts none for ever; one at
/// 9600 baud accepts the next within a few milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes that were typed ahead: what a terminal's driver keeps as well.
const AHEAD_MAX: usize = 4096;

/// A key's sequence comes within milliseconds, by a slow modem within tens of them.
const KEY_GAP: Duration = Duration::from_millis(500);

/// A console device, opened with `O_NONBLOCK`.
#[derive(Debug)]
pub(super) struct Tty {
    file: File,
    /// Where to open it again; none in tests.
    path: Option<PathBuf>,
    patience: Duration,
    /// Lines not shown because it was stuck.
    lost: u32,
    stuck: bool,
    /// Its settings before its keys were taken one by one.
    former: Option<Termios>,
    line: Line,
    /// A line is being asked for.
    is_asked: bool,
    /// Typed and not looked at yet.
    ahead: VecDeque<u8>,
    last_typed: Option<Instant>,
    /// It hung up.
    gone: bool,
}

impl Tty {
    /// Opens the device at `path`, if that can be.
    pub(super) fn open(path: &Path) -> Option<Self> {
        let path = path.to_owned();
        Some(Self { path: Some(path.clone()), ..Self::new(open(&path)?, PATIENCE) })
    }

    pub(super) fn new(file: File, patience: Duration) -> Self {
        Self {
            file,
            path: None,
            patience,
            lost: 0,
            stuck: false,
            former: None,
            line: Line::default(),
            is_asked: false,
            ahead: VecDeque::new(),
            last_typed: None,
            gone: false,
        }
    }

    /// Its device.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Shows `text`, or drops it if the console is stuck. A console found stuck
    /// once gets no second patience until it accepts something again. A line that is being typed
    /// stands below it afterwards.
    pub(super) fn show(&mut self, text: &str) {
        if self.is_asked {
            let end = if text.ends_with('\n') { "" } else { "\n" };
            let hide = self.line.hide();
            self.show_whole(&format!("{hide}{text}{end}"));
            let show = self.line.show();
            self.write(&show);
        } else {
            self.show_whole(text);
        }
    }

    fn show_whole(&mut self, text: &str) {
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

    /// From here on every key comes at once and is not shown by the kernel.
    pub(super) fn take_keys(&mut self) {
        let Ok(former) = tcgetattr(&self.file) else { return };
        let mut keys = former.clone();
        // Flow control (IXON) stays as it is: a slow terminal may depend on it.
        keys.input_modes -= InputModes::ICRNL | InputModes::INLCR | InputModes::IGNCR;
        keys.local_modes -=
            LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN;
        keys.special_codes[SpecialCodeIndex::VMIN] = 1;
        keys.special_codes[SpecialCodeIndex::VTIME] = 0;
        // Now, not when all is written: a stuck line would be waited for.
        if tcsetattr(&self.file, OptionalActions::Now, &keys).is_ok() {
            self.former = Some(former);
        }
    }

    /// Gives the former settings back.
    pub(super) fn give_keys_back(&mut self) {
        if let Some(former) = self.former.take() {
            // One that is gone has no settings.
            let _ = tcsetattr(&self.file, OptionalActions::Now, &former);
        }
    }

    /// Forgets what was typed and not looked at.
    pub(super) fn forget_typed(&mut self) {
        self.ahead.clear();
        // Fails on what is not a terminal, and then there is nothing typed.
        let _ = tcflush(&self.file, QueueSelector::IFlush);
    }

    /// Asks for a line.
    pub(super) fn ask(&mut self, prompt: &str) {
        self.is_asked = true;
        let echo = self.line.open(prompt);
        self.write(&echo);
    }

    /// Takes what was typed until a line is entered or given up.
    pub(super) fn typed(&mut self, history: &History) -> Typed {
        self.read();
        while let Some(byte) = self.ahead.pop_front() {
            let (echo, typed) = self.line.feed(byte, history);
            self.write(&echo);
            if typed != Typed::Nothing {
                self.is_asked = false;
                return typed;
            }
        }
        Typed::Nothing
    }

    /// The bytes typed since, without waiting.
    pub(super) fn bytes(&mut self) -> Vec<u8> {
        self.read();
        self.ahead.drain(..).collect()
    }

    /// A line that was entered elsewhere is asked for no more.
    pub(super) fn answered(&mut self, text: &str) {
        if std::mem::take(&mut self.is_asked) {
            let echo = self.line.answered(text);
            self.write(&echo);
        }
    }

    /// Nobody answered: the line is asked for no more.
    pub(super) fn give_up(&mut self) {
        if std::mem::take(&mut self.is_asked) {
            let echo = self.line.hide();
            self.write(&echo);
        }
    }

    fn read(&mut self) {
        let mut bytes = [0; 256];
        while !self.gone && self.ahead.len() < AHEAD_MAX {
            match self.file.read(&mut bytes) {
                // A terminal that hung up is at its end for ever.
                Ok(0) => self.gone = true,
                Ok(count) => {
                    let now = Instant::now();
                    if self.last_typed.is_some_and(|last| now - last > KEY_GAP) {
                        self.line.pause();
                    }
                    self.last_typed = Some(now);
                    self.ahead.extend(&bytes[..count]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.gone = true,
            }
        }
    }

    /// True if it hung up: nobody types there any more.
    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    /// It hung up.
    pub(super) fn hang_up(&mut self) {
        self.gone = true;
    }

    /// Opens a console that hung up again, as a USB adapter that was put back, and asks there what
    /// is asked elsewhere.
    pub(super) fn open_again(&mut self, prompt: Option<&str>) {
        let Some(file) = self.path.as_deref().and_then(open) else { return };
        let had_keys = self.former.take().is_some();
        (self.file, self.gone, self.stuck) = (file, false, false);
        if had_keys {
            self.take_keys();
        }
        if let Some(prompt) = prompt {
            self.ask(prompt);
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn open(path: &Path) -> Option<File> {
    // O_NONBLOCK also keeps open(2) from waiting for a modem's carrier; O_NOCTTY
    // keeps it from becoming the terminal whose Ctrl-C reaches PID 1.
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).ok()
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
