//! T: clocks that are wrong.

use crate::case::{Bench, Case};

pub(crate) fn cases(bench: &Bench) -> Vec<Case> {
    let at = |name, clock| Case { clock: Some(clock), ..Case::of(name, bench) };
    vec![
        at("clock of 1970", "1970-01-01T00:00:10"),
        at("clock of 2011", "2011-11-11T11:11:11"),
        at("clock of 2040", "2040-02-29T12:00:00"),
    ]
}
