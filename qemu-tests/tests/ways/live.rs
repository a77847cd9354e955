//! Labels run from memory: no disk is needed, and none is touched.

use crate::lab::{failure, machine, push, push_tree};
use anyhow::{Result, ensure};
use qemu_tests::{Disk, Machine, Running, StaticServer, TestImage, deadline, environment};
use std::fs;
use std::path::Path;
use std::time::Instant;

const LABEL: &str = "lab/tree";
const IMAGE: &str = "lab/image";
const DEBIAN: &str = "debian/12/demo";

/// Memory for a Debian of 350 MB: it is in memory three times where it is handed to the kernel.
const DEBIAN_MIB: u32 = 2048;

/// A stick's worth of noise that nobody may write to, bytes.
const DISK_BYTES: usize = 8 << 20;

/// A machine that is to run `label` from memory.
fn live(store: &StaticServer, label: &str, more: &str) -> Result<Machine> {
    machine(store, label, &format!("inaugurator.mode=live console=ttyS0 {more}"))
}

/// A test image as a tree with a PID 1 of its own, in a store.
fn store(work: &Path, image: &TestImage) -> Result<StaticServer> {
    let (root, store) = (work.join("root"), work.join("store"));
    image.write_tree(&root)?;
    fs::create_dir(root.join("sbin"))?;
    fs::copy(environment::witness()?, root.join("sbin/init"))?;
    push_tree(&store, LABEL, &root)?;
    StaticServer::of(&store)
}

/// Waits until the root speaks out of memory, by a kernel that was told of no disk.
fn greets(machine: &mut Running, image: &TestImage) -> Result<()> {
    let line = machine.expect_line("kexec: kernel ", deadline::INAUGURATE)?;
    ensure!(line.contains("rdinit=/sbin/init") && !line.contains("root="), "{line}");
    machine.expect(&image.greeting()[..], deadline::INAUGURATE)?;
    machine.wait_exit(deadline::POWER_OFF)
}

#[test]
fn a_label_runs_from_memory_without_a_disk_and_leaves_one_alone() -> Result<()> {
    let work = tempfile::tempdir()?;
    let image = TestImage::of(environment::kernel()?, environment::witness()?);
    let store = store(work.path(), &image)?;
    let started = Instant::now();
    greets(&mut live(&store, LABEL, "")?.start()?, &image)?;
    println!("{:.1} s without a disk", started.elapsed().as_secs_f64());

    let disk = Disk::empty(work.path().join("disk"), DISK_BYTES as u64)?;
    let noise: Vec<u8> = (0..DISK_BYTES).map(|at| (at * 7 % 251) as u8).collect();
    fs::write(&disk.file, &noise)?;
    let with_disk = Machine { disks: vec![disk.clone()], ..live(&store, LABEL, "")? };
    greets(&mut with_disk.start()?, &image)?;
    ensure!(fs::read(&disk.file)? == noise, "something was written to the disk");
    Ok(())
}

#[test]
fn what_does_not_fit_and_what_is_no_tree_is_refused_before_it_is_fetched() -> Result<()> {
    let work = tempfile::tempdir()?;
    let image = TestImage::of(environment::kernel()?, environment::witness()?);
    let store_of = work.path().join("store");
    let root = work.path().join("root");
    image.write_tree(&root)?;
    fs::create_dir(root.join("sbin"))?;
    fs::copy(environment::witness()?, root.join("sbin/init"))?;
    // Of zeroes: long in memory, and nothing in the store.
    fs::File::create(root.join("srv/long"))?.set_len(300 << 20)?;
    push_tree(&store_of, LABEL, &root)?;
    let raw = work.path().join("raw");
    image.write(&raw)?;
    push(&store_of, IMAGE, &raw)?;
    let store = StaticServer::of(&store_of)?;
    let table = [
        (LABEL, "", " of RAM to run live, this machine has "),
        (IMAGE, "", "label lab/image: expected one of kind tree, to be run live, found image"),
        (LABEL, "inaugurator.disk=serial=A", "contradicts inaugurator.mode=live, which touches no"),
    ];
    for (label, more, expected) in table {
        let console = failure(&mut live(&store, label, more)?.start()?)?;
        // The screen wraps long lines; what is said is the same.
        let flat = |text: &str| text.split_whitespace().collect::<String>();
        ensure!(flat(&console).contains(&flat(expected)), "not said: {expected}\n{console}");
        ensure!(!console.contains("kexec: starting"), "{console}");
    }
    Ok(())
}

#[test]
fn a_debian_runs_from_memory_to_its_login_prompt() -> Result<()> {
    let work = tempfile::tempdir()?;
    let store = work.path().join("store");
    push_tree(&store, DEBIAN, &environment::tree()?)?;
    let store = StaticServer::of(&store)?;
    let told = live(&store, DEBIAN, "inaugurator.hostname=live1")?;
    let started = Instant::now();
    let mut debian = Machine { memory_mib: DEBIAN_MIB, ..told }.start()?;
    debian.expect("kexec: starting the label's kernel", deadline::INAUGURATE)?;
    println!("{:.1} s to its kernel", started.elapsed().as_secs_f64());
    debian.expect_all(&["live1 login:", ", failed units: "], deadline::DEBIAN)?;
    println!("{:.1} s to its login prompt", started.elapsed().as_secs_f64());
    let console = debian.console().text();
    for line in console.lines().filter(|line| line.contains("plan: ") || line.contains("verify: "))
    {
        println!("{line}");
    }
    ensure!(console.contains("system is running, failed"), "{console}");
    debian.kill()?;
    Ok(())
}
