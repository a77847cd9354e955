//! What fills a volume, by its magic numbers. The places are those of
//! libblkid's probers and of each format's specification.

use super::Kind;
use crate::BootFactsError;
use crate::image::{Window, u16_at};

/// What a volume holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sniffed {
    /// A file system that is read.
    Known(Kind),
    /// Something recognised that is not; its name.
    Foreign(&'static str),
    /// Nothing recognised.
    Unknown,
}

/// Formats that are named in a warning: offset in bytes, magic, name.
const FOREIGN: [(u64, &[u8], &str); 9] = [
    (0, b"LUKS\xba\xbe", "a LUKS volume"),
    (512, b"LABELONE", "an LVM volume"),
    (0, b"XFSB", "an xfs file system"),
    (0x10040, b"_BHRfS_M", "a btrfs file system"),
    (0, b"hsqs", "a squashfs file system"),
    (1024, b"\xe2\xe1\xf5\xe0", "an erofs file system"),
    (3, b"NTFS    ", "an NTFS file system"),
    (3, b"EXFAT   ", "an exFAT file system"),
    (0x8001, b"CD001", "an ISO 9660 file system"),
];
/// Where the magic number of ext2, ext3 and ext4 is: the superblock starts at
/// 1024, `s_magic` at 56 in it.
const EXT4_MAGIC_AT_BYTES: u64 = 1024 + 56;
const EXT4_MAGIC: u16 = 0xef53;

/// Looks at the magic numbers of `volume`.
pub(crate) fn sniff(volume: &Window) -> Result<Sniffed, BootFactsError> {
    if holds(volume, EXT4_MAGIC_AT_BYTES, &EXT4_MAGIC.to_le_bytes())? {
        return Ok(Sniffed::Known(Kind::Ext4));
    }
    for (at_bytes, magic, name) in FOREIGN {
        if holds(volume, at_bytes, magic)? {
            return Ok(Sniffed::Foreign(name));
        }
    }
    if volume.length_bytes >= 512 && is_vfat(&volume.array(0)?) {
        return Ok(Sniffed::Known(Kind::Vfat));
    }
    Ok(Sniffed::Unknown)
}

fn holds(volume: &Window, at_bytes: u64, magic: &[u8]) -> Result<bool, BootFactsError> {
    let mut found = [0; 8];
    let found = &mut found[..magic.len()];
    if at_bytes + magic.len() as u64 > volume.length_bytes {
        return Ok(false);
    }
    volume.read_exact_at(at_bytes, found)?;
    Ok(found == magic)
}

/// vfat has no magic number of its own: the boot sector's fields have to make
/// sense (Microsoft's FAT specification, section 3.1).
fn is_vfat(sector: &[u8; 512]) -> bool {
    let sector_bytes = u16_at(sector, 11);
    let signed = u16_at(sector, 510) == 0xaa55;
    let jump = matches!(sector[0], 0xeb | 0xe9);
    let sizes = matches!(sector_bytes, 512 | 1024 | 2048 | 4096) && sector[13].is_power_of_two();
    let reserved = u16_at(sector, 14) != 0;
    let copies = matches!(sector[16], 1 | 2);
    let medium = sector[21] >= 0xf0;
    signed && jump && sizes && reserved && copies && medium
}
