//! What machines of these tests do, and how long it took them.

use anyhow::{Result, ensure};
use qemu_tests::{Disk, Firmware, Machine, Running, Shell, deadline};
use std::time::Instant;

/// Says of each step how long it took; shown where output is.
pub(crate) struct Steps(Instant);

impl Steps {
    pub(crate) fn begin() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn done(&mut self, what: &str) {
        println!("{:>6.1} s  {what}", self.0.elapsed().as_secs_f64());
        self.0 = Instant::now();
    }
}

/// A machine that has nothing but its disk to boot from.
pub(crate) fn alone(firmware: Firmware, disk: &Disk) -> Machine {
    // Without a card: firmware that finds nothing to boot would try the network for minutes.
    let (disks, nics) = (vec![disk.clone()], vec![]);
    Machine { name: "plain".into(), firmware, disks, nics, memory_mib: 512, ..Machine::default() }
}

/// Waits for a login prompt, and for the system to say that everything has started.
pub(crate) fn wait_up(machine: &mut Running) -> Result<()> {
    machine.expect_all(&["login:", ", failed units: "], deadline::DEBIAN)?;
    let console = machine.console().text();
    ensure!(console.contains("demo: system is running, failed"), "{console}");
    Ok(())
}

/// Boots a Debian from its disk up to a shell of root's.
pub(crate) fn boot_and<T>(
    firmware: Firmware,
    disk: &Disk,
    talk: impl FnOnce(&mut Shell<'_>) -> Result<T>,
) -> Result<T> {
    let mut machine = alone(firmware, disk).start()?;
    wait_up(&mut machine)?;
    let mut shell = Shell::log_in(&mut machine, "inaugurator")?;
    let said = talk(&mut shell)?;
    shell.power_off()?;
    Ok(said)
}

/// Waits until the machine has deployed its label and turned itself off; returns the lines of its
/// plan.
pub(crate) fn wait_deployed(machine: &mut Running) -> Result<Vec<String>> {
    machine.expect("the disk boots by itself", deadline::INAUGURATE)?;
    machine.wait_exit(deadline::POWER_OFF)?;
    let console = machine.console().text();
    Ok(plan(&console))
}

/// The lines of the plan, without the time before them, and without those of its progress.
fn plan(console: &str) -> Vec<String> {
    let lines = console.lines().filter_map(|line| Some(line.split_once("plan: ")?.1.to_owned()));
    lines.filter(|line| !line.contains(" looked through, ")).collect()
}

/// The number of objects that a plan fetches.
pub(crate) fn fetched(plan: &[String]) -> Option<u64> {
    let line = plan.iter().find_map(|line| line.strip_prefix("fetch"))?;
    line.split_whitespace().next()?.parse().ok()
}
