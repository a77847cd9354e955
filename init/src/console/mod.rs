//! What init says goes to every console the kernel was given, with the time since
//! power-on; what a person types on any of them comes back.
//!
//! init writes to the consoles itself, so that its lines are seen whatever the
//! kernel's log level is. They are also put into the kernel's log at level debug:
//! there they survive a kernel panic (pstore) and reach netconsole, and they are
//! not seen twice unless the operator asked for everything (`debug`,
//! `ignore_loglevel`), in which case they are left out of it.

mod ask;
mod editor;
mod events;
mod keys;
mod line;
mod row;
mod tty;
mod watch;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::{since_boot, stamp};
#[cfg(test)]
pub(crate) use ask::tests::console as on_sockets;
pub use ask::{Answer, Keys};
pub(crate) use tty::wait_for;
pub use watch::{Wanted, Watch};

use editor::History;

use events::Events;
use tty::Tty;

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
    history: History,
    /// How many take keys one by one: the consoles' settings are given back by the last of them.
    keys: u32,
    /// Where the last line was entered.
    last_used: usize,
    /// What is asked now.
    prompt: Option<String>,
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
            .filter_map(|name| Tty::open(&Path::new("/dev").join(name)))
            .collect();
        if ttys.is_empty() {
            ttys.extend(Tty::open(Path::new("/dev/console")));
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
        let (events, history) = (Events::default(), History::default());
        let inner =
            Inner { ttys, kernel_log, events, history, keys: 0, last_used: 0, prompt: None };
        Self { inner: Mutex::new(inner) }
    }

    /// Says one event: `[    2.345] net: eth0 has carrier`. It is remembered for
    /// the failure report and kept in the kernel's log.
    pub fn say(&self, stage: &str, text: &str) {
        let text = harmless(text);
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
        let text = harmless(text);
        self.lock().show(&format!("{}{stage}: {text}\n", stamp(since_boot())));
    }

    /// Shows a screen.
    pub fn show(&self, screen: &str) {
        self.lock().show(&harmless(screen));
    }

    /// The last events, oldest first: as many as a failure report takes.
    pub fn events(&self) -> Vec<String> {
        self.lock().events.last()
    }

    /// All events that are remembered, oldest first.
    pub fn log(&self) -> Vec<String> {
        self.lock().events.lines()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A thread that panicked while speaking left whole lines behind.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Text without what would steer a terminal: names come from disks, stores and the wire.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).collect()
}

impl Inner {
    fn show(&mut self, text: &str) {
        for tty in &mut self.ttys {
            tty.show(text);
        }
    }
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

    use super::tty::PATIENCE;
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
    fn own_lines_are_not_shown_twice() {
        assert!(!shows_debug("console=ttyS0 quiet inaugurator.label=debug"));
        assert!(shows_debug("console=ttyS0 debug"));
        assert!(shows_debug("ignore_loglevel"));
    }
}
