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
