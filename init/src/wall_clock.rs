//! What time it is. A machine's own clock (RTC) may be decades off: a battery died, or nobody ever set
//! it. Nothing here is proven by a time; what is deployed, though, starts with the clock that it finds.
//!
//! It is never before this program was built. A store that is reached says what time it has, and is
//! believed where the clock differs by more than is usual. The RTC is written just before the deployed
//! system starts, and by nothing else.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, Timespec, clock_settime};

use crate::console::Console;
use crate::report::date;
use crate::sys;

/// A difference that is left as it is, seconds: clocks drift by some seconds a week.
const TOLERATED_S: u64 = 60;

/// When this program was built, seconds since 1970: as the build says it (`SOURCE_DATE_EPOCH` of
/// reproducible-builds.org), or when this version was begun.
const BUILT_UNIX_S: u64 = match option_env!("SOURCE_DATE_EPOCH") {
    Some(text) => seconds(text.as_bytes()),
    None => 1_793_491_200,
};

/// Later than this is no time but a mistake, seconds since 1970: the year 2200.
const LATEST_UNIX_S: u64 = 7_258_118_400;

/// The machine's real-time clock (`rtc(4)`).
const RTC: &str = "/dev/rtc0";

/// The machine's clocks.
#[derive(Debug, Default)]
pub struct WallClock {
    /// The kernel's was set by what is believed, so the RTC is wrong.
    is_rtc_wrong: AtomicBool,
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
            let why = format!("the clock said {}, before this was built", date::utc(now));
            Self::set(BUILT_UNIX_S, &why, console);
        }
    }

    /// A store said that it is `heard_unix_s`, seconds since 1970.
    pub fn hear(&self, heard_unix_s: u64, console: &Console) {
        let (now, heard) = (now(), date::utc(heard_unix_s));
        match judge(now, heard_unix_s) {
            Verdict::Same => {}
            Verdict::Impossible => {
                console.say("clock", &format!("the store says {heard}, which is not believed"));
            }
            Verdict::Set => {
                let why = format!("the clock said {}, the store {heard}", date::utc(now));
                if Self::set(heard_unix_s, &why, console) {
                    self.is_rtc_wrong.store(true, Ordering::Relaxed);
                }
            }
        }
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

    /// Sets the kernel's clock; whether that was done.
    fn set(unix_s: u64, why: &str, console: &Console) -> bool {
        let time = Timespec { tv_sec: unix_s.cast_signed(), tv_nsec: 0 };
        let set = clock_settime(ClockId::Realtime, time).map_err(io::Error::from);
        let what = match &set {
            Ok(()) => format!("set to {}", date::utc(unix_s)),
            Err(error) => format!("it stays so: {error}"),
        };
        console.say("clock", &format!("{why}; {what}"));
        set.is_ok()
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
