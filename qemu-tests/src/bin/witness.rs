//! PID 1 of a deployed test image: says what it was booted with and what is on
//! its root, and powers the machine off.

use anyhow::{Context, Result, bail, ensure};
use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, reboot};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// A disk may be found after PID 1 starts: on NVMe and AHCI by some 100 ms,
/// under emulation by seconds.
const DISK_WAIT: Duration = Duration::from_secs(30);

/// sysfs has no event that a program without udev can wait for simply.
const DISK_INTERVAL: Duration = Duration::from_millis(50);

/// `GptHeader` and entries of UEFI 2.10 section 5.3, as far as they are needed.
const GPT_SIGNATURE: &[u8] = b"EFI PART";
const GPT_ENTRY_BYTES: u64 = 128;
const GPT_ENTRIES: u64 = 128;

/// Where ext4 has its superblock, and its magic number at 0x38 there; the UUID is at 0x68
/// (Documentation/filesystems/ext4/super.rst).
const EXT4_SUPERBLOCK_AT: u64 = 1024;
const EXT4_MAGIC: [u8; 2] = [0x53, 0xef];

fn main() {
    if let Err(error) = testify() {
        println!("witness: error: {error:#}");
    }
    rustix::fs::sync();
    if let Err(error) = reboot(RebootCommand::PowerOff) {
        println!("witness: the machine stays on: {error}");
    }
}

fn testify() -> Result<()> {
    for (kind, place) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        mount_at(kind, kind, place, MountFlags::empty())?;
    }
    let cmdline = fs::read_to_string("/proc/cmdline").context("the kernel's command line")?;
    println!("witness: up, cmdline={}", cmdline.trim());
    let Some(root) = cmdline.split_whitespace().find_map(|word| word.strip_prefix("root=")) else {
        // A label that runs from memory has no `root=`.
        if Path::new("/etc/witness").exists() {
            return testify_of("/");
        }
        println!("witness: no root= to look at");
        return Ok(());
    };
    let device = wait_for(root)?;
    mount_at(&device.display().to_string(), "ext4", "/root", MountFlags::RDONLY)?;
    testify_of("/root")
}

/// What the root that is at `place` says.
fn testify_of(place: &str) -> Result<()> {
    let file = Path::new(place).join("etc/witness");
    let said = fs::read_to_string(file).context("/etc/witness of the root")?;
    println!("witness: root file /etc/witness says {}", said.trim());
    Ok(())
}

fn mount_at(source: &str, kind: &str, place: &str, flags: MountFlags) -> Result<()> {
    fs::create_dir_all(place).with_context(|| format!("making {place}"))?;
    mount(source, place, kind, flags, None::<&std::ffi::CStr>)
        .with_context(|| format!("mounting {source} ({kind}) at {place}"))
}

/// The device that `root=` means: `/dev/...`, `PARTUUID=...` or `UUID=...`.
fn wait_for(root: &str) -> Result<PathBuf> {
    let deadline = Instant::now() + DISK_WAIT;
    loop {
        let found = match root.split_once('=') {
            Some(("PARTUUID", guid)) => partition(guid)?,
            Some(("UUID", uuid)) => file_system(uuid)?,
            _ => Some(PathBuf::from(root)).filter(|device| device.exists()),
        };
        if let Some(device) = found {
            return Ok(device);
        }
        let disks = names("/sys/block")?.join(" ");
        ensure!(Instant::now() < deadline, "root={root} is on none of the disks: {disks}");
        thread::sleep(DISK_INTERVAL);
    }
}

/// The partition with this GUID on any disk.
fn partition(guid: &str) -> Result<Option<PathBuf>> {
    let wanted = guid_bytes(guid)?;
    for disk in names("/sys/block")? {
        let Some(number) = number_in_gpt(&disk, wanted) else { continue };
        let partition = names(format!("/sys/block/{disk}"))?.into_iter().find(|name| {
            let text = fs::read_to_string(format!("/sys/block/{disk}/{name}/partition"));
            text.is_ok_and(|text| text.trim() == number.to_string())
        });
        return Ok(partition.map(|name| Path::new("/dev").join(name)));
    }
    Ok(None)
}

/// The disk or partition with the ext4 file system of this UUID.
fn file_system(uuid: &str) -> Result<Option<PathBuf>> {
    let wanted = uuid_bytes(uuid)?;
    let devices = names("/sys/class/block")?.into_iter().map(|name| Path::new("/dev").join(name));
    Ok(devices.into_iter().find(|device| has_ext4(device, wanted).unwrap_or(false)))
}

fn has_ext4(device: &Path, uuid: [u8; 16]) -> std::io::Result<bool> {
    let mut superblock = [0; 0x78];
    File::open(device)?.read_exact_at(&mut superblock, EXT4_SUPERBLOCK_AT)?;
    Ok(superblock[0x38..0x3a] == EXT4_MAGIC && superblock[0x68..] == uuid)
}

fn names(directory: impl AsRef<Path>) -> Result<Vec<String>> {
    let directory = directory.as_ref();
    let entries = fs::read_dir(directory).with_context(|| format!("{}", directory.display()))?;
    Ok(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

/// The number, from 1, of the partition with this GUID in a disk's GPT. A disk
/// that cannot be read, or has none, does not have it.
fn number_in_gpt(disk: &str, wanted: [u8; 16]) -> Option<u64> {
    let device = File::open(format!("/dev/{disk}")).ok()?;
    let sector = fs::read_to_string(format!("/sys/block/{disk}/queue/logical_block_size")).ok()?;
    let sector: u64 = sector.trim().parse().ok()?;
    let mut signature = [0; 8];
    device.read_exact_at(&mut signature, sector).ok()?;
    if signature != GPT_SIGNATURE {
        return None;
    }
    (0..GPT_ENTRIES).find_map(|index| {
        let mut entry = [0; 32];
        device.read_exact_at(&mut entry, 2 * sector + index * GPT_ENTRY_BYTES).ok()?;
        (entry[16..] == wanted).then_some(index + 1)
    })
}

fn uuid_bytes(uuid: &str) -> Result<[u8; 16]> {
    let digits: String = uuid.chars().filter(|letter| *letter != '-').collect();
    let Ok(number) = u128::from_str_radix(&digits, 16) else { bail!("{uuid:?} is not a UUID") };
    Ok(number.to_be_bytes())
}

/// A GUID as GPT keeps it: the first three groups are little endian.
fn guid_bytes(guid: &str) -> Result<[u8; 16]> {
    let mut bytes = uuid_bytes(guid)?;
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    Ok(bytes)
}
