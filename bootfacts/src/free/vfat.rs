//! The free clusters of FAT12, FAT16 and FAT32: those whose entry is zero in every copy of
//! the table (Microsoft's FAT specification, section 4).

use super::doubt;
use super::ranges::Ranges;
use crate::fs::{Layout, Width};
use crate::image::{Window, u16_at, u32_at};
use crate::{BootFactsError, Extent};

/// Entries read at once: an even number, as two of FAT12's share three bytes.
const ENTRIES_AT_ONCE: u64 = 32_768;

/// Set by Linux in a boot sector while the volume is mounted for writing.
const MOUNTED: u8 = 1;

/// The free space of the file system in `window`, relative to it.
pub(super) fn free(window: &Window) -> Result<Ranges, BootFactsError> {
    let sector = window.array::<512>(0)?;
    let layout = Layout::parse(&sector, window.length_bytes)?;
    check_clean(window, &layout, &sector)?;
    let mut ranges = Ranges::default();
    let last = layout.clusters() + u64::from(Layout::FIRST_CLUSTER);
    let mut first = 0;
    while first < last {
        let count = ENTRIES_AT_ONCE.min(last - first);
        let mut used = vec![false; count as usize];
        for copy in 0..layout.copies {
            mark_used(window, &layout, copy, first, &mut used)?;
        }
        for (cluster, used) in (first as u32..).zip(used) {
            if !used && cluster >= Layout::FIRST_CLUSTER {
                let Extent { offset_bytes, length_bytes } = layout.cluster(cluster)?;
                ranges.push(Extent { offset_bytes, length_bytes });
            }
        }
        first += count;
    }
    Ok(ranges)
}

/// Marks the clusters from `first` on whose entry in the table's `copy` is not zero.
fn mark_used(
    window: &Window,
    layout: &Layout,
    copy: u64,
    first: u64,
    used: &mut [bool],
) -> Result<(), BootFactsError> {
    let (at_bytes, width) = layout.table_entry(first as u32);
    let bits = match width {
        Width::Bits12 => 12,
        Width::Bits16 => 16,
        Width::Bits32 => 32,
    };
    let mut bytes = vec![0; (used.len() * bits).div_ceil(8)];
    window.read_exact_at(at_bytes + copy * layout.table_bytes, &mut bytes)?;
    for (index, used) in used.iter_mut().enumerate() {
        *used |= match width {
            Width::Bits12 => {
                let pair = u16_at(&bytes, index + index / 2);
                (if index.is_multiple_of(2) { pair & 0xfff } else { pair >> 4 }) != 0
            }
            Width::Bits16 => u16_at(&bytes, 2 * index) != 0,
            Width::Bits32 => u32_at(&bytes, 4 * index) & 0x0fff_ffff != 0,
        };
    }
    Ok(())
}

/// Refuses a volume that is mounted or was not unmounted: the second entry of the table has
/// bits for that in FAT16 and FAT32 (section 4.2), and Linux keeps one in the boot sector.
fn check_clean(window: &Window, layout: &Layout, sector: &[u8; 512]) -> Result<(), BootFactsError> {
    let (at_bytes, width) = layout.table_entry(1);
    let (clean, state_at) = match width {
        Width::Bits12 => (true, 37),
        Width::Bits16 => (u16_at(&window.array::<2>(at_bytes)?, 0) >> 14 == 3, 37),
        Width::Bits32 => (u32_at(&window.array::<4>(at_bytes)?, 0) >> 26 & 3 == 3, 65),
    };
    if clean && sector[state_at] & MOUNTED == 0 {
        return Ok(());
    }
    let found = "one that is mounted or has errors: run fsck.fat on it first".to_owned();
    Err(doubt("a file system that was unmounted", found))
}
