//! A real Debian as a tree: deployed, booted by its own boot loader, dirtied, and put right.

use crate::dirt::dirty;
use crate::lab::{machine, push_tree};
use crate::outside::{is_pristine, read};
use crate::steps::{Steps, alone, boot_and, fetched, wait_deployed, wait_up};
use anyhow::{Context, Result, ensure};
use qemu_tests::{Disk, Firmware, Machine, StaticServer, deadline, environment};
use std::fs;
use std::path::Path;
use std::process::Command;

const FIRST: &str = "debian/12/first";
const NEXT: &str = "debian/12/next";

/// Room for the tree twice: what is dirt, and what is staged.
const DISK_BYTES: u64 = 2 << 30;

/// What is to survive every label, and the file in it.
const KEPT: &str = "srv/kept/";
const KEPT_FILE: &str = "srv/kept/results";

/// Objects that a dirtied machine may have to fetch: what was deleted or overwritten there and is
/// nowhere else on its disk. The whole label has some 15,000.
const DIRT_MAX_OBJECTS: u64 = 150;

/// A file of the machine's own, with its digest.
const OWN_FILE: &str = "etc/own-file";
const OWN: &str = "of this machine\n";
const OWN_DIGEST: &str = "05ca47727e6dd2e56a01c452b8c660b4611921f54063088f2d715a742a33d8df";

#[test]
fn a_debian_tree_boots_by_systemd_boot_and_a_dirtied_one_is_made_pristine_or_the_next() -> Result<()>
{
    let work = tempfile::tempdir()?;
    let (first, next) = (environment::tree()?, environment::tree_next()?);
    let mut steps = Steps::begin();
    let store = work.path().join("store");
    push_tree(&store, FIRST, &first)?;
    push_tree(&store, NEXT, &next)?;
    let store = StaticServer::of(&store)?;
    steps.done("pushed two labels");
    let disk = Disk::empty(work.path().join("disk"), DISK_BYTES)?;
    let told = |label: &str, disk: &Disk, more: &str| -> Result<Machine> {
        let more = format!("inaugurator.keep={} {more}", KEPT.trim_end_matches('/'));
        let told = Machine { disks: vec![disk.clone()], ..machine(&store, label, &more)? };
        Ok(told.on_uefi())
    };

    let mut cold = told(FIRST, &disk, "")?.start()?;
    cold.expect("kexec: starting the deployed kernel", deadline::INAUGURATE)?;
    steps.done("onto an empty disk");
    wait_up(&mut cold)?;
    cold.kill()?;
    steps.done("kexec into it, to its login prompt");

    boot_and(Firmware::Ovmf, &disk, |shell| {
        steps.done("booted by UEFI and systemd-boot from its disk");
        shell.run(&format!("mkdir -p /{KEPT} && echo precious >/{KEPT_FILE}"))?;
        dirty(shell)
    })?;
    let copy = Disk::at(work.path().join("copy"));
    copy_sparse(&disk.file, &copy.file)?;
    steps.done("dirtied and shut down");

    store.forget();
    let mut again = told(FIRST, &disk, "inaugurator.then=poweroff")?.start()?;
    let plan = wait_deployed(&mut again)?;
    println!("{}\n{} bytes from the store", plan.join("\n"), store.bytes());
    let objects = fetched(&plan).context("the plan does not say what it fetches")?;
    ensure!(objects <= DIRT_MAX_OBJECTS, "{objects} objects were fetched");
    steps.done("the same label again");
    is_pristine(&disk, &first, Some(KEPT))?;
    ensure!(read(&disk, KEPT_FILE)? == "precious\n", "{KEPT_FILE} is not what it was");
    steps.done("compared from outside");

    store.forget();
    let mut newer = told(NEXT, &copy, "inaugurator.then=poweroff")?.start()?;
    let plan = wait_deployed(&mut newer)?;
    println!("{}\n{} bytes from the store", plan.join("\n"), store.bytes());
    steps.done("the next label, onto the dirt");
    is_pristine(&copy, &next, Some(KEPT))?;
    ensure!(read(&copy, KEPT_FILE)? == "precious\n", "{KEPT_FILE} is not what it was");
    steps.done("compared from outside");
    let mut booted = alone(Firmware::Ovmf, &copy).start()?;
    wait_up(&mut booted)?;
    booted.kill()?;
    steps.done("booted by UEFI and systemd-boot from its disk");
    Ok(())
}

#[test]
fn a_debian_tree_boots_by_grub_where_there_is_a_bios() -> Result<()> {
    let work = tempfile::tempdir()?;
    let tree = environment::tree_grub()?;
    let mut steps = Steps::begin();
    let store = work.path().join("store");
    push_tree(&store, FIRST, &tree)?;
    fs::write(store.join("own"), OWN)?;
    let store = StaticServer::of(&store)?;
    steps.done("pushed");
    let disk = Disk::empty(work.path().join("disk"), DISK_BYTES)?;
    let own = format!("inaugurator.file=/{OWN_FILE}={}/own,blake3={OWN_DIGEST}", store.guest_url());
    let mut cold =
        Machine { disks: vec![disk.clone()], ..machine(&store, FIRST, &own)? }.start()?;
    cold.expect("/own, its digest is right", deadline::INAUGURATE)?;
    cold.expect("kexec: starting the deployed kernel", deadline::INAUGURATE)?;
    steps.done("onto an empty disk");
    // Not yet running: what its system writes is not the label's.
    cold.kill()?;
    is_pristine(&disk, &tree, Some(OWN_FILE))?;
    ensure!(read(&disk, OWN_FILE)? == OWN, "{OWN_FILE} is not what was given");
    steps.done("compared from outside");
    let mut plain = alone(Firmware::SeaBios, &disk).start()?;
    wait_up(&mut plain)?;
    plain.kill()?;
    steps.done("booted by BIOS and GRUB from its disk");
    Ok(())
}

/// `std::fs::copy` would fill the holes.
fn copy_sparse(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("--sparse=always").args([from, to]).status()?;
    ensure!(copied.success(), "cp of {} failed", from.display());
    Ok(())
}
