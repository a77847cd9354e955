//! GUID partition tables (UEFI 2.10 section 5.3), with sectors of 512 or 4096
//! bytes, from the primary or the backup header.

use super::Partition;
use crate::BootFactsError;
use crate::image::{Window, u32_at, u64_at};
use crate::warnings::Warnings;

const SIGNATURE: &[u8; 8] = b"EFI PART";
/// Sector sizes that disks have; the table does not say which it was made for.
const SECTOR_SIZES_BYTES: [u64; 2] = [512, 4096];
/// Bytes of the header that are defined.
const HEADER_BYTES: usize = 92;
/// 128 entries of 128 bytes is what every tool writes; this leaves room for a
/// table eight times as large.
const MAX_TABLE_BYTES: u64 = 128 * 1024;
const MIN_ENTRY_BYTES: u64 = 128;

/// The partitions, or `None` if there is no GPT. A header that is damaged is a
/// warning, and the next one is tried.
pub(super) fn read(
    image: &Window,
    warnings: &mut Warnings,
) -> Result<Option<Vec<Partition>>, BootFactsError> {
    for (sector_bytes, at_bytes) in header_places(image.length_bytes) {
        if image.array::<8>(at_bytes)? != *SIGNATURE {
            continue;
        }
        match read_table(image, sector_bytes, at_bytes) {
            Ok(partitions) => return Ok(Some(partitions)),
            Err(error) => warnings.failed(&format!("header at byte {at_bytes}"), &error),
        }
    }
    Ok(None)
}

/// Primary headers are in the second sector, backups in the last.
fn header_places(image_bytes: u64) -> impl Iterator<Item = (u64, u64)> {
    let primary = SECTOR_SIZES_BYTES.map(|sector| (sector, sector));
    let backup = SECTOR_SIZES_BYTES.map(|sector| (sector, image_bytes.saturating_sub(sector)));
    let fits = move |&(sector, at): &(u64, u64)| at >= sector && at + sector <= image_bytes;
    primary.into_iter().chain(backup).filter(fits)
}

fn read_table(
    image: &Window,
    sector_bytes: u64,
    at_bytes: u64,
) -> Result<Vec<Partition>, BootFactsError> {
    let header = image.array::<HEADER_BYTES>(at_bytes)?;
    check_header(&header)?;
    let table_lba = u64_at(&header, 72);
    let count = u64::from(u32_at(&header, 80));
    let entry_bytes = u64::from(u32_at(&header, 84));
    let table_bytes = count * entry_bytes;
    if entry_bytes < MIN_ENTRY_BYTES || table_bytes > MAX_TABLE_BYTES {
        let found = format!("{count} entries of {entry_bytes} bytes");
        return Err(malformed("partition entries", "at most 128 KiB, 128 or more each", found));
    }
    let mut table = vec![0; table_bytes as usize];
    image.read_exact_at(table_lba.saturating_mul(sector_bytes), &mut table)?;
    check_crc("partition entries' CRC", u32_at(&header, 88), &table)?;
    let entries = table.chunks_exact(entry_bytes as usize);
    (1..)
        .zip(entries)
        .filter_map(|(number, entry)| partition(number, entry, sector_bytes))
        .collect()
}

fn check_header(header: &[u8; HEADER_BYTES]) -> Result<(), BootFactsError> {
    let size = u32_at(header, 12);
    if size as usize != HEADER_BYTES {
        return Err(malformed("header size", "92", size.to_string()));
    }
    let mut unsigned = *header;
    unsigned[16..20].fill(0);
    check_crc("header CRC", u32_at(header, 16), &unsigned)
}

fn check_crc(field: &'static str, stored: u32, bytes: &[u8]) -> Result<(), BootFactsError> {
    let computed = crc32fast::hash(bytes);
    if computed == stored {
        return Ok(());
    }
    let found = format!("{stored:08x} stored, {computed:08x} computed");
    Err(malformed(field, "the CRC of the bytes", found))
}

/// One entry; `None` if it is unused.
fn partition(
    number: u32,
    entry: &[u8],
    sector_bytes: u64,
) -> Option<Result<Partition, BootFactsError>> {
    if entry[..16] == [0; 16] {
        return None;
    }
    let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
    let offset_bytes = first.checked_mul(sector_bytes);
    let sectors = last.checked_sub(first).and_then(|sectors| sectors.checked_add(1));
    let length_bytes = sectors.and_then(|sectors| sectors.checked_mul(sector_bytes));
    Some(match (offset_bytes, length_bytes) {
        (Some(offset_bytes), Some(length_bytes)) => {
            Ok(Partition { number: Some(number), offset_bytes, length_bytes })
        }
        _ => Err(malformed("partition", "first sector before last", format!("{first} to {last}"))),
    })
}

fn malformed(field: &'static str, expected: &'static str, found: String) -> BootFactsError {
    BootFactsError::Malformed { object: "GPT", field, expected, found }
}
