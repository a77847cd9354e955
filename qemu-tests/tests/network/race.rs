//! How long it takes from init's first line to the first byte of the store, by the number of cards of
//! which one is cabled. A table for people: machines that are shared have no bounds on time.

use crate::case::{Bench, Case, LABEL};
use anyhow::{Context, Result};
use qemu_tests::{Machine, Nic, deadline, environment};
use std::time::{Duration, Instant};
use wire::Port;

/// The median of so many.
const RUNS: usize = 5;

/// Prints a row for each number of cards.
pub(crate) fn table(bench: &Bench) -> Result<()> {
    println!("cards, one cabled   first line to first byte of the store, median of {RUNS}");
    for cards in [1, 2, 4] {
        let mut took = (0..RUNS).map(|_| once(bench, cards)).collect::<Result<Vec<_>>>()?;
        took.sort();
        println!("{cards:>5}               {:.2} s", took[RUNS / 2].as_secs_f64());
    }
    Ok(())
}

/// The last card is the one with a cable.
fn once(bench: &Bench, cards: usize) -> Result<Duration> {
    let case = Case::of("race", bench).on(vec![Port::default(); cards]);
    let wire = case.network.start()?;
    let told = format!(
        "inaugurator.store={} inaugurator.label={LABEL} inaugurator.mode=plan \
         inaugurator.then=poweroff",
        case.url
    );
    let mut machine = Machine {
        nics: (0..cards).map(|port| Nic::on_socket(wire.socket(port))).collect(),
        ..Machine::direct(environment::kernel()?, environment::init()?, &told)
    }
    .start()?;
    (0..cards - 1).try_for_each(|card| machine.set_cable(card, false))?;
    machine.expect("init: inaugurator", deadline::BOOT)?;
    let began = Instant::now();
    machine.expect("label: lab/small is", deadline::INAUGURATE)?;
    machine.kill()?;
    wire.stop()?;
    let answered = case.shelf.answered().context("the store was never asked")?;
    Ok(answered.saturating_duration_since(began))
}
