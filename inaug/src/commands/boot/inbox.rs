//! What happens while a boot goes on, in one place to wait for it.
//!
//! A signal and the deadline come before what else waits, however much that is.

use super::prepare::Prepared;
use crate::exit;
use machine::{After, Console};
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Events that wait to be seen to, each of at most a block or the console's memory: then whoever
/// has more waits, the machine last of all.
const EVENTS_WAITING: usize = 64;

/// Where a process says which signals it ignores, as a mask (proc(5)).
const STATUS: &str = "/proc/self/status";

/// Something happened.
pub(super) enum Event {
    /// Everything is there for the machine, or is not.
    Prepared(Box<anyhow::Result<Prepared>>),
    /// The console says more.
    Console(Vec<u8>),
    /// The machine is off.
    Off,
    /// Bytes of the script in the machine, about itself.
    Status(Vec<u8>),
    /// It will say no more.
    StatusEnd,
    /// Look at what was told.
    Woken,
}

/// What there is to see to.
pub(super) enum Next {
    Event(Event),
    Deadline,
    /// This command was sent a signal.
    Signal(u8),
}

/// Where events wait.
pub(super) struct Inbox {
    events: Receiver<Event>,
    told: Arc<Told>,
}

/// What this command was told by signals.
#[derive(Default)]
struct Told {
    /// The first one, or 0.
    signal: AtomicU8,
    /// Nobody looks any more.
    is_over: AtomicBool,
}

impl Inbox {
    pub(super) fn new() -> (SyncSender<Event>, Self) {
        let (send, events) = sync_channel(EVENTS_WAITING);
        (send, Self { events, told: Arc::default() })
    }

    /// The next thing to see to, at `deadline` at the latest.
    pub(super) fn next(&self, deadline: Instant) -> Next {
        loop {
            let signal = self.told.signal.load(Ordering::SeqCst);
            if signal != 0 {
                return Next::Signal(signal);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Next::Deadline;
            }
            match self.events.recv_timeout(left) {
                Ok(Event::Woken) | Err(RecvTimeoutError::Timeout) => {}
                Ok(event) => return Next::Event(event),
                Err(RecvTimeoutError::Disconnected) => return Next::Event(Event::Off),
            }
        }
    }

    /// Takes the signals that tell to stop from now on, but those that whoever started this command
    /// has it ignore. A second one, or one when nobody looks any more, ends it at once, without
    /// what is in `work`.
    pub(super) fn take_signals(
        &self,
        runtime: &Handle,
        send: &SyncSender<Event>,
        work: &Path,
    ) -> anyhow::Result<()> {
        let _context = runtime.enter();
        let ignored = ignored(&fs::read_to_string(STATUS).unwrap_or_default());
        for kind in [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
            SignalKind::quit(),
        ] {
            let number = u8::try_from(kind.as_raw_value()).unwrap_or(u8::MAX);
            if ignored >> (number - 1) & 1 == 1 {
                continue;
            }
            let mut signals: Signal = signal(kind)?;
            let (told, send, work) = (Arc::clone(&self.told), send.clone(), work.to_owned());
            runtime.spawn(async move {
                while signals.recv().await.is_some() {
                    told.tell(number, &work);
                    // A full channel wakes whoever waits for it as well.
                    let _ = send.try_send(Event::Woken);
                }
            });
        }
        Ok(())
    }

    /// Nobody looks any more: a signal ends this command from now on.
    pub(super) fn close(&self) {
        self.told.is_over.store(true, Ordering::SeqCst);
    }
}

impl Told {
    fn tell(&self, signal: u8, work: &PathBuf) {
        let before = self.signal.swap(signal, Ordering::SeqCst);
        if before != 0 || self.is_over.load(Ordering::SeqCst) {
            // Whoever wants an end at once gets it, whatever cannot be removed.
            let _ = fs::remove_dir_all(work);
            process::exit(i32::from(exit::SIGNALLED.saturating_add(signal)));
        }
    }
}

/// The mask of ignored signals, the lowest bit being signal 1.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Tells `events` what the console says, to its end.
pub(super) fn follow(console: &Console, events: &SyncSender<Event>) {
    // Longer than any deadline; the machine's end ends it.
    const EVER: Duration = Duration::from_secs(1 << 20);
    let mut from = 0;
    loop {
        let event = match console.after(from, Instant::now() + EVER) {
            After::Said { text, end } => {
                from = end;
                Event::Console(text)
            }
            After::Closed | After::Deadline => Event::Off,
        };
        let is_off = matches!(event, Event::Off);
        if events.send(event).is_err() || is_off {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// As much as there is room for, and somebody who has more.
    fn flood() -> Inbox {
        let (send, inbox) = Inbox::new();
        for _ in 0..EVENTS_WAITING {
            send.send(Event::Console(Vec::new())).unwrap();
        }
        thread::spawn(move || while send.send(Event::Console(Vec::new())).is_ok() {});
        inbox
    }

    #[test]
    fn a_signal_is_not_lost_in_a_flood() {
        let inbox = flood();
        let later = Instant::now() + Duration::from_secs(1000);
        assert!(matches!(inbox.next(later), Next::Event(Event::Console(_))));
        inbox.told.tell(15, &PathBuf::from("/nowhere"));
        assert!(matches!(inbox.next(later), Next::Signal(15)));
        assert!(matches!(inbox.next(later), Next::Signal(15)));
    }

    #[test]
    fn the_deadline_is_not_put_off_by_a_flood() {
        assert!(matches!(flood().next(Instant::now()), Next::Deadline));
    }

    #[test]
    fn signals_that_are_ignored_are_known() {
        let status = "Name:\tinaug\nSigIgn:\t0000000000000003\nSigCgt:\t00000000ffffffff\n";
        assert_eq!(ignored(status), 3);
        assert_eq!(ignored(""), 0);
    }
}
