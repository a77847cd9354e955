//! T: clocks that are wrong, and stores whose clock is.

use crate::case::{Bench, Case, Ran};
use anyhow::{Result, ensure};

/// 2 January 2060, 03:04:05: after the floor of whatever is tested, which is when it was built, and
/// what an RTC without a century can be set to (1970 to 2069).
const STORE_S: u64 = 2_840_238_245;

/// What the machine's own clock is at the end.
const RIGHT: &str = "the machine's own clock (RTC) is set right";

pub(crate) fn cases(bench: &Bench) -> Vec<Case> {
    let mut all = machines(bench);
    all.extend(stores(bench));
    all
}

fn machines(bench: &Bench) -> Vec<Case> {
    let at = |name, clock| {
        let case = Case { clock: Some(clock), ..Case::of(name, bench) };
        case.shelf.set_clock(STORE_S);
        case
    };
    vec![
        Case {
            says: &[
                "the clock said 1970-01-01 00:00:",
                ", before this was built; set to 20",
                ", the store 2060-01-02 03:04:",
                RIGHT,
            ],
            ..at("clock of 1970", "1970-01-01T00:00:10")
        },
        Case {
            says: &[
                "the clock said 2011-11-11 11:11:",
                ", before this was built; set to 20",
                ", the store 2060-01-02 03:04:",
                RIGHT,
            ],
            ..at("clock of 2011", "2011-11-11T11:11:11")
        },
        Case {
            says: &["the clock said 2040-02-29 12:00:", ", the store 2060-01-02 03:04:", RIGHT],
            ..at("clock of 2040", "2040-02-29T12:00:00")
        },
        Case { check: is_left_alone, ..at("clock that is right", "2060-01-02T03:03:20") },
    ]
}

fn stores(bench: &Bench) -> Vec<Case> {
    let says = |name, unix_s| {
        let case = Case { clock: Some("2060-01-02T03:04:05"), ..Case::of(name, bench) };
        case.shelf.set_clock(unix_s);
        Case { check: is_left_alone, ..case }
    };
    vec![
        Case {
            says: &["the store says 1980-01-01 00:00:00 UTC, which is not believed"],
            ..says("store of 1980", 315_532_800)
        },
        Case {
            says: &["the store says 3000-01-01 00:00:00 UTC, which is not believed"],
            ..says("store of the year 3000", 32_503_680_000)
        },
    ]
}

fn is_left_alone(ran: &Ran) -> Result<()> {
    ensure!(!ran.console.contains("; set to "), "the clock was set");
    ensure!(!ran.console.contains("(RTC)"), "the RTC was spoken of");
    Ok(())
}
