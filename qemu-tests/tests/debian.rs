//! A real Debian, from an empty disk to its login prompt.

mod lab;

use anyhow::Result;
use lab::{machine, push};
use qemu_tests::{Disk, Firmware, Machine, StaticServer, deadline, environment};

#[test]
fn a_machine_with_256_mib_inaugurates_a_2_gib_debian_and_a_reset_boots_it_too() -> Result<()> {
    let work = tempfile::tempdir()?;
    let store = work.path().join("store");
    push(&store, "debian/12/demo", &environment::debian()?)?;
    let store = StaticServer::of(&store)?;
    let disk = Disk::empty(work.path().join("disk"), 3 << 30)?;
    let mut cold = Machine {
        memory_mib: 256,
        disks: vec![disk.clone()],
        ..machine(&store, "debian/12/demo", "")?
    }
    .start()?;
    cold.expect("kexec: starting the deployed kernel", deadline::INAUGURATE)?;
    let up = ["login:", "demo: system is running, failed units: none"];
    cold.expect_all(&up, deadline::DEBIAN)?;
    cold.kill()?;

    let mut plain = Machine {
        disks: vec![disk],
        firmware: Firmware::SeaBios,
        memory_mib: 512,
        ..Machine::default()
    }
    .start()?;
    plain.expect("login:", deadline::DEBIAN)?;
    plain.kill()
}

/// The next label is the same Debian with its updates and some packages more: less than half of
/// a cold deployment, which takes 160 MB.
const NEXT_MAX_BYTES: u64 = 80_000_000;

#[test]
fn a_machine_with_256_mib_takes_the_next_debian_and_fetches_only_what_is_new() -> Result<()> {
    let work = tempfile::tempdir()?;
    let store = work.path().join("store");
    push(&store, "debian/12/demo", &environment::debian()?)?;
    push(&store, "debian/12/next", &environment::debian_next()?)?;
    let store = StaticServer::of(&store)?;
    let disk = Disk::empty(work.path().join("disk"), 3 << 30)?;
    let told = |label: &str, more: &str| -> Result<Machine> {
        let disks = vec![disk.clone()];
        Ok(Machine { memory_mib: 256, disks, ..machine(&store, label, more)? })
    };
    let mut first = told("debian/12/demo", "inaugurator.then=poweroff")?.start()?;
    first.expect("the disk boots by itself", deadline::INAUGURATE)?;
    first.wait_exit(deadline::POWER_OFF)?;
    store.forget();
    let mut next = told("debian/12/next", "")?.start()?;
    let line = next.expect_line("plan: move", deadline::INAUGURATE)?;
    assert!(!line.contains("move    0 objects"), "{line}");
    next.expect("kexec: starting the deployed kernel", deadline::INAUGURATE)?;
    assert!(store.bytes() < NEXT_MAX_BYTES, "{} bytes", store.bytes());
    next.expect_all(&["login:", "demo: system is running, failed units: none"], deadline::DEBIAN)?;
    next.kill()
}
