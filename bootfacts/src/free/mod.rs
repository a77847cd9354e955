//! Which bytes of an image no file system uses, so that a push may take them for zeroes.
//!
//! Given an image, this returns the free space of every ext2, ext3, ext4 and vfat file
//! system in it. Nothing is taken for free on doubt: a volume that may be something else, that
//! was not unmounted cleanly, or whose own sums do not agree is an error that says so. What is
//! neither of these file systems is left as it is.

mod crc;
mod descriptors;
mod ext4;
mod ranges;
mod superblock;
mod vfat;

use std::fs::File;

use crate::fs::{self, Kind, Sniffed};
use crate::image::{Window, u16_at, u32_at};
use crate::partitions::{self, Partition};
use crate::warnings::Warnings;
use crate::{BootFactsError, Extent};
use ranges::Ranges;

/// What is free in an image.
#[derive(Debug, Clone, Default)]
pub struct FreeSpace {
    /// Where, in order and apart.
    pub extents: Vec<Extent>,
    /// The volumes that were looked at, as in `partition 3 (ext4)`, each with its free bytes.
    pub volumes: Vec<(String, u64)>,
    /// What was met on the way, one sentence each: volumes that were left as they are.
    pub warnings: Vec<String>,
}

impl FreeSpace {
    /// All of it, bytes.
    pub fn bytes(&self) -> u64 {
        self.extents.iter().map(|extent| extent.length_bytes).sum()
    }
}

/// The free space of `image`. Fails where a volume is one whose free space is known by its
/// own account, and this account cannot be relied upon.
pub fn free_space(image: &File) -> Result<FreeSpace, BootFactsError> {
    let image = Window::whole(image)?;
    let mut warnings = Warnings::default();
    let partitions = partitions::read(&image, &mut warnings)?;
    check_table(&image, &partitions)?;
    let (mut found, mut volumes) = (Ranges::default(), Vec::new());
    for partition in &partitions {
        let window = image.part(partition.offset_bytes, partition.length_bytes)?;
        let kind = match fs::sniff(&window)? {
            Sniffed::Known(kind) => kind,
            Sniffed::Foreign(what) => {
                warnings.add(format!("{}: {what} is left as it is", partition.name()));
                continue;
            }
            Sniffed::Unknown => continue,
        };
        let name = format!("{} ({})", partition.name(), kind.name());
        let free = volume(&window, kind).map_err(|error| error.of_volume(&name))?;
        volumes.push((name, free.bytes()));
        free.into_extents().into_iter().for_each(|extent| {
            let offset_bytes = extent.offset_bytes + window.offset_bytes;
            found.push(Extent { offset_bytes, ..extent });
        });
    }
    let mut extents = found.into_extents();
    extents.sort_by_key(|extent| extent.offset_bytes);
    Ok(FreeSpace { extents, volumes, warnings: warnings.into_sentences() })
}

fn volume(window: &Window, kind: Kind) -> Result<Ranges, BootFactsError> {
    if let Some(found) = fs::sniff_besides(window, kind)? {
        let expected = "nothing else in the same place";
        return Err(doubt(expected, format!("what looks like {found} too")));
    }
    match kind {
        Kind::Ext4 => ext4::free(window),
        Kind::Vfat => vfat::free(window),
    }
}

/// Refuses tables that another table contradicts: what one says to be a file system's may be
/// somebody else's by the other.
fn check_table(image: &Window, partitions: &[Partition]) -> Result<(), BootFactsError> {
    let whole = |error: BootFactsError| error.of_volume("image");
    let mut sorted: Vec<_> = partitions.iter().collect();
    sorted.sort_by_key(|partition| partition.offset_bytes);
    for pair in sorted.windows(2) {
        let end = pair[0].offset_bytes.saturating_add(pair[0].length_bytes);
        if end > pair[1].offset_bytes {
            let found = format!("{} in {}", pair[1].name(), pair[0].name());
            return Err(whole(doubt("partitions apart from each other", found)));
        }
    }
    if partitions.is_empty() || image.length_bytes < 4096 + 8 {
        return Ok(());
    }
    let mbr = Mbr::of(&image.array::<512>(0)?);
    let gpt = image.array::<8>(512)? == *b"EFI PART" || image.array::<8>(4096)? == *b"EFI PART";
    let is_whole = partitions.iter().any(|partition| partition.number.is_none());
    match (mbr, gpt, is_whole) {
        (Mbr::None, false, true) | (Mbr::Protective, true, false) | (Mbr::Real, false, false) => {
            Ok(())
        }
        (mbr, gpt, is_whole) => {
            let gpt = if gpt { "a GPT" } else { "no GPT in its place" };
            let whole = if is_whole { " and a file system over both" } else { "" };
            let expected = "one partition table, or a file system and none";
            Err(doubt(expected, format!("{}, {gpt}{whole}", mbr.name())).of_volume("image"))
        }
    }
}

/// What the first sector says of partitions.
#[derive(Clone, Copy)]
enum Mbr {
    None,
    Protective,
    Real,
}

impl Mbr {
    /// A boot sector of vfat has an MBR's signature: only entries that make sense count.
    fn of(sector: &[u8; 512]) -> Self {
        const PROTECTIVE: u8 = 0xee;
        let entries: Vec<_> = sector[446..510].chunks_exact(16).collect();
        let signed = u16_at(sector, 510) == 0xaa55;
        let states = entries.iter().all(|entry| matches!(entry[0], 0 | 0x80));
        let used = |entry: &&&[u8]| entry[4] != 0 && u32_at(entry, 8) > 0 && u32_at(entry, 12) > 0;
        if !signed || !states || !entries.iter().any(|entry| used(&entry)) {
            return Self::None;
        }
        let protective = entries.iter().filter(used).any(|entry| entry[4] == PROTECTIVE);
        if protective { Self::Protective } else { Self::Real }
    }

    fn name(self) -> &'static str {
        match self {
            Self::None => "no MBR",
            Self::Protective => "a protective MBR",
            Self::Real => "an MBR",
        }
    }
}

/// An account that cannot be relied upon.
fn doubt(expected: &'static str, found: String) -> BootFactsError {
    BootFactsError::Doubt { volume: String::new(), expected, found }
}
