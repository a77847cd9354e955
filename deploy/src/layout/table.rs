//! A GUID partition table as a value, and as bytes (UEFI 2.10, section 5).

use super::{Guid, Role};

/// Entries of a table, as every tool makes it; firmware must take as many.
pub(super) const ENTRIES: usize = 128;

/// Length of an entry, bytes.
pub(super) const ENTRY_BYTES: usize = 128;

/// Length of all entries, bytes.
const ARRAY_BYTES: usize = ENTRIES * ENTRY_BYTES;

/// Length of a header, bytes.
pub(super) const HEADER_BYTES: usize = 92;

pub(super) const SIGNATURE: &[u8; 8] = b"EFI PART";
const REVISION: u32 = 0x0001_0000;

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1.
    pub number: u32,
    /// What it is for; none if its type is not one of ours.
    pub role: Option<Role>,
    /// What tells it from all others: `PARTUUID`.
    pub guid: Guid,
    /// Where it starts, bytes.
    pub start_bytes: u64,
    /// Its length, bytes.
    pub size_bytes: u64,
}

/// A table, valid for one disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What tells the disk from all others.
    pub disk_guid: Guid,
    /// Logical sector size of the disk, bytes: 512 or 4096.
    pub sector_bytes: u32,
    /// Size of the disk, bytes.
    pub disk_bytes: u64,
    /// The partitions, by number.
    pub partitions: Vec<Partition>,
}

impl Table {
    /// Bytes at the start of a disk that protective MBR, header and entries take.
    pub fn head_bytes(sector_bytes: u32) -> u64 {
        2 * u64::from(sector_bytes) + ARRAY_BYTES as u64
    }

    /// Bytes at the end of a disk that the backup takes.
    pub fn tail_bytes(sector_bytes: u32) -> u64 {
        u64::from(sector_bytes) + ARRAY_BYTES as u64
    }

    /// The partition of this role; the first where there are several.
    pub fn partition(&self, role: Role) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.role == Some(role))
    }

    /// The start of the disk: protective MBR without boot code, header, entries.
    pub fn head(&self) -> Vec<u8> {
        let sector = self.sector_bytes as usize;
        let array = self.array();
        let mut head = self.protective();
        head.extend(self.header(1, self.last_lba(), 2, &array));
        head.resize(2 * sector, 0);
        head.extend(array);
        head
    }

    /// The backup: where on the disk it lies, and its bytes.
    pub fn tail(&self) -> (u64, Vec<u8>) {
        let start = self.disk_bytes / u64::from(self.sector_bytes) * u64::from(self.sector_bytes)
            - Self::tail_bytes(self.sector_bytes);
        let array = self.array();
        let header = self.header(self.last_lba(), 1, start / u64::from(self.sector_bytes), &array);
        let mut tail = array;
        tail.extend(header);
        tail.resize(ARRAY_BYTES + self.sector_bytes as usize, 0);
        (start, tail)
    }

    fn last_lba(&self) -> u64 {
        self.disk_bytes / u64::from(self.sector_bytes) - 1
    }

    /// First and last sector that partitions may use.
    fn usable(&self) -> (u64, u64) {
        let sector = u64::from(self.sector_bytes);
        let first = Self::head_bytes(self.sector_bytes) / sector;
        (first, self.last_lba() - Self::tail_bytes(self.sector_bytes) / sector)
    }

    /// The MBR of section 5.2.3: one partition over all of the disk. It starts as not active;
    /// boot code is not the table's.
    pub(crate) fn protective(&self) -> Vec<u8> {
        let mut mbr = vec![0; self.sector_bytes as usize];
        let sectors = u32::try_from(self.last_lba()).unwrap_or(u32::MAX);
        // From cylinder 0, head 0, sector 2, to the end, which no geometry can say.
        mbr[446..454].copy_from_slice(&[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff]);
        mbr[454..458].copy_from_slice(&1_u32.to_le_bytes());
        mbr[458..462].copy_from_slice(&sectors.to_le_bytes());
        mbr[510..512].copy_from_slice(&[0x55, 0xaa]);
        mbr
    }

    fn array(&self) -> Vec<u8> {
        let mut array = vec![0; ARRAY_BYTES];
        let sector = u64::from(self.sector_bytes);
        for partition in &self.partitions {
            let Some(role) = partition.role else { continue };
            let at = (partition.number as usize).saturating_sub(1) * ENTRY_BYTES;
            // A table that is read or made has no number above ENTRIES.
            let Some(entry) = array.get_mut(at..at + ENTRY_BYTES) else { continue };
            let last = (partition.start_bytes + partition.size_bytes) / sector - 1;
            entry[..16].copy_from_slice(&role.guid().0);
            entry[16..32].copy_from_slice(&partition.guid.0);
            entry[32..40].copy_from_slice(&(partition.start_bytes / sector).to_le_bytes());
            entry[40..48].copy_from_slice(&last.to_le_bytes());
            for (pair, unit) in entry[56..].chunks_exact_mut(2).zip(role.name().encode_utf16()) {
                pair.copy_from_slice(&unit.to_le_bytes());
            }
        }
        array
    }

    /// The header that lies at sector `own` (table 5.5).
    fn header(&self, own: u64, alternate: u64, array_lba: u64, array: &[u8]) -> Vec<u8> {
        let (first, last) = self.usable();
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend(SIGNATURE);
        header.extend(REVISION.to_le_bytes());
        header.extend((HEADER_BYTES as u32).to_le_bytes());
        header.extend([0; 8]); // checksum, and four reserved bytes
        for lba in [own, alternate, first, last] {
            header.extend(lba.to_le_bytes());
        }
        header.extend(self.disk_guid.0);
        header.extend(array_lba.to_le_bytes());
        header.extend((ENTRIES as u32).to_le_bytes());
        header.extend((ENTRY_BYTES as u32).to_le_bytes());
        header.extend(crc32fast::hash(array).to_le_bytes());
        let check = crc32fast::hash(&header);
        header[16..20].copy_from_slice(&check.to_le_bytes());
        header
    }
}
