//! The free blocks of ext2, ext3 and ext4, from their block bitmaps.
//!
//! A bitmap has a bit for each block of its group, set where it is used, by metadata
//! too (the kernel's Documentation/filesystems/ext4/bitmaps.rst). A group whose bitmap was
//! never written is free but for metadata: that of e2fsprogs' `mark_uninit_bg_group_blocks`.

use super::descriptors::Descriptor;
use super::doubt;
use super::ranges::Ranges;
use super::superblock::Superblock;
use crate::image::Window;
use crate::{BootFactsError, Extent};

/// The free space of the file system in `window`, relative to it. One bitmap is held at a time.
pub(super) fn free(window: &Window) -> Result<Ranges, BootFactsError> {
    let fs = Superblock::read(window)?;
    check_uninit(window, &fs)?;
    let mut ranges = Ranges::default();
    let mut bitmap = vec![0; fs.block_bytes as usize];
    for group in 0..fs.groups {
        let descriptor = Descriptor::read(window, &fs, group)?;
        if descriptor.is_uninit {
            metadata_only(&fs, group, &descriptor, &mut bitmap);
        } else {
            window.read_exact_at(descriptor.block_bitmap * fs.block_bytes, &mut bitmap)?;
            let checked = &bitmap[..fs.blocks_per_group as usize / 8];
            descriptor.check_bitmap(checked, fs.sums)?;
        }
        let free = push_free(&fs, group, &bitmap, &mut ranges);
        if free != descriptor.free_blocks {
            let found = format!("{} for {free} of group {group}", descriptor.free_blocks);
            return Err(doubt("as many free blocks as are counted", found));
        }
    }
    Ok(ranges)
}

/// Refuses a file system in which a group without a bitmap holds another group's metadata:
/// whether that is used stands nowhere. Neither mke2fs nor the kernel makes such.
fn check_uninit(window: &Window, fs: &Superblock) -> Result<(), BootFactsError> {
    let mut uninit = Vec::with_capacity(fs.groups as usize);
    for group in 0..fs.groups {
        uninit.push(Descriptor::read(window, fs, group)?.is_uninit);
    }
    for group in 0..fs.groups {
        for (start, length) in Descriptor::read(window, fs, group)?.metadata(fs) {
            let (first, last) = (fs.group_of(start), fs.group_of(start + length.max(1) - 1));
            for holder in first..=last {
                if holder != group && uninit.get(holder as usize) != Some(&false) {
                    let found = format!("that of group {group} in group {holder}");
                    return Err(doubt("metadata in groups that have a bitmap", found));
                }
            }
        }
    }
    Ok(())
}

/// The bitmap that a group would have, had it one.
fn metadata_only(fs: &Superblock, group: u64, descriptor: &Descriptor, bitmap: &mut [u8]) {
    bitmap.fill(0);
    let start = fs.group_start(group);
    let copies = if fs.has_superblock(group) { 1 + fs.descriptor_blocks } else { 0 };
    for (first, length) in descriptor.metadata(fs).into_iter().chain([(start, copies)]) {
        let end = start + fs.group_blocks(group);
        for block in first.max(start)..(first + length).min(end) {
            let index = block - start;
            bitmap[index as usize / 8] |= 1 << (index % 8);
        }
    }
}

/// Adds a group's free blocks to `ranges` and counts them.
fn push_free(fs: &Superblock, group: u64, bitmap: &[u8], ranges: &mut Ranges) -> u64 {
    let (start, mut free) = (fs.group_start(group), 0);
    for index in 0..fs.group_blocks(group) {
        if bitmap[index as usize / 8] & 1 << (index % 8) == 0 {
            free += 1;
            let offset_bytes = (start + index) * fs.block_bytes;
            ranges.push(Extent { offset_bytes, length_bytes: fs.block_bytes });
        }
    }
    free
}
