//! Fits an image's first MiB to the disk it is put on, and undoes it.
//!
//! An image's GPT says how large the disk is (UEFI 2.10, section 5.3). On a larger
//! disk the backup table belongs at that disk's end, so three fields of the first MiB
//! and the checksums over them differ from the image; and a disk carries a [`Mark`] that
//! says which label it holds. All of it can be undone, so that what is on a disk can
//! be compared with the image's digests.

use crate::held::HEAD_BYTES;
use crate::mark::Mark;
use store::manifest::Gpt;

const SIGNATURE: &[u8; 8] = b"EFI PART";

/// The header's length as UEFI defines it, bytes; a longer one may say so.
const HEADER_BYTES: usize = 92;

/// How to fit the first MiB of one image to one disk.
#[derive(Debug, Clone)]
pub(crate) struct Fit {
    /// Sector size of the image, bytes.
    pub(crate) sector_bytes: usize,
    /// Partition table of an image whose size is not the disk's.
    pub(crate) gpt: Option<GptFit>,
    /// What the disk is to say it holds.
    pub(crate) mark: Option<Mark>,
}

/// The partition table's side of a [`Fit`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct GptFit {
    /// Sector size of the table, bytes.
    pub(crate) sector_bytes: usize,
    /// What the image says.
    pub(crate) image: Gpt,
    /// Size of the disk, bytes.
    pub(crate) disk_bytes: u64,
}

impl Fit {
    /// Changes the image's first MiB into the disk's; says whether a mark came into it.
    pub(crate) fn to_disk(&self, head: &mut [u8]) -> bool {
        if let Some(gpt) = &self.gpt {
            gpt.fit(head);
        }
        if let (Some(mark), Some(at)) = (&self.mark, Mark::place(head, self.sector_bytes)) {
            let mark = mark.clone().finished(table_identity(head, self.sector_bytes));
            head[at..at + Mark::BYTES].copy_from_slice(&mark.encode());
            return true;
        }
        false
    }

    /// Changes the disk's first MiB back into the image's, as far as this label put it there.
    pub(crate) fn to_image(&self, head: &mut [u8]) {
        Mark::remove(head);
        if let Some(gpt) = &self.gpt {
            gpt.set(head, gpt.image);
        }
    }
}

impl GptFit {
    fn fit(&self, head: &mut [u8]) {
        let Some(header) = Header::of(head, self.sector_bytes) else { return };
        let last = self.disk_bytes / self.sector_bytes as u64 - 1;
        let array_sectors = header.array_bytes().div_ceil(self.sector_bytes) as u64;
        let fitted = Gpt {
            alternate_lba: last,
            last_usable_lba: last.saturating_sub(array_sectors + 1),
            // All ones where the disk is too large for the field (UEFI 2.10, table 5.4).
            protective_sectors: u32::try_from(last).unwrap_or(u32::MAX),
        };
        self.set(head, fitted);
    }

    /// Sets the fields that depend on the disk, and the header's checksum.
    fn set(&self, head: &mut [u8], values: Gpt) {
        let at = self.sector_bytes;
        let Some(header) = Header::of(head, at) else { return };
        if is_protective(head) {
            head[446 + 12..446 + 16].copy_from_slice(&values.protective_sectors.to_le_bytes());
        }
        let table = &mut head[at..at + header.length];
        table[32..40].copy_from_slice(&values.alternate_lba.to_le_bytes());
        table[48..56].copy_from_slice(&values.last_usable_lba.to_le_bytes());
        checksum(table);
    }

    /// The backup table of a fitted first MiB: where on the disk, and its bytes.
    pub(crate) fn backup(&self, head: &[u8]) -> Option<(u64, Vec<u8>)> {
        let sector = self.sector_bytes;
        let header = Header::of(head, sector)?;
        let array = head.get(header.array_start..header.array_start + header.array_bytes())?;
        let array_sectors = array.len().div_ceil(sector);
        let sectors = self.disk_bytes / sector as u64;
        let start = sectors.checked_sub(array_sectors as u64 + 1)?;
        let mut backup = vec![0; (array_sectors + 1) * sector];
        backup[..array.len()].copy_from_slice(array);
        let table = &mut backup[array_sectors * sector..][..header.length];
        table.copy_from_slice(&head[sector..sector + header.length]);
        table[24..32].copy_from_slice(&(sectors - 1).to_le_bytes());
        table[32..40].copy_from_slice(&1_u64.to_le_bytes());
        table[72..80].copy_from_slice(&start.to_le_bytes());
        checksum(table);
        Some((start * sector as u64, backup))
    }
}

/// What is needed of a primary header, checked to lie within the first MiB.
struct Header {
    length: usize,
    array_start: usize,
    entries: usize,
    entry_bytes: usize,
}

impl Header {
    fn of(head: &[u8], sector_bytes: usize) -> Option<Self> {
        let table = head.get(sector_bytes..2 * sector_bytes)?;
        let number = |at: usize| -> Option<u64> {
            Some(u64::from(u32::from_le_bytes(table.get(at..at + 4)?.try_into().ok()?)))
        };
        let length = usize::try_from(number(12)?).ok()?;
        let array_lba = number(72)? | number(76)? << 32;
        let array_start = usize::try_from(array_lba.checked_mul(sector_bytes as u64)?).ok()?;
        let entries = usize::try_from(number(80)?).ok()?;
        let entry_bytes = usize::try_from(number(84)?).ok()?;
        let header = Self { length, array_start, entries, entry_bytes };
        let fits = array_start <= HEAD_BYTES
            && entries <= HEAD_BYTES
            && entry_bytes <= sector_bytes
            && array_start + header.array_bytes() <= head.len();
        let sane = table.starts_with(SIGNATURE) && (HEADER_BYTES..=sector_bytes).contains(&length);
        (sane && fits).then_some(header)
    }

    fn array_bytes(&self) -> usize {
        self.entries * self.entry_bytes
    }
}

/// Starts of the partitions that a first MiB lists, bytes; none where there is no table.
pub(crate) fn partition_starts(head: &[u8], sector_bytes: usize) -> Option<Vec<u64>> {
    if let Some(header) = Header::of(head, sector_bytes) {
        let array = &head[header.array_start..header.array_start + header.array_bytes()];
        let used = array
            .chunks_exact(header.entry_bytes.max(48))
            .filter(|entry| entry[..16].iter().any(|byte| *byte != 0));
        let start = |entry: &[u8]| {
            let lba = entry[32..40].try_into().map(u64::from_le_bytes).unwrap_or_default();
            lba.saturating_mul(sector_bytes as u64)
        };
        return Some(used.map(start).collect());
    }
    let table = head.get(446..512)?;
    (table[64..] == [0x55, 0xaa]).then_some(())?;
    let used = table[..64].chunks_exact(16).filter(|entry| entry[4] != 0);
    let start = |entry: &[u8]| {
        let lba = entry[8..12].try_into().map(u32::from_le_bytes).unwrap_or_default();
        u64::from(lba) * sector_bytes as u64
    };
    Some(used.map(start).collect())
}

/// What tells one partition table from another and stays when partitions grow: the disk
/// GUID of a GPT, the disk signature of an MBR.
pub(crate) fn table_identity(head: &[u8], sector_bytes: usize) -> [u8; 16] {
    let mut identity = [0; 16];
    if Header::of(head, sector_bytes).is_some() {
        identity.copy_from_slice(&head[sector_bytes + 56..sector_bytes + 72]);
    } else if let Some(signature) = head.get(440..444) {
        identity[..4].copy_from_slice(signature);
    }
    identity
}

/// Whether the MBR only protects a GPT (UEFI 2.10, section 5.2.3): a hybrid one says where
/// partitions are, and is left alone.
fn is_protective(head: &[u8]) -> bool {
    head[446 + 4] == 0xee && head[446 + 16..510].iter().all(|byte| *byte == 0)
}

/// Sets a header's checksum: CRC-32 over it with the field itself zero.
fn checksum(table: &mut [u8]) {
    table[16..20].fill(0);
    let crc = crc32fast::hash(table);
    table[16..20].copy_from_slice(&crc.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::Digest;

    const IMAGE: Gpt = Gpt { alternate_lba: 4095, last_usable_lba: 4062, protective_sectors: 4095 };

    /// A first MiB with a table of 128 entries, one of them used.
    fn head(sector: usize) -> Vec<u8> {
        let mut head = vec![0; HEAD_BYTES];
        head[446 + 4] = 0xee;
        head[510..512].copy_from_slice(&[0x55, 0xaa]);
        let fields: [(usize, u64); 7] =
            [(12, 92), (24, 1), (40, 34), (72, 2), (80, 128), (84, 128), (88, 0)];
        head[sector..sector + 8].copy_from_slice(SIGNATURE);
        for (at, value) in fields {
            head[sector + at..sector + at + 4].copy_from_slice(&(value as u32).to_le_bytes());
        }
        head[2 * sector] = 1;
        head[2 * sector + 32..2 * sector + 40].copy_from_slice(&2048_u64.to_le_bytes());
        GptFit { sector_bytes: sector, image: IMAGE, disk_bytes: 0 }.set(&mut head, IMAGE);
        head
    }

    fn fit(sector: usize, disk_bytes: u64) -> Fit {
        let gpt = GptFit { sector_bytes: sector, image: IMAGE, disk_bytes };
        let name: store::label::LabelName = "debian/12/demo".parse().unwrap();
        let mark = Mark::unfinished(&name, Digest::of(b"m"), Vec::new());
        Fit { sector_bytes: sector, gpt: Some(gpt), mark: Some(mark) }
    }

    #[test]
    fn a_fitted_head_says_the_disks_size_and_can_be_undone() {
        for sector in [512, 4096] {
            let image = head(sector);
            let fit = fit(sector, 1 << 30);
            let mut disk = image.clone();
            fit.to_disk(&mut disk);
            let last = (1 << 30) / sector as u64 - 1;
            assert_eq!(disk[sector + 32..sector + 40], last.to_le_bytes());
            assert!(Mark::read(&disk).unwrap().owns(&disk));
            fit.to_image(&mut disk);
            assert!(disk == image);
        }
    }

    #[test]
    fn the_backup_ends_the_disk_and_points_back() {
        let fit = fit(512, 1 << 30);
        let mut disk = head(512);
        fit.to_disk(&mut disk);
        let (offset, backup) = fit.gpt.unwrap().backup(&disk).unwrap();
        assert_eq!(offset + backup.len() as u64, 1 << 30);
        let header = &backup[backup.len() - 512..];
        assert!(header.starts_with(SIGNATURE));
        assert_eq!(header[24..32], ((1_u64 << 30) / 512 - 1).to_le_bytes());
        assert_eq!(backup[..128], disk[1024..1152]);
    }

    #[test]
    fn a_head_without_a_table_is_left_alone() {
        let mut zeroes = vec![0; HEAD_BYTES];
        fit(512, 1 << 30).to_disk(&mut zeroes);
        assert!(zeroes.iter().all(|byte| *byte == 0));
    }
}
