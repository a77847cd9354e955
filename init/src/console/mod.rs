//! What init says goes to every console the kernel was given, with the time since
//! power-on; what a person types on any of them comes back.
//!
//! init writes to the consoles itself, so that its lines are seen whatever the
//! kernel's log level is. They are also put into the kernel's log at level debug:
//! there they survive a kernel panic (pstore) and reach netconsole, and they are
//! not seen twice unless the operator asked for everything (`debug`,
//! `ignore_loglevel`), in which case they are left out of it.

mod events;
mod tty;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{QueueSelector, tcflush};
use rustix::time::Timespec;

use crate::clock::{since_boot, stamp};
pub(crate) use tty::wait_for;

use events::Events;
use tty::{PATIENCE, Tty};

/// More consoles than this on one machine are a mistake in the command line.
const MAX_CONSOLES: usize = 8;

/// All consoles of the machine. Shared between threads; lines do not mix.
#[derive(Debug)]
pub struct Console {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    ttys: Vec<Tty>,
    kernel_log: Option<File>,
    events: Events,
}

impl Console {
    /// Opens every console listed in `/sys/class/tty/console/active`, or
    /// `/dev/console` if that cannot be read. What cannot be opened is left out:
    /// there is nobody to tell.
    pub fn open() -> Self {
        let active = fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
        let mut ttys: Vec<Tty> = active
            .split_whitespace()
            .take(MAX_CONSOLES)
            .filter_map(|name| open_tty(&Path::new("/dev").join(name)))
            .collect();
        if ttys.is_empty() {
            ttys.extend(open_tty(Path::new("/dev/console")));
        }
        let command_line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
        let kernel_log = OpenOptions::new().write(true).open("/dev/kmsg").ok();
        Self::new(ttys, kernel_log.filter(|_| !shows_debug(&command_line)))
    }

    /// A console that shows nothing and remembers all, for tests and `--help`.
    pub fn silent() -> Self {
        Self::new(Vec::new(), None)
    }

    fn new(ttys: Vec<Tty>, kernel_log: Option<File>) -> Self {
        Self { inner: Mutex::new(Inner { ttys, kernel_log, events: Events::default() }) }
    }

    /// Says one event: `[    2.345] net: eth0 has carrier`. It is remembered for
    /// the failure report and kept in the kernel's log.
    pub fn say(&self, stage: &str, text: &str) {
        let mut inner = self.lock();
        for text in text.lines() {
            let line = format!("{}{stage}: {text}", stamp(since_boot()));
            inner.events.remember(&line);
            if let Some(log) = &mut inner.kernel_log {
                // One write is one record; a full or limited log loses it, and may.
                let _ = log.write_all(format!("<7>inaugurator: {stage}: {text}\n").as_bytes());
            }
            inner.show(&format!("{line}\n"));
        }
    }

    /// Says how far a stage is: shown, and neither remembered nor logged, for
    /// there is one a second.
    pub fn progress(&self, stage: &str, text: &str) {
        self.lock().show(&format!("{}{stage}: {text}\n", stamp(since_boot())));
    }

    /// Shows a screen as it is.
    pub fn show(&self, screen: &str) {
        self.lock().show(screen);
    }

    /// The last events, oldest first.
    pub fn events(&self) -> Vec<String> {
        self.lock().events.lines()
    }

    /// Forgets what was typed so far: it was not meant as an answer.
    pub fn forget_typed(&self) {
        for tty in &self.lock().ttys {
            // Fails on what is not a terminal, and then there is nothing typed.
            let _ = tcflush(tty.as_fd(), QueueSelector::IFlush);
        }
    }

    /// A line typed on any console within `patience`, or `None`. Terminals hand
    /// over whole lines, so a person has to press Enter.
    pub fn read_line(&self, patience: Duration) -> Option<String> {
        let deadline = Instant::now() + patience;
        // The lock is not held while waiting: others must be able to speak.
        let mut fds = self.lock().clone_fds();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let ready = poll_in(&fds, left);
            let typed = self.lock().ttys.iter_mut().map(Tty::typed).find(|text| !text.is_empty());
            if typed.is_some() || left.is_zero() {
                return typed.map(|line| line.trim().to_string());
            }
            // A console that hung up is ready for ever and has nothing to say.
            let mut ready = ready.into_iter();
            fds.retain(|_| !ready.next().is_some_and(|flags| flags.intersects(GONE)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A thread that panicked while speaking left whole lines behind.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What poll says of a console that nobody will type on any more.
const GONE: PollFlags = PollFlags::HUP.union(PollFlags::ERR).union(PollFlags::NVAL);

/// Waits until something was typed on one of `fds`, at most `patience`, and says
/// for each what is there.
fn poll_in(fds: &[OwnedFd], patience: Duration) -> Vec<PollFlags> {
    let mut polled: Vec<_> = fds.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    let timeout = Timespec::try_from(patience).ok();
    // An error is a signal: the caller's deadline holds all the same.
    let _ = poll(&mut polled, timeout.as_ref());
    polled.iter().map(PollFd::revents).collect()
}

impl Inner {
    fn clone_fds(&self) -> Vec<OwnedFd> {
        self.ttys.iter().filter_map(|tty| tty.as_fd().try_clone_to_owned().ok()).collect()
    }

    fn show(&mut self, text: &str) {
        for tty in &mut self.ttys {
            tty.show(text);
        }
    }
}

fn open_tty(path: &Path) -> Option<Tty> {
    // O_NONBLOCK also keeps open(2) from waiting for a modem's carrier; O_NOCTTY
    // keeps it from becoming the terminal whose Ctrl-C reaches PID 1.
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).ok()?;
    Some(Tty::new(file, PATIENCE))
}

/// True if the kernel shows lines of level debug on its consoles.
fn shows_debug(command_line: &str) -> bool {
    command_line
        .split_whitespace()
        .any(|word| matches!(word, "debug" | "ignore_loglevel" | "loglevel=8"))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    fn on_a_pipe() -> (Console, File) {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK).unwrap();
        let tty = Tty::new(File::from(writer), PATIENCE);
        (Console::new(vec![tty], None), File::from(reader))
    }

    #[test]
    fn each_line_carries_time_and_stage() {
        let (console, mut reader) = on_a_pipe();
        console.say("net", "one\ntwo");
        console.progress("write", "50%");
        let mut bytes = [0; 4096];
        let count = reader.read(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
        let lines: Vec<&str> =
            text.lines().filter_map(|line| line.split_once("] ")).map(|l| l.1).collect();
        assert_eq!(lines, ["net: one", "net: two", "write: 50%"]);
        assert_eq!(console.events().len(), 2, "progress is not an event");
    }

    #[test]
    fn nobody_types_in_vain() {
        let started = Instant::now();
        assert_eq!(Console::silent().read_line(Duration::from_millis(20)), None);
        assert!(started.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn own_lines_are_not_shown_twice() {
        assert!(!shows_debug("console=ttyS0 quiet inaugurator.label=debug"));
        assert!(shows_debug("console=ttyS0 debug"));
        assert!(shows_debug("ignore_loglevel"));
    }
}
