//! The mark: which label a disk holds, kept on the disk itself.
//!
//! It lies in the last 4 KiB before 1 MiB, where partition tables and boot loaders
//! leave a gap, and stays only where the image has zeroes and no partition. It tells that
//! what is on the disk is ours to replace, for as long as the partition table is the one that was
//! deployed. It is a hint and no proof: content is compared by digest.

use crate::fit::{partition_starts, table_identity};
use crate::held::HEAD_BYTES;
use store::Digest;
use store::cut::is_zero;
use store::label::LabelName;

const MAGIC: &[u8; 8] = b"inaugdm2";

/// The first version: the same, without seeds, and its check is that of the whole block.
const MAGIC_1: &[u8; 8] = b"inaugdm1";

/// What of the block says something, bytes: the smallest sector, which a disk writes whole or
/// not at all, so that a cut leaves the old mark or the new one.
const SAID_BYTES: usize = 512;

/// States of a deployment.
const UNFINISHED: u8 = 0;
const FINISHED: u8 = 1;
/// Unfinished, and the partitions are being made as well.
const LAYING_OUT: u8 = 2;

/// Seeds that a mark names at most: every deployment that was cut off adds one. Older ones are
/// forgotten; what only they knew is fetched.
const SEEDS_MAX: usize = 4;

/// Magic, state, table, manifest, label length and label (at most 255 bytes), number of seeds and
/// seeds; at the end of [`SAID_BYTES`] the check over all of it.
const STATE_AT: usize = 8;
const TABLE_AT: usize = STATE_AT + 1;
const MANIFEST_AT: usize = TABLE_AT + 16;
const LABEL_AT: usize = MANIFEST_AT + Digest::LEN + 1;

/// Which label a disk holds, or is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The label.
    pub label: LabelName,
    /// Digest of its manifest.
    pub manifest: Digest,
    /// Identity of the partition table that was deployed; none while a deployment is unfinished.
    table: Option<[u8; 16]>,
    /// While unfinished: identity of the partition table that is being made, with all partitions.
    lays_out: Option<[u8; 16]>,
    /// While unfinished: manifests of what the disk held before, of which some is still there.
    seeds: Vec<Digest>,
}

impl Mark {
    /// Length of a mark, bytes.
    pub const BYTES: usize = 4096;

    /// Where it lies, bytes from the start of the disk.
    pub const OFFSET: usize = HEAD_BYTES - Self::BYTES;

    /// The mark of a disk that is about to be written and holds what `seeds` say.
    pub(crate) fn unfinished(label: &LabelName, manifest: Digest, mut seeds: Vec<Digest>) -> Self {
        seeds.truncate(SEEDS_MAX);
        Self { label: label.clone(), manifest, table: None, lays_out: None, seeds }
    }

    /// The same of a disk whose partitions are all made as well, with a table of this identity.
    pub(crate) fn laying_out(self, table: Option<[u8; 16]>) -> Self {
        Self { lays_out: table, ..self }
    }

    /// Identity of the table with which all partitions were being made when the deployment was cut
    /// off: none of them has anything that could be lost.
    pub(crate) fn lays_out(&self) -> Option<[u8; 16]> {
        self.lays_out
    }

    /// The mark of the same disk when it holds the label, with this partition table.
    pub(crate) fn finished(self, table: [u8; 16]) -> Self {
        Self { table: Some(table), lays_out: None, seeds: Vec::new(), ..self }
    }

    /// Whether the deployment that it is of came to its end.
    pub fn is_finished(&self) -> bool {
        self.table.is_some()
    }

    /// Manifests of which something may be on the disk, the nearest first.
    pub(crate) fn holds(&self) -> Vec<Digest> {
        let mut all = vec![self.manifest];
        all.extend(self.seeds.iter().filter(|seed| **seed != self.manifest));
        all
    }

    /// Whether what is on a disk with this mark and this first MiB is ours to replace: an
    /// unfinished deployment is, and a finished one while it has its own partition table.
    pub fn owns(&self, head: &[u8]) -> bool {
        let is_there =
            |table| [512, 4096].iter().any(|sector| table_identity(head, *sector) == table);
        self.table.is_none_or(is_there)
    }

    /// Reads the mark of a disk's first MiB.
    pub fn read(head: &[u8]) -> Option<Self> {
        let block = head.get(Self::OFFSET..HEAD_BYTES)?;
        let (magic, length) =
            if block.starts_with(MAGIC_1) { (MAGIC_1, Self::BYTES) } else { (MAGIC, SAID_BYTES) };
        let (body, check) = block.get(..length)?.split_last_chunk::<{ Digest::LEN }>()?;
        if !body.starts_with(magic) || Digest::of(body) != Digest::from_bytes(*check) {
            return None;
        }
        let length = usize::from(body[LABEL_AT - 1]);
        let (label, rest) = body[LABEL_AT..].split_at(length);
        let label = core::str::from_utf8(label).ok()?;
        let (seeds, _) = rest[1..].as_chunks::<{ Digest::LEN }>();
        let seeds = seeds.iter().take(usize::from(rest[0]).min(SEEDS_MAX));
        let table = *body[TABLE_AT..].first_chunk::<16>()?;
        let manifest = body[MANIFEST_AT..].first_chunk::<{ Digest::LEN }>()?;
        Some(Self {
            label: label.parse().ok()?,
            manifest: Digest::from_bytes(*manifest),
            table: (body[STATE_AT] == FINISHED).then_some(table),
            lays_out: (body[STATE_AT] == LAYING_OUT).then_some(table),
            seeds: seeds.map(|seed| Digest::from_bytes(*seed)).collect(),
        })
    }

    /// The block as it lies on the disk.
    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut block = [0; Self::BYTES];
        let label = self.label.as_str().as_bytes();
        block[..STATE_AT].copy_from_slice(MAGIC);
        block[STATE_AT] = match (&self.table, self.lays_out) {
            (Some(_), _) => FINISHED,
            (None, None) => UNFINISHED,
            (None, Some(_)) => LAYING_OUT,
        };
        let table = self.table.or(self.lays_out).unwrap_or_default();
        block[TABLE_AT..MANIFEST_AT].copy_from_slice(&table);
        block[MANIFEST_AT..LABEL_AT - 1].copy_from_slice(self.manifest.as_bytes());
        // A label name has at most 255 bytes.
        block[LABEL_AT - 1] = label.len() as u8;
        block[LABEL_AT..LABEL_AT + label.len()].copy_from_slice(label);
        let seeds = &mut block[LABEL_AT + label.len()..];
        // At most SEEDS_MAX.
        seeds[0] = self.seeds.len() as u8;
        for (place, seed) in seeds[1..].chunks_exact_mut(Digest::LEN).zip(&self.seeds) {
            place.copy_from_slice(seed.as_bytes());
        }
        let (body, check) = block[..SAID_BYTES].split_at_mut(SAID_BYTES - Digest::LEN);
        check.copy_from_slice(Digest::of(body).as_bytes());
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
        let seeds = vec![Digest::of(b"1"), Digest::of(b"2")];
        let unfinished = Mark::unfinished(&label, Digest::of(b"m"), seeds);
        let mark = unfinished.clone().finished([7; 16]);
        let mut head = vec![0; HEAD_BYTES];
        head[Mark::OFFSET..].copy_from_slice(&mark.encode());
        assert_eq!(Mark::read(&head), Some(mark));
        head[Mark::OFFSET..].copy_from_slice(&unfinished.encode());
        assert_eq!(Mark::read(&head), Some(unfinished.clone()));
        let laying_out = unfinished.laying_out(Some([7; 16]));
        head[Mark::OFFSET..].copy_from_slice(&laying_out.encode());
        assert_eq!(Mark::read(&head), Some(laying_out));
        head[Mark::OFFSET + 20] ^= 1;
        assert_eq!(Mark::read(&head), None);
    }

    #[test]
    fn a_disk_remembers_what_it_held_before_within_a_bound() {
        let label: LabelName = "v2".parse().unwrap();
        let digest = |number: u8| Digest::of(&[number]);
        let mark = Mark::unfinished(&label, digest(0), (0..9).map(digest).collect());
        assert_eq!(mark.holds(), [digest(0), digest(1), digest(2), digest(3)]);
        assert_eq!(mark.finished([1; 16]).holds(), [digest(0)]);
    }

    #[test]
    fn a_mark_of_the_first_version_is_read() {
        let label: LabelName = "v1".parse().unwrap();
        let mark = Mark::unfinished(&label, Digest::of(b"m"), Vec::new()).finished([7; 16]);
        let mut block = mark.encode();
        block[..8].copy_from_slice(MAGIC_1);
        block[SAID_BYTES - Digest::LEN..].fill(0);
        let (body, check) = block.split_at_mut(Mark::BYTES - Digest::LEN);
        check.copy_from_slice(Digest::of(body).as_bytes());
        let mut head = vec![0; HEAD_BYTES];
        head[Mark::OFFSET..].copy_from_slice(&block);
        assert_eq!(Mark::read(&head), Some(mark));
    }

    #[test]
    fn the_longest_mark_fits() {
        let label: LabelName = "x".repeat(255).parse().unwrap();
        let seeds = (0..SEEDS_MAX as u8).map(|number| Digest::of(&[number])).collect();
        let mark = Mark::unfinished(&label, Digest::of(b"m"), seeds);
        let mut head = vec![0; HEAD_BYTES];
        head[Mark::OFFSET..].copy_from_slice(&mark.encode());
        assert_eq!(Mark::read(&head), Some(mark));
    }

    #[test]
    fn another_partition_table_is_not_ours() {
        let label: LabelName = "debian/12/demo".parse().unwrap();
        let mut head = vec![0; HEAD_BYTES];
        head[440..444].copy_from_slice(&[1, 2, 3, 4]);
        let unfinished = Mark::unfinished(&label, Digest::of(b"m"), Vec::new());
        let finished = unfinished.clone().finished(table_identity(&head, 512));
        assert!(unfinished.owns(&head) && finished.owns(&head));
        head[440] = 9;
        assert!(unfinished.owns(&head) && !finished.owns(&head));
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
