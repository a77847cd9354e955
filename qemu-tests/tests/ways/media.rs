//! Machines without any network card, booted from a stick or a CD-ROM of ours.

use crate::lab::{LABEL, Lab};
use anyhow::{Context, Result, ensure};
use qemu_tests::{Ailment, Bus, Disk, Firmware, Machine, Running, deadline, environment};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// What is told beside what the medium says of itself.
const TOLD: &str = "inaugurator.onfail=poweroff panic=-1";

/// Runs `inaug media` with our own kernel; returns what it answers.
fn media(lab: &Lab, output: &Path, labels: &[&str], more: &[&str]) -> Result<serde_json::Value> {
    let mut command = Command::new(environment::inaug()?);
    command.args(["--json", "media"]).args(labels).arg("--store").arg(lab.store());
    command.arg("--kernel").arg(environment::kernel()?);
    command.arg("--initramfs").arg(environment::init()?);
    command.arg("-o").arg(output).args(more);
    if !more.contains(&"--append") {
        command.args(["--append", TOLD]);
    }
    let made = command.output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    serde_json::from_slice(&made.stdout).context("what inaug media answers")
}

/// A machine that boots from `medium`, and has `disk`.
fn machine(firmware: Firmware, medium: Disk, disk: Option<&Disk>) -> Machine {
    let medium = Disk { boot_index: Some(0), ..medium };
    let disks = [medium].into_iter().chain(disk.cloned()).collect();
    Machine { name: "no network".into(), firmware, disks, nics: vec![], ..Machine::default() }
}

fn stick(file: &Path) -> Disk {
    Disk { bus: Bus::Usb, serial: "STICK".into(), ..Disk::at(file) }
}

fn disc(file: &Path) -> Disk {
    Disk { bus: Bus::AhciCd, ..Disk::at(file) }
}

/// Boots from the medium up to what the label's PID 1 says; says how long it took.
fn inaugurates(lab: &Lab, firmware: Firmware, medium: Disk, greeting: &str) -> Result<()> {
    let what = format!("{:?} by {firmware:?}", medium.bus);
    let disk = lab.disk("disk", 0)?;
    let power_on = Instant::now();
    let mut running = machine(firmware, medium, Some(&disk)).start()?;
    running.expect("init: inaugurator", deadline::INAUGURATE)?;
    let pid_1 = power_on.elapsed();
    running.expect("store: medium ", deadline::INAUGURATE)?;
    let store = power_on.elapsed();
    running.expect(greeting, deadline::INAUGURATE)?;
    let up = power_on.elapsed();
    running.wait_exit(deadline::POWER_OFF)?;
    println!(
        "{what}: PID 1 after {:.1} s, the medium after {:.1} s, the label's PID 1 after {:.1} s",
        pid_1.as_secs_f64(),
        store.as_secs_f64(),
        up.as_secs_f64()
    );
    Ok(())
}

#[test]
fn a_stick_inaugurates_a_machine_by_bios_and_by_uefi() -> Result<()> {
    let lab = Lab::new()?;
    let image = lab.path("usb.img");
    println!("usb.img: {}", media(&lab, &image, &[LABEL], &[])?);
    let before = fs::read(&image)?;
    for firmware in [Firmware::SeaBios, Firmware::Ovmf] {
        inaugurates(&lab, firmware, stick(&image), &lab.image.greeting())?;
        ensure!(fs::read(&image)? == before, "the stick was written to");
    }
    Ok(())
}

#[test]
fn a_cd_rom_inaugurates_a_machine_by_bios_and_by_uefi() -> Result<()> {
    let lab = Lab::new()?;
    let image = lab.path("boot.iso");
    // Nobody is there; nobody has to be.
    let chain = ["--store-chain", "http://192.0.2.1/store"];
    println!("boot.iso: {}", media(&lab, &image, &[LABEL], &chain)?);
    for firmware in [Firmware::SeaBios, Firmware::Ovmf] {
        inaugurates(&lab, firmware, disc(&image), &lab.image.greeting())?;
    }
    Ok(())
}

/// A machine that boots our kernel directly, and has these disks and nothing else.
fn told(disks: Vec<Disk>, more: &str) -> Result<Running> {
    let (kernel, init) = (environment::kernel()?, environment::init()?);
    let line = format!("inaugurator.store=medium inaugurator.label={LABEL} {TOLD} {more}");
    let direct = Machine::direct(kernel, init, &line);
    Machine { disks, nics: vec![], memory_mib: 256, ..direct }.start()
}

/// Waits until it failed; all of `words` must be on its console.
fn refuses(mut running: Running, words: &[&str]) -> Result<()> {
    let console = crate::lab::failure(&mut running)?;
    // The screen wraps long lines; what is said is the same.
    let flat: String = console.split_whitespace().collect();
    for word in words {
        let wanted: String = word.split_whitespace().collect();
        ensure!(flat.contains(&wanted), "not said: {word}\n{console}");
    }
    Ok(())
}

#[test]
fn a_medium_is_never_written_to_whatever_is_said() -> Result<()> {
    let lab = Lab::new()?;
    let image = lab.path("usb.img");
    let made = media(&lab, &image, &[LABEL], &[])?;
    let before = fs::read(&image)?;
    let sentence = "it is a medium that carries a store (file system INAUG-STORE)";
    // Disks that may come late are waited for: both machines at once.
    let alone = told(vec![Disk { read_only: true, ..stick(&image) }], "")?;
    let disk = lab.disk("disk", 0)?;
    let named = "inaugurator.disk=/dev/sda,removable=yes inaugurator.wipe=00000000";
    let other = lab.path("other.img");
    fs::copy(&image, &other)?;
    let named = told(vec![stick(&other), disk.clone()], named)?;
    refuses(alone, &["no disk matches any disk", sentence])?;
    refuses(named, &["/dev/sda", sentence])?;
    // Two of them: which one is meant is for a person to say.
    let two = vec![stick(&image), stick(&other), disk];
    let id = made["id"].as_str().context("the answer has no id")?;
    refuses(told(two, "")?, &["2 media carry a store", "/dev/sda3", "/dev/sdb3", id])?;
    for image in [image, other] {
        ensure!(fs::read(image)? == before, "the stick was written to");
    }
    Ok(())
}

#[test]
fn a_refreshed_stick_has_the_new_label_and_not_the_old_one() -> Result<()> {
    let lab = Lab::new()?;
    let next = lab.image.next();
    lab.push("lab/next", &next)?;
    let image: PathBuf = lab.path("usb.img");
    media(&lab, &image, &[LABEL], &[])?;
    let refreshed = media(&lab, &image, &["lab/next"], &["--refresh", "--remove"])?;
    ensure!(refreshed["removed"] == serde_json::json!([LABEL]), "{refreshed}");
    println!("refreshed: {refreshed}");
    inaugurates(&lab, Firmware::SeaBios, stick(&image), &next.greeting())?;
    // The old one is not on it.
    let told = told(vec![stick(&image), lab.disk("disk", 0)?], "")?;
    refuses(told, &["no such label: lab/first"])
}

/// What a stick gives in a second, where it is to be pulled out in the middle, bytes.
const SLOW: u64 = 4 << 20;

#[test]
fn a_stick_that_is_pulled_out_in_the_middle_is_said_so() -> Result<()> {
    let lab = Lab::new()?;
    let image = lab.path("usb.img");
    media(&lab, &image, &[LABEL], &[])?;
    let slow = Some(Ailment::Slow { bytes_per_s: SLOW });
    let disk = lab.disk("disk", 0)?;
    let disks = vec![Disk { ailment: slow, ..stick(&image) }, disk.clone()];
    let mut running = told(disks, "")?;
    running.wait_written(1, 1 << 20, deadline::INAUGURATE)?;
    running.monitor().execute("device_del", &serde_json::json!({"id": "disk0-device"}))?;
    refuses(running, &["expected the medium in its place, found that it was pulled out"])?;
    ensure!(crate::lab::cannot_boot(&disk.file)?, "the disk looks bootable");
    Ok(())
}
