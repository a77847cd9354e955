//! Group descriptors: where each group's bitmap is, and whether there is one. Offsets as in
//! the kernel's `Documentation/filesystems/ext4/group_descr.rst`.

use super::crc::{crc16, crc32c};
use super::doubt;
use super::superblock::{Sums, Superblock};
use crate::BootFactsError;
use crate::image::{Window, u16_at, u32_at};

const CHECKSUM_AT: usize = 0x1e;
/// The bitmap's blocks were never written: all of the group is free but for metadata.
const BLOCK_UNINIT: u16 = 0x2;
/// A descriptor of this length has the upper half of the bitmap's checksum.
const WITH_BITMAP_SUM_HIGH: usize = 0x3a;

/// One group as its descriptor has it.
#[derive(Debug, Clone)]
pub(super) struct Descriptor {
    pub(super) block_bitmap: u64,
    pub(super) inode_bitmap: u64,
    pub(super) inode_table: u64,
    pub(super) free_blocks: u64,
    pub(super) is_uninit: bool,
    /// Of the bitmap: value, and which of its bits are there.
    bitmap_sum: (u32, u32),
}

impl Descriptor {
    /// Reads and checks the descriptor of `group`.
    pub(super) fn read(
        window: &Window,
        fs: &Superblock,
        group: u64,
    ) -> Result<Self, BootFactsError> {
        let mut bytes = vec![0; fs.descriptor_bytes];
        let table = (fs.first_block + 1) * fs.block_bytes;
        window.read_exact_at(table + group * fs.descriptor_bytes as u64, &mut bytes)?;
        check(&bytes, fs.sums, group)?;
        // What is past the end of a short descriptor reads as zero.
        let wide =
            |low, high| u64::from(u32_at(&bytes, low)) | u64::from(u32_at(&bytes, high)) << 32;
        let halves =
            |low, high| u32::from(u16_at(&bytes, low)) | u32::from(u16_at(&bytes, high)) << 16;
        let has_high = bytes.len() >= WITH_BITMAP_SUM_HIGH;
        let descriptor = Self {
            block_bitmap: wide(0x0, 0x20),
            inode_bitmap: wide(0x4, 0x24),
            inode_table: wide(0x8, 0x28),
            free_blocks: u64::from(halves(0xc, 0x2c)),
            is_uninit: !matches!(fs.sums, Sums::None) && u16_at(&bytes, 0x12) & BLOCK_UNINIT != 0,
            bitmap_sum: (halves(0x18, 0x38), if has_high { u32::MAX } else { 0xffff }),
        };
        for (start, length) in descriptor.metadata(fs) {
            if start < fs.first_block || start.saturating_add(length) > fs.blocks {
                let found = format!("group {group}: {length} at block {start} of {}", fs.blocks);
                return Err(doubt("metadata within the file system", found));
            }
        }
        Ok(descriptor)
    }

    /// The blocks of the group's own metadata, as (start, length).
    pub(super) fn metadata(&self, fs: &Superblock) -> [(u64, u64); 3] {
        let table = (self.inode_table, fs.inode_table_blocks);
        [(self.block_bitmap, 1), (self.inode_bitmap, 1), table]
    }

    /// Checks the bytes of the block bitmap.
    pub(super) fn check_bitmap(&self, bitmap: &[u8], sums: Sums) -> Result<(), BootFactsError> {
        let Sums::All { seed } = sums else { return Ok(()) };
        let (stored, bits) = self.bitmap_sum;
        let computed = crc32c(seed, bitmap) & bits;
        if stored == computed {
            return Ok(());
        }
        let found = format!("{stored:x} for {computed:x} at block {}", self.block_bitmap);
        Err(doubt("a block bitmap with the right checksum", found))
    }
}

/// Checks a descriptor's own checksum, in which it counts as zero itself.
fn check(bytes: &[u8], sums: Sums, group: u64) -> Result<(), BootFactsError> {
    let number = (group as u32).to_le_bytes();
    let (before, after) = (&bytes[..CHECKSUM_AT], &bytes[CHECKSUM_AT + 2..]);
    let computed = match sums {
        Sums::None => return Ok(()),
        Sums::Descriptors { uuid } => {
            let start = crc16(crc16(!0, &uuid), &number);
            crc16(crc16(start, before), after)
        }
        Sums::All { seed } => {
            let start = crc32c(crc32c(seed, &number), before);
            crc32c(crc32c(start, &[0; 2]), after) as u16
        }
    };
    let stored = u16_at(bytes, CHECKSUM_AT);
    if stored == computed {
        return Ok(());
    }
    let found = format!("{stored:04x} for {computed:04x}");
    Err(doubt("group descriptors with the right checksum", format!("{found} of group {group}")))
}
