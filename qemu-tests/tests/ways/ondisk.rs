//! What is on the disk, started without a network.

use crate::lab::{LABEL, Lab, failure, machine};
use anyhow::Result;
use qemu_tests::{Disk, Fault, Machine, Misbehaviour, deadline, environment};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// What a connection brings before it stalls: some of the content.
const STALL_AFTER_BYTES: u64 = 200_000;

/// A machine without a card that is to boot what is on its disks.
fn boots(disks: &[Disk], more: &str) -> Result<Machine> {
    let line = format!("inaugurator.mode=boot inaugurator.onfail=poweroff {more}");
    let (kernel, init) = (environment::kernel()?, environment::init()?);
    let (disks, nics) = (disks.to_vec(), vec![]);
    Ok(Machine { memory_mib: 256, disks, nics, ..Machine::direct(kernel, init, &line) })
}

/// Runs a machine that must say this and start nothing.
fn refuses(disks: &[Disk], expected: &str) -> Result<()> {
    let console = failure(&mut boots(disks, "")?.start()?)?;
    // The screen wraps long lines; what is said is the same.
    let flat = |text: &str| text.split_whitespace().collect::<String>();
    assert!(flat(&console).contains(&flat(expected)), "not said: {expected}\n{console}");
    assert!(!console.contains("kexec: starting"), "{console}");
    Ok(())
}

#[test]
fn what_is_on_the_disk_is_started_without_a_network_and_only_if_it_is_proven() -> Result<()> {
    let lab = Lab::new()?;
    let proven = Disk { serial: "PROVEN".into(), ..lab.disk("proven", 0)? };
    let cut = Disk { serial: "CUT".into(), ..lab.disk("cut", 0)? };
    let store = lab.serve(vec![])?;
    let mut deploys = Machine {
        disks: vec![proven.clone()],
        ..machine(&store, LABEL, "inaugurator.then=poweroff")?
    }
    .start()?;
    deploys.expect("the disk boots by itself", deadline::INAUGURATE)?;
    deploys.wait_exit(deadline::POWER_OFF)?;
    let before = std::fs::read(&proven.file)?;

    let stall = Misbehaviour::always("packs/", Fault::Stall { after_bytes: STALL_AFTER_BYTES });
    let stalling = lab.serve(vec![stall])?;
    let mut killed =
        Machine { disks: vec![cut.clone()], ..machine(&stalling, LABEL, "")? }.start()?;
    stalling.wait_spoilt(deadline::INAUGURATE)?;
    killed.kill()?;
    refuses(std::slice::from_ref(&cut), "unfinished deployment of lab/first: not bootable")?;

    // The only one that boots needs no predicate.
    let both = [cut, proven.clone()];
    let mut started = boots(&both, "inaugurator.append=\"said=later\"")?.start()?;
    let line = started.expect_line("kexec: kernel ", deadline::INAUGURATE)?;
    assert!(line.ends_with(&format!("{} said=later", lab.image.cmdline())), "{line}");
    started.expect(&lab.image.greeting()[..], deadline::INAUGURATE)?;
    started.wait_exit(deadline::POWER_OFF)?;
    assert!(started.console().text().contains("kexec: starting the disk's kernel"));
    assert!(std::fs::read(&proven.file)? == before, "something was written");

    // As the last moment before a disk is whole leaves it: all is there but its first sector.
    File::options().write(true).open(&proven.file)?.write_all_at(&[0; 512], 0)?;
    refuses(&[proven], "unfinished deployment of lab/first: not bootable")
}
