//! File systems, volume managers and RAID members known by their magic numbers.
//!
//! A table of where each puts its magic, its label and its UUID. Enough to tell
//! an operator what a disk holds; libblkid knows many more. Whatever is not
//! known here still counts as data if the disk's head is not zero.

/// What a magic number says: the kind, and the name and identity it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// `ext4`, `vfat`, `LVM2`, `mdraid`, ...
    pub kind: &'static str,
    /// The label someone gave it; empty if none.
    pub label: String,
    /// Its UUID or serial as hex digits (or as the format's own text); empty if none.
    pub id: String,
}

/// How many bytes from a volume's start cover every magic and label below.
pub(super) const HEAD_BYTES: usize = 136 * 1024;

/// Where a kind is found. Offsets are bytes from the volume's start.
struct Magic {
    kind: &'static str,
    offset: usize,
    bytes: &'static [u8],
    /// Offset and length of the label, padded by zeroes or blanks.
    label: Option<(usize, usize)>,
    /// Offset and length of the identity.
    id: Option<(usize, usize)>,
}

const fn magic(
    kind: &'static str,
    offset: usize,
    bytes: &'static [u8],
    label: Option<(usize, usize)>,
    id: Option<(usize, usize)>,
) -> Magic {
    Magic { kind, offset, bytes, label, id }
}

/// Containers come before file systems: a RAID member's first bytes may be those
/// of the file system inside.
#[rustfmt::skip]
const TABLE: &[Magic] = &[
    magic("LUKS",      0,       b"LUKS\xba\xbe",           Some((24, 48)),       Some((168, 36))),
    magic("LVM2",      536,     b"LVM2 001",               None,                 Some((544, 32))),
    magic("mdraid",    4096,    b"\xfc\x4e\x2b\xa9",       Some((4128, 32)),     Some((4112, 16))),
    magic("mdraid",    0,       b"\xfc\x4e\x2b\xa9",       Some((32, 32)),       Some((16, 16))),
    magic("bcache",    4120,    b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca", Some((4168, 32)), Some((4136, 16))),
    magic("bluestore", 0,       b"bluestore block device", None,                 Some((23, 36))),
    magic("ext4",      1080,    b"\x53\xef",               Some((1144, 16)),     Some((1128, 16))),
    magic("xfs",       0,       b"XFSB",                   Some((108, 12)),      Some((32, 16))),
    magic("btrfs",     65600,   b"_BHRfS_M",               Some((65835, 256)),   Some((65568, 16))),
    magic("swap",      4086,    b"SWAPSPACE2",             Some((1052, 16)),     Some((1036, 16))),
    magic("vfat",      82,      b"FAT32   ",               Some((71, 11)),       Some((67, 4))),
    magic("vfat",      54,      b"FAT16   ",               Some((43, 11)),       Some((39, 4))),
    magic("vfat",      54,      b"FAT12   ",               Some((43, 11)),       Some((39, 4))),
    magic("ntfs",      3,       b"NTFS    ",               None,                 Some((72, 8))),
    magic("exfat",     3,       b"EXFAT   ",               None,                 Some((100, 4))),
    magic("iso9660",   32769,   b"CD001",                  Some((32808, 32)),    None),
    magic("squashfs",  0,       b"hsqs",                   None,                 None),
    magic("erofs",     1024,    b"\xe2\xe1\xf5\xe0",       Some((1088, 16)),     Some((1072, 16))),
    magic("f2fs",      1024,    b"\x10\x20\xf5\xf2",       None,                 Some((1132, 16))),
    magic("zfs",       131_072, b"\x0c\xb1\xba\x00",       None,                 None),
];

/// What the volume whose first bytes are `head` is, if a magic number says.
pub(super) fn recognise(head: &[u8]) -> Option<Signature> {
    let found =
        TABLE.iter().find(|magic| field(head, magic.offset, magic.bytes.len()) == magic.bytes)?;
    let part = |place: Option<(usize, usize)>| {
        place.map_or(&[][..], |(offset, len)| field(head, offset, len))
    };
    Some(Signature {
        kind: found.kind,
        label: text(part(found.label)),
        id: identity(part(found.id)),
    })
}

/// Magic of an md superblock 1.0 and 0.90: they lie near the volume's end, where
/// no file system would tell of them (`md(4)`).
pub(super) fn recognise_md_at_end(superblock: &[u8]) -> Option<Signature> {
    let is_md = field(superblock, 0, 4) == b"\xfc\x4e\x2b\xa9";
    let id = if is_md { identity(field(superblock, 16, 16)) } else { String::new() };
    is_md.then(|| Signature { kind: "mdraid", label: String::new(), id })
}

/// When a CD-ROM was last changed, as blkid(8) writes it for a UUID: 16 digits of the primary volume
/// descriptor (ECMA-119, 8.4.27); empty if they are none.
pub(super) fn iso_made(head: &[u8]) -> String {
    let digits = field(head, 32768 + 830, 16);
    if digits.len() != 16 || !digits.iter().all(u8::is_ascii_digit) {
        return String::new();
    }
    let text = text(digits);
    let groups = [&text[..4], &text[4..6], &text[6..8], &text[8..10], &text[10..12]];
    format!("{}-{}-{}", groups.join("-"), &text[12..14], &text[14..])
}

/// `len` bytes at `offset`, or none if they are not there.
fn field(bytes: &[u8], offset: usize, len: usize) -> &[u8] {
    bytes.get(offset..offset.saturating_add(len)).unwrap_or(&[])
}

/// A padded label as text fit for a screen: it comes from outside.
pub(super) fn text(label: &[u8]) -> String {
    let end = label.iter().position(|&byte| byte == 0).unwrap_or(label.len());
    let text = String::from_utf8_lossy(&label[..end]);
    let printable: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    printable.trim().to_string()
}

/// An identity: as it is where the format keeps text, else its bytes in hex.
fn identity(id: &[u8]) -> String {
    let is_text = id.len() > 16 && id.iter().all(|byte| byte.is_ascii_graphic() || *byte == 0);
    if is_text {
        return text(id);
    }
    hex(id)
}

/// Bytes as hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        digits.extend(
            [byte >> 4, byte & 15].map(|half| char::from(b"0123456789abcdef"[usize::from(half)])),
        );
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_the_table_is_found_where_it_says() {
        for magic in TABLE {
            let mut head = vec![0; HEAD_BYTES];
            head[magic.offset..magic.offset + magic.bytes.len()].copy_from_slice(magic.bytes);
            if let Some((offset, _)) = magic.label {
                head[offset..offset + 4].copy_from_slice(b"root");
            }
            let found = recognise(&head).unwrap();
            assert_eq!(found.kind, magic.kind);
            assert_eq!(found.label, if magic.label.is_some() { "root" } else { "" });
            let (offset, len) = magic.label.or(magic.id).unwrap_or((0, 0));
            assert!(offset + len <= HEAD_BYTES, "{}: beyond what is read", magic.kind);
        }
    }

    #[test]
    fn short_and_empty_heads_are_nothing() {
        assert_eq!(recognise(&[]), None);
        assert_eq!(recognise(&[0; 100]), None);
        assert_eq!(recognise_md_at_end(&[0; 3]), None);
    }

    #[test]
    fn labels_cannot_steer_a_terminal() {
        assert_eq!(text(b"\x1b[2Jroot\0junk"), "?[2Jroot");
        assert_eq!(text(b"EFI        "), "EFI");
    }
}
