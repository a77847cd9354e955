//! The network that is used now, for those who need one.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Network;

/// What is used now. Cloning gives another handle to the same.
#[derive(Debug, Clone, Default)]
pub struct InUse(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
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

    /// From here on it is this one.
    pub fn set(&self, network: Network) {
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
