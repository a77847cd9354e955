//! What is on a disk now: partition table, and what each partition is by its magic.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use store::Digest;

use super::magic::{self, Signature};
use super::tables::{self, Entry, TableKind};

/// What a disk holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// The kind of partition table.
    pub table: TableKind,
    /// Disk GUID or MBR signature in hex; empty without a table.
    pub table_id: String,
    /// The partitions, in the table's order.
    pub partitions: Vec<Partition>,
    /// What the whole disk is, where it is not partitioned (or beside the table).
    pub whole: Option<Signature>,
    /// True if the first MiB is zero: never used, wiped, or an unfinished
    /// deployment of ours, which withholds exactly that MiB until all is proven.
    pub head_is_zero: bool,
    /// The digest of the first 4 KiB: the identity of data nothing else names.
    pub head_digest: String,
    /// Why it could not be read, if so.
    pub unreadable: Option<String>,
    /// True if the disk did not answer; [`Contents::unreadable`] says for how long.
    pub is_silent: bool,
}

/// One partition and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number in the table, from 1.
    pub number: u32,
    /// Where it begins, in bytes from the disk's start.
    pub start_bytes: u64,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its name in a GPT; empty if none.
    pub name: String,
    /// What it is by its magic number, if known.
    pub signature: Option<Signature>,
}

impl Contents {
    /// What is known of a disk that did not answer for so long.
    pub fn silent(waited: Duration) -> Self {
        let why = format!("did not answer in {} s", waited.as_secs());
        Self { unreadable: Some(why), is_silent: true, ..Self::default() }
    }

    /// True if there is nothing to lose: the first MiB is zero and no magic
    /// number is anywhere. What cannot be read is not blank.
    pub fn is_blank(&self) -> bool {
        self.head_is_zero && self.whole.is_none() && self.unreadable.is_none()
    }

    /// Every label and partition name on the disk.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        let of_partitions = self.partitions.iter().flat_map(|partition| {
            [Some(partition.name.as_str()), partition.signature.as_ref().map(|s| s.label.as_str())]
        });
        let of_whole = [self.whole.as_ref().map(|s| s.label.as_str())];
        of_partitions.chain(of_whole).flatten().filter(|label| !label.is_empty())
    }

    /// What names these contents and stays the same between boots: identities
    /// and places, nothing that mounting a file system changes.
    pub(super) fn identity(&self) -> String {
        let mut parts = vec![format!("{:?} {}", self.table, self.table_id)];
        for partition in &self.partitions {
            let id = partition.signature.as_ref().map_or("", |signature| &signature.id);
            parts.push(format!("{} {} {id}", partition.start_bytes, partition.size_bytes));
        }
        match &self.whole {
            Some(signature) => parts.push(format!("{} {}", signature.kind, signature.id)),
            None if self.partitions.is_empty() => parts.push(self.head_digest.clone()),
            None => {}
        }
        parts.join("\n")
    }
}

impl fmt::Display for Contents {
    /// One line: `blank`, or `gpt: 1 vfat "EFI", 2 ext4 "root"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(why) = &self.unreadable {
            let lead = if self.is_silent { "" } else { "cannot be read: " };
            return write!(f, "{lead}{why}");
        }
        let mut parts: Vec<String> = self.partitions.iter().take(SHOWN).map(of_partition).collect();
        if self.partitions.len() > SHOWN {
            parts.push(format!("{} more", self.partitions.len() - SHOWN));
        }
        parts.extend(self.whole.as_ref().map(of_signature));
        match self.table {
            TableKind::Gpt => write!(f, "gpt: ")?,
            TableKind::Mbr => write!(f, "mbr: ")?,
            TableKind::None => {}
        }
        match (parts.is_empty(), self.table, self.is_blank()) {
            (false, ..) => f.write_str(&parts.join(", ")),
            (true, TableKind::None, true) => f.write_str("blank"),
            (true, TableKind::None, false) => f.write_str("data of an unknown kind"),
            (true, ..) => f.write_str("no partitions"),
        }
    }
}

/// Partitions beyond this are counted, not listed: the line must fit a screen.
const SHOWN: usize = 8;

fn of_partition(partition: &Partition) -> String {
    let what = partition.signature.as_ref();
    let kind = what.map_or("unknown", |signature| signature.kind);
    let label = what.map(|signature| signature.label.as_str()).filter(|label| !label.is_empty());
    match label.unwrap_or(&partition.name) {
        "" => format!("{} {kind}", partition.number),
        label => format!("{} {kind} {label:?}", partition.number),
    }
}

fn of_signature(signature: &Signature) -> String {
    match signature.label.as_str() {
        "" => signature.kind.to_string(),
        label => format!("{} {label:?}", signature.kind),
    }
}

/// The first MiB: what the engine withholds until a disk is proven, and where
/// every partition table and nearly every superblock lies.
const HEAD_BYTES: usize = 1 << 20;

/// Looks at `device`, `size_bytes` long. Reads the first MiB and up to 136 KiB
/// of each partition; never writes.
pub fn sniff(device: &File, size_bytes: u64, logical_sector_bytes: u32) -> Contents {
    match read_up_to(device, 0, HEAD_BYTES, size_bytes) {
        Ok(head) => look(device, &head, size_bytes, logical_sector_bytes),
        Err(error) => Contents { unreadable: Some(error.to_string()), ..Contents::default() },
    }
}

fn look(device: &File, head: &[u8], size_bytes: u64, sector: u32) -> Contents {
    let table = tables::parse(head, sector);
    let partition = |entry: Entry| Partition {
        number: entry.number,
        start_bytes: entry.start_bytes,
        size_bytes: entry.size_bytes,
        signature: signature_at(device, entry.start_bytes, entry.size_bytes, size_bytes),
        name: entry.name,
    };
    Contents {
        table: table.kind,
        table_id: table.id,
        partitions: table.entries.into_iter().map(partition).collect(),
        whole: magic::recognise(head).or_else(|| md_at_end(device, 0, size_bytes)),
        head_is_zero: head.iter().all(|&byte| byte == 0),
        head_digest: Digest::of(&head[..head.len().min(4096)]).short(),
        unreadable: None,
        is_silent: false,
    }
}

/// What the volume at `start` is. A volume that lies outside the disk, or does
/// not read, is unknown: the disk is data all the same, by its table.
fn signature_at(device: &File, start: u64, size: u64, disk: u64) -> Option<Signature> {
    let end = start.saturating_add(size).min(disk);
    let head = read_up_to(device, start, magic::HEAD_BYTES, end).ok()?;
    magic::recognise(&head).or_else(|| md_at_end(device, start, end))
}

/// md superblocks at the end: 1.0 at 8 KiB before the end (aligned to 4 KiB),
/// 0.90 at the last whole 64 KiB (`md(4)`).
fn md_at_end(device: &File, start: u64, end: u64) -> Option<Signature> {
    let size = end.checked_sub(start)?;
    let v1 = size.checked_sub(8192)? & !4095;
    let v0 = (size & !65535).checked_sub(65536);
    [Some(v1), v0].into_iter().flatten().find_map(|offset| {
        let superblock = read_up_to(device, start + offset, 4096, end).ok()?;
        magic::recognise_md_at_end(&superblock)
    })
}

/// `len` bytes at `offset`, fewer where the volume ends before.
fn read_up_to(device: &File, offset: u64, len: usize, end: u64) -> io::Result<Vec<u8>> {
    let there = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; len.min(there)];
    device.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::tables::tests::gpt_head;
    use super::*;

    /// A sparse file of `size` bytes with `parts` written into it.
    fn device(size: u64, parts: &[(u64, &[u8])]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[]).unwrap();
        file.set_len(size).unwrap();
        for (offset, bytes) in parts {
            file.write_all_at(bytes, *offset).unwrap();
        }
        file
    }

    /// What is written where, and the line that must come of it.
    type Case<'a> = (&'a [(u64, &'a [u8])], &'a str);

    #[test]
    fn a_disk_says_what_it_holds_in_one_line() {
        let gpt =
            gpt_head(512, &[(2048, 2048, "EFI System"), (4096, 8192, "root"), (999_999, 8, "")]);
        let mbr_like: &[u8] = b"\x53\xef";
        let table: [Case; 8] = [
            (&[], "blank"),
            (&[(5000, b"x")], "data of an unknown kind"),
            (&[(2 << 20, b"far away")], "blank"),
            (&[(1080, mbr_like), (1144, b"data")], "ext4 \"data\""),
            (&[(536, b"LVM2 001")], "LVM2"),
            (&[((16 << 20) - 8192, b"\xfc\x4e\x2b\xa9")], "mdraid"),
            (&[(0, &gpt_head(512, &[]))], "gpt: no partitions"),
            (
                &[
                    (0, &gpt),
                    (1 << 20, &[0; 82]),
                    ((1 << 20) + 82, b"FAT32   "),
                    ((2 << 20) + 1080, b"\x53\xef"),
                ],
                "gpt: 1 vfat \"EFI System\", 2 ext4 \"root\", 3 unknown",
            ),
        ];
        for (parts, expected) in table {
            let contents = sniff(&device(16 << 20, parts), 16 << 20, 512);
            assert_eq!(contents.to_string(), expected);
            assert_eq!(contents.is_blank(), expected == "blank", "{expected}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_blank() {
        let contents = sniff(&device(4096, &[]), 1 << 20, 512);
        assert!(!contents.is_blank());
        assert_eq!(contents.to_string(), "cannot be read: failed to fill whole buffer");
    }

    #[test]
    fn tiny_and_empty_devices_are_looked_at_without_a_word() {
        for size in [0, 1, 511, 4096] {
            assert_eq!(sniff(&device(size, &[]), size, 512).to_string(), "blank");
        }
    }

    #[test]
    fn identity_survives_a_mount_and_not_a_new_table() {
        let gpt = gpt_head(512, &[(2048, 2048, "root")]);
        let sniffed =
            |parts: &[(u64, &[u8])]| sniff(&device(4 << 20, parts), 4 << 20, 512).identity();
        let before = sniffed(&[(0, &gpt), ((1 << 20) + 1080, b"\x53\xef")]);
        let mount_count_changed = sniffed(&[(0, &gpt), ((1 << 20) + 1076, b"\x05\0\0\0\x53\xef")]);
        let other_table = sniffed(&[(0, &gpt_head(512, &[(2048, 4096, "root")]))]);
        assert_eq!(before, mount_count_changed);
        assert_ne!(before, other_table);
    }
}
