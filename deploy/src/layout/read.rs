//! The table that is on a disk, judged before anything relies on it (UEFI 2.10, section 5.3.2).

use super::table::{ENTRIES, ENTRY_BYTES, HEADER_BYTES, SIGNATURE};
use super::{Guid, Partition, Role, Table};
use store::cut::is_zero;

/// Why what is on a disk is no table that can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TableFault {
    /// There is none, or one for other sectors.
    #[error("there is no GUID partition table for sectors of {sector_bytes} bytes")]
    Absent {
        /// The disk's sectors, bytes.
        sector_bytes: u32,
    },
    /// There is a table of another kind beside it, by which others may find something else.
    #[error("the first sector does not say that the GUID partition table is the disk's only one")]
    Unprotected,
    /// The header says of itself what no tool writes.
    #[error("the header of its GUID partition table says what is not known")]
    Form,
    /// The header is not the one that was written.
    #[error(
        "the header of its GUID partition table: expected checksum {expected:08x}, found {found:08x}"
    )]
    Header {
        /// What the header says.
        expected: u32,
        /// What its bytes have.
        found: u32,
    },
    /// The entries are not those that were written.
    #[error(
        "the entries of its GUID partition table: expected checksum {expected:08x}, found {found:08x}"
    )]
    Entries {
        /// What the header says.
        expected: u32,
        /// What their bytes have.
        found: u32,
    },
    /// A partition has a number that is not made.
    #[error("its GUID partition table has partition {number}: expected none above {ENTRIES}")]
    Number {
        /// The first such.
        number: u32,
    },
    /// A partition cannot be where it is.
    #[error("partition {number} is empty, over another, over the table or beyond the disk")]
    Place {
        /// Which.
        number: u32,
    },
}

impl Table {
    /// The table in the start of a disk: only one that is right in every checksum and lies within
    /// the disk, since what is to be kept is written around by what it says. Nor one beside an MBR
    /// with partitions of its own: the first sector is written with what makes the disk boot.
    pub fn parse(head: &[u8], sector_bytes: u32, disk_bytes: u64) -> Result<Self, TableFault> {
        let sector = sector_bytes as usize;
        let header = head.get(sector..sector + HEADER_BYTES);
        let header = header.filter(|header| header.starts_with(SIGNATURE));
        let header = header.ok_or(TableFault::Absent { sector_bytes })?;
        if !is_protective(head) {
            return Err(TableFault::Unprotected);
        }
        let array = array(head, header, sector).ok_or(TableFault::Form)?;
        check_sums(header, array)?;
        let number = |index: usize| u32::try_from(index + 1).unwrap_or(u32::MAX);
        let entries = array.chunks_exact(ENTRY_BYTES).enumerate();
        let partitions = entries
            .filter_map(|(index, entry)| partition(number(index), entry, u64::from(sector_bytes)))
            .collect();
        let disk_guid = Guid(bytes16(header, 56).ok_or(TableFault::Form)?);
        let table = Self { disk_guid, sector_bytes, disk_bytes, partitions };
        table.check_numbers()?;
        table.check_places()?;
        Ok(table)
    }

    /// What cannot be written back is not read.
    fn check_numbers(&self) -> Result<(), TableFault> {
        let above = self.partitions.iter().find(|found| found.number as usize > ENTRIES);
        above.map_or(Ok(()), |found| Err(TableFault::Number { number: found.number }))
    }

    /// The partitions lie within the disk and over no other.
    fn check_places(&self) -> Result<(), TableFault> {
        let mut by_place: Vec<_> = self.partitions.iter().collect();
        by_place.sort_by_key(|partition| partition.start_bytes);
        let mut free_from = Self::head_bytes(self.sector_bytes);
        for partition in by_place {
            let is_after = partition.start_bytes >= free_from && partition.size_bytes > 0;
            free_from = partition.start_bytes.saturating_add(partition.size_bytes);
            if !is_after || free_from > self.disk_bytes {
                return Err(TableFault::Place { number: partition.number });
            }
        }
        Ok(())
    }
}

/// Whether the MBR protects a GPT and says nothing else (section 5.2.3), or is none yet: the last of
/// a table that is written, and made again where it is lost.
fn is_protective(head: &[u8]) -> bool {
    let Some(mbr) = head.get(446..512) else { return false };
    if is_zero(mbr) {
        return true;
    }
    let (entry, rest) = mbr.split_at(16);
    let (others, signature) = rest.split_at(48);
    signature == [0x55, 0xaa] && entry[4] == 0xee && le32(entry, 8) == Some(1) && is_zero(others)
}

/// The entries of which `header` speaks, if it is of the form that is known.
fn array<'a>(head: &'a [u8], header: &[u8], sector: usize) -> Option<&'a [u8]> {
    let is_known = le32(header, 12)? as usize == HEADER_BYTES
        && le64(header, 24)? == 1
        && le32(header, 84)? as usize == ENTRY_BYTES;
    let start = usize::try_from(le64(header, 72)?).ok()?.checked_mul(sector)?;
    let length = usize::try_from(le32(header, 80)?).ok()?.checked_mul(ENTRY_BYTES)?;
    let array = head.get(start..start.checked_add(length)?)?;
    is_known.then_some(array)
}

fn check_sums(header: &[u8], array: &[u8]) -> Result<(), TableFault> {
    let mut unchecked = header.to_vec();
    unchecked[16..20].fill(0);
    let said = |at| le32(header, at).ok_or(TableFault::Form);
    let (expected, found) = (said(16)?, crc32fast::hash(&unchecked));
    if expected != found {
        return Err(TableFault::Header { expected, found });
    }
    let (expected, found) = (said(88)?, crc32fast::hash(array));
    if expected == found { Ok(()) } else { Err(TableFault::Entries { expected, found }) }
}

fn partition(number: u32, entry: &[u8], sector: u64) -> Option<Partition> {
    let kind = Guid(bytes16(entry, 0)?);
    if kind == Guid::default() {
        return None;
    }
    let (first, last) = (le64(entry, 32)?, le64(entry, 40)?);
    Some(Partition {
        number,
        role: Role::of(kind),
        guid: Guid(bytes16(entry, 16)?),
        start_bytes: first.saturating_mul(sector),
        // A last sector before the first makes it empty, which is refused.
        size_bytes: last.saturating_add(1).saturating_sub(first).saturating_mul(sector),
    })
}

fn bytes16(bytes: &[u8], at: usize) -> Option<[u8; 16]> {
    bytes.get(at..at + 16)?.try_into().ok()
}

fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn le64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
