//! How a disk is divided for a tree: kept where it is right already, made where there is nothing.
//!
//! Given the disk's size, the table that is on it and what is wanted, [`decide`] returns a layout
//! or a refusal. Pure: nothing here reads or writes. Follows the Discoverable Partitions
//! Specification (UAPI.2), so that systems find their parts without being told.

mod guid;
mod misfits;
mod read;
mod role;
mod table;

pub use guid::Guid;
pub use read::TableFault;
pub use role::Role;
pub use table::{Partition, Table};

use crate::disks::size_text;

/// Partitions start and end on multiples of this, bytes: what every tool does, and a multiple of
/// every disk's own blocks.
pub const ALIGN_BYTES: u64 = 1 << 20;

/// GRUB's core has some hundred KiB; this is the usual size, bytes.
const BIOS_BYTES: u64 = 1 << 20;

/// An EFI system partition where there is room, bytes: two kernels with large initrds.
const ESP_BYTES: u64 = 512 << 20;

/// At most this part of the disk is given to the EFI system partition where nobody says more.
const ESP_PART: u64 = 16;

/// The smallest EFI system partition by sector size, bytes: FAT32 has at least 65,525 clusters
/// (Microsoft's FAT specification 1.03, 3.5), and firmware takes no other kind for sure.
pub fn esp_min_bytes(sector_bytes: u32) -> u64 {
    if sector_bytes > 512 { 260 << 20 } else { 36 << 20 }
}

/// The smallest root file system, bytes: below it ext4 has no journal worth the name.
const ROOT_MIN_BYTES: u64 = 64 << 20;

/// A disk, as far as dividing it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Its size, bytes.
    pub size_bytes: u64,
    /// Logical sector size, bytes: 512 or 4096.
    pub sector_bytes: u32,
}

/// What is wanted of a layout. Sizes that nobody named are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Size of the EFI system partition, bytes.
    pub esp_bytes: Option<u64>,
    /// Size of the swap partition, bytes; none: no such partition is needed.
    pub swap_bytes: Option<u64>,
    /// Size of the data partition, bytes; none: no such partition is needed.
    pub data_bytes: Option<u64>,
    /// What the EFI system partition has to hold, bytes.
    pub boot_bytes: u64,
    /// What the root has to hold, bytes, with what its file system takes for itself.
    pub root_bytes: u64,
}

/// What is on a disk where its table would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing that could be lost.
    Nothing,
    /// A sound table.
    Table(Table),
    /// Something, and no table that could be kept.
    Other {
        /// What there is, in a line.
        contents: String,
        /// Why there is no table.
        fault: TableFault,
    },
}

/// What is to become of a disk's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// The table fits: no partition is made or formatted for the sake of the layout.
    Keep(Table),
    /// This table is written; everything on the disk goes.
    Make(Table),
}

impl Layout {
    /// The table that the disk has afterwards.
    pub fn table(&self) -> &Table {
        match self {
            Self::Keep(table) | Self::Make(table) => table,
        }
    }
}

/// Why there is no layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutRefusal {
    /// There is a table, and it is not what is wanted.
    #[error("its layout does not fit: {misfits}")]
    Misfit {
        /// What does not fit, joined.
        misfits: String,
    },
    /// There is something, and no table to keep it by.
    #[error("it holds {contents}: {fault}")]
    NoTable {
        /// What there is.
        contents: String,
        /// Why there is no table.
        fault: TableFault,
    },
    /// What is wanted takes more than the disk has.
    #[error("the disk is too small: needs {}, has {}", size_text(*.needs_bytes), size_text(*.has_bytes))]
    TooSmall {
        /// What all partitions take, bytes.
        needs_bytes: u64,
        /// What the disk has, bytes.
        has_bytes: u64,
    },
    /// The EFI system partition is to be smaller than it can be.
    #[error(
        "an EFI system partition of {} is too small: needs {}",
        size_text(*.found_bytes),
        size_text(*.needs_bytes)
    )]
    SmallEsp {
        /// The smallest that would do, bytes.
        needs_bytes: u64,
        /// What was wanted, bytes.
        found_bytes: u64,
    },
}

/// Decides what becomes of the disk's table. `anew` says that the operator has given the whole disk
/// away, or that there is nothing on it: nothing else allows a new layout. `random` makes the
/// identities of what is new.
pub fn decide(
    disk: Extent,
    found: Found,
    wanted: &Wanted,
    anew: bool,
    random: &mut dyn FnMut() -> [u8; 16],
) -> Result<Layout, LayoutRefusal> {
    let refusal = match found {
        Found::Nothing => return make(disk, wanted, random).map(Layout::Make),
        Found::Table(table) => match misfits::of(&table, wanted) {
            misfits if misfits.is_empty() => return Ok(Layout::Keep(table)),
            misfits => LayoutRefusal::Misfit { misfits: misfits.join("; ") },
        },
        Found::Other { contents, fault } => LayoutRefusal::NoTable { contents, fault },
    };
    if anew { make(disk, wanted, random).map(Layout::Make) } else { Err(refusal) }
}

/// The smallest EFI system partition that holds what it has to.
fn esp_needs(sector_bytes: u32, wanted: &Wanted) -> u64 {
    // Two FATs and directories take less than an eighth, whatever the clusters.
    let content = wanted.boot_bytes.saturating_add(wanted.boot_bytes / 8);
    align(content.max(esp_min_bytes(sector_bytes)))
}

/// The next multiple of [`ALIGN_BYTES`]; more than any disk has where there is none.
fn align(bytes: u64) -> u64 {
    bytes.checked_next_multiple_of(ALIGN_BYTES).unwrap_or(u64::MAX)
}

fn make(
    disk: Extent,
    wanted: &Wanted,
    random: &mut dyn FnMut() -> [u8; 16],
) -> Result<Table, LayoutRefusal> {
    let esp_needs = esp_needs(disk.sector_bytes, wanted);
    let chosen = (disk.size_bytes / ESP_PART).min(ESP_BYTES).max(esp_needs);
    let esp = align(wanted.esp_bytes.unwrap_or(chosen));
    if esp < esp_needs {
        return Err(LayoutRefusal::SmallEsp { needs_bytes: esp_needs, found_bytes: esp });
    }
    let (swap, data) =
        (align(wanted.swap_bytes.unwrap_or(0)), align(wanted.data_bytes.unwrap_or(0)));
    let root_needs = align(wanted.root_bytes.max(ROOT_MIN_BYTES));
    // One at each end: for the table, and for its backup.
    let around = 2 * ALIGN_BYTES;
    let sum = [around, BIOS_BYTES, esp, swap, data].into_iter().fold(0, u64::saturating_add);
    let needs_bytes = sum.saturating_add(root_needs);
    if needs_bytes > disk.size_bytes {
        return Err(LayoutRefusal::TooSmall { needs_bytes, has_bytes: disk.size_bytes });
    }
    let root = (disk.size_bytes - sum) / ALIGN_BYTES * ALIGN_BYTES;
    let sizes = [BIOS_BYTES, esp, root, swap, data];
    let mut table = Table {
        disk_guid: Guid::random(random()),
        sector_bytes: disk.sector_bytes,
        disk_bytes: disk.size_bytes,
        partitions: Vec::new(),
    };
    let mut start_bytes = ALIGN_BYTES;
    for (role, size_bytes) in Role::ALL.into_iter().zip(sizes).filter(|(_, size)| *size > 0) {
        let number = table.partitions.len() as u32 + 1;
        let guid = Guid::random(random());
        let role = Some(role);
        table.partitions.push(Partition { number, role, guid, start_bytes, size_bytes });
        start_bytes += size_bytes;
    }
    Ok(table)
}

#[cfg(test)]
mod tests;
