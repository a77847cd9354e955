//! Master boot records: four primary partitions and a chain of logical ones.
//! Addresses are in sectors of 512 bytes; nothing else was ever common.

use super::Partition;
use crate::BootFactsError;
use crate::image::{Window, u16_at, u32_at};
use crate::warnings::Warnings;

const SECTOR_BYTES: u64 = 512;
const SIGNATURE: u16 = 0xaa55;
const TABLE_AT: usize = 446;
const EMPTY: u8 = 0;
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];
/// Stands for a GPT, which was looked for first and is not there.
const PROTECTIVE: u8 = 0xee;
/// Linux gives up after 256 minor numbers too; a chain may also be a circle.
const MAX_LOGICAL: u32 = 128;

/// One entry of a table.
#[derive(Clone, Copy)]
struct Entry {
    kind: u8,
    first_sector: u64,
    sectors: u64,
}

/// The partitions, none if there is no MBR.
pub(super) fn read(
    image: &Window,
    warnings: &mut Warnings,
) -> Result<Vec<Partition>, BootFactsError> {
    let Some(primary) = table(image, 0)? else { return Ok(Vec::new()) };
    let mut partitions = Vec::new();
    for (number, entry) in (1..).zip(primary) {
        match entry.kind {
            EMPTY => {}
            PROTECTIVE => warnings.add("MBR: stands for a GPT that is not there".to_owned()),
            kind if EXTENDED.contains(&kind) => {
                partitions.extend(logical(image, entry.first_sector, warnings));
            }
            _ => partitions.push(partition(number, 0, entry)),
        }
    }
    partitions.sort_by_key(|partition| partition.number);
    Ok(partitions)
}

/// Follows the chain: each table names one partition, relative to itself, and
/// the next table, relative to the first.
fn logical(image: &Window, chain_sector: u64, warnings: &mut Warnings) -> Vec<Partition> {
    let mut partitions = Vec::new();
    let mut at_sector = chain_sector;
    for number in 5..5 + MAX_LOGICAL {
        let [here, next, ..] = match table(image, at_sector * SECTOR_BYTES) {
            Ok(Some(entries)) => entries,
            Ok(None) => break,
            Err(error) => {
                warnings.failed("MBR: logical partitions", &error);
                break;
            }
        };
        if here.kind != EMPTY {
            partitions.push(partition(number, at_sector, here));
        }
        if !EXTENDED.contains(&next.kind) {
            break;
        }
        at_sector = chain_sector + next.first_sector;
    }
    partitions
}

fn table(image: &Window, at_bytes: u64) -> Result<Option<[Entry; 4]>, BootFactsError> {
    if at_bytes + SECTOR_BYTES > image.length_bytes {
        return Ok(None);
    }
    let sector = image.array::<{ SECTOR_BYTES as usize }>(at_bytes)?;
    if u16_at(&sector, 510) != SIGNATURE {
        return Ok(None);
    }
    Ok(Some([0, 1, 2, 3].map(|index| {
        let at = TABLE_AT + 16 * index;
        Entry {
            kind: sector[at + 4],
            first_sector: u64::from(u32_at(&sector, at + 8)),
            sectors: u64::from(u32_at(&sector, at + 12)),
        }
    })))
}

fn partition(number: u32, base_sector: u64, entry: Entry) -> Partition {
    Partition {
        number: Some(number),
        offset_bytes: (base_sector + entry.first_sector) * SECTOR_BYTES,
        length_bytes: entry.sectors * SECTOR_BYTES,
    }
}
