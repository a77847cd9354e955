//! A small disk image that boots: GPT, an ESP, an ext4 root with a kernel, an
//! initramfs, Debian's kind of grub.cfg, and files worth moving. Made without
//! root by sfdisk, mtools and mke2fs; every UUID is fixed.

mod disk;
mod newc;
mod tree;

pub use newc::{newc, newc_of};

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The root's partition GUID in every test image.
pub const ROOT_PARTUUID: &str = "1a06a7e0-7e57-4d00-8000-000000000003";

/// A label's content for tests: the machine that boots it is the `witness`.
#[derive(Clone, Debug)]
pub struct TestImage {
    /// The whole disk in MiB.
    pub size_mib: u64,
    /// Content of the data files.
    pub seed: u64,
    /// Copied to `/boot/vmlinuz`.
    pub kernel: PathBuf,
    /// The static program that is PID 1, packed as `/boot/initrd.img`.
    pub init: PathBuf,
    /// Counts from 1; see [`TestImage::next`].
    pub version: u32,
}

impl TestImage {
    /// 96 MiB, first version.
    pub fn of(kernel: impl AsRef<Path>, init: impl AsRef<Path>) -> Self {
        Self {
            size_mib: 96,
            seed: 1,
            kernel: kernel.as_ref().to_owned(),
            init: init.as_ref().to_owned(),
            version: 1,
        }
    }

    /// The same machine after an update: a quarter of the files changed, one
    /// gone, one new.
    #[must_use]
    pub fn next(&self) -> Self {
        Self { version: self.version + 1, ..self.clone() }
    }

    /// The first line of its `/etc/witness`, which the witness prints.
    pub fn greeting(&self) -> String {
        format!("test image, seed {}, version {}", self.seed, self.version)
    }

    /// What its kernel is booted with, as its grub.cfg has it.
    pub fn cmdline(&self) -> String {
        format!("root=PARTUUID={ROOT_PARTUUID} ro console=ttyS0")
    }

    /// Makes the image's files in a directory, which is made if it is not there.
    pub fn write_tree(&self, root: impl AsRef<Path>) -> Result<()> {
        let root = root.as_ref();
        fs::create_dir_all(root).with_context(|| format!("making {}", root.display()))?;
        tree::fill(self, root)
    }

    /// Makes the image.
    pub fn write(&self, file: impl AsRef<Path>) -> Result<()> {
        let root = tempfile::tempdir().context("a directory for the image's root")?;
        tree::fill(self, root.path())?;
        disk::make(self.size_mib, root.path(), file.as_ref())
            .with_context(|| format!("making the test image {}", file.as_ref().display()))
    }

    fn initrd(&self) -> Result<Vec<u8>> {
        let init = fs::read(&self.init)
            .with_context(|| format!("reading the image's init {}", self.init.display()))?;
        newc(&init)
    }
}

#[cfg(test)]
mod tests;
