//! Disks that fail for real: each ends with the right bytes, or in the sentence that says what
//! is wrong, on a disk that does not boot and that the next deployment puts right.

mod lab;

use anyhow::{Context, Result, ensure};
use lab::{LABEL, Lab, machine};
use qemu_tests::{Access, Ailment, Bus, Disk, Machine, TestImage, deadline, environment};
use serde_json::json;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Instant;

/// Room for the image's files and little else.
const IMAGE_MIB: u64 = 40;

/// Bytes behind this are in the root file system.
const BODY_BYTES: usize = 12 << 20;

/// Enough for a disk to be in the middle of its body.
const SOME_BYTES: u64 = 6 << 20;

/// Machines at once: one that has failed shows its screen for a while before it ends.
const WORKERS: usize = 3;

const EIO: u32 = 5;
const ENOSPC: u32 = 28;

/// What is to come of a fault.
enum Outcome {
    /// The disk holds the label.
    Right,
    /// The machine fails with all of these words.
    Says(&'static [&'static str]),
}

/// A fault, the disk that has it, and what comes of it.
struct Case {
    name: &'static str,
    /// Given a disk and a sector of it that is written.
    disk: fn(Disk, u64) -> Disk,
    outcome: Outcome,
}

fn failing(disk: Disk, what: Access, sector: Option<u64>, once: bool, errno: u32) -> Disk {
    Disk { ailment: Some(Ailment::Fails { what, sector, once, errno }), ..disk }
}

const CASES: [Case; 9] = [
    Case {
        name: "a write fails once",
        disk: |disk, body| failing(disk, Access::Write, Some(body), true, EIO),
        outcome: Outcome::Says(&[
            "FAILED: write",
            "cannot write",
            "/dev/vda",
            "Input/output error",
        ]),
    },
    Case {
        name: "every write fails",
        disk: |disk, _| failing(disk, Access::Write, None, false, EIO),
        outcome: Outcome::Says(&["cannot write", "/dev/vda", "Input/output error"]),
    },
    Case {
        name: "no room on the disk's own medium",
        disk: |disk, body| failing(disk, Access::Write, Some(body), false, ENOSPC),
        outcome: Outcome::Says(&["cannot write", "/dev/vda"]),
    },
    Case {
        name: "a flush fails once",
        disk: |disk, _| failing(disk, Access::Flush, None, true, EIO),
        outcome: Outcome::Says(&["cannot flush /dev/vda", "is not known to be there"]),
    },
    Case {
        name: "a read fails for good",
        disk: |disk, body| failing(disk, Access::Read, Some(body), false, EIO),
        outcome: Outcome::Says(&["cannot read", "/dev/vda", "Input/output error"]),
    },
    Case {
        name: "a read fails in the read-back",
        disk: |disk, body| failing(disk, Access::ReadAfterWrite, Some(body), false, EIO),
        outcome: Outcome::Says(&[
            "FAILED: verify",
            "cannot read",
            "/dev/vda",
            "Input/output error",
        ]),
    },
    Case {
        name: "a disk that refuses writes",
        disk: |disk, _| Disk { read_only: true, ..disk },
        outcome: Outcome::Says(&["/dev/vda", "read-only"]),
    },
    Case {
        name: "a slow disk",
        disk: |disk, _| Disk { ailment: Some(Ailment::Slow { bytes_per_s: 16 << 20 }), ..disk },
        outcome: Outcome::Right,
    },
    Case {
        name: "a slow disk without discards",
        disk: |disk, _| Disk {
            ailment: Some(Ailment::Slow { bytes_per_s: 32 << 20 }),
            discards: false,
            ..disk
        },
        outcome: Outcome::Right,
    },
];

fn lab() -> Result<Lab> {
    let image = TestImage::of(environment::kernel()?, environment::witness()?);
    Lab::of(TestImage { size_mib: IMAGE_MIB, ..image })
}

#[test]
fn every_fault_ends_in_the_right_bytes_or_the_right_sentence() -> Result<()> {
    let lab = lab()?;
    let wrong = thread::scope(|scope| {
        let worker = |first: usize| {
            let cases = CASES.iter().enumerate().skip(first).step_by(WORKERS);
            scope.spawn({
                let lab = &lab;
                move || cases.filter_map(|(number, case)| tried(lab, number, case)).collect()
            })
        };
        let workers: Vec<_> = (0..WORKERS).map(worker).collect();
        let ends = workers.into_iter().map(|worker| {
            worker.join().unwrap_or_else(|panic| vec![format!("a worker panicked: {panic:?}")])
        });
        ends.flatten().collect::<Vec<String>>()
    });
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Prints what came of a case; returns what is wrong with that.
fn tried(lab: &Lab, number: usize, case: &Case) -> Option<String> {
    let begun = Instant::now();
    let outcome = play(lab, number, case).with_context(|| case.name);
    let said = outcome.as_deref().unwrap_or("WRONG");
    println!("{:<44} {:>5.1} s  {said}", case.name, begun.elapsed().as_secs_f64());
    outcome.err().map(|error| format!("{error:#}"))
}

/// A sector of 512 bytes in the middle of the image's data.
fn body_sector(lab: &Lab) -> Result<u64> {
    let image = fs::read(lab.raw(LABEL))?;
    let mut sectors = image.chunks(512).skip(BODY_BYTES / 512);
    let behind = sectors.position(|sector| sector.iter().any(|byte| *byte != 0));
    let behind = behind.context("the image has no data there")?;
    Ok((BODY_BYTES / 512 + behind) as u64)
}

/// Returns what came of it.
fn play(lab: &Lab, number: usize, case: &Case) -> Result<String> {
    let disk = (case.disk)(lab.disk(&format!("disk-{number}"), 0)?, body_sector(lab)?);
    let store = lab.serve(vec![])?;
    let told = machine(&store, LABEL, "inaugurator.then=poweroff")?;
    let mut machine =
        Machine { name: case.name.into(), disks: vec![disk.clone()], ..told }.start()?;
    let Outcome::Says(words) = case.outcome else {
        machine.expect("the disk boots by itself", deadline::INAUGURATE)?;
        machine.wait_exit(deadline::POWER_OFF)?;
        ensure!(lab.holds(&disk.file, LABEL)?, "other bytes than the image's");
        return Ok("the right bytes".into());
    };
    let said = lab::failure(&mut machine)?;
    says(&said, words)?;
    put_right(lab, &disk)?;
    Ok(sentence(&said))
}

/// The failure's screen has to say all of `words`; it wraps long lines.
fn says(console: &str, words: &[&str]) -> Result<()> {
    let flat = |text: &str| text.split_whitespace().collect::<String>();
    for word in words {
        ensure!(flat(console).contains(&flat(word)), "not said: {word}\n{console}");
    }
    Ok(())
}

/// The disk does not boot; without the fault, it gets the label.
fn put_right(lab: &Lab, disk: &Disk) -> Result<()> {
    ensure!(lab::cannot_boot(&disk.file)?, "the disk looks bootable");
    let mut command = Command::new(environment::inaug()?);
    command.args(["deploy", LABEL, "--store"]).arg(lab.store());
    let output = command.arg("--to").arg(&disk.file).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    ensure!(lab.holds(&disk.file, LABEL)?, "other bytes than the image's, deployed again");
    Ok(())
}

/// The first line of the failure's screen.
fn sentence(console: &str) -> String {
    let screen = console.lines().skip_while(|line| !line.contains("== FAILED"));
    screen.skip(1).take(2).map(str::trim).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_disk_that_is_pulled_in_the_middle_is_an_error_that_names_it() -> Result<()> {
    let lab = lab()?;
    let store = lab.serve(vec![])?;
    // Slow, so that there is a middle.
    let slow = Some(Ailment::Slow { bytes_per_s: 4 << 20 });
    let disk = Disk { bus: Bus::VirtioScsi, ailment: slow, ..lab.disk("disk", 0)? };
    let mut machine =
        Machine { disks: vec![disk.clone()], ..machine(&store, LABEL, "")? }.start()?;
    machine.expect("plan: fetch", deadline::INAUGURATE)?;
    machine.wait_written(0, SOME_BYTES, deadline::INAUGURATE)?;
    machine.monitor().execute("device_del", &json!({ "id": "disk0-device" }))?;
    let said = lab::failure(&mut machine)?;
    says(&said, &["cannot", "/dev/sda"])?;
    println!("pulled: {}", sentence(&said));
    put_right(&lab, &disk)
}

#[test]
fn an_image_for_4096_byte_sectors_is_deployed_to_a_disk_that_has_them() -> Result<()> {
    let lab = lab()?;
    let raw = lab.path("4k.raw");
    fs::write(&raw, qemu_tests::Noise::of(1).bytes(IMAGE_MIB as usize >> 1 << 20))?;
    partition_4k(&raw)?;
    lab::push(&lab.store(), "lab/4k", &raw)?;
    let store = lab.serve(vec![])?;
    for bus in [Bus::VirtioBlk, Bus::Nvme] {
        let disk = Disk::empty(lab.path("disk-4k"), fs::metadata(&raw)?.len())?;
        let disk = Disk { bus, sector_size: 4096, ..disk };
        let told = machine(&store, "lab/4k", "inaugurator.then=poweroff")?;
        let mut machine = Machine { disks: vec![disk.clone()], ..told }.start()?;
        machine.expect("the disk boots by itself", deadline::INAUGURATE)?;
        machine.wait_exit(deadline::POWER_OFF)?;
        ensure!(lab::same_but_mark(&disk.file, &raw)?, "{bus:?}: other bytes than the image's");
    }
    Ok(())
}

/// A GPT as it is on disks with sectors of 4096 bytes.
fn partition_4k(raw: &std::path::Path) -> Result<()> {
    let script = "dd if=/dev/zero of=\"$0\" bs=4096 count=256 conv=notrunc status=none && \
                  truncate -s +1M \"$0\" && \
                  device=$(losetup --find --show --sector-size 4096 \"$0\") && \
                  printf 'label: gpt\\nstart=1MiB, size=8MiB\\n' | sfdisk --quiet \"$device\"; \
                  made=$?; losetup -d \"$device\"; exit $made";
    let output = Command::new("sh").args(["-c", script]).arg(raw).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
