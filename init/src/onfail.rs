//! What follows a failure: again, the console, reboot, or off.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::OnFail;
use crate::console::{Answer, Console, Keys};
use crate::power::Leave;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Start over.
    Again,
    /// Leave the machine.
    Leave(Leave),
    /// The recovery console, for a person who has left when nothing was typed for so long.
    Person(Option<Duration>),
}

/// Attempts before a machine that nobody sits at is reset: a reset cures what a
/// retry cannot (a wedged NIC, a firmware that hands out another address).
const MAX_ATTEMPTS: u32 = 6;
/// The pause after the first failure; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause: a store that is back is found again within minutes.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// Time to read the report before the machine is reset or off.
const READ_IT: Duration = Duration::from_secs(10);
/// A person who said nothing for this long has left, unless `onfail=console`
/// says that the machine has to stay.
pub const PERSON_LEFT: Duration = Duration::from_mins(30);
/// Decides, waiting as long as it says. `attempt` counts from 1; `random` is any
/// number, for the jitter that keeps a rack of machines from asking all at once.
pub fn after(onfail: OnFail, attempt: u32, random: u64, console: &Arc<Console>) -> Next {
    match onfail {
        OnFail::Console => Next::Person(None),
        OnFail::PowerOff => pause(console, READ_IT, "powering off", Next::Leave(Leave::PowerOff)),
        OnFail::Reboot => reboot(console, random),
        OnFail::Retry if attempt >= MAX_ATTEMPTS => reboot(console, random),
        OnFail::Retry => {
            let next = format!("attempt {} of {MAX_ATTEMPTS}", attempt.saturating_add(1));
            pause(console, pause_after(attempt, random), &next, Next::Again)
        }
    }
}

fn reboot(console: &Arc<Console>, random: u64) -> Next {
    let jitter = jitter(READ_IT, random);
    pause(console, READ_IT + jitter, "rebooting", Next::Leave(Leave::Reboot))
}

/// Waits, then does `next`; a person who presses Enter meanwhile gets the console.
fn pause(console: &Arc<Console>, pause: Duration, what: &str, next: Next) -> Next {
    let keys = Keys::take(console);
    keys.forget_typed();
    console.say("init", &format!("{what} in {} s; press Enter to stop here", pause.as_secs()));
    match keys.ask("", Some(Instant::now() + pause)) {
        Answer::Nobody => next,
        Answer::Line(_) | Answer::Cancelled => Next::Person(Some(PERSON_LEFT)),
    }
}

/// The pause after failure number `attempt`: doubling, bounded, plus up to half.
fn pause_after(attempt: u32, random: u64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    let pause = doubled.min(LONGEST_PAUSE);
    pause + jitter(pause / 2, random)
}

/// A duration from zero to `most`, by `random`.
fn jitter(most: Duration, random: u64) -> Duration {
    let millis = u64::try_from(most.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
    Duration::from_millis(random % millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_differ_between_machines() {
        let table = [(1, 5), (2, 10), (3, 20), (6, 160), (7, 300), (1000, 300)];
        for (attempt, seconds) in table {
            let least = Duration::from_secs(seconds);
            assert_eq!(pause_after(attempt, 0), least);
            for random in [1, 12_345, u64::MAX] {
                let pause = pause_after(attempt, random);
                assert!(pause >= least && pause <= least + least / 2, "{pause:?}");
            }
        }
        assert_ne!(pause_after(1, 100), pause_after(1, 200));
    }
}
