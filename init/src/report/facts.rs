//! What the machine is like now, gathered for a report. Never fails: what cannot
//! be found out is left empty.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::clock::since_boot;
use crate::console::Console;
use crate::devices::driverless;
use crate::disks::Disks;
use crate::net::{self, Card, Network};

/// How long devices are waited for: a disk that has to start up answers within
/// it, one that does not answer never does.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);

/// Facts about the machine, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Each NIC in one line.
    pub nics: Vec<String>,
    /// The same and more as fields, with the cards that no driver serves.
    pub cards: Vec<Card>,
    /// Each disk in one line with what it holds.
    pub disks: Vec<String>,
    /// Devices without a driver, each in one line.
    pub driverless: Vec<String>,
    /// Memory of the machine, bytes.
    pub memory_bytes: u64,
    /// Memory that could still be used, bytes.
    pub memory_free_bytes: u64,
    /// The wall clock, seconds since 1970; as wrong as the machine's battery.
    pub clock_unix_s: u64,
    /// Since power-on, milliseconds.
    pub up_ms: u64,
    /// Kernel release.
    pub kernel: String,
    /// This version of the inaugurator.
    pub version: String,
    /// The last events, oldest first.
    pub events: Vec<String>,
}

impl Facts {
    /// Looks at the machine; at each device for ten seconds at most, since the failure
    /// to be reported may be that one of them does not answer.
    pub fn gather(console: &Console, all: &Disks, network: Option<Network>) -> Self {
        let memory = memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let until = Instant::now() + ANSWER;
        let all = all.clone();
        let (nics, disks) = (look("nics", nics), look("disks", move || disks(&all)));
        let cards = look("cards", move || net::cards(network.as_ref()));
        let driverless = look("driverless", || lines(&driverless(Path::new("/sys"))));
        let words = |seen, until| {
            let late = |_| vec!["no answer from the kernel".to_owned()];
            answer(seen, until).unwrap_or_else(late)
        };
        Self {
            nics: words(&nics, until),
            // Of a kernel that does not answer the line above speaks.
            cards: answer(&cards, until).unwrap_or_default(),
            // Each disk is waited for as long: what is left is to say so.
            disks: words(&disks, until + ANSWER),
            driverless: words(&driverless, until),
            memory_bytes: memory.0,
            memory_free_bytes: memory.1,
            clock_unix_s: clock.as_secs(),
            up_ms: u64::try_from(since_boot().as_millis()).unwrap_or(u64::MAX),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            version: env!("CARGO_PKG_VERSION").into(),
            events: console.events(),
        }
    }
}

fn nics() -> Vec<String> {
    lines(&net::nics().unwrap_or_default())
}

fn disks(all: &Disks) -> Vec<String> {
    let disks = all.find(ANSWER).unwrap_or_default();
    disks.iter().map(|disk| format!("{disk}: {}", disk.contents)).collect()
}

fn lines<T: ToString>(things: &[T]) -> Vec<String> {
    things.iter().map(ToString::to_string).collect()
}

/// Looks in a thread of its own, which stays behind if the kernel never answers it.
pub(crate) fn look<T: Send + 'static>(
    name: &str,
    look: impl FnOnce() -> T + Send + 'static,
) -> Receiver<T> {
    let (send, seen) = channel();
    let run = move || {
        // Nobody listens any more to an answer that is late.
        let _ = send.send(look());
    };
    // Without a thread nothing is sent, which reads as no answer.
    drop(thread::Builder::new().name(name.into()).spawn(run));
    seen
}

/// What was seen, if it was until then.
pub(crate) fn answer<T>(seen: &Receiver<T>, until: Instant) -> Result<T, RecvTimeoutError> {
    seen.recv_timeout(until.saturating_duration_since(Instant::now()))
}

/// Memory that could be used now, bytes; `None` where the kernel does not say.
pub fn memory_available() -> Option<u64> {
    let (_, available) = memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
    (available > 0).then_some(available)
}

/// Total and available bytes of memory, where the kernel says so.
pub fn memory_now() -> Option<(u64, u64)> {
    let found = memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
    (found.0 > 0 && found.1 > 0).then_some(found)
}

/// Total and available bytes of `/proc/meminfo` (`proc_meminfo(5)`, units of 1024).
pub(crate) fn memory(text: &str) -> (u64, u64) {
    let fields: BTreeMap<&str, u64> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter_map(|(key, rest)| Some((key, rest.split_whitespace().next()?.parse().ok()?)))
        .collect();
    let bytes = |key| fields.get(key).map_or(0, |kib: &u64| kib.saturating_mul(1024));
    (bytes("MemTotal"), bytes("MemAvailable"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn memory_is_read() {
        let text = "MemTotal:         482856 kB\nMemFree: 1 kB\nMemAvailable:     431232 kB\nx\n";
        assert_eq!(memory(text), (482_856 << 10, 431_232 << 10));
        assert_eq!(memory(""), (0, 0));
    }

    #[test]
    fn what_does_not_answer_is_said_and_not_waited_for() {
        let started = Instant::now();
        let hangs = look("hangs", || thread::sleep(Duration::from_secs(5)));
        let answers = look("answers", || "eth0");
        assert_eq!(answer(&answers, started + ANSWER), Ok("eth0"));
        assert_eq!(answer(&hangs, started), Err(RecvTimeoutError::Timeout));
    }

    #[test]
    fn any_machine_can_be_looked_at() {
        let console = Arc::new(Console::silent());
        let facts = Facts::gather(&console, &Disks::new(Arc::clone(&console)), None);
        assert!(facts.memory_bytes > 0 && !facts.kernel.is_empty());
    }
}
