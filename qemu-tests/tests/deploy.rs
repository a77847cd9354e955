//! Machines that inaugurate themselves, each test one sentence.

mod lab;

use anyhow::{Result, ensure};
use lab::{LABEL, Lab, machine};
use qemu_tests::{
    Bus, Disk, Fault, Machine, Misbehaviour, Nic, NicModel, StaticServer, deadline, environment,
};
use std::path::Path;
use std::time::{Duration, Instant};

/// More than the ends of a few zero ranges, which are soiled to prove that zeroing works; less
/// than a worker writes at once.
const SOME_BLOCKS: usize = 64;

/// How often the disk is looked at: it is the host's file, which says nothing by itself.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The line init prints of what was fetched.
const FETCH: &str = "plan: fetch";

#[test]
fn every_disk_and_nic_ends_in_the_deployed_system_by_kexec() -> Result<()> {
    let lab = Lab::new()?;
    let store = lab.serve(vec![])?;
    let pairs = [
        (Bus::VirtioBlk, NicModel::VirtioNet),
        (Bus::Nvme, NicModel::E1000),
        (Bus::Ahci, NicModel::E1000e),
    ];
    for (bus, model) in pairs {
        let name = format!("{bus:?}-{model:?}");
        let mut machine = Machine {
            disks: vec![Disk { bus, ..lab.disk(&name, 0)? }],
            nics: vec![Nic::of(model)],
            name,
            ..machine(&store, LABEL, "")?
        }
        .start()?;
        let line = machine.expect_line("/etc/witness says", deadline::INAUGURATE)?;
        assert_eq!(line, format!("witness: root file /etc/witness says {}", lab.image.greeting()));
        machine.wait_exit(deadline::POWER_OFF)?;
    }
    Ok(())
}

#[test]
fn debians_kernel_with_thin_modules_deploys_as_well() -> Result<()> {
    let lab = Lab::new()?;
    let store = lab.serve(vec![])?;
    let (kernel, init) = (environment::debian_kernel()?, environment::init_thin()?);
    let mut machine = Machine {
        disks: vec![Disk { bus: Bus::Nvme, ..lab.disk("nvme", 0)? }],
        ..Machine::direct(kernel, init, &lab::told(&store, LABEL, ""))
    }
    .start()?;
    machine.expect(&lab.image.greeting()[..], deadline::INAUGURATE)?;
    machine.wait_exit(deadline::POWER_OFF)
}

#[test]
fn debians_generic_kernel_with_fat_modules_deploys_to_ahci_over_e1000() -> Result<()> {
    let lab = Lab::new()?;
    let store = lab.serve(vec![])?;
    let (kernel, init) = (environment::generic_kernel()?, environment::init_fat()?);
    let mut machine = Machine {
        memory_mib: 512,
        disks: vec![Disk { bus: Bus::Ahci, ..lab.disk("ahci", 0)? }],
        nics: vec![Nic::of(NicModel::E1000)],
        ..Machine::direct(kernel, init, &lab::told(&store, LABEL, ""))
    }
    .start()?;
    machine.expect(&lab.image.greeting()[..], deadline::INAUGURATE)?;
    machine.wait_exit(deadline::POWER_OFF)
}

#[test]
fn a_static_address_needs_no_dhcp() -> Result<()> {
    let lab = Lab::new()?;
    let store = lab.serve(vec![])?;
    let ip = "ip=10.0.2.77::10.0.2.2:255.255.255.0::eth0:none";
    let mut machine = Machine {
        disks: vec![lab.disk("disk", 0)?],
        ..machine(&store, LABEL, &format!("{ip} inaugurator.then=poweroff"))?
    }
    .start()?;
    let line = machine.expect_line("10.0.2.77/24", deadline::INAUGURATE)?;
    assert!(line.contains("net: "), "{line}");
    machine.expect("the disk boots by itself", deadline::INAUGURATE)?;
    machine.wait_exit(deadline::POWER_OFF)?;
    assert!(lab.holds(&lab.path("disk"), LABEL)?);
    Ok(())
}

#[test]
fn a_predicate_chooses_between_two_disks_and_without_one_nothing_is_written() -> Result<()> {
    let lab = Lab::new()?;
    let store = lab.serve(vec![])?;
    let two = || -> Result<Vec<Disk>> {
        let one = Disk { serial: "ONE".into(), ..lab.disk("one", 0)? };
        Ok(vec![one, Disk { serial: "TWO".into(), ..lab.disk("two", 0)? }])
    };
    let mut ambiguous =
        Machine { disks: two()?, ..machine(&store, LABEL, "inaugurator.then=poweroff")? }
            .start()?;
    let console = lab::failure(&mut ambiguous)?;
    assert!(console.contains("ONE") && console.contains("TWO"), "{console}");
    let untouched = std::fs::read(lab.path("one"))?;
    assert!(untouched.iter().all(|byte| *byte == 0), "something was written");

    let chosen = "inaugurator.disk=serial=TWO inaugurator.then=poweroff";
    let mut chosen = Machine { disks: two()?, ..machine(&store, LABEL, chosen)? }.start()?;
    chosen.expect("the disk boots by itself", deadline::INAUGURATE)?;
    chosen.wait_exit(deadline::POWER_OFF)?;
    assert!(lab.holds(&lab.path("two"), LABEL)?);
    assert!(std::fs::read(lab.path("one"))?.iter().all(|byte| *byte == 0));
    Ok(())
}

#[test]
fn the_same_label_again_fetches_nothing_and_the_next_little() -> Result<()> {
    let lab = Lab::new()?;
    lab.push("lab/next", &lab.image.next())?;
    let store = lab.serve(vec![])?;
    let disk = lab.disk("disk", 0)?;
    let run = |label: &str| -> Result<String> {
        let mut machine = Machine {
            disks: vec![disk.clone()],
            ..machine(&store, label, "inaugurator.then=poweroff")?
        }
        .start()?;
        let line = machine.expect_line(FETCH, deadline::INAUGURATE)?;
        machine.expect("the disk boots by itself", deadline::INAUGURATE)?;
        machine.wait_exit(deadline::POWER_OFF)?;
        assert!(lab.holds(&disk.file, label)?, "{label}");
        Ok(line)
    };
    run(LABEL)?;
    let cold_bytes = store.bytes();
    store.forget();
    let again = run(LABEL)?;
    assert!(again.contains("fetch   0 objects"), "{again}");
    store.forget();
    let next = run("lab/next")?;
    assert!(!next.contains("fetch   0 objects"), "{next}");
    assert!(store.bytes() < cold_bytes * 3 / 4, "{} of {cold_bytes} bytes", store.bytes());
    Ok(())
}

/// Blocks between what is held back at both ends of a disk that are not zeroes.
fn content_blocks(disk: &Path) -> Result<usize> {
    let bytes = std::fs::read(disk)?;
    let content = &bytes[1 << 20..bytes.len() - (1 << 20)];
    Ok(content.chunks(4096).filter(|block| block.iter().any(|byte| *byte != 0)).count())
}

fn wait_content(disk: &Path, blocks: usize) -> Result<()> {
    let end = Instant::now() + deadline::INAUGURATE;
    while content_blocks(disk)? < blocks {
        ensure!(Instant::now() < end, "{} never had {blocks} blocks of content", disk.display());
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

#[test]
fn a_machine_killed_while_writing_ends_byte_identical_when_run_again() -> Result<()> {
    let lab = Lab::new()?;
    let disk = lab.disk("disk", 0)?;
    let told = |store: &StaticServer| -> Result<Machine> {
        let then = "inaugurator.then=poweroff";
        Ok(Machine { disks: vec![disk.clone()], ..machine(store, LABEL, then)? })
    };
    // A worker writes what it has when it is a MiB: each connection brings that before it stalls.
    for after_bytes in [1_200_000, 1_300_000, 1_400_000] {
        // Every connection stalls, so that no machine is done before it is killed.
        let stall = Misbehaviour::always("packs/", Fault::Stall { after_bytes });
        let store = lab.serve(vec![stall])?;
        let before = content_blocks(&disk.file)?;
        let mut machine = told(&store)?.start()?;
        store.wait_spoilt(deadline::INAUGURATE)?;
        wait_content(&disk.file, before + SOME_BLOCKS)?;
        machine.kill()?;
        assert!(lab::cannot_boot(&disk.file)?, "a half-written disk looks bootable");
    }
    let store = lab.serve(vec![])?;
    let mut machine = told(&store)?.start()?;
    let line = machine.expect_line("plan: keep", deadline::INAUGURATE)?;
    assert!(!line.contains("keep    0 objects"), "nothing was kept: {line}");
    machine.expect("the disk boots by itself", deadline::INAUGURATE)?;
    machine.wait_exit(deadline::POWER_OFF)?;
    assert!(lab.holds(&disk.file, LABEL)?);
    Ok(())
}

#[test]
fn a_cut_body_and_a_passing_error_are_ridden_out() -> Result<()> {
    let lab = Lab::new()?;
    let faults = vec![
        Misbehaviour::once("manifests/", Fault::Status(500)),
        Misbehaviour::once("packs/", Fault::CutBody { after_bytes: 100_000 }),
        Misbehaviour::once("packs/", Fault::Status(503)),
        Misbehaviour::once("packs/", Fault::Hangup),
    ];
    let store = lab.serve(faults)?;
    let mut machine = Machine {
        disks: vec![lab.disk("disk", 0)?],
        ..machine(&store, LABEL, "inaugurator.then=poweroff")?
    }
    .start()?;
    machine.expect("the disk boots by itself", deadline::INAUGURATE)?;
    machine.wait_exit(deadline::POWER_OFF)?;
    assert!(lab.holds(&lab.path("disk"), LABEL)?);
    let spoilt: Vec<_> = store.served().into_iter().filter(|served| served.spoilt).collect();
    let met = |path: &str, status: u16, bytes: Option<u64>| {
        spoilt.iter().any(|served| {
            served.path.contains(path)
                && served.status == status
                && bytes.is_none_or(|bytes| served.bytes == bytes)
        })
    };
    assert!(met("manifests/", 500, None), "{spoilt:?}");
    assert!(met("packs/", 206, Some(100_000)), "the cut body: {spoilt:?}");
    assert!(met("packs/", 503, None), "{spoilt:?}");
    assert!(met("packs/", 0, None), "the hang-up: {spoilt:?}");
    assert_eq!(spoilt.len(), 4, "{spoilt:?}");
    Ok(())
}

#[test]
fn a_kernel_that_refuses_kexec_is_left_by_a_reset() -> Result<()> {
    let lab = Lab::new()?;
    let store = lab.serve(vec![])?;
    let mut machine = Machine {
        disks: vec![lab.disk("disk", 0)?],
        ..machine(&store, LABEL, "sysctl.kernel.kexec_load_disabled=1")?
    }
    .start()?;
    machine.expect("the disk boots by itself", deadline::INAUGURATE)?;
    let reason = "the kernel refuses kexec: it was switched off (kernel.kexec_load_disabled=1)";
    machine.expect(reason, deadline::INAUGURATE)?;
    machine.expect("rebooting instead", deadline::INAUGURATE)?;
    machine.wait_exit(deadline::POWER_OFF)?;
    assert!(lab.holds(&lab.path("disk"), LABEL)?);
    Ok(())
}

#[test]
fn a_larger_disk_gets_its_backup_table_at_its_end() -> Result<()> {
    let lab = Lab::new()?;
    let store = lab.serve(vec![])?;
    let mut machine = Machine {
        disks: vec![lab.disk("disk", 100 << 20)?],
        ..machine(&store, LABEL, "inaugurator.then=poweroff")?
    }
    .start()?;
    machine.expect("the disk boots by itself", deadline::INAUGURATE)?;
    machine.wait_exit(deadline::POWER_OFF)?;
    let checked = std::process::Command::new("sgdisk").arg("-v").arg(lab.path("disk")).output()?;
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(said.contains("No problems found"), "{said}");
    Ok(())
}
