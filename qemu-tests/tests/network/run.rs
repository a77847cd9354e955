//! Runs cases, some at a time, and says of each how it ended.

use crate::case::{Bench, Case, LABEL, Outcome, Ran, kept, plain};
use crate::lab;
use anyhow::{Context, Result, anyhow, ensure};
use qemu_tests::{Disk, Machine, Nic, Running, deadline, environment};
use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// Cases at a time: most of one is waiting for a timeout or for a machine's firmware.
const AT_A_TIME: usize = 3;

/// RAM of a machine: the kernel, the programs, and buffers of a small label.
const MEMORY_MIB: u32 = 256;

/// Says a line for each case; returns what went wrong.
pub(crate) fn all(bench: &Bench, cases: Vec<Case>) -> Result<Vec<String>> {
    let waiting = Mutex::new(VecDeque::from(cases));
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let began = Instant::now();
    let failed = thread::scope(|scope| {
        let worker = || {
            let mut failed = Vec::new();
            while let Some(case) = next() {
                failed.extend(one(bench, &case).err().map(|error| format!("{error:?}")));
            }
            failed
        };
        let workers: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(worker)).collect();
        let mut failed = Vec::new();
        for worker in workers {
            failed.extend(worker.join().map_err(|panic| anyhow!("a case panicked: {panic:?}"))?);
        }
        anyhow::Ok(failed)
    })?;
    println!("network: {:.0} s", began.elapsed().as_secs_f64());
    Ok(failed)
}

fn one(bench: &Bench, case: &Case) -> Result<()> {
    let began = Instant::now();
    let result = run(bench, case);
    let seconds = began.elapsed().as_secs_f64();
    let ended = if result.is_ok() { "as expected" } else { "NOT AS EXPECTED" };
    println!("{seconds:>6.1} s  {:<52} {:?}, {ended}", case.name, case.outcome);
    let capture = kept(case.name, "pcap")?;
    result.with_context(|| format!("case {:?}, wire in {}", case.name, capture.display()))
}

fn run(bench: &Bench, case: &Case) -> Result<()> {
    let mut network = case.network.clone();
    network.capture = Some(kept(case.name, "pcap")?);
    let wire = network.start()?;
    let file = bench.path(&format!("{}.disk", plain(case.name)));
    let disk = Disk::empty(&file, fs::metadata(bench.raw())?.len())?;
    let told = format!(
        "inaugurator.store={} inaugurator.label={LABEL} inaugurator.onfail=poweroff \
         inaugurator.then=poweroff {}",
        case.url, case.told
    );
    let init = case.init.clone().map_or_else(environment::init, Ok)?;
    let mut machine = Machine {
        name: case.name.to_owned(),
        memory_mib: MEMORY_MIB,
        disks: vec![disk],
        nics: (0..network.ports.len())
            .map(|port| Nic { model: case.model, ..Nic::on_socket(wire.socket(port)) })
            .collect(),
        clock: case.clock.map(str::to_owned),
        ..Machine::direct(environment::kernel()?, init, &told)
    }
    .start()?;
    let ended = (case.act)(&mut machine, &wire).and_then(|()| end(&mut machine));
    let ran = Ran {
        console: machine.console().text(),
        seen: wire.seen(),
        served: case.shelf.served(),
        cuts_left: case.shelf.cuts_left(),
    };
    fs::write(kept(case.name, "console")?, &ran.console)?;
    let judged = ended.and_then(|()| judge(bench, case, &ran, &file));
    wire.stop()?;
    fs::remove_file(&file)?;
    judged.with_context(|| format!("the machine sent {}; served: {:?}", ran.seen, ran.served))
}

/// Waits until all is said: a machine that has failed gives a person 10 s to stop it.
fn end(machine: &mut Running) -> Result<()> {
    machine.expect("init: powering off", deadline::INAUGURATE)?;
    machine.kill()
}

fn judge(bench: &Bench, case: &Case, ran: &Ran, disk: &Path) -> Result<()> {
    // The screen wraps long lines; what is said is the same.
    let flat = |text: &str| -> String { text.split_whitespace().collect() };
    let said = flat(&ran.console);
    for words in case.says {
        ensure!(said.contains(&flat(words)), "not said: {words}\n{}", ran.console);
    }
    let has_failed = ran.console.contains("== FAILED");
    match case.outcome {
        Outcome::Deployed => {
            ensure!(!has_failed, "it failed\n{}", ran.console);
            ensure!(lab::same_but_mark(disk, &bench.raw())?, "other bytes\n{}", ran.console);
        }
        Outcome::Failed => {
            ensure!(has_failed, "it did not fail\n{}", ran.console);
            ensure!(lab::cannot_boot(disk)?, "the disk looks bootable\n{}", ran.console);
        }
    }
    (case.check)(ran).with_context(|| ran.console.clone())
}
