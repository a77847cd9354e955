//! Which disk to write: what there is, what is wanted, and what must not be overwritten.
//!
//! Given sysfs, [`list`] returns every disk; given its block device, [`ask`] adds what it
//! holds now. Only the latter waits for a disk. [`select`] returns the one disk that the operator's
//! [`Predicates`] leave, or says for each disk why not. [`may_overwrite`] is the
//! interlock: a disk with data that is not ours is refused unless the operator
//! has named it by the token that the refusal prints.
//!
//! Nothing here writes.

mod carriers;
mod contents;
mod magic;
mod predicates;
mod select;
mod sysfs;
mod tables;
mod wipe;

use std::fmt;

pub use carriers::{Carrier, STORE_DIRECTORY, STORE_LABEL, Volume, carrier, volumes};
pub use contents::{Contents, Partition, sniff};
pub use magic::Signature;
pub use predicates::{Comparison, Predicate, PredicateError, Predicates, glob, parse_size};
pub use select::{SelectError, select};
pub use sysfs::{DiscoverError, Places, ask, inspect, is_same_disk, list};
pub use tables::TableKind;
pub use wipe::{Refusal, may_overwrite, wipe_token};

/// A disk as the kernel shows it, with what it holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // facts the kernel states one by one, not a state
pub struct Disk {
    /// The device node, for example `/dev/nvme0n1`.
    pub path: String,
    /// The kernel's name, for example `nvme0n1`.
    pub name: String,
    /// Major and minor number, for example `259:0`.
    pub number: DeviceNumber,
    /// Size in bytes; 0 for an empty card reader.
    pub size_bytes: u64,
    /// The smallest unit the disk addresses: 512 or 4096.
    pub logical_sector_bytes: u32,
    /// Model as the disk says it, trimmed; empty if it does not say.
    pub model: String,
    /// Vendor as the disk says it, trimmed; `ATA` for most SATA disks.
    pub vendor: String,
    /// Serial number, trimmed; empty if it does not say.
    pub serial: String,
    /// World wide name as sysfs writes it, for example `naa.5000c500a1b2c3d4`.
    pub wwn: String,
    /// How it is attached.
    pub transport: Transport,
    /// True for a spinning disk.
    pub rotational: bool,
    /// True for a medium that can be taken out: a card, a stick.
    pub removable: bool,
    /// True if the kernel refuses writes.
    pub read_only: bool,
    /// Its place in the machine: the directory under `/sys/devices`.
    pub bus_path: String,
    /// The kernel's number of this disk, never given twice in one boot (Linux 5.15); 0 if unknown.
    pub diskseq: u64,
    /// What stands on top of the disk or a partition of it: `dm-0`, `md127`.
    pub holders: Vec<String>,
    /// True if the disk or a partition of it is mounted or used as swap.
    pub mounted: bool,
    /// What is on it now.
    pub contents: Contents,
}

/// A block device's number, as `dev_t` splits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber {
    /// The driver's number.
    pub major: u32,
    /// The device's number with that driver.
    pub minor: u32,
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// How a disk is attached to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// An NVMe namespace.
    Nvme,
    /// A SATA disk behind libata.
    Sata,
    /// A disk behind a SAS host adapter.
    Sas,
    /// USB storage.
    Usb,
    /// virtio-blk or virtio-scsi.
    Virtio,
    /// An SD card or eMMC.
    Mmc,
    /// A Xen virtual disk.
    Xen,
    /// A SCSI disk of which no more is known.
    Scsi,
    /// None of the above.
    Other,
}

impl Transport {
    /// Every transport with its word.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::Nvme, "nvme"),
        (Self::Sata, "sata"),
        (Self::Sas, "sas"),
        (Self::Usb, "usb"),
        (Self::Virtio, "virtio"),
        (Self::Mmc, "mmc"),
        (Self::Xen, "xen"),
        (Self::Scsi, "scsi"),
        (Self::Other, "other"),
    ];
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::ALL.iter().find(|(transport, _)| transport == self);
        f.write_str(word.map_or("other", |(_, word)| word))
    }
}

impl fmt::Display for Disk {
    /// One line for a person: path, size, transport, model, serial.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.path, size_text(self.size_bytes), self.transport)?;
        if !self.model.is_empty() {
            write!(f, " {}", self.model)?;
        }
        if !self.serial.is_empty() {
            write!(f, " serial {}", self.serial)?;
        }
        Ok(())
    }
}

/// A size as disks are sold: decimal units, one digit after the point.
pub fn size_text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    let mut tenths = u128::from(bytes) * 10;
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut unit = "B";
    for next in UNITS {
        if tenths < 10_000 {
            break;
        }
        tenths /= 1000;
        unit = next;
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A plain disk for the tables of the tests: `name`, 8 GiB, virtio, blank.
    pub(crate) fn disk(name: &str) -> Disk {
        Disk {
            path: format!("/dev/{name}"),
            name: name.into(),
            number: DeviceNumber { major: 254, minor: 0 },
            size_bytes: 8 << 30,
            logical_sector_bytes: 512,
            model: String::new(),
            vendor: String::new(),
            serial: String::new(),
            wwn: String::new(),
            transport: Transport::Virtio,
            rotational: false,
            removable: false,
            read_only: false,
            bus_path: format!("pci0000:00/0000:00:04.0/virtio1/{name}"),
            diskseq: 1,
            holders: Vec::new(),
            mounted: false,
            contents: Contents { head_is_zero: true, ..Contents::default() },
        }
    }

    #[test]
    fn sizes_read_as_on_the_disks_box() {
        let table = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1_048_576, "1.0 MB"),
            (8 << 30, "8.5 GB"),
            (500_107_862_016, "500.1 GB"),
            (18_000_207_937_536, "18.0 TB"),
            (u64::MAX, "18446.7 PB"),
        ];
        for (bytes, text) in table {
            assert_eq!(size_text(bytes), text);
        }
    }
}
