//! Crash states: deployments and pushes are recorded, each write and each flush, and what a
//! power cut at any moment could have left on the disk is made from the record and judged.
//!
//! `INAUG_CRASH_STATES` says how many states are made in all, 1000 unless it is set (the
//! long form is 5000); `INAUG_CRASH_SEED` makes others than those of seed 1. A violation is
//! printed, and the disk kept in `INAUG_CRASH_KEEP` where that names a directory.

#[path = "../lab/mod.rs"]
mod lab;

mod deployments;
mod pushes;
mod table;

use anyhow::{Context, Result, ensure};
use deployments::Deployments;
use pushes::Pushed;
use std::{env, thread};
use table::Row;

/// All states of all records, unless the environment says otherwise.
const STATES: usize = 1000;

/// One state in so many is of a push: the kernel has to mount each.
const PUSH_SHARE: usize = 6;

/// States of each record that has been spoilt: one in a hundred, at the least, is a violation.
const SPOILT_STATES: usize = 1000;

/// The same of pushes.
const SPOILT_PUSH_STATES: usize = 60;

#[test]
fn after_a_cut_a_disk_is_dead_or_whole_and_a_label_is_all_there() -> Result<()> {
    let (states, seed) = (asked("INAUG_CRASH_STATES", STATES)?, asked("INAUG_CRASH_SEED", 1)?);
    let seed = seed as u64;
    let of_push = states / PUSH_SHARE;
    let (right, spoilt) = thread::scope(|scope| {
        let pushed = scope.spawn(|| pushes(of_push, seed));
        let (mut right, mut spoilt) = deployments(states - of_push, seed)?;
        let (of_pushes, of_spoilt) = table::join(pushed)?;
        right.push(of_pushes);
        spoilt.extend(of_spoilt);
        anyhow::Ok((right, spoilt))
    })?;
    table::print(&right, seed);
    table::print_spoilt(&spoilt);
    ensure!(right.iter().all(|row| row.violations.is_empty()), "there are violations");
    for row in spoilt {
        ensure!(!row.violations.is_empty(), "{}: not noticed in any state", row.name);
    }
    Ok(())
}

fn deployments(states: usize, seed: u64) -> Result<(Vec<Row>, Vec<Row>)> {
    let deployments = Deployments::record()?;
    let of_each = states.div_ceil(deployments.runs.len());
    let rows = deployments.runs.iter().map(|run| deployments.replay(run, of_each, seed));
    Ok((rows.collect::<Result<_>>()?, deployments.spoilt(SPOILT_STATES)?))
}

fn pushes(states: usize, seed: u64) -> Result<(Row, Vec<Row>)> {
    let pushed = Pushed::record()?;
    Ok((pushed.replay(states, seed)?, pushed.spoilt(SPOILT_PUSH_STATES)?))
}

fn asked(variable: &str, otherwise: usize) -> Result<usize> {
    let Ok(value) = env::var(variable) else { return Ok(otherwise) };
    value.parse().with_context(|| format!("{variable}={value:?} is not a number"))
}
