//! The table of faults over HTTP: whatever the way to the store does, what ends is the right
//! bytes or the right sentence, nothing boots that was not proven, and the next run without
//! the fault ends right on the same disk.
//!
//! Each row is a store, a server that misbehaves in one way, and how that has to end. The run
//! prints a line for each: `name | outcome | retries | bytes that arrived twice | bytes
//! sent twice`. Of packs, *arrived twice* counts bytes that were handed to the engine before,
//! and *sent twice* bytes that the server had sent before; they differ where a torn
//! connection lost what was under way.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is the test's failure")]

#[path = "../common/mod.rs"]
mod common;

mod answers;
mod breaks;
mod fault;
mod lies;
mod reply;
mod run;
mod server;
mod shelf;
mod tap;

use run::{Outcome, Row, run};
use shelf::Shelf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Rows that run at once: most of a row's time is waiting.
const ROWS_AT_ONCE: usize = 32;

#[test]
fn every_fault_ends_in_the_right_bytes_or_the_right_sentence() {
    let shelf = Shelf::new();
    // Those that take long come first.
    let rows: Vec<Row> = breaks::always()
        .chain(answers::protocol())
        .chain(answers::lengths())
        .chain(answers::statuses())
        .chain(answers::redirects())
        .chain(answers::retry_after())
        .chain(answers::heads())
        .chain(answers::in_the_middle())
        .chain(breaks::once())
        .chain(breaks::slow_progress())
        .chain(breaks::slow_always())
        .chain(lies::lies())
        .chain(breaks::cuts(&shelf))
        .collect();
    let outcomes = all(&shelf, &rows);
    let mut wrong = Vec::new();
    println!("name | outcome | retries | bytes that arrived twice | bytes sent twice");
    for (row, outcome) in rows.iter().zip(&outcomes) {
        println!("{}", outcome.line);
        wrong.extend(outcome.wrong.iter().map(|wrong| format!("{}: {wrong}", row.name)));
    }
    println!("{} rows, {} wrong", rows.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The outcomes of all rows, in their order.
fn all(shelf: &Shelf, rows: &[Row]) -> Vec<Outcome> {
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..ROWS_AT_ONCE {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(row) = rows.get(index) else { return };
                    let outcome = run(shelf, row);
                    outcomes.lock().unwrap().push((index, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap();
    outcomes.sort_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}
