//! What every test here starts from: a store with labels in it, and machines that are told
//! to take one.
#![allow(dead_code, reason = "each test file uses its part")]

use anyhow::{Context, Result, ensure};
use qemu_tests::{Disk, Machine, Misbehaviour, Running, StaticServer, TestImage, environment};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Where the engine keeps its mark: the last block before 1 MiB.
const MARK: std::ops::Range<usize> = (1 << 20) - 4096..1 << 20;

/// The label that most tests deploy.
pub(crate) const LABEL: &str = "lab/first";

/// A store with labels in it, in a directory of its own.
pub(crate) struct Lab {
    work: TempDir,
    pub(crate) image: TestImage,
}

impl Lab {
    /// A store with one label, [`LABEL`].
    pub(crate) fn new() -> Result<Self> {
        Self::of(TestImage::of(environment::kernel()?, environment::witness()?))
    }

    /// A store with `image` as [`LABEL`].
    pub(crate) fn of(image: TestImage) -> Result<Self> {
        let work = tempfile::tempdir()?;
        let lab = Self { work, image };
        lab.push(LABEL, &lab.image)?;
        Ok(lab)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// The image that `label` was pushed from.
    pub(crate) fn raw(&self, label: &str) -> PathBuf {
        self.path(&label.replace('/', "_")).with_extension("raw")
    }

    pub(crate) fn push(&self, label: &str, image: &TestImage) -> Result<()> {
        let raw = self.raw(label);
        image.write(&raw)?;
        push(&self.store(), label, &raw)
    }

    pub(crate) fn serve(&self, faults: Vec<Misbehaviour>) -> Result<StaticServer> {
        StaticServer::misbehaving(self.store(), faults)
    }

    /// An empty disk of the image's size and `more` bytes.
    pub(crate) fn disk(&self, name: &str, more: u64) -> Result<Disk> {
        let size = fs::metadata(self.raw(LABEL))?.len();
        Disk::empty(self.path(name), size + more)
    }

    /// The first file below `directory` of the store.
    pub(crate) fn stored(&self, directory: &str) -> Result<PathBuf> {
        let mut entries = fs::read_dir(self.store().join(directory))?;
        Ok(entries.next().with_context(|| format!("{directory} is empty"))??.path())
    }

    /// Whether `disk`, of the image's size, holds `label` to the byte, but for the mark.
    pub(crate) fn holds(&self, disk: &Path, label: &str) -> Result<bool> {
        same_but_mark(disk, &self.raw(label))
    }
}

/// Whether two disks are the same to the byte, but for the mark.
pub(crate) fn same_but_mark(disk: &Path, other: &Path) -> Result<bool> {
    let (mut found, mut expected) = (fs::read(disk)?, fs::read(other)?);
    found[MARK].fill(0);
    expected[MARK].fill(0);
    Ok(found == expected)
}

/// Pushes a raw image.
pub(crate) fn push(store: &Path, label: &str, raw: &Path) -> Result<()> {
    push_input(store, label, "--image", raw)
}

/// Pushes a directory as a tree.
pub(crate) fn push_tree(store: &Path, label: &str, directory: &Path) -> Result<()> {
    push_input(store, label, "--tree", directory)
}

fn push_input(store: &Path, label: &str, kind: &str, input: &Path) -> Result<()> {
    let mut command = Command::new(environment::inaug()?);
    command.args(["push", label, kind]).arg(input).arg("--store").arg(store);
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A machine that is told to take `label` from `store`, and `more`.
pub(crate) fn machine(store: &StaticServer, label: &str, more: &str) -> Result<Machine> {
    let (kernel, init) = (environment::kernel()?, environment::init()?);
    Ok(Machine { memory_mib: 256, ..Machine::direct(kernel, init, &told(store, label, more)) })
}

/// The command line of a machine that is to take `label` from `store`, and `more`.
pub(crate) fn told(store: &StaticServer, label: &str, more: &str) -> String {
    format!(
        "inaugurator.store={} inaugurator.label={label} inaugurator.onfail=poweroff {more}",
        store.guest_url()
    )
}

/// Whether `disk` has zeroes where firmware looks; only the mark may be there.
pub(crate) fn cannot_boot(disk: &Path) -> Result<bool> {
    let mut head = vec![0; MARK.start];
    fs::File::open(disk)?.read_exact(&mut head)?;
    Ok(head.iter().all(|byte| *byte == 0))
}

/// Waits for the failure screen's end and returns the whole console.
pub(crate) fn failure(machine: &mut Running) -> Result<String> {
    use qemu_tests::deadline;
    machine.expect("FAILED", deadline::INAUGURATE)?;
    machine.wait_exit(deadline::INAUGURATE)?;
    Ok(machine.console().text())
}
