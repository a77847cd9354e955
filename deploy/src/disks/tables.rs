//! Partition tables as far as needed to say what a disk holds: kind, identity,
//! and where each partition begins.
//!
//! GPT: UEFI specification 2.10, chapter 5. MBR: the four primary entries only;
//! what lies in an extended partition is not looked into. Nothing is repaired
//! and no checksum is judged: a table with a wrong checksum is still someone's
//! table.

use super::magic::{hex, text};

/// The kind of partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TableKind {
    /// No partition table.
    #[default]
    None,
    /// GUID partition table.
    Gpt,
    /// The older table of four entries.
    Mbr,
}

/// A partition table: where things begin, in bytes from the disk's start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Table {
    pub(super) kind: TableKind,
    /// Disk GUID or MBR disk signature in hex; empty without a table.
    pub(super) id: String,
    pub(super) entries: Vec<Entry>,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) number: u32,
    pub(super) start_bytes: u64,
    pub(super) size_bytes: u64,
    pub(super) name: String,
}

/// More entries than this are not read: the specification's minimum is 128 and
/// no tool makes more, and each costs a read of the disk.
const MAX_ENTRIES: usize = 128;
const GPT_SIGNATURE: &[u8] = b"EFI PART";
/// A GPT header says the size of its entries: 128 times a power of two.
const ENTRY_BYTES: std::ops::RangeInclusive<usize> = 128..=4096;

/// The table in a disk's first bytes.
///
/// A GPT written for the other sector size (an image of a 512-byte disk on a
/// 4096-byte disk) is recognised too: it is data.
pub(super) fn parse(head: &[u8], logical_sector_bytes: u32) -> Table {
    let other = if logical_sector_bytes == 4096 { 512 } else { 4096 };
    [logical_sector_bytes, other]
        .into_iter()
        .find_map(|sector| gpt(head, sector as usize))
        .or_else(|| mbr(head, logical_sector_bytes))
        .unwrap_or_default()
}

fn gpt(head: &[u8], sector: usize) -> Option<Table> {
    let header = head.get(sector..sector.checked_add(92)?)?;
    if !header.starts_with(GPT_SIGNATURE) {
        return None;
    }
    let mut table = Table { kind: TableKind::Gpt, id: hex(&header[56..72]), entries: Vec::new() };
    let first = usize::try_from(le64(header, 72)).unwrap_or(usize::MAX).saturating_mul(sector);
    let count = (le32(header, 80) as usize).min(MAX_ENTRIES);
    let entry_bytes = le32(header, 84) as usize;
    if ENTRY_BYTES.contains(&entry_bytes) {
        let entry =
            |index: usize| head.get(first.saturating_add(index * entry_bytes)..)?.get(..128);
        table.entries = (0..count)
            .map_while(|index| entry(index).map(|bytes| (index, bytes)))
            .filter_map(|(index, bytes)| gpt_entry(index, bytes, sector as u64))
            .collect();
    }
    Some(table)
}

fn gpt_entry(index: usize, bytes: &[u8], sector: u64) -> Option<Entry> {
    let is_used = bytes[..16].iter().any(|&byte| byte != 0);
    let (first, last) = (le64(bytes, 32), le64(bytes, 40));
    let name: Vec<u16> =
        bytes[56..128].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    is_used.then(|| Entry {
        number: index as u32 + 1,
        start_bytes: first.saturating_mul(sector),
        size_bytes: last.saturating_sub(first).saturating_add(1).saturating_mul(sector),
        name: text(String::from_utf16_lossy(&name).as_bytes()),
    })
}

/// A boot sector with 55 AA is a table only if an entry is in use and each is
/// plausible: FAT and NTFS put the same two bytes at the end of their first sector.
fn mbr(head: &[u8], sector_bytes: u32) -> Option<Table> {
    let sector = head.get(..512)?;
    if sector[510..] != [0x55, 0xaa] {
        return None;
    }
    let raw: Vec<&[u8]> = sector[446..510].chunks_exact(16).collect();
    if raw.iter().any(|entry| entry[0] & 0x7f != 0) {
        return None;
    }
    let sector_bytes = u64::from(sector_bytes);
    let entries: Vec<Entry> = (1..)
        .zip(raw)
        .filter(|(_, entry)| entry[4] != 0 && le32(entry, 12) != 0)
        .map(|(number, entry)| Entry {
            number,
            start_bytes: u64::from(le32(entry, 8)) * sector_bytes,
            size_bytes: u64::from(le32(entry, 12)) * sector_bytes,
            name: String::new(),
        })
        .collect();
    let id = hex(&sector[440..444]);
    (!entries.is_empty()).then_some(Table { kind: TableKind::Mbr, id, entries })
}

/// Little-endian number at `offset`; 0 where there are no bytes.
fn le32(bytes: &[u8], offset: usize) -> u32 {
    bytes
        .get(offset..offset + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}

fn le64(bytes: &[u8], offset: usize) -> u64 {
    bytes
        .get(offset..offset + 8)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The first 34 sectors of a GPT disk with the partitions `(start, sectors, name)`.
    pub(crate) fn gpt_head(sector: usize, partitions: &[(u64, u64, &str)]) -> Vec<u8> {
        let mut head = vec![0; 64 * sector];
        head[510..512].copy_from_slice(&[0x55, 0xaa]);
        head[446 + 4] = 0xee;
        head[446 + 8..446 + 16].copy_from_slice(&[1, 0, 0, 0, 255, 0, 0, 0]);
        head[sector..sector + 8].copy_from_slice(GPT_SIGNATURE);
        head[sector + 56..sector + 72].copy_from_slice(&[7; 16]);
        head[sector + 72..sector + 80].copy_from_slice(&2_u64.to_le_bytes());
        head[sector + 80..sector + 84].copy_from_slice(&128_u32.to_le_bytes());
        head[sector + 84..sector + 88].copy_from_slice(&128_u32.to_le_bytes());
        for (index, (start, sectors, name)) in partitions.iter().enumerate() {
            let entry = &mut head[2 * sector + index * 128..][..128];
            entry[..16].copy_from_slice(&[1; 16]);
            entry[32..40].copy_from_slice(&start.to_le_bytes());
            entry[40..48].copy_from_slice(&(start + sectors - 1).to_le_bytes());
            for (pair, unit) in entry[56..].chunks_exact_mut(2).zip(name.encode_utf16()) {
                pair.copy_from_slice(&unit.to_le_bytes());
            }
        }
        head
    }

    #[test]
    fn gpt_of_both_sector_sizes_is_read_on_either_disk() {
        for sector in [512, 4096] {
            let head = gpt_head(sector, &[(256, 1024, "EFI"), (2048, 8, "root")]);
            for disk_sector in [512, 4096] {
                let table = parse(&head, disk_sector);
                assert_eq!(table.kind, TableKind::Gpt);
                assert_eq!(table.id, "07".repeat(16));
                let root = &table.entries[1];
                assert_eq!((root.number, root.name.as_str()), (2, "root"));
                assert_eq!(root.start_bytes, 2048 * sector as u64);
                assert_eq!(root.size_bytes, 8 * sector as u64);
            }
        }
    }

    #[test]
    fn mbr_wants_a_used_and_plausible_entry() {
        let mut head = vec![0; 512];
        head[510..].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(parse(&head, 512), Table::default());
        head[446] = 0x80;
        head[450] = 0x83;
        head[454..462].copy_from_slice(&[0, 8, 0, 0, 0, 16, 0, 0]);
        let table = parse(&head, 512);
        assert_eq!(table.kind, TableKind::Mbr);
        assert_eq!((table.entries[0].start_bytes, table.entries[0].size_bytes), (1 << 20, 2 << 20));
        head[462] = b'N';
        assert_eq!(parse(&head, 512).kind, TableKind::None);
    }

    #[test]
    fn absurd_headers_are_bounded() {
        let mut head = gpt_head(512, &[(40, 8, "x")]);
        head[512 + 72..512 + 80].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(parse(&head, 512).entries, []);
        let mut head = gpt_head(512, &[(40, 8, "x")]);
        head[512 + 80..512 + 88].copy_from_slice(&[0xff; 8]);
        assert_eq!(parse(&head, 512).entries, []);
        let mut head = gpt_head(512, &[(40, 8, "x")]);
        head[1024 + 40..1024 + 48].copy_from_slice(&[0xff; 8]);
        assert_eq!(parse(&head, 512).entries[0].size_bytes, u64::MAX);
    }
}
