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

/// Formats that leave the place of ext4's superblock or of a boot sector as it was: a file system
/// found beside them may be what the volume held before.
const OVERLAID: [(u64, &[u8], &str); 5] = [
    (4096 - 10, b"SWAPSPACE2", "swap space"),
    (4096, b"\xfc\x4e\x2b\xa9", "a member of a RAID"),
    (0, b"\xfc\x4e\x2b\xa9", "a member of a RAID"),
    (4096 + 24, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca", "a bcache device"),
    (0x2_0000, b"\x0c\xb1\xba\x00", "a ZFS volume"),
];

/// What `volume`, in which no file system was recognised, is a part of; swap space is nothing that
/// anybody boots from.
pub(crate) fn sniff_overlaid(volume: &Window) -> Result<Option<&'static str>, BootFactsError> {
    let (_, parts) = OVERLAID.split_at(1);
    for (at_bytes, magic, name) in parts {
        if holds(volume, *at_bytes, magic)? {
            return Ok(Some(*name));
        }
    }
    Ok(None)
}

/// What else than `kind`, which was sniffed, `volume` looks like.
pub(crate) fn sniff_besides(
    volume: &Window,
    kind: Kind,
) -> Result<Option<&'static str>, BootFactsError> {
    for (at_bytes, magic, name) in FOREIGN.into_iter().chain(OVERLAID) {
        if holds(volume, at_bytes, magic)? {
            return Ok(Some(name));
        }
    }
    let vfat = kind == Kind::Ext4 && is_vfat(&volume.array(0)?);
    Ok(vfat.then_some("a vfat file system"))
}

fn holds(volume: &Window, at_bytes: u64, magic: &[u8]) -> Result<bool, BootFactsError> {
    let mut found = [0; 10];
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
