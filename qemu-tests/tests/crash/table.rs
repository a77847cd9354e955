//! What the replays have found, as a table.

use anyhow::{Context, Result, anyhow};
use qemu_tests::crash::{Cut, Replayed, WriteLog};
use std::path::Path;
use std::thread::ScopedJoinHandle;
use std::time::Duration;
use std::{env, fs};

/// Violations of one record that are printed and may be kept.
const SHOWN: usize = 5;

/// One record, replayed.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) writes: usize,
    pub(crate) flushes: usize,
    pub(crate) replayed: Replayed,
    /// States that look bootable, or have a label.
    pub(crate) live: usize,
    /// States that were taken up again, to the end.
    pub(crate) resumed: usize,
    pub(crate) violations: Vec<String>,
    pub(crate) took: Duration,
}

impl Row {
    pub(crate) fn new(name: &str, log: &WriteLog) -> Self {
        Self {
            name: name.to_owned(),
            writes: log.writes(),
            flushes: log.flushes(),
            replayed: Replayed::default(),
            live: 0,
            resumed: 0,
            violations: Vec::new(),
            took: Duration::ZERO,
        }
    }

    /// Takes in another part of the same record's states.
    pub(crate) fn add(&mut self, part: Self) {
        self.replayed.states += part.replayed.states;
        self.replayed.distinct += part.replayed.distinct;
        self.live += part.live;
        self.resumed += part.resumed;
        self.violations.extend(part.violations);
    }

    /// Counts a violation, and keeps the first disks where that is asked for.
    pub(crate) fn violation(&mut self, cut: &Cut, disk: &[u8], why: &str) -> Result<()> {
        let Cut { number, done, durable } = cut;
        self.violations.push(format!(
            "{}: state {number}, after {done} requests ({durable} durable): {why}",
            self.name
        ));
        if self.violations.len() <= SHOWN { keep(&self.name, cut, disk) } else { Ok(()) }
    }
}

/// Keeps the state of a violation where `INAUG_CRASH_KEEP` says.
fn keep(name: &str, cut: &Cut, disk: &[u8]) -> Result<()> {
    let Some(directory) = env::var_os("INAUG_CRASH_KEEP") else { return Ok(()) };
    let file = format!("{}-{}-{}", name.replace(' ', "-"), cut.number, cut.done);
    let path = Path::new(&directory).join(file);
    fs::write(&path, disk).with_context(|| format!("keeping {}", path.display()))
}

/// What a thread has found; its panic is a failure like others.
pub(crate) fn join<T>(worker: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    worker.join().unwrap_or_else(|panic| Err(anyhow!("a worker panicked: {panic:?}")))
}

pub(crate) fn print(rows: &[Row], seed: u64) {
    heading();
    rows.iter().for_each(line);
    let states: usize = rows.iter().map(|row| row.replayed.states).sum();
    let violations: usize = rows.iter().map(|row| row.violations.len()).sum();
    println!("crash states: {states} replayed, {violations} violations (seed {seed})");
    for row in rows {
        row.violations.iter().take(SHOWN).for_each(|violation| println!("  {violation}"));
    }
}

pub(crate) fn print_spoilt(rows: &[Row]) {
    println!("the same records with a wrong order of flushes, which has to be noticed:");
    heading();
    for row in rows {
        line(row);
        row.violations.iter().take(1).for_each(|violation| println!("  {violation}"));
    }
}

fn heading() {
    println!(
        "{:<44} {:>6} {:>7} {:>6} {:>8} {:>5} {:>7} {:>10} {:>6}",
        "record", "writes", "flushes", "states", "distinct", "live", "resumed", "violations", "s"
    );
}

fn line(row: &Row) {
    println!(
        "{:<44} {:>6} {:>7} {:>6} {:>8} {:>5} {:>7} {:>10} {:>6.1}",
        row.name,
        row.writes,
        row.flushes,
        row.replayed.states,
        row.replayed.distinct,
        row.live,
        row.resumed,
        row.violations.len(),
        row.took.as_secs_f64(),
    );
}
