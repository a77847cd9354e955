//! What the tests are given by `scripts/test`. A missing piece is a failure
//! that says how to get it: a skipped test would be taken for a passed one.

use anyhow::{Context, Result, ensure};
use std::env;
use std::path::PathBuf;

/// The kernel that machines boot: `INAUG_TEST_KERNEL`, see `scripts/kernel`.
pub fn kernel() -> Result<PathBuf> {
    file("INAUG_TEST_KERNEL", "a kernel image; scripts/kernel builds one and prints its path")
}

/// Our PID 1 itself, statically linked and stripped: `INAUG_TEST_INIT_PROGRAM`.
pub fn init_program() -> Result<PathBuf> {
    file("INAUG_TEST_INIT_PROGRAM", "the built `init`; scripts/build makes it")
}

/// The initramfs with our init: `INAUG_TEST_INIT`, see `inaug initramfs`.
pub fn init() -> Result<PathBuf> {
    file("INAUG_TEST_INIT", "an initramfs with our init; `inaug initramfs` makes one")
}

/// Debian's packaged cloud kernel: `INAUG_TEST_DEBIAN_KERNEL`.
pub fn debian_kernel() -> Result<PathBuf> {
    file("INAUG_TEST_DEBIAN_KERNEL", "Debian's kernel; scripts/kernel --debian unpacks it")
}

/// That kernel's package, unpacked: `INAUG_TEST_DEBIAN_TREE`.
pub fn debian_tree() -> Result<PathBuf> {
    directory("INAUG_TEST_DEBIAN_TREE", "Debian's kernel; scripts/kernel --debian unpacks it")
}

/// The initramfs with our init and that kernel's modules: `INAUG_TEST_INIT_THIN`.
pub fn init_thin() -> Result<PathBuf> {
    file("INAUG_TEST_INIT_THIN", "an initramfs with our init and the thin set of modules")
}

/// Debian's packaged kernel for real hardware: `INAUG_TEST_GENERIC_KERNEL`.
pub fn generic_kernel() -> Result<PathBuf> {
    file(
        "INAUG_TEST_GENERIC_KERNEL",
        "Debian's kernel for real hardware; scripts/kernel --debian=generic unpacks it",
    )
}

/// The initramfs with our init and that kernel's modules: `INAUG_TEST_INIT_FAT`.
pub fn init_fat() -> Result<PathBuf> {
    file("INAUG_TEST_INIT_FAT", "an initramfs with our init and the fat set of modules")
}

/// A real Debian as a disk image: `INAUG_TEST_DEBIAN`.
pub fn debian() -> Result<PathBuf> {
    file("INAUG_TEST_DEBIAN", "a Debian image; scripts/debian-image makes one")
}

/// The same Debian with its updates and some packages more: `INAUG_TEST_DEBIAN_NEXT`.
pub fn debian_next() -> Result<PathBuf> {
    file("INAUG_TEST_DEBIAN_NEXT", "a later Debian image; scripts/debian-image --next makes one")
}

/// A real Debian as a directory, with systemd-boot and without GRUB: `INAUG_TEST_TREE`.
pub fn tree() -> Result<PathBuf> {
    directory("INAUG_TEST_TREE", "a Debian root; scripts/debian-tree makes one")
}

/// The same with its updates and some packages more: `INAUG_TEST_TREE_NEXT`.
pub fn tree_next() -> Result<PathBuf> {
    directory("INAUG_TEST_TREE_NEXT", "a later root; scripts/debian-tree --next makes one")
}

/// A real Debian as a directory, with GRUB and without systemd-boot: `INAUG_TEST_TREE_GRUB`.
pub fn tree_grub() -> Result<PathBuf> {
    directory("INAUG_TEST_TREE_GRUB", "a root with GRUB; scripts/debian-tree --boot grub makes one")
}

/// The operator's command: `INAUG_TEST_INAUG`.
pub fn inaug() -> Result<PathBuf> {
    file("INAUG_TEST_INAUG", "the built `inaug`")
}

/// The PID 1 of deployed test images, statically linked: `INAUG_TEST_WITNESS`.
pub fn witness() -> Result<PathBuf> {
    file(
        "INAUG_TEST_WITNESS",
        "the `witness` of this crate, built with RUSTFLAGS=-Ctarget-feature=+crt-static \
         --target x86_64-unknown-linux-gnu",
    )
}

/// The PID 1 of a machine that pushes: built with the witness, and beside it.
pub fn pusher() -> Result<PathBuf> {
    let path = witness()?.with_file_name("pusher");
    ensure!(path.is_file(), "{} is not there; scripts/build makes it", path.display());
    Ok(path)
}

fn file(variable: &str, what: &str) -> Result<PathBuf> {
    let path = named(variable, what)?;
    ensure!(path.is_file(), "{variable}={}: no such file; it must name {what}", path.display());
    Ok(path)
}

fn directory(variable: &str, what: &str) -> Result<PathBuf> {
    let path = named(variable, what)?;
    let shown = path.display();
    ensure!(path.is_dir(), "{variable}={shown}: no such directory; it must name {what}");
    Ok(path)
}

fn named(variable: &str, what: &str) -> Result<PathBuf> {
    let value = env::var_os(variable).with_context(|| {
        format!("{variable} is not set: it must name {what}. scripts/test does")
    })?;
    Ok(PathBuf::from(value))
}
