//! The mark: which label a disk holds, kept on the disk itself.
//!
//! It lies in the last 4 KiB before 1 MiB, where partition tables and boot loaders
//! leave a gap, and only where the image has zeroes and no partition. It tells that what is
//! on the disk is ours to replace. It is a hint and no proof: content is compared by digest.

use crate::fit::partition_starts;
use crate::held::HEAD_BYTES;
use store::Digest;
use store::cut::is_zero;
use store::label::LabelName;

const MAGIC: &[u8; 8] = b"inaugdm1";

/// Magic, label length and label, manifest, then the check over all of it.
const LABEL_AT: usize = 8 + 1;

/// Which label a disk holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The label.
    pub label: LabelName,
    /// Digest of its manifest.
    pub manifest: Digest,
}

impl Mark {
    /// Length of a mark, bytes.
    pub const BYTES: usize = 4096;

    /// Where it lies, bytes from the start of the disk.
    pub const OFFSET: usize = HEAD_BYTES - Self::BYTES;

    /// Reads the mark of a disk's first MiB.
    pub fn read(head: &[u8]) -> Option<Self> {
        let block = head.get(Self::OFFSET..HEAD_BYTES)?;
        let (body, check) = block.split_last_chunk::<{ Digest::LEN }>()?;
        if !body.starts_with(MAGIC) || Digest::of(body) != Digest::from_bytes(*check) {
            return None;
        }
        let length = usize::from(body[8]);
        let label = core::str::from_utf8(&body[LABEL_AT..LABEL_AT + length]).ok()?;
        let manifest = body[LABEL_AT + length..].first_chunk::<{ Digest::LEN }>()?;
        Some(Self { label: label.parse().ok()?, manifest: Digest::from_bytes(*manifest) })
    }

    /// The block as it lies on the disk.
    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut block = [0; Self::BYTES];
        let label = self.label.as_str().as_bytes();
        let after = LABEL_AT + label.len();
        block[..8].copy_from_slice(MAGIC);
        // A label name has at most 255 bytes.
        block[8] = label.len() as u8;
        block[LABEL_AT..after].copy_from_slice(label);
        block[after..after + Digest::LEN].copy_from_slice(self.manifest.as_bytes());
        let check = Digest::of(&block[..Self::BYTES - Digest::LEN]);
        block[Self::BYTES - Digest::LEN..].copy_from_slice(check.as_bytes());
        block
    }

    /// Where a mark may be put into an image's first MiB.
    pub(crate) fn place(head: &[u8], sector_bytes: usize) -> Option<usize> {
        let gap = head.get(Self::OFFSET..HEAD_BYTES)?;
        let starts = partition_starts(head, sector_bytes)?;
        let free = starts.iter().all(|start| *start >= HEAD_BYTES as u64);
        (free && is_zero(gap)).then_some(Self::OFFSET)
    }

    /// Takes a mark out of a disk's first MiB: the image has zeroes there.
    pub(crate) fn remove(head: &mut [u8]) {
        if Self::read(head).is_some() {
            head[Self::OFFSET..HEAD_BYTES].fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_and_a_damaged_one_does_not() {
        let label: LabelName = "debian/12/demo".parse().unwrap();
        let mark = Mark { label, manifest: Digest::of(b"m") };
        let mut head = vec![0; HEAD_BYTES];
        head[Mark::OFFSET..].copy_from_slice(&mark.encode());
        assert_eq!(Mark::read(&head), Some(mark));
        head[Mark::OFFSET + 20] ^= 1;
        assert_eq!(Mark::read(&head), None);
    }

    #[test]
    fn a_mark_needs_a_table_and_a_gap() {
        let mut head = vec![0; HEAD_BYTES];
        assert_eq!(Mark::place(&head, 512), None, "no partition table");
        head[510..512].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(Mark::place(&head, 512), Some(Mark::OFFSET));
        head[Mark::OFFSET + 7] = 1;
        assert_eq!(Mark::place(&head, 512), None, "not zero");
        head[Mark::OFFSET + 7] = 0;
        head[446 + 4] = 0x83;
        head[446 + 8] = 63;
        assert_eq!(Mark::place(&head, 512), None, "a partition lies there");
    }
}
