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
    /// Begins to watch for any of `wanted`; Enter may be pressed with it. The consoles' keys are
    /// taken one by one meanwhile.
    pub fn begin(console: &Arc<Console>, wanted: &'static [u8]) -> io::Result<Self> {
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
    wanted: &'static [u8],
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
                bursts.entry(index).or_default().take(&bytes, self.wanted, now);
            }
            if bursts.values().any(|burst| burst.is_key(now, ends)) {
                return raise(&self.pressed);
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
}

impl Burst {
    fn take(&mut self, bytes: &[u8], wanted: &[u8], now: Instant) {
        if self.last.is_none_or(|last| now - last >= ALONE) {
            *self = Self::default();
        }
        self.last = Some(now);
        let is_key = |byte: &u8| wanted.contains(byte);
        self.has_key |= bytes.iter().any(is_key);
        self.has_other |= bytes.iter().any(|byte| !is_key(byte) && !matches!(byte, b'\r' | b'\n'));
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
    fn nobody_pressed_anything() {
        let console = Arc::new(Console::silent());
        let watch = Watch::begin(&console, b"r").unwrap();
        assert!(!watch.is_pressed() && !watch.wait(Duration::from_millis(1)));
        assert!(!watch.end());
    }
}
