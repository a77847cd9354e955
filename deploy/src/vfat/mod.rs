//! A FAT32 volume as a value: its files decide every byte of it.
//!
//! Given a partition's size and the files it is to hold, [`Volume::plan`] places them one after
//! another; [`Volume::gate`] and [`Volume::extents`] are the
//! bytes of everything that is in use. So what is on a disk
//! is compared with what it should be and repaired where it differs, like all else that is
//! deployed, and nothing that a hostile table says is followed. Nothing is read or written here.
//!
//! Follows Microsoft's FAT specification, version 1.03; section numbers are its own. Always
//! FAT32, which is what UEFI 2.10 (13.3.1) asks of a system partition on a fixed disk. Every time
//! is the earliest that can be said, so that the same files are the same bytes.

mod directory;

use directory::{Directory, Entry};
use std::ops::Range;

/// Clusters of the smallest FAT32 (3.5), and the 16 more that the specification advises, since
/// not everybody counts right.
const CLUSTERS_MIN: u64 = 65_525 + 16;

/// Clusters are doubled as long as there are this many, so that a table takes a MiB at most
/// where clusters can grow.
const CLUSTERS_WANTED: u64 = 131_072;

/// The largest cluster that everybody reads, bytes (3.1, `BPB_SecPerClus`).
const CLUSTER_MAX_BYTES: u64 = 32 << 10;

/// The largest file, bytes: its length has 32 bits.
const FILE_MAX_BYTES: u64 = u32::MAX as u64;

/// Where data begins, and how it is read and written by those above: direct I/O takes no less
/// on every disk.
const ALIGN_BYTES: u64 = 4096;

/// What is kept back of a volume until all else is there, bytes: its first block.
pub const GATE_BYTES: usize = ALIGN_BYTES as usize;

/// The least that is reserved before the first table, sectors: as mkfs.fat(8) does; the second
/// boot sector is the sixth.
const RESERVED_MIN: u64 = 32;

const FATS: u64 = 2;
const ROOT_CLUSTER: u32 = 2;
const END_OF_CHAIN: u32 = 0x0fff_ffff;
const BACKUP_BOOT_SECTOR: u64 = 6;

/// What a volume is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Size of the partition, bytes.
    pub size_bytes: u64,
    /// Logical sector size, bytes.
    pub sector_bytes: u32,
    /// Where the partition starts on the disk, bytes.
    pub start_bytes: u64,
    /// The volume's serial number: `UUID=` of Linux.
    pub id: u32,
    /// The volume's label: at most 11 capital letters, digits and spaces.
    pub label: &'static str,
}

/// A file that a volume is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path, `/` between the names: letters, digits and what POSIX calls portable.
    pub path: String,
    /// Its length, bytes.
    pub size_bytes: u64,
}

/// Why the files cannot be a volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VfatError {
    /// A name that has no place in a directory.
    #[error("{path:?}: expected names of letters, digits and ._+~-, found {found:?}")]
    Name {
        /// The path.
        path: String,
        /// The name.
        found: String,
    },
    /// Two files of one name, or a file where a directory is to be.
    #[error("{path:?} is there twice")]
    Twice {
        /// The path.
        path: String,
    },
    /// The volume is too small to be FAT32.
    #[error("expected a volume of at least {expected} clusters, found {found}")]
    TooSmall {
        /// The least.
        expected: u64,
        /// What it has.
        found: u64,
    },
    /// There is no room for the files.
    #[error("no room on the EFI system partition: needs {needs_bytes} bytes, has {has_bytes}")]
    Full {
        /// What the files take, bytes.
        needs_bytes: u64,
        /// What there is, bytes.
        has_bytes: u64,
    },
}

/// Bytes of a volume that are in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The file of this index, then zeroes to the end of the extent.
    File(usize),
}

/// A part of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Where, bytes from the start of the volume.
    pub range: Range<u64>,
    /// What.
    pub content: Content,
}

/// A planned volume.
#[derive(Debug, Clone)]
pub struct Volume {
    shape: Shape,
    geometry: Geometry,
    /// The chains, as first cluster and number of clusters, of directories and then of files.
    chains: Vec<(u32, u32)>,
    directories: Vec<Vec<u8>>,
    files: usize,
}

/// Where things are, sectors unless said otherwise.
#[derive(Debug, Clone, Copy)]
struct Geometry {
    cluster_bytes: u64,
    reserved: u64,
    fat: u64,
    total: u64,
    clusters: u64,
}

impl Volume {
    /// Places `files`.
    pub fn plan(shape: Shape, files: &[File]) -> Result<Self, VfatError> {
        let geometry = Geometry::of(&shape)?;
        let clusters_of = |bytes: u64| bytes.div_ceil(geometry.cluster_bytes);
        let mut directories = directory::tree(shape.label, files)?;
        let lengths = directories.iter().map(Directory::size_bytes);
        let counts: Vec<u64> = lengths
            // A directory has a cluster even when it is empty.
            .map(|bytes| clusters_of(bytes).max(1))
            .chain(files.iter().map(|file| clusters_of(file.size_bytes)))
            .collect();
        let needed = counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
        let too_long = files.iter().any(|file| file.size_bytes > FILE_MAX_BYTES);
        if needed > geometry.clusters || too_long {
            let needs_bytes = needed.saturating_mul(geometry.cluster_bytes);
            let has_bytes = geometry.clusters * geometry.cluster_bytes;
            return Err(VfatError::Full { needs_bytes, has_bytes });
        }
        let mut next = ROOT_CLUSTER;
        let chain = |count: &u64| {
            // At most `geometry.clusters`, of which a table has 32 bits.
            let chain = (next, *count as u32);
            next += chain.1;
            chain
        };
        let chains: Vec<(u32, u32)> = counts.iter().map(chain).collect();
        let first = |entry: Entry| match entry {
            Entry::Directory(0) => 0, // `..` of what is in the root (6.5)
            Entry::Directory(index) => chains[index].0,
            Entry::File(index) if files[index].size_bytes == 0 => 0,
            Entry::File(index) => chains[directories_len(&chains, files) + index].0,
        };
        let encoded = directories.iter_mut().map(|directory| directory.encode(&first)).collect();
        Ok(Self { shape, geometry, chains, directories: encoded, files: files.len() })
    }

    /// The first sector, without which nobody finds a file system here (3.1).
    fn boot_sector(&self) -> Vec<u8> {
        let mut sector = vec![0; self.shape.sector_bytes as usize];
        let Geometry { cluster_bytes, reserved, fat, total, .. } = self.geometry;
        let per_cluster = cluster_bytes / u64::from(self.shape.sector_bytes);
        let hidden = self.shape.start_bytes / u64::from(self.shape.sector_bytes);
        // Each value fits its field: the geometry is made so.
        put(&mut sector, 0, &[0xeb, 0x58, 0x90]);
        put(&mut sector, 3, b"inaug1.0");
        put(&mut sector, 11, &(self.shape.sector_bytes as u16).to_le_bytes());
        put(&mut sector, 13, &[per_cluster as u8]);
        put(&mut sector, 14, &(reserved as u16).to_le_bytes());
        put(&mut sector, 16, &[FATS as u8, 0, 0, 0, 0, 0xf8]);
        // Sectors of a track and heads: what LBA-assisted BIOSes say of every disk.
        put(&mut sector, 24, &[63, 0, 255, 0]);
        put(&mut sector, 28, &u32::try_from(hidden).unwrap_or(0).to_le_bytes());
        put(&mut sector, 32, &(total as u32).to_le_bytes());
        put(&mut sector, 36, &(fat as u32).to_le_bytes());
        put(&mut sector, 44, &ROOT_CLUSTER.to_le_bytes());
        put(&mut sector, 48, &[1, 0, BACKUP_BOOT_SECTOR as u8, 0]);
        put(&mut sector, 64, &[0x80, 0, 0x29]);
        put(&mut sector, 67, &self.shape.id.to_le_bytes());
        put(&mut sector, 71, &directory::padded_label(self.shape.label));
        put(&mut sector, 82, b"FAT32   ");
        put(&mut sector, 510, &[0x55, 0xaa]);
        sector
    }

    /// The first [`GATE_BYTES`]: the boot sector and what follows it. Who writes all else before
    /// it leaves no file system to be found until it is whole.
    pub fn gate(&self) -> Vec<u8> {
        let mut reserved = self.reserved();
        reserved.truncate(GATE_BYTES);
        reserved
    }

    /// Everything that is in use after the gate, in order and without gaps. Free clusters are not
    /// part of it: whatever is in them is nobody's.
    pub fn extents(&self) -> Vec<Extent> {
        let mut extents = Vec::new();
        let mut at = GATE_BYTES as u64;
        let mut push = |extents: &mut Vec<Extent>, length: u64, content| {
            extents.push(Extent { range: at..at + length, content });
            at += length;
        };
        let reserved = self.reserved().split_off(GATE_BYTES);
        push(&mut extents, reserved.len() as u64, Content::Bytes(reserved));
        let table = self.table();
        for _ in 0..FATS {
            push(&mut extents, table.len() as u64, Content::Bytes(table.clone()));
        }
        let (directories, files) = self.chains.split_at(self.directories.len());
        let length = |count: u32| u64::from(count) * self.geometry.cluster_bytes;
        for (bytes, (_, count)) in self.directories.iter().zip(directories) {
            let mut bytes = bytes.clone();
            bytes.resize(length(*count) as usize, 0);
            push(&mut extents, bytes.len() as u64, Content::Bytes(bytes));
        }
        for (index, (_, count)) in files.iter().enumerate().filter(|(_, (_, count))| *count > 0) {
            push(&mut extents, length(*count), Content::File(index));
        }
        extents
    }

    /// How many files it has.
    pub fn files(&self) -> usize {
        self.files
    }

    /// Boot sector, `FSInfo` (5), and both again.
    fn reserved(&self) -> Vec<u8> {
        let sector = self.shape.sector_bytes as usize;
        let mut bytes = vec![0; self.geometry.reserved as usize * sector];
        let mut info = vec![0; sector];
        let used = self.used_clusters();
        put(&mut info, 0, &0x4161_5252_u32.to_le_bytes());
        put(&mut info, 484, &0x6141_7272_u32.to_le_bytes());
        put(&mut info, 488, &((self.geometry.clusters - u64::from(used)) as u32).to_le_bytes());
        put(&mut info, 492, &(ROOT_CLUSTER + used).to_le_bytes());
        put(&mut info, 508, &0xaa55_0000_u32.to_le_bytes());
        for first in [0, BACKUP_BOOT_SECTOR as usize] {
            put(&mut bytes, first * sector, &self.boot_sector());
            put(&mut bytes, (first + 1) * sector, &info);
        }
        bytes
    }

    fn used_clusters(&self) -> u32 {
        self.chains.iter().map(|(_, count)| count).sum()
    }

    /// One table (4): every chain is consecutive.
    fn table(&self) -> Vec<u8> {
        let length = self.geometry.fat as usize * self.shape.sector_bytes as usize;
        let mut table = Vec::with_capacity(length);
        table.extend(0x0fff_fff8_u32.to_le_bytes());
        table.extend(END_OF_CHAIN.to_le_bytes());
        for (first, count) in &self.chains {
            for cluster in *first..first + count {
                let is_last = cluster + 1 == first + count;
                let next = if is_last { END_OF_CHAIN } else { cluster + 1 };
                table.extend(next.to_le_bytes());
            }
        }
        table.resize(length, 0);
        table
    }
}

fn directories_len(chains: &[(u32, u32)], files: &[File]) -> usize {
    chains.len() - files.len()
}

impl Geometry {
    fn of(shape: &Shape) -> Result<Self, VfatError> {
        let sector = u64::from(shape.sector_bytes);
        // A field of 32 bits says how many there are.
        let total = (shape.size_bytes / sector).min(u64::from(u32::MAX));
        let mut cluster_bytes = sector;
        while cluster_bytes < CLUSTER_MAX_BYTES
            && total * sector / (2 * cluster_bytes) >= CLUSTERS_WANTED
        {
            cluster_bytes *= 2;
        }
        let per_cluster = cluster_bytes / sector;
        // As if there were nothing but clusters: a little more than is needed. In whole blocks,
        // so that what follows is aligned.
        let fat_bytes = (4 * (total / per_cluster + 2)).next_multiple_of(ALIGN_BYTES);
        let fat = fat_bytes / sector;
        let reserved = (RESERVED_MIN * sector).next_multiple_of(ALIGN_BYTES) / sector;
        let clusters = total.saturating_sub(reserved + FATS * fat) / per_cluster;
        if clusters < CLUSTERS_MIN {
            return Err(VfatError::TooSmall { expected: CLUSTERS_MIN, found: clusters });
        }
        Ok(Self { cluster_bytes, reserved, fat, total, clusters })
    }
}

fn put(into: &mut [u8], at: usize, bytes: &[u8]) {
    into[at..at + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests;
