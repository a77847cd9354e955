//! PID 1 of a machine that pushes labels into a store on its disk, so that the disk's write
//! log shows what a push leaves when its power fails.
//!
//! The disk has two partitions: an ext4 for the store, and one where each push that has
//! returned is noted, with a write that no flush follows.

use anyhow::{Context, Result, ensure};
use qemu_tests::{Noise, crash};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, reboot};
use std::fs;
use std::process::Command;

/// The partitions, as sfdisk's script in the test makes them.
const STORE_DEVICE: &str = "/dev/vda1";
const NOTES_DEVICE: &str = "/dev/vda2";

/// Direct I/O wants its memory on a boundary of the disk's sectors.
#[repr(align(4096))]
struct Note([u8; crash::NOTE_BYTES]);

fn main() {
    match push_all() {
        Ok(()) => println!("pusher: done"),
        Err(error) => println!("pusher: error: {error:#}"),
    }
    rustix::fs::sync();
    if let Err(error) = reboot(RebootCommand::PowerOff) {
        println!("pusher: the machine stays on: {error}");
    }
}

fn push_all() -> Result<()> {
    mount_at("devtmpfs", "devtmpfs", "/dev")?;
    mount_at("proc", "proc", "/proc")?;
    mount_at(STORE_DEVICE, "ext4", "/disk")?;
    for (number, push) in crash::PUSHES.iter().enumerate() {
        fs::write("/image", image(push)).context("making the image")?;
        let mut command = Command::new("/inaug");
        command.args(["push", push.label, "--image", "/image", "--store", "/disk/store"]);
        if push.replaces {
            command.arg("--force");
        }
        let status = command.status().context("running inaug")?;
        ensure!(status.success(), "pushing {} ended with {status}", push.label);
        note(number)?;
        println!("pusher: {} is pushed", push.label);
    }
    Ok(())
}

fn image(push: &crash::Push) -> Vec<u8> {
    push.seeds.iter().flat_map(|seed| Noise::of(*seed).bytes(crash::PUSH_PART_BYTES)).collect()
}

/// Notes that push `number` has returned. Without a flush: it must not make the push durable.
fn note(number: usize) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC;
    let device = rustix::fs::open(NOTES_DEVICE, flags, Mode::empty()).context(NOTES_DEVICE)?;
    let note = Note([1 + number as u8; crash::NOTE_BYTES]);
    let at = (number * crash::NOTE_BYTES) as u64;
    let written = rustix::io::pwrite(&device, &note.0, at).context("noting a push")?;
    ensure!(written == crash::NOTE_BYTES, "noting a push: {written} bytes written");
    Ok(())
}

fn mount_at(source: &str, kind: &str, place: &str) -> Result<()> {
    fs::create_dir_all(place).with_context(|| format!("making {place}"))?;
    mount(source, place, kind, MountFlags::empty(), None::<&std::ffi::CStr>)
        .with_context(|| format!("mounting {source} ({kind}) at {place}"))
}
