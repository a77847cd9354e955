//! A real Debian image, from an empty disk to its login prompt, and then the next one.

mod lab;

use anyhow::Result;
use lab::{machine, push};
use qemu_tests::{Disk, Firmware, Machine, StaticServer, deadline, environment};

const FIRST: &str = "debian/12/demo";
const NEXT: &str = "debian/12/next";

/// The next label is the same Debian with its updates and some packages more: less than half of
/// a cold deployment, which takes 160 MB.
const NEXT_MAX_BYTES: u64 = 80_000_000;

const UP: [&str; 2] = ["login:", "demo: system is running, failed units: none"];

#[test]
fn a_machine_with_256_mib_inaugurates_a_2_gib_debian_a_reset_boots_it_and_the_next_moves_what_is_new()
-> Result<()> {
    let work = tempfile::tempdir()?;
    let store = work.path().join("store");
    push(&store, FIRST, &environment::debian()?)?;
    push(&store, NEXT, &environment::debian_next()?)?;
    let store = StaticServer::of(&store)?;
    let disk = Disk::empty(work.path().join("disk"), 3 << 30)?;
    let told = |label: &str| -> Result<Machine> {
        let disks = vec![disk.clone()];
        Ok(Machine { memory_mib: 256, disks, ..machine(&store, label, "")? })
    };

    let mut cold = told(FIRST)?.start()?;
    cold.expect("kexec: starting the deployed kernel", deadline::INAUGURATE)?;
    cold.expect_all(&UP, deadline::DEBIAN)?;
    cold.kill()?;

    let mut plain = Machine {
        disks: vec![disk.clone()],
        firmware: Firmware::SeaBios,
        memory_mib: 512,
        ..Machine::default()
    }
    .start()?;
    plain.expect("login:", deadline::DEBIAN)?;
    plain.kill()?;

    // What has run has changed, and is put right as well.
    store.forget();
    let mut next = told(NEXT)?.start()?;
    let line = next.expect_line("plan: move", deadline::INAUGURATE)?;
    assert!(!line.contains("move    0 objects"), "{line}");
    next.expect("kexec: starting the deployed kernel", deadline::INAUGURATE)?;
    assert!(store.bytes() < NEXT_MAX_BYTES, "{} bytes", store.bytes());
    next.expect_all(&UP, deadline::DEBIAN)?;
    next.kill()
}
