//! A machine's disk looked at from outside, with the host's own tools.

use anyhow::{Context, Result, anyhow, ensure};
use nix::sched::{CloneFlags, unshare};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// A root partition of x86-64 (Discoverable Partitions Specification).
pub const ROOT_TYPE: &str = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709";

/// An EFI system partition (the same).
pub const ESP_TYPE: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";

/// A partition of a raw disk that no machine is using.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    disk: PathBuf,
    /// Where it starts, bytes.
    pub start_bytes: u64,
    /// Its size, bytes.
    pub size_bytes: u64,
}

impl Partition {
    /// The only partition of this type on a disk.
    pub fn of(disk: impl AsRef<Path>, kind: &str) -> Result<Self> {
        let disk = disk.as_ref();
        let table = said(Command::new("sfdisk").arg("--json").arg(disk))?;
        let table: Value = serde_json::from_str(&table).context("what sfdisk says")?;
        let all = table["partitiontable"]["partitions"].as_array();
        let found: Vec<&Value> =
            all.into_iter().flatten().filter(|entry| entry["type"] == kind).collect();
        let [entry] = found[..] else {
            return Err(anyhow!("not one partition of type {kind} on {}: {table}", disk.display()));
        };
        let sector_bytes = table["partitiontable"]["sectorsize"].as_u64().unwrap_or(512);
        let bytes = |key: &str| {
            let sectors = entry[key].as_u64().with_context(|| format!("no {key} in {entry}"))?;
            Ok::<_, anyhow::Error>(sectors * sector_bytes)
        };
        let (start_bytes, size_bytes) = (bytes("start")?, bytes("size")?);
        Ok(Self { disk: disk.to_owned(), start_bytes, size_bytes })
    }

    /// Has `look` see the partition's files, mounted read-only where nobody else sees them. A file
    /// system that was not unmounted cleanly is an error. Needs root.
    pub fn mounted<T: Send>(&self, look: impl FnOnce(&Path) -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let looking = scope.spawn(|| {
                let directory = tempfile::tempdir().context("a place to mount at")?;
                // The namespace is this thread's, and ends with it.
                unshare(CloneFlags::CLONE_NEWNS).context("a mount namespace; are you root?")?;
                let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
                mount_change("/", private).context("making the mounts private")?;
                self.mount(directory.path())?;
                let seen = look(directory.path());
                // Now, for the disk's next user must not find it busy.
                unmounted(directory.path())?;
                seen
            });
            looking.join().unwrap_or_else(|panic| Err(anyhow!("looking panicked: {panic:?}")))
        })
    }

    fn mount(&self, directory: &Path) -> Result<()> {
        let Self { disk, start_bytes, size_bytes } = self;
        let mut mount = Command::new("mount");
        mount.args(["--read-only", "--options"]);
        mount.arg(format!("loop,offset={start_bytes},sizelimit={size_bytes}"));
        said(mount.arg(disk).arg(directory)).map(drop)
    }
}

/// How often what is busy is tried again, and after how long.
const BUSY: (u32, Duration) = (500, Duration::from_millis(10));

/// Unmounts what is at `place`, which nothing here has open. Programs that other threads start have
/// copies of all that is open, until they are executed: then it is busy, and nothing tells when that
/// has passed.
pub fn unmounted(place: &Path) -> Result<()> {
    let (tries, pause) = BUSY;
    for _ in 0..tries {
        match unmount(place, UnmountFlags::empty()) {
            Err(Errno::BUSY) => thread::sleep(pause),
            result => return result.context("unmounting"),
        }
    }
    Err(anyhow!("{} stays busy", place.display()))
}

/// What a command says on its standard output. It must succeed.
pub(crate) fn said(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed with {}: {errors}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
