//! The disk around a test image's files.

use super::ROOT_PARTUUID;
use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use wire::Noise;

const ESP_START_MIB: u64 = 1;
const ESP_MIB: u64 = 8;
const ROOT_START_MIB: u64 = ESP_START_MIB + ESP_MIB;

/// Where GRUB puts its core image on a disk without a partition for it, bytes.
const GAP: Range<u64> = 32 << 10..160 << 10;

/// The backup GPT has the disk's last 33 sectors.
const END_MIB: u64 = 1;

/// Times in the file system, so that versions differ in content only.
const EPOCH: &str = "1686355200";

pub(super) fn make(size_mib: u64, root: &Path, file: &Path) -> Result<()> {
    ensure!(
        size_mib > ROOT_START_MIB + END_MIB,
        "an image of {size_mib} MiB has no room for a root"
    );
    // Anew: what an older image left behind must not stay between the files.
    File::create(file).and_then(|file| file.set_len(size_mib << 20)).context("the empty image")?;
    partition(file, size_mib - ROOT_START_MIB - END_MIB)?;
    gap(file).context("boot code in the gap")?;
    esp(file)?;
    root_file_system(file, root, size_mib - ROOT_START_MIB - END_MIB)
}

fn partition(file: &Path, root_mib: u64) -> Result<()> {
    let table = format!(
        "label: gpt\n\
         label-id: 1a06a7e0-7e57-4d00-8000-000000000001\n\
         start={ESP_START_MIB}MiB, size={ESP_MIB}MiB, name=esp, \
         type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=1a06a7e0-7e57-4d00-8000-000000000002\n\
         start={ROOT_START_MIB}MiB, size={root_mib}MiB, name=root, \
         type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid={ROOT_PARTUUID}\n"
    );
    let mut sfdisk = Command::new("sfdisk");
    run(sfdisk.arg("--quiet").arg(file), table.as_bytes())
}

/// Something between the table and the first partition, as boot loaders of BIOS machines keep
/// there.
fn gap(file: &Path) -> std::io::Result<()> {
    let boot_code = Noise::of(GAP.start).bytes((GAP.end - GAP.start) as usize);
    File::options().write(true).open(file)?.write_all_at(&boot_code, GAP.start)
}

/// An ESP with one small file, for there is no boot loader to be had without
/// GRUB: what is tested is kexec and the bytes.
fn esp(file: &Path) -> Result<()> {
    let at = format!("{}@@{ESP_START_MIB}M", file.display());
    let sectors = (ESP_MIB << 11).to_string();
    let mut mformat = Command::new("mformat");
    run(mformat.args(["-i", &at, "-T", &sectors, "-N", "1a06a7e0", "-v", "ESP", "::"]), b"")?;
    let mut mmd = Command::new("mmd");
    run(mmd.args(["-i", &at, "::/EFI", "::/EFI/BOOT"]), b"")?;
    let note = tempfile::NamedTempFile::new().context("a file for the ESP")?;
    fs::write(note.path(), "A test image has no boot loader.\n").context("a file for the ESP")?;
    let mut mcopy = Command::new("mcopy");
    run(mcopy.arg("-i").arg(&at).arg(note.path()).arg("::/EFI/BOOT/README.TXT"), b"")
}

fn root_file_system(file: &Path, root: &Path, root_mib: u64) -> Result<()> {
    let mut mke2fs = Command::new("mke2fs");
    mke2fs
        .args(["-q", "-F", "-t", "ext4", "-b", "4096", "-L", "test-root"])
        .args(["-U", "1a06a7e0-7e57-4d00-8000-0000000000f5"])
        .arg("-E")
        .arg(format!(
            "offset={},root_owner=0:0,hash_seed=1a06a7e0-7e57-4d00-8000-0000000000f6",
            ROOT_START_MIB << 20
        ))
        .arg("-d")
        .args([root, file])
        .arg(format!("{root_mib}M"))
        .env("E2FSPROGS_FAKE_TIME", EPOCH);
    run(&mut mke2fs, b"")
}

/// Runs a tool; what it said is in the error.
fn run(command: &mut Command, input: &[u8]) -> Result<()> {
    // Administrators' tools are not on every user's PATH.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    command.env("PATH", path).env("MTOOLS_SKIP_CHECK", "1").env("TZ", "UTC");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let name = OsStr::to_string_lossy(command.get_program()).into_owned();
    let mut child =
        command.spawn().with_context(|| format!("starting {name}; is it installed?"))?;
    // Small enough for the pipe, so that writing it before reading is safe.
    child.stdin.take().context("no standard input")?.write_all(input).ok();
    let output = child.wait_with_output().with_context(|| format!("waiting for {name}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        bail!("{name} ended with {}: {said}", output.status);
    }
    Ok(())
}
