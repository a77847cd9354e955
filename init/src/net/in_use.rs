//! The network that is used now, for those who need one.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Network;

/// What is used now. Cloning gives another handle to the same.
#[derive(Debug, Clone, Default)]
pub struct InUse(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    asked: Mutex<Asked>,
}

/// What is asked of stores now.
#[derive(Debug, Default)]
struct Asked {
    /// How many wait for something.
    waiting: u32,
    /// When something came last, or the first of them began to wait.
    heard: Option<Instant>,
}

/// Somebody waits for a store, until it is dropped.
pub struct Asking<'a>(&'a InUse);

impl Asking<'_> {
    /// Something came.
    pub fn heard(&self) {
        self.0.asked().heard = Some(Instant::now());
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut asked = self.0.asked();
        asked.waiting = asked.waiting.saturating_sub(1);
    }
}

#[derive(Debug, Default)]
struct State {
    network: Option<Network>,
    /// The last one was lost, and another is looked for.
    is_looked_for: bool,
}

impl InUse {
    /// The network, where there is one.
    pub fn network(&self) -> Option<Network> {
        self.lock().network.clone()
    }

    /// Somebody waits for a store from here on.
    pub fn asking(&self) -> Asking<'_> {
        let mut asked = self.asked();
        if asked.waiting == 0 {
            asked.heard = Some(Instant::now());
        }
        asked.waiting += 1;
        Asking(self)
    }

    /// For how long nothing has come of all that is waited for; `None` while nothing is.
    pub fn silent_for(&self) -> Option<Duration> {
        let asked = self.asked();
        asked.heard.filter(|_| asked.waiting > 0).map(|heard| heard.elapsed())
    }

    /// From here on it is this one.
    pub fn set(&self, network: Network) {
        // What is silent until now is so by another.
        self.asked().heard = Some(Instant::now());
        self.update(Some(network), false);
    }

    /// It is lost; another is looked for.
    pub fn lose(&self) {
        self.update(None, true);
    }

    /// There is none, and none is looked for.
    pub fn leave(&self) {
        self.update(None, false);
    }

    /// Waits as long as another is looked for, at most so long; whether the wait had an end.
    pub fn wait(&self, patience: Duration) -> bool {
        let state = self.lock();
        let waited =
            self.0.changed.wait_timeout_while(state, patience, |state| state.is_looked_for);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn update(&self, network: Option<Network>, is_looked_for: bool) {
        *self.lock() = State { network, is_looked_for };
        self.0.changed.notify_all();
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn silence_is_of_those_who_wait() {
        let in_use = InUse::default();
        assert_eq!(in_use.silent_for(), None);
        let (first, second) = (in_use.asking(), in_use.asking());
        assert!(in_use.silent_for().is_some());
        drop(first);
        thread::sleep(Duration::from_millis(5));
        let before = in_use.silent_for().unwrap();
        assert!(before >= Duration::from_millis(5));
        let at = Instant::now();
        second.heard();
        assert!(in_use.silent_for().unwrap() <= at.elapsed());
        drop(second);
        assert_eq!(in_use.silent_for(), None);
    }

    #[test]
    fn a_network_that_is_looked_for_is_waited_for() {
        let in_use = InUse::default();
        assert!(in_use.wait(LONG), "none is looked for");
        in_use.lose();
        assert!(!in_use.wait(Duration::from_millis(1)));
        let other = in_use.clone();
        thread::scope(|scope| {
            let waiting = scope.spawn(move || other.wait(LONG));
            in_use.leave();
            assert!(waiting.join().unwrap());
        });
        assert!(in_use.network().is_none());
    }
}
