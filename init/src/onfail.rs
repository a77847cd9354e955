//! What follows a failure: again, the console, reboot, or off.

use std::sync::Arc;
use std::time::Duration;

use crate::config::OnFail;
use crate::console::{Console, Keys, Wanted, Watch};
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

/// What stops the pause: Enter alone, as announced, the key of the window, or Ctrl-C. Lines that
/// some other machine says on a serial line do not.
const KEYS: Wanted =
    Wanted { keys: b"\r\nrR\x03", said: "stopping here: the recovery console follows" };

/// Decides, waiting as long as it says. `attempt` counts from 1; `random` is any
/// number, for the jitter that keeps a rack of machines from asking all at once.
pub fn after(onfail: OnFail, attempt: u32, random: u64, console: &Arc<Console>) -> Next {
    let next = decide(onfail, attempt);
    match next {
        Next::Person(_) => next,
        Next::Again => pause(console, pause_after(attempt, random), attempt, next),
        Next::Leave(Leave::Reboot) => {
            pause(console, READ_IT + jitter(READ_IT, random), attempt, next)
        }
        Next::Leave(_) => pause(console, READ_IT, attempt, next),
    }
}

/// The same when a person was given the console and has left: at once, for there was time to read.
pub fn after_nobody(onfail: OnFail, attempt: u32, console: &Console) -> Next {
    let next = decide(onfail, attempt);
    console.say("init", &format!("nobody typed a command for long: {}", words(next, attempt)));
    next
}

fn decide(onfail: OnFail, attempt: u32) -> Next {
    match onfail {
        OnFail::Console => Next::Person(None),
        OnFail::PowerOff => Next::Leave(Leave::PowerOff),
        OnFail::Retry if attempt < MAX_ATTEMPTS => Next::Again,
        OnFail::Reboot | OnFail::Retry => Next::Leave(Leave::Reboot),
    }
}

/// What follows failure number `attempt`, in words.
fn words(next: Next, attempt: u32) -> String {
    match next {
        Next::Again => format!("attempt {} of {MAX_ATTEMPTS}", attempt.saturating_add(1)),
        Next::Leave(Leave::Reboot) => "rebooting".into(),
        Next::Leave(_) => "powering off".into(),
        Next::Person(_) => "the recovery console".into(),
    }
}

/// Waits, then does `next`; a person who presses Enter meanwhile gets the console. Where no key can
/// be watched for, nobody is waited for.
fn pause(console: &Arc<Console>, pause: Duration, attempt: u32, next: Next) -> Next {
    let keys = Keys::take(console);
    keys.forget_typed();
    let (what, seconds) = (words(next, attempt), pause.as_secs());
    console.say("init", &format!("{what} in {seconds} s; press Enter to stop here"));
    let Ok(watch) = Watch::begin(console, &KEYS) else {
        std::thread::sleep(pause);
        return next;
    };
    watch.wait(pause);
    if watch.end() { Next::Person(Some(PERSON_LEFT)) } else { next }
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
    use std::io::Write;

    use super::*;
    use crate::console::on_sockets;

    #[test]
    fn a_person_presses_enter_and_a_line_that_chatters_is_none() {
        let person = Next::Person(Some(PERSON_LEFT));
        let table: [(&[u8], u64, Next); 6] = [
            (b"", 20, Next::Again),
            (b"Debian GNU/Linux 12 host ttyS0\r\n\r\nhost login: ", 400, Next::Again),
            (b"root\r\nPassword: \r\n", 400, Next::Again),
            (b"\r", 3_600_000, person),
            (b"r", 3_600_000, person),
            (b"\x03", 3_600_000, person),
        ];
        for (bytes, millis, expected) in table {
            let (console, [mut first, _second]) = on_sockets();
            first.write_all(bytes).unwrap();
            let next = pause(&console, Duration::from_millis(millis), 1, Next::Again);
            assert_eq!(next, expected, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn who_left_is_followed_by_what_was_wanted() {
        let console = Console::silent();
        let table = [
            (OnFail::Retry, 1, Next::Again, "attempt 2 of 6"),
            (OnFail::Retry, 6, Next::Leave(Leave::Reboot), "rebooting"),
            (OnFail::Reboot, 1, Next::Leave(Leave::Reboot), "rebooting"),
            (OnFail::PowerOff, 1, Next::Leave(Leave::PowerOff), "powering off"),
            (OnFail::Console, 1, Next::Person(None), "the recovery console"),
        ];
        for (onfail, attempt, expected, text) in table {
            assert_eq!(after_nobody(onfail, attempt, &console), expected);
            let said = console.log().pop().unwrap();
            assert!(said.ends_with(&format!("nobody typed a command for long: {text}")), "{said}");
        }
    }

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
