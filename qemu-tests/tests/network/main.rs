//! Machines on a network of the test's own, where everything goes wrong that goes wrong in machine
//! rooms: each case is a value, and says how it must end and what the console must say.
//!
//! `INAUG_NETWORK_ONLY` runs only cases with this in their names; `INAUG_NETWORK_SEED` has faults
//! strike other frames than those of seed 1. Each case leaves its capture and its console where
//! cargo keeps what tests write; a failure names them.

#[path = "../lab/mod.rs"]
mod lab;

mod cards;
mod case;
mod clock;
mod cuts;
mod ipv6;
mod kernel_peer;
mod leases;
mod links;
mod neighbors;
mod race;
mod run;
mod store;
mod tls;

use anyhow::{Context, Result, ensure};
use case::{Bench, Case};
use std::env;

#[test]
fn the_network_comes_up_or_says_exactly_why() -> Result<()> {
    let bench = Bench::new()?;
    if env::var("INAUG_NETWORK_ONLY").is_err() {
        race::table(&bench)?;
    }
    let families =
        [cards::cases, links::cases, neighbors::cases, leases::cases, clock::cases, store::cases];
    let mut cases: Vec<Case> = families.into_iter().flat_map(|family| family(&bench)).collect();
    cases.extend(cuts::cases(&bench)?);
    cases.extend(tls::cases(&bench)?);
    if let Ok(only) = env::var("INAUG_NETWORK_ONLY") {
        cases.retain(|case| case.name.contains(&only));
    }
    cases.sort_by_key(|case| !case.is_long);
    let seed = seed()?;
    for case in &mut cases {
        case.network.seed = seed;
    }
    let total = cases.len();
    ensure!(total > 0, "no case has that name");
    let failed = run::all(&bench, cases)?;
    println!("network: {total} cases, {} failed (seed {seed})", failed.len());
    ensure!(failed.is_empty(), "{}", failed.join("\n\n"));
    Ok(())
}

fn seed() -> Result<u64> {
    let Ok(text) = env::var("INAUG_NETWORK_SEED") else { return Ok(1) };
    text.parse().with_context(|| format!("INAUG_NETWORK_SEED={text:?} is not a number"))
}
