//! Machines that lose power while they deploy a tree.

use crate::lab::{machine, push_tree};
use crate::outside::is_pristine;
use crate::steps::{Steps, alone, fetched, wait_deployed};
use anyhow::{Context, Result, ensure};
use qemu_tests::{
    Ailment, Disk, Fault, Firmware, Machine, Misbehaviour, StaticServer, TestImage, deadline,
    environment,
};
use std::fs;
use std::path::Path;

/// Room for the test image's files twice, and for a data partition.
const DISK_BYTES: u64 = 448 << 20;

/// Content is kept on the data partition too, which is cut off as well.
const LOCAL_STORE: &str = "inaugurator.data-size=64Mi inaugurator.local-store=48Mi";

/// A moment at which a machine loses power, besides the one when its store stalls.
struct Cut {
    phase: &'static str,
    /// What the machine says just before.
    says: &'static str,
    /// What the disk passes in a second, where that makes the phase long enough to be met.
    bytes_per_s: Option<u64>,
    /// It may have come to its end before the power was gone.
    may_be_done: bool,
}

// Everything is staged and being made durable; after that it is put in place.
const COMMIT: Cut =
    Cut { phase: "commit", says: "write: 100%", bytes_per_s: Some(4 << 20), may_be_done: false };
const VERIFY: Cut =
    Cut { phase: "verify", says: " removed in ", bytes_per_s: None, may_be_done: false };
const SETTLE: Cut =
    Cut { phase: "settle", says: "verify: the disk ", bytes_per_s: None, may_be_done: true };

/// What a connection brings before it stalls: some objects of what a label adds to another.
const STALL_AFTER_BYTES: u64 = 200_000;

#[test]
fn a_machine_that_is_cut_off_in_any_phase_boots_nothing_and_then_goes_on() -> Result<()> {
    let work = tempfile::tempdir()?;
    let store = work.path().join("store");
    let image = TestImage::of(environment::kernel()?, environment::witness()?);
    let disk = Disk::empty(work.path().join("disk"), DISK_BYTES)?;
    // The second one onto a disk that boots the first.
    let next = image.next();
    let all: [(&str, &TestImage, &[Cut]); 2] =
        [("lab/first", &image, &[VERIFY]), ("lab/next", &next, &[COMMIT, VERIFY, SETTLE])];
    for (label, image, cuts) in all {
        let tree = work.path().join(label);
        make_tree(image, &tree)?;
        push_tree(&store, label, &tree)?;
        let mut steps = Steps::begin();
        cut_in_stage(&store, label, &disk)?;
        boots_nothing_or(&disk, None)?;
        steps.done("cut off in stage; boots nothing");
        let server = StaticServer::of(&store)?;
        for &Cut { phase, says, bytes_per_s, may_be_done } in cuts {
            let ailment = bytes_per_s.map(|bytes_per_s| Ailment::Slow { bytes_per_s });
            let mut cut = told(&server, label, &Disk { ailment, ..disk.clone() })?.start()?;
            cut.expect(says, deadline::INAUGURATE)?;
            cut.kill()?;
            let may_boot = may_be_done.then(|| image.greeting());
            boots_nothing_or(&disk, may_boot.as_deref())?;
            steps.done(&format!("cut off in {phase}; boots nothing that is not whole"));
        }
        let plan = wait_deployed(&mut told(&server, label, &disk)?.start()?)?;
        let objects = fetched(&plan).context("the plan does not say what it fetches")?;
        ensure!(objects == 0, "{objects} objects were fetched again: {plan:?}");
        is_pristine(&disk, &tree, None)?;
        let mut uefi = alone(Firmware::Ovmf, &disk).start()?;
        uefi.expect(&image.greeting()[..], deadline::INAUGURATE)?;
        uefi.wait_exit(deadline::POWER_OFF)?;
        steps.done("went on to its end, and boots from its disk");
    }
    Ok(())
}

fn told(store: &StaticServer, label: &str, disk: &Disk) -> Result<Machine> {
    let told = machine(store, label, &format!("{LOCAL_STORE} inaugurator.then=poweroff"))?;
    Ok(Machine { disks: vec![disk.clone()], ..told.on_uefi() })
}

/// The test image's files and the boot loader of the Debian tree.
fn make_tree(image: &TestImage, tree: &Path) -> Result<()> {
    const LOADER: &str = "usr/lib/systemd/boot/efi/systemd-bootx64.efi";
    image.write_tree(tree)?;
    let loader = tree.join(LOADER);
    fs::create_dir_all(loader.parent().context("a path of several names")?)?;
    fs::copy(environment::tree()?.join(LOADER), loader)?;
    Ok(())
}

/// A machine whose store stalls, killed when content has come.
fn cut_in_stage(store: &Path, label: &str, disk: &Disk) -> Result<()> {
    let stall = Misbehaviour::always("packs/", Fault::Stall { after_bytes: STALL_AFTER_BYTES });
    let store = StaticServer::misbehaving(store, vec![stall])?;
    let mut cut = told(&store, label, disk)?.start()?;
    store.wait_spoilt(deadline::INAUGURATE)?;
    cut.kill()
}

/// Neither firmware finds a system, or it is the whole one that greets so.
fn boots_nothing_or(disk: &Disk, greeting: Option<&str>) -> Result<()> {
    let mut bios = alone(Firmware::SeaBios, disk).start()?;
    bios.expect_all(&["inaugurator: this disk ", "No bootable device"], deadline::BOOT)?;
    bios.kill()?;
    let mut uefi = alone(Firmware::Ovmf, disk).start()?;
    let seen = uefi.expect(["UEFI Interactive Shell", "witness: root file"], deadline::BOOT)?;
    let whole = greeting.is_some_and(|greeting| seen.line.ends_with(greeting));
    ensure!(seen.which == 0 || whole, "a disk that is not finished booted: {}", seen.line);
    Ok(())
}
