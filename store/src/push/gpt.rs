//! What an image's partition table says (UEFI 2.10, section 5.3).

use crate::manifest::Gpt;

/// Length of the header's fields up to and with the partition array's check, bytes.
const HEADER_MIN_BYTES: usize = 92;

/// What has to be read of an image to find its table: MBR and header of the larger sectors.
pub(super) const HEAD_BYTES: usize = 2 * 4096;

/// Partition type of the entry that protects a GPT from tools that only know the MBR.
const PROTECTIVE_TYPE: u8 = 0xee;

/// A GPT header found in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// The sector size it is written for, bytes.
    pub(super) sector_bytes: u32,
    /// Its fields, when its check is right and a protective MBR is there.
    pub(super) gpt: Option<Gpt>,
}

/// Looks for a primary GPT header in the first bytes of an image: behind a sector of 512
/// bytes or one of 4096. A header whose check is right wins over one whose is not.
pub(super) fn find(head: &[u8]) -> Option<Found> {
    let found: Vec<Found> =
        [512, 4096].into_iter().filter_map(|sector_bytes| read(head, sector_bytes)).collect();
    found.iter().find(|found| found.gpt.is_some()).or(found.first()).copied()
}

fn read(head: &[u8], sector_bytes: u32) -> Option<Found> {
    let header = head.get(sector_bytes as usize..2 * sector_bytes as usize)?;
    if !header.starts_with(b"EFI PART") {
        return None;
    }
    let length = u32_at(header, 12)? as usize;
    let checked = (HEADER_MIN_BYTES..=header.len()).contains(&length)
        && u32_at(header, 16)? == header_crc(&header[..length])
        && u64_at(header, 24)? == 1;
    let fields = || {
        Some(Gpt {
            alternate_lba: u64_at(header, 32)?,
            last_usable_lba: u64_at(header, 48)?,
            protective_sectors: protective_sectors(head)?,
        })
    };
    Some(Found { sector_bytes, gpt: if checked { fields() } else { None } })
}

/// CRC-32 of the header with its own check as zeroes.
fn header_crc(header: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header[..16]);
    crc.update(&[0; 4]);
    crc.update(&header[20..]);
    crc.finalize()
}

/// Length of the first protective entry of the MBR, sectors.
fn protective_sectors(mbr: &[u8]) -> Option<u32> {
    if mbr.get(510..512)? != [0x55, 0xaa] {
        return None;
    }
    let entries = mbr.get(446..510)?.chunks_exact(16);
    let mut protective = entries.filter(|entry| entry[4] == PROTECTIVE_TYPE);
    u32_at(protective.next()?, 12)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|field| u32::from_le_bytes(*field))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|field| u64::from_le_bytes(*field))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(sector_bytes: usize) -> Vec<u8> {
        let mut head = vec![0; HEAD_BYTES];
        head[446 + 4] = PROTECTIVE_TYPE;
        head[446 + 12..][..4].copy_from_slice(&99_u32.to_le_bytes());
        head[510..512].copy_from_slice(&[0x55, 0xaa]);
        let header = &mut head[sector_bytes..2 * sector_bytes];
        header[..8].copy_from_slice(b"EFI PART");
        header[12..16].copy_from_slice(&92_u32.to_le_bytes());
        header[24..32].copy_from_slice(&1_u64.to_le_bytes());
        header[32..40].copy_from_slice(&99_u64.to_le_bytes());
        header[48..56].copy_from_slice(&66_u64.to_le_bytes());
        let crc = header_crc(&header[..92]);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
        head
    }

    #[test]
    fn a_table_is_found_behind_either_sector_size() {
        let gpt = Gpt { alternate_lba: 99, last_usable_lba: 66, protective_sectors: 99 };
        for sector_bytes in [512, 4096] {
            let found = find(&head(sector_bytes as usize));
            assert_eq!(found, Some(Found { sector_bytes, gpt: Some(gpt) }));
        }
    }

    #[test]
    fn a_header_whose_check_is_wrong_tells_its_sector_size_only() {
        let mut head = head(4096);
        head[4096 + 40] ^= 1;
        assert_eq!(find(&head), Some(Found { sector_bytes: 4096, gpt: None }));
    }

    #[test]
    fn no_table_in_nothing_zeroes_or_a_cut_image() {
        for length in [0, 512, 1023, HEAD_BYTES] {
            assert_eq!(find(&vec![0; length]), None);
        }
        assert_eq!(find(&head(512)[..600]), None);
    }
}
