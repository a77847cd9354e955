//! Partitions as the kernel has them: told of them one by one, since not every kernel reads the
//! table, and looked up in sysfs (`Documentation/ABI/stable/sysfs-block`).

use super::VolumeError;
use crate::layout::{Partition, Table};
use crate::sys;
use rustix::fs::{major, minor};
use rustix::io::Errno;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// sysfs counts in these, bytes, whatever the disk's own sectors.
const SYSFS_SECTOR_BYTES: u64 = 512;

/// A partition as the kernel has it.
#[derive(Debug, PartialEq, Eq)]
struct Known {
    number: u32,
    start_bytes: u64,
    size_bytes: u64,
    name: String,
    /// Its device number as sysfs writes it.
    device: String,
}

/// Makes the kernel know exactly the partitions of `table`. `name` is what messages call the disk.
pub fn show_partitions(disk: &File, name: &str, table: &Table) -> Result<(), VolumeError> {
    let refused = |number: u32| {
        move |source: io::Error| VolumeError::Partition { disk: name.to_owned(), number, source }
    };
    let known = known(disk).map_err(refused(0))?;
    let is_right = |known: &Known| table.partitions.iter().any(|wanted| is_same(known, wanted));
    for wrong in known.iter().filter(|known| !is_right(known)) {
        sys::remove_partition(disk, wrong.number)
            .map_err(io::Error::from)
            .map_err(refused(wrong.number))?;
    }
    for wanted in &table.partitions {
        if known.iter().any(|known| is_same(known, wanted)) {
            continue;
        }
        let Partition { number, start_bytes, size_bytes, .. } = *wanted;
        match sys::add_partition(disk, number, start_bytes, size_bytes) {
            // The kernel read the table itself meanwhile.
            Ok(()) | Err(Errno::BUSY) => {}
            Err(error) => return Err(refused(number)(error.into())),
        }
    }
    Ok(())
}

/// Makes the kernel know no partition of the disk, of which none may be in use. `name` is what
/// messages call it.
pub fn forget_partitions(disk: &File, name: &str) -> Result<(), VolumeError> {
    let refused = |number: u32| {
        move |source: io::Error| VolumeError::Partition { disk: name.to_owned(), number, source }
    };
    for Known { number, .. } in known(disk).map_err(refused(0))? {
        sys::remove_partition(disk, number).map_err(io::Error::from).map_err(refused(number))?;
    }
    Ok(())
}

/// The device node of a partition: one that the kernel has just there, and a node that is its.
pub fn node_of(disk: &File, name: &str, partition: &Partition) -> Result<PathBuf, VolumeError> {
    let number = partition.number;
    let found = known(disk).map_err(|source| VolumeError::Partition {
        disk: name.to_owned(),
        number,
        source,
    })?;
    let found = found.into_iter().find(|known| is_same(known, partition));
    let (node, device) = found.map(|known| (known.name, known.device)).unwrap_or_default();
    let path = Path::new("/dev").join(&node);
    let expected = path.display().to_string();
    match fs::metadata(&path) {
        Ok(there) if !node.is_empty() => {
            let is_its = there.file_type().is_block_device() && number_of(&there) == device;
            let other = VolumeError::OtherNode { disk: name.to_owned(), number, node: expected };
            if is_its { Ok(path) } else { Err(other) }
        }
        _ => Err(VolumeError::NoNode { disk: name.to_owned(), number, expected }),
    }
}

/// Refuses what has no partitions: another disk's partition, and devices whose driver makes none.
pub fn check_takes_partitions(disk: &File, name: &str) -> Result<(), VolumeError> {
    let failed = |source| VolumeError::Partition { disk: name.to_owned(), number: 0, source };
    let directory = directory(disk).map_err(failed)?;
    let refused = |found| Err(VolumeError::Undivided { disk: name.to_owned(), found });
    if directory.join("partition").exists() {
        return refused("a partition");
    }
    // How many there may be, with the disk itself.
    let most = fs::read_to_string(directory.join("ext_range")).map_err(failed)?;
    match most.trim().parse::<u32>() {
        Ok(..=1) => refused("a device that takes none"),
        _ => Ok(()),
    }
}

fn is_same(known: &Known, wanted: &Partition) -> bool {
    (known.number, known.start_bytes, known.size_bytes)
        == (wanted.number, wanted.start_bytes, wanted.size_bytes)
}

/// The partitions that the kernel knows of.
fn known(disk: &File) -> io::Result<Vec<Known>> {
    let mut known = Vec::new();
    for entry in fs::read_dir(directory(disk)?)? {
        let path = entry?.path();
        if let Some(partition) = partition_of(&path) {
            known.push(partition);
        }
    }
    known.sort_by_key(|partition| partition.number);
    Ok(known)
}

/// The directory of sysfs about a disk.
fn directory(disk: &File) -> io::Result<PathBuf> {
    Ok(Path::new("/sys/dev/block").join(number_of(&disk.metadata()?)))
}

/// The number of a device node as sysfs writes it.
fn number_of(node: &Metadata) -> String {
    format!("{}:{}", major(node.rdev()), minor(node.rdev()))
}

/// The partition of this directory of sysfs, if it is one's.
fn partition_of(path: &Path) -> Option<Known> {
    let number = |file: &str| fs::read_to_string(path.join(file)).ok()?.trim().parse::<u64>().ok();
    Some(Known {
        number: u32::try_from(number("partition")?).ok()?,
        start_bytes: number("start")? * SYSFS_SECTOR_BYTES,
        size_bytes: number("size")? * SYSFS_SECTOR_BYTES,
        device: fs::read_to_string(path.join("dev")).ok()?.trim().to_owned(),
        name: path.file_name()?.to_str()?.replace('!', "/"),
    })
}
