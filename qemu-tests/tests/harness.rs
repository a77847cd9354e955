//! The harness tried on machines: if these fail, no other QEMU test means much.

use anyhow::Result;
use qemu_tests::{
    Bus, Disk, Firmware, Format, Machine, Nic, NicModel, TestImage, deadline, environment, newc,
};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

const BUSES: [Bus; 4] = [Bus::VirtioBlk, Bus::Nvme, Bus::Ahci, Bus::VirtioScsi];

/// A directory with the witness packed as an initramfs.
fn witness() -> Result<(TempDir, PathBuf)> {
    let work = tempfile::tempdir()?;
    let initrd = work.path().join("witness.img");
    fs::write(&initrd, newc(&fs::read(environment::witness()?)?)?)?;
    Ok((work, initrd))
}

#[test]
fn a_machine_boots_the_witness_and_ends() -> Result<()> {
    let (_work, initrd) = witness()?;
    let mut machine = Machine {
        name: "witness".into(),
        memory_mib: 256,
        ..Machine::direct(environment::kernel()?, initrd, "harness.word=here")
    }
    .start()?;
    machine.expect_all(&["Command line: ", "Linux version"], deadline::BOOT)?;
    let seen = machine.expect(["never said", "witness: up"], deadline::BOOT)?;
    assert_eq!(seen.which, 1);
    let line = machine.expect_line("no root=", deadline::BOOT)?;
    assert_eq!(line, "witness: no root= to look at");
    machine.wait_exit(deadline::POWER_OFF)?;
    let console = machine.console().text();
    assert!(
        console.contains(
            "witness: up, cmdline=console=ttyS0 panic=-1 no_timer_check harness.word=here"
        ),
        "{console}"
    );
    Ok(())
}

#[test]
fn the_witness_reads_the_root_of_a_test_image_on_every_bus() -> Result<()> {
    let (work, initrd) = witness()?;
    let image = TestImage::of(environment::kernel()?, environment::witness()?).next();
    let file = work.path().join("image.raw");
    image.write(&file)?;
    for bus in BUSES {
        let mut machine = Machine {
            name: format!("{bus:?}"),
            disks: vec![Disk { bus, serial: "S1".into(), ..Disk::at(&file) }],
            ..Machine::direct(environment::kernel()?, &initrd, &image.cmdline())
        }
        .start()?;
        let line = machine.expect_line("/etc/witness says", deadline::BOOT)?;
        assert_eq!(line, format!("witness: root file /etc/witness says {}", image.greeting()));
        machine.wait_exit(deadline::POWER_OFF)?;
    }
    Ok(())
}

#[test]
fn a_failed_expectation_shows_the_whole_console() -> Result<()> {
    let (_work, initrd) = witness()?;
    let direct = |cmdline| -> Result<Machine> {
        Ok(Machine::direct(environment::kernel()?, &initrd, cmdline))
    };
    let mut ended = direct("")?.start()?;
    let error = ended.expect("login:", deadline::BOOT).unwrap_err().to_string();
    assert!(error.contains(r#"ended without saying ["login:"]"#), "{error}");
    assert!(error.contains("Linux version") && error.contains("witness: up"), "{error}");

    let mut panicked = direct("rdinit=/absent init=/absent")?.start()?;
    let error = panicked.expect("login:", deadline::BOOT).unwrap_err().to_string();
    assert!(error.contains(r#"panicked; expected ["login:"]"#), "{error}");
    Ok(())
}

#[test]
fn every_device_is_one_that_qemu_has() -> Result<()> {
    let work = tempfile::tempdir()?;
    let qcow2 = work.path().join("a,comma.qcow2");
    assert!(
        Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2"])
            .arg(&qcow2)
            .arg("1M")
            .status()?
            .success()
    );
    let blank = |name: &str| Disk::empty(work.path().join(name), 1 << 20);
    let mut machine = Machine {
        firmware: Firmware::Ovmf,
        disks: vec![
            Disk { format: Format::Qcow2, ..Disk::at(&qcow2) },
            Disk { read_only: true, ..blank("read-only")? },
            Disk { sector_size: 4096, ..blank("virtio-4k")? },
            Disk { sector_size: 4096, bus: Bus::Nvme, ..blank("nvme-4k")? },
            Disk { sector_size: 4096, bus: Bus::VirtioScsi, ..blank("scsi-4k")? },
            Disk { bus: Bus::Ahci, ..blank("ahci")? },
            Disk { bus: Bus::Ahci, ..blank("ahci-too")? },
        ],
        nics: vec![
            Nic::of(NicModel::VirtioNet),
            Nic { restrict: true, ..Nic::of(NicModel::E1000) },
            Nic { options: "net=10.9.0.0/24".into(), ..Nic::of(NicModel::E1000e) },
            Nic {
                mac: "52:54:00:00:00:09".into(),
                netdev: Some("hubport,hubid=7".into()),
                ..Nic::default()
            },
        ],
        clock: Some("1970-01-01T00:00:10".into()),
        ..Machine::default()
    }
    .start()?;
    machine.reset()?;
    machine.kill()
}

#[test]
fn qemu_that_does_not_start_says_why() {
    let machine = Machine { disks: vec![Disk::at("/absent/disk.raw")], ..Machine::default() };
    let error = format!("{:#}", machine.start().unwrap_err());
    assert!(error.contains("/absent/disk.raw") && error.contains("No such file"), "{error}");
}

#[test]
fn a_machine_can_be_watched_cut_off_reset_and_killed() -> Result<()> {
    let (work, initrd) = witness()?;
    let disks = BUSES.iter().map(|bus| {
        let file = work.path().join(format!("{bus:?}"));
        Ok(Disk { bus: *bus, ..Disk::empty(file, 1 << 20)? })
    });
    let mut machine = Machine {
        disks: disks.collect::<Result<_>>()?,
        reboots: true,
        ..Machine::direct(environment::kernel()?, initrd, "")
    }
    .start()?;
    for disk in 0..BUSES.len() {
        machine.wait_written(disk, 0, deadline::BOOT)?;
    }
    machine.set_cable(0, false)?;
    machine.set_cable(0, true)?;
    machine.expect("Linux version", deadline::BOOT)?;
    machine.reset()?;
    machine.expect("Linux version", deadline::BOOT)?;
    machine.kill()?;
    assert!(machine.expect("witness: off", deadline::POWER_OFF).is_err());
    Ok(())
}

#[test]
fn firmware_says_that_there_is_nothing_to_boot() -> Result<()> {
    let work = tempfile::tempdir()?;
    let disk = Disk::empty(work.path().join("disk"), 1 << 20)?;
    let firmwares =
        [(Firmware::SeaBios, "No bootable device"), (Firmware::Ovmf, "UEFI Interactive Shell")];
    for (firmware, said) in firmwares {
        // Without a card: UEFI would try to boot from the network for minutes.
        let disks = vec![disk.clone()];
        let machine = Machine { firmware, disks, nics: vec![], ..Machine::default() };
        machine.start()?.expect(said, deadline::BOOT)?;
    }
    Ok(())
}
