//! The time in which a person may stop an automatic boot by a key: until the plan is made, after
//! which things are written. It costs no time by itself.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::console::{Console, Wanted, Watch};
use crate::machine::Machine;
use crate::stop::Stop;

/// The keys, which are the letter of the announcement. What they stop may take a while: a look at
/// the disk that is under way, a store that does not answer.
const KEYS: Wanted = Wanted { keys: b"rR", said: "stopping: the recovery console follows" };

/// It does not go on, and nothing has gone wrong: a person decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// `inaugurator.mode=recovery`.
    #[error("inaugurator.mode=recovery")]
    Asked,
    /// The key was pressed.
    #[error("stopped by a key before anything of the label was written")]
    Key,
    /// `inaugurator.mode=plan`, and there is a plan.
    #[error("only a plan was asked for, and nothing was written")]
    Planned,
    /// At the console the disk was not confirmed.
    #[error("not confirmed, and nothing was written")]
    NotConfirmed,
    /// Another disk has taken the place of the one that was confirmed.
    #[error("the disk was exchanged since it was confirmed, and nothing was written")]
    Exchanged,
}

/// Open or not.
#[derive(Debug, Default)]
pub struct Window(Mutex<Option<Open>>);

#[derive(Debug)]
struct Open {
    watch: Watch,
    until: Instant,
}

/// Passed between the plan and the first byte that is written.
pub trait Gate {
    /// Whether the plan, which was shown, is carried out.
    fn pass(&self) -> Result<(), Stopped>;

    /// Told what the plan is: whether nothing is to be written.
    fn planned(&self, _is_complete: bool) {}

    /// Said once a person does not want it any more, until it was passed.
    fn stop(&self) -> Stop;
}

/// Where nobody has to be asked: the window closes.
pub(crate) struct Unattended<'a>(pub(crate) &'a Machine);

impl Gate for Unattended<'_> {
    fn pass(&self) -> Result<(), Stopped> {
        self.0.window.close(&self.0.console)
    }

    fn stop(&self) -> Stop {
        self.0.window.stop()
    }
}

impl Window {
    /// Opens it, for at least so long, and says so. A machine on which no key can be watched for
    /// boots without.
    pub fn open(&self, console: &Arc<Console>, at_least: Duration) {
        let until = Instant::now() + at_least;
        if let Ok(watch) = Watch::begin(console, &KEYS) {
            *self.lock() = Some(Open { watch, until });
            console.say("init", "press r for the recovery console");
        }
    }

    /// Whether it may go on: between two stages.
    pub fn check(&self) -> Result<(), Stopped> {
        let is_pressed = self.lock().as_ref().is_some_and(|open| open.watch.is_pressed());
        if is_pressed { Err(Stopped::Key) } else { Ok(()) }
    }

    /// What is readable once the key was pressed, for those who wait for other things.
    pub fn signal(&self) -> Option<Arc<OwnedFd>> {
        self.lock().as_ref().map(|open| open.watch.signal())
    }

    /// Said once the key was pressed.
    pub fn stop(&self) -> Stop {
        Stop::when(self.signal(), "r")
    }

    /// Closes it, not before it was open for as long as it had to be. What follows writes.
    pub fn close(&self, console: &Console) -> Result<(), Stopped> {
        let Some(Open { watch, until }) = self.lock().take() else { return Ok(()) };
        let left = until.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            let seconds = left.as_secs() + 1;
            let text = format!("writing in {seconds} s; press r for the recovery console");
            console.say("init", &text);
            watch.wait(left);
        }
        if watch.end() { Err(Stopped::Key) } else { Ok(()) }
    }

    /// Closes it at once; true if the key was pressed.
    pub fn shut(&self) -> bool {
        let open = self.lock().take();
        open.is_some_and(|open| open.watch.end())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_open_as_long_as_said_and_nobody_stops_nothing() {
        let (window, console) = (Window::default(), Arc::new(Console::silent()));
        assert_eq!(window.close(&console), Ok(()));
        let started = Instant::now();
        window.open(&console, Duration::from_millis(20));
        assert!(window.check().is_ok() && window.signal().is_some());
        assert_eq!(window.close(&console), Ok(()));
        assert!(started.elapsed() >= Duration::from_millis(20));
        assert!(!window.shut() && window.signal().is_none());
        assert_eq!(console.log().len(), 2);
    }
}
