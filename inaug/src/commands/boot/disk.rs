//! The machine's disk.

use super::stores::Found;
use crate::args::BootDisk;
use anyhow::{Context, ensure};
use machine::Disk;
use std::fs::{self, File};
use std::path::Path;
use store::manifest::Kind;

/// A tree's disk has room for its files twice, as an update needs it, and this besides: for the EFI
/// system partition, the file system itself and what the system writes. It costs nothing: the file
/// has holes where nothing was written.
const ROOM_BYTES: u64 = 2 << 30;

/// Disks are made in whole MiB.
const ALIGNED_BYTES: u64 = 1 << 20;

/// The file that was named, or an empty disk in `work`; and its size, bytes.
pub(super) fn make(args: &BootDisk, labels: &[Found], work: &Path) -> anyhow::Result<(Disk, u64)> {
    let size = args.disk.unwrap_or_else(|| enough_for(labels));
    let Some(file) = &args.disk_file else {
        return Ok((named(Disk::empty(work.join("disk"), size)?), size));
    };
    if !file.exists() {
        return Ok((named(Disk::empty(file, size)?), size));
    }
    let unusable = || format!("cannot use {} as a disk", file.display());
    let metadata = fs::metadata(file).with_context(unusable)?;
    ensure!(metadata.is_file(), "{}: expected a file with a disk's bytes", file.display());
    File::options().read(true).write(true).open(file).with_context(unusable)?;
    Ok((named(Disk::at(file)), metadata.len()))
}

fn named(disk: Disk) -> Disk {
    Disk { serial: "inaug-boot".into(), ..disk }
}

fn enough_for(labels: &[Found]) -> u64 {
    let sizes = labels.iter().map(|found| {
        let manifest = &found.label.manifest;
        match &manifest.kind {
            Kind::Image(image) => image.size_bytes,
            Kind::Tree(tree) => tree.size_bytes.saturating_mul(2),
        }
    });
    let is_tree = labels.iter().any(|found| matches!(found.label.manifest.kind, Kind::Tree(_)));
    let room = if is_tree { ROOM_BYTES } else { 0 };
    sizes.fold(room, u64::saturating_add).next_multiple_of(ALIGNED_BYTES)
}
