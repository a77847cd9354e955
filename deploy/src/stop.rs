//! A word between workers: one has failed, so that the others stop, also where they pause.

use crate::Error;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Makes work stop that another thread waits for.
#[derive(Debug, Clone)]
pub struct Stopper(pub(crate) Arc<Stop>);

impl Stopper {
    /// The work ends soon, with [`Error::Stopped`].
    pub fn stop(&self) {
        self.0.say();
    }
}

/// Said once, heard by all.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    said: Mutex<bool>,
    heard: Condvar,
}

impl Stop {
    /// Makes everybody stop.
    pub(crate) fn say(&self) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.heard.notify_all();
    }

    /// An error once it was said.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let said = *self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said { Err(Error::Stopped) } else { Ok(()) }
    }

    /// Waits for `pause`; an error as soon as it was said.
    pub(crate) fn pause(&self, pause: Duration) -> Result<(), Error> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.heard.wait_timeout_while(said, pause, |said| !*said);
        let (said, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if *said { Err(Error::Stopped) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_pauses_hears_it() {
        let stop = Stop::default();
        assert!(stop.check().is_ok() && stop.pause(Duration::ZERO).is_ok());
        std::thread::scope(|scope| {
            // Ends at once, or this test does not end.
            let waiting = scope.spawn(|| stop.pause(Duration::MAX));
            stop.say();
            assert!(waiting.join().unwrap().is_err());
        });
        assert!(stop.check().is_err());
    }
}
