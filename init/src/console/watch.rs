//! A key that is watched for while something else goes on.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFlags, eventfd};

use super::{Console, Keys, wait_for};

/// A person's key stands alone for so long, before and after. A letter amid others is a line's noise
/// or the words of whatever is at its other end, and must not stop a machine that nobody sits at.
const ALONE: Duration = Duration::from_millis(150);

/// Keys to watch for, and what is said at once when one is pressed: what it stops may take a while.
#[derive(Debug)]
pub struct Wanted {
    /// Any of them. Enter among them counts on an empty line only; otherwise it may be pressed with
    /// another.
    pub keys: &'static [u8],
    /// The sentence.
    pub said: &'static str,
}

/// Watches for a key on every console until it is dropped, or the key was pressed.
#[derive(Debug)]
pub struct Watch {
    /// Readable once the key was pressed.
    pressed: Arc<OwnedFd>,
    /// Readable when the thread is to end.
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to watch for any of `wanted`. The consoles' keys are taken one by one meanwhile.
    pub fn begin(console: &Arc<Console>, wanted: &'static Wanted) -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let (pressed, stop) = (Arc::new(eventfd(0, flags)?), Arc::new(eventfd(0, flags)?));
        let keys = Keys::take(console);
        let watcher = Watcher {
            console: Arc::clone(console),
            wanted,
            pressed: Arc::clone(&pressed),
            stop: Arc::clone(&stop),
        };
        let run = move || {
            watcher.run();
            drop(keys);
        };
        let thread = Some(thread::Builder::new().name("keys".into()).spawn(run)?);
        Ok(Self { pressed, stop, thread })
    }

    /// True once the key was pressed.
    pub fn is_pressed(&self) -> bool {
        wait_for(self.pressed.as_fd(), PollFlags::IN, Duration::ZERO)
    }

    /// Waits until the key is pressed, at most so long; true if it was.
    pub fn wait(&self, patience: Duration) -> bool {
        wait_for(self.pressed.as_fd(), PollFlags::IN, patience)
    }

    /// What is readable once the key was pressed.
    pub fn signal(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.pressed)
    }

    /// Ends watching; true if the key was pressed.
    pub fn end(mut self) -> bool {
        self.join();
        self.is_pressed()
    }

    fn join(&mut self) {
        raise(&self.stop);
        if let Some(thread) = self.thread.take() {
            // A panic in it has ended the machine already.
            let _ = thread.join();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.join();
    }
}

/// Makes an eventfd readable for ever.
fn raise(fd: &OwnedFd) {
    // Fails only when its counter is full: it is readable then.
    let _ = rustix::io::write(fd, &1_u64.to_ne_bytes());
}

struct Watcher {
    console: Arc<Console>,
    wanted: &'static Wanted,
    pressed: Arc<OwnedFd>,
    stop: Arc<OwnedFd>,
}

impl Watcher {
    fn run(&self) {
        let mut bursts: BTreeMap<usize, Burst> = BTreeMap::new();
        let is_stopped = || wait_for(self.stop.as_fd(), PollFlags::IN, Duration::ZERO);
        loop {
            // What was pressed the moment before counts.
            let ends = is_stopped();
            let now = Instant::now();
            for (index, bytes) in self.console.lock().bytes() {
                bursts.entry(index).or_default().take(&bytes, self.wanted.keys, now);
            }
            if bursts.values().any(|burst| burst.is_key(now, ends)) {
                raise(&self.pressed);
                return self.console.say("init", self.wanted.said);
            }
            if ends {
                return;
            }
            let until = bursts.values().filter_map(Burst::until).min();
            self.console.wait_typed(until, Some(self.stop.as_fd()));
        }
    }
}

/// Bytes that came close together.
#[derive(Debug, Default)]
struct Burst {
    last: Option<Instant>,
    has_key: bool,
    has_other: bool,
    line: Line,
}

/// The line that a byte comes into, which may be older than the burst.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Empty,
    /// Empty, and the byte before was a CR: a LF is the same Enter.
    AfterCr,
    /// It has something else than a wanted key.
    Begun,
}

impl Line {
    fn after(self, byte: u8, is_wanted: bool) -> Self {
        match byte {
            b'\r' => Self::AfterCr,
            b'\n' => Self::Empty,
            _ if is_wanted && self != Self::Begun => Self::Empty,
            _ => Self::Begun,
        }
    }
}

impl Burst {
    fn take(&mut self, bytes: &[u8], wanted: &[u8], now: Instant) {
        if self.last.is_none_or(|last| now - last >= ALONE) {
            *self = Self { line: self.line, ..Self::default() };
        }
        self.last = Some(now);
        for &byte in bytes {
            let (is_wanted, is_enter) = (wanted.contains(&byte), matches!(byte, b'\r' | b'\n'));
            let is_same_enter = byte == b'\n' && self.line == Line::AfterCr;
            let counts = !is_enter || (self.line != Line::Begun && !is_same_enter);
            self.has_key |= is_wanted && counts;
            self.has_other |= !is_wanted && !is_enter;
            self.line = self.line.after(byte, is_wanted);
        }
    }

    /// The key, and nothing else for long enough, or as long as there is.
    fn is_key(&self, now: Instant, ends: bool) -> bool {
        let is_over = self.last.is_some_and(|last| ends || now - last >= ALONE);
        self.has_key && !self.has_other && is_over
    }

    /// When it is to be looked at again.
    fn until(&self) -> Option<Instant> {
        self.last.filter(|_| self.has_key && !self.has_other).map(|last| last + ALONE)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::ask::tests::console;
    use super::*;

    /// What came, and when.
    type Bytes<'a> = &'a [(u64, &'a [u8])];

    #[test]
    fn a_key_stands_alone() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let table: [(Bytes, u64, bool, bool); 9] = [
            (&[], 1000, false, false),
            (&[(0, b"r")], 100, false, false),
            (&[(0, b"r")], 100, true, true),
            (&[(0, b"r")], 150, false, true),
            (&[(0, b"R\r\n")], 150, false, true),
            (&[(0, b"r"), (100, b"\r")], 250, false, true),
            (&[(0, b"Starting"), (10, b" r")], 1000, false, false),
            (&[(0, b"r"), (100, b"m")], 1000, true, false),
            (&[(0, b"noise"), (200, b"r")], 350, false, true),
        ];
        for (bytes, when, ends, expected) in table {
            let mut burst = Burst::default();
            for (millis, bytes) in bytes {
                burst.take(bytes, b"rR", at(*millis));
            }
            assert_eq!(burst.is_key(at(when), ends), expected, "{bytes:?} at {when}");
        }
    }

    #[test]
    fn enter_counts_on_an_empty_line() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let table: [(Bytes, bool); 8] = [
            (&[(0, b"\r")], true),
            (&[(0, b"\r\n")], true),
            (&[(0, b"r\r")], true),
            (&[(0, b"host login: \r\n")], false),
            (&[(0, b"\r\n"), (10, b"host login: ")], false),
            (&[(0, b"host login: "), (1000, b"\r\n")], false),
            (&[(0, b"x\r\n"), (1000, b"\r\n")], true),
            (&[(0, b"x"), (1000, b"\x03")], true),
        ];
        for (bytes, expected) in table {
            let mut burst = Burst::default();
            for (millis, bytes) in bytes {
                burst.take(bytes, b"rR\r\n\x03", at(*millis));
            }
            assert_eq!(burst.is_key(at(1500), false), expected, "{bytes:?}");
        }
    }

    #[test]
    fn nobody_pressed_anything() {
        let console = Arc::new(Console::silent());
        let watch = Watch::begin(&console, &R).unwrap();
        assert!(!watch.is_pressed() && !watch.wait(Duration::from_millis(1)));
        assert!(!watch.end());
        assert!(console.log().is_empty());
    }

    #[test]
    fn a_press_is_said_at_once() {
        let (console, [mut first, _second]) = console();
        let watch = Watch::begin(&console, &R).unwrap();
        first.write_all(b"r").unwrap();
        assert!(watch.wait(Duration::from_hours(1)));
        assert!(watch.end());
        let said = console.log();
        assert!(said.len() == 1 && said[0].ends_with("init: heard"), "{said:?}");
    }

    const R: Wanted = Wanted { keys: b"r", said: "heard" };
}
