//! What time it is. A machine's own clock (RTC) may be decades off: a battery died, or nobody ever set
//! it. Nothing here is proven by a time; what is deployed, though, starts with the clock that it finds.
//!
//! It is never before this program was built. A time server says what time it is, or else a store that
//! is reached, and is believed where the clock differs by more than is usual. The RTC is written just before the deployed
//! system starts, and by nothing else.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, Timespec, clock_settime};
use store::http::Clock;

use crate::console::Console;
use crate::report::date;
use crate::sys;

/// A difference that is left as it is, seconds: clocks drift by some seconds a week.
const TOLERATED_S: u64 = 60;

/// When this program was built, seconds since 1970: as the build says it (`SOURCE_DATE_EPOCH` of
/// reproducible-builds.org), or when this version was begun.
pub(crate) const BUILT_UNIX_S: u64 = match option_env!("SOURCE_DATE_EPOCH") {
    Some(text) => seconds(text.as_bytes()),
    None => 1_793_491_200,
};

/// Later than this is no time but a mistake, seconds since 1970: the year 2200.
const LATEST_UNIX_S: u64 = 7_258_118_400;

/// The machine's real-time clock (`rtc(4)`).
const RTC: &str = "/dev/rtc0";

/// The clock by which certificates are judged: also where the kernel's could not be set, it is not
/// before this program was built.
pub(crate) fn judge_of_certificates() -> Clock {
    Clock::not_before(BUILT_UNIX_S)
}

/// The machine's clocks.
#[derive(Debug, Default)]
pub struct WallClock {
    /// The kernel's was set by what is believed, so the RTC is wrong.
    is_rtc_wrong: AtomicBool,
    /// A time server was heard: stores have nothing to say any more.
    is_by_ntp: AtomicBool,
}

/// Who says what time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Teller<'a> {
    /// A store, as it answers.
    Store,
    /// A time server, as it is named.
    Ntp(&'a str),
}

/// What is said of a time.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It agrees with the clock.
    Same,
    /// The clock is wrong.
    Set,
    /// It cannot be.
    Impossible,
}

impl WallClock {
    /// Sees to it that it is not earlier than this program.
    pub fn begin(console: &Console) {
        let now = now();
        if now < BUILT_UNIX_S {
            let outcome = outcome(&date::utc(BUILT_UNIX_S), &Self::set(BUILT_UNIX_S));
            let was = date::utc(now);
            console
                .say("clock", &format!("the clock said {was}, before this was built; {outcome}"));
        }
    }

    /// Somebody says that it is `heard_unix_s`, seconds since 1970; whether that is believed.
    pub fn hear(&self, heard_unix_s: u64, teller: &Teller<'_>, console: &Console) -> bool {
        let is_store = *teller == Teller::Store;
        if is_store && self.is_by_ntp.load(Ordering::Relaxed) {
            return false;
        }
        let (now, heard) = (now(), date::utc(heard_unix_s));
        let verdict = judge(now, heard_unix_s);
        if verdict == Verdict::Impossible {
            let who = match teller {
                Teller::Store => "the store".to_owned(),
                Teller::Ntp(server) => format!("NTP server {server}"),
            };
            console.say("clock", &format!("{who} says {heard}, which is not believed"));
            return false;
        }
        self.is_by_ntp.store(!is_store, Ordering::Relaxed);
        if verdict == Verdict::Set {
            let (was, set) = (date::utc(now), Self::set(heard_unix_s));
            let text = match (teller, &set) {
                (Teller::Store, _) => {
                    format!("the clock said {was}, the store {heard}; {}", outcome(&heard, &set))
                }
                (Teller::Ntp(server), Ok(())) => {
                    format!("set to {heard} by NTP server {server} (was {was})")
                }
                (Teller::Ntp(server), Err(_)) => {
                    let outcome = outcome(&heard, &set);
                    format!("the clock said {was}, NTP server {server} {heard}; {outcome}")
                }
            };
            console.say("clock", &text);
            if set.is_ok() {
                self.is_rtc_wrong.store(true, Ordering::Relaxed);
            }
        }
        true
    }

    /// Sets the RTC where it was found wrong, before the deployed system reads it. What cannot be set is
    /// said; nothing depends on it.
    pub fn settle(&self, console: &Console) {
        if !self.is_rtc_wrong.load(Ordering::Relaxed) {
            return;
        }
        let text = match sys::set_rtc(RTC, now()) {
            Ok(()) => "the machine's own clock (RTC) is set right".to_owned(),
            Err(error) => format!("the machine's own clock (RTC) stays wrong: {error}"),
        };
        console.say("clock", &text);
    }

    /// Sets the kernel's clock.
    fn set(unix_s: u64) -> io::Result<()> {
        let time = Timespec { tv_sec: unix_s.cast_signed(), tv_nsec: 0 };
        Ok(clock_settime(ClockId::Realtime, time)?)
    }
}

fn outcome(heard: &str, set: &io::Result<()>) -> String {
    match set {
        Ok(()) => format!("set to {heard}"),
        Err(error) => format!("it stays so: {error}"),
    }
}

fn judge(now_unix_s: u64, heard_unix_s: u64) -> Verdict {
    if !(BUILT_UNIX_S..LATEST_UNIX_S).contains(&heard_unix_s) {
        Verdict::Impossible
    } else if now_unix_s.abs_diff(heard_unix_s) <= TOLERATED_S {
        Verdict::Same
    } else {
        Verdict::Set
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A decimal number; the build fails where it is none.
const fn seconds(text: &[u8]) -> u64 {
    let (mut value, mut at) = (0, 0);
    while at < text.len() {
        assert!(
            text[at].is_ascii_digit() && at < 12,
            "SOURCE_DATE_EPOCH: expected seconds since 1970"
        );
        value = value * 10 + (text[at] - b'0') as u64;
        at += 1;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_set_where_it_is_wrong_and_the_store_may_be_right() {
        let later = BUILT_UNIX_S + 1_000_000;
        for (now, heard, expected) in [
            (later, later, Verdict::Same),
            (later, later + 60, Verdict::Same),
            (later, later - 60, Verdict::Same),
            (later, later + 61, Verdict::Set),
            (later + 400_000_000, later, Verdict::Set),
            (10, later, Verdict::Set),
            (later, 10, Verdict::Impossible),
            (later, BUILT_UNIX_S - 1, Verdict::Impossible),
            (later, LATEST_UNIX_S, Verdict::Impossible),
            (later, u64::MAX, Verdict::Impossible),
        ] {
            assert_eq!(judge(now, heard), expected, "{now} {heard}");
        }
    }

    #[test]
    fn the_build_says_when_it_was() {
        assert_eq!(seconds(b"1793491200"), 1_793_491_200);
    }
}
