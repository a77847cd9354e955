//! The superblock of ext2, ext3 and ext4, refused where its account of free blocks may be
//! out of date. Offsets and names as in the kernel's
//! Documentation/filesystems/ext4/super.rst.

use super::crc::crc32c;
use super::doubt;
use crate::BootFactsError;
use crate::image::{Window, u16_at, u32_at};

const COMPAT_SPARSE_SUPER2: u32 = 0x200;

/// Features that change nothing about which blocks are free, or that are read here: filetype,
/// extents, 64bit, `flex_bg`, `ea_inode`, `csum_seed`, largedir, `inline_data`, encrypt, casefold.
const INCOMPAT_KNOWN: u32 =
    0x2 | 0x40 | INCOMPAT_64BIT | 0x200 | 0x400 | INCOMPAT_CSUM_SEED | 0x4000 | 0x8000 | 0x30000;
const INCOMPAT_RECOVER: u32 = 0x4;
const INCOMPAT_64BIT: u32 = 0x80;
const INCOMPAT_CSUM_SEED: u32 = 0x2000;

/// `sparse_super`, `large_file`, `btree_dir`, `huge_file`, `gdt_csum`, `dir_nlink`, `extra_isize`,
/// quota, `metadata_csum`, readonly, project, verity.
const RO_COMPAT_KNOWN: u32 = RO_COMPAT_SPARSE_SUPER
    | 0x2
    | 0x4
    | 0x8
    | RO_COMPAT_GDT_CSUM
    | 0x20
    | 0x40
    | 0x100
    | RO_COMPAT_METADATA_CSUM
    | 0x1000
    | 0x2000
    | 0x8000;
const RO_COMPAT_SPARSE_SUPER: u32 = 0x1;
const RO_COMPAT_GDT_CSUM: u32 = 0x10;
const RO_COMPAT_METADATA_CSUM: u32 = 0x400;
const RO_COMPAT_ORPHAN_PRESENT: u32 = 0x1_0000;

/// `s_state` of a file system that was unmounted cleanly and knows of no error.
const STATE_CLEAN: u16 = 1;

/// Linux mounts blocks of at most 64 KiB.
const LOG_BLOCK_SIZE_MAX: u32 = 6;

/// As many groups as the reader of boot files takes: of 128 MiB, 128 TiB.
const GROUPS_MAX: u64 = 1 << 20;

/// What the superblock says of where things are, checked.
#[derive(Debug)]
pub(super) struct Superblock {
    pub(super) block_bytes: u64,
    pub(super) blocks: u64,
    pub(super) first_block: u64,
    pub(super) blocks_per_group: u64,
    pub(super) groups: u64,
    pub(super) inode_table_blocks: u64,
    /// Blocks of descriptors, and kept for more of them, after each superblock.
    pub(super) descriptor_blocks: u64,
    pub(super) descriptor_bytes: usize,
    pub(super) sums: Sums,
    backups: Backups,
}

/// How metadata is checked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sums {
    None,
    /// `gdt_csum`: group descriptors only, by CRC-16 of the UUID and more.
    Descriptors {
        uuid: [u8; 16],
    },
    /// `metadata_csum`: by CRC-32C from this seed on.
    All {
        seed: u32,
    },
}

/// Which groups start with a copy of the superblock.
#[derive(Debug, Clone, Copy)]
enum Backups {
    All,
    /// The first two, and powers of 3, 5 and 7.
    Sparse,
    /// These two, and the first.
    Two([u32; 2]),
}

impl Superblock {
    pub(super) fn read(window: &Window) -> Result<Self, BootFactsError> {
        let bytes = window.array::<1024>(1024)?;
        let u32_of = |at| u32_at(&bytes, at);
        let (incompat, ro_compat) = (u32_of(0x60), u32_of(0x64));
        check_features(incompat, ro_compat)?;
        let sums = sums(&bytes, incompat, ro_compat)?;
        check_clean(&bytes, ro_compat)?;

        let log_block_size = u32_of(0x18);
        if log_block_size > LOG_BLOCK_SIZE_MAX || u32_of(0x1c) != log_block_size {
            let found = format!("2^{log_block_size} KiB in clusters of 2^{} KiB", u32_of(0x1c));
            return Err(doubt("blocks of 1 to 64 KiB, clusters as large", found));
        }
        let block_bytes = 1024 << log_block_size;
        let wide = incompat & INCOMPAT_64BIT != 0;
        let high = if wide { u64::from(u32_of(0x150)) << 32 } else { 0 };
        let (blocks, first_block) = (high | u64::from(u32_of(0x4)), u64::from(u32_of(0x14)));
        let (blocks_per_group, inodes_per_group) = (u64::from(u32_of(0x20)), u32_of(0x28));
        let descriptor_bytes = if wide { usize::from(u16_at(&bytes, 0xfe)) } else { 32 };
        let inode_bytes = if u32_of(0x4c) == 0 { 128 } else { u64::from(u16_at(&bytes, 0x58)) };

        let groups = blocks.saturating_sub(first_block).div_ceil(blocks_per_group.max(1));
        let fits = blocks.checked_mul(block_bytes).is_some_and(|all| all <= window.length_bytes)
            && (1..=8 * block_bytes).contains(&blocks_per_group)
            && blocks_per_group.is_multiple_of(8)
            // The inodes' bitmap is one block as well: so is the length of their table bounded.
            && u64::from(inodes_per_group) <= 8 * block_bytes
            && inode_bytes <= block_bytes
            && first_block == u64::from(block_bytes == 1024)
            && (32..=1024).contains(&descriptor_bytes)
            && descriptor_bytes.is_power_of_two()
            && (1..=GROUPS_MAX).contains(&groups);
        if !fits {
            let found = format!(
                "{blocks} blocks of {block_bytes} bytes from {first_block} in groups of {blocks_per_group}, descriptors of {descriptor_bytes} bytes, {inodes_per_group} inodes of {inode_bytes} bytes in a group"
            );
            return Err(doubt("a geometry that fits the volume", found));
        }
        let table_blocks = (groups * descriptor_bytes as u64).div_ceil(block_bytes);
        Ok(Self {
            block_bytes,
            blocks,
            first_block,
            blocks_per_group,
            groups,
            inode_table_blocks: (u64::from(inodes_per_group) * inode_bytes).div_ceil(block_bytes),
            descriptor_blocks: table_blocks + u64::from(u16_at(&bytes, 0xce)),
            descriptor_bytes,
            sums,
            backups: if u32_of(0x5c) & COMPAT_SPARSE_SUPER2 != 0 {
                Backups::Two([u32_of(0x24c), u32_of(0x250)])
            } else if ro_compat & RO_COMPAT_SPARSE_SUPER != 0 {
                Backups::Sparse
            } else {
                Backups::All
            },
        })
    }

    /// The first block of a group.
    pub(super) fn group_start(&self, group: u64) -> u64 {
        self.first_block + group * self.blocks_per_group
    }

    /// How many blocks a group has; the last one may have fewer.
    pub(super) fn group_blocks(&self, group: u64) -> u64 {
        self.blocks_per_group.min(self.blocks - self.group_start(group))
    }

    /// The group that a block lies in.
    pub(super) fn group_of(&self, block: u64) -> u64 {
        block.saturating_sub(self.first_block) / self.blocks_per_group
    }

    /// Whether a group starts with a superblock and the descriptors of all groups.
    pub(super) fn has_superblock(&self, group: u64) -> bool {
        let power_of = |base: u64| {
            let mut power = base;
            while power < group {
                power *= base;
            }
            power == group
        };
        match self.backups {
            _ if group == 0 => true,
            Backups::All => true,
            Backups::Sparse => group == 1 || [3, 5, 7].into_iter().any(power_of),
            Backups::Two(backups) => backups.into_iter().any(|at| u64::from(at) == group),
        }
    }
}

fn check_features(incompat: u32, ro_compat: u32) -> Result<(), BootFactsError> {
    if incompat & INCOMPAT_RECOVER != 0 {
        let found = "a journal that has to be replayed: run e2fsck on it first".to_owned();
        return Err(doubt("a file system that was unmounted", found));
    }
    let unknown = (incompat & !INCOMPAT_KNOWN, ro_compat & !RO_COMPAT_KNOWN);
    let (incompat, ro_compat) = (unknown.0, unknown.1 & !RO_COMPAT_ORPHAN_PRESENT);
    if (incompat, ro_compat) == (0, 0) {
        return Ok(());
    }
    let found = format!("incompat {incompat:#x}, ro_compat {ro_compat:#x}");
    Err(doubt("only features whose free blocks are understood", found))
}

fn sums(bytes: &[u8; 1024], incompat: u32, ro_compat: u32) -> Result<Sums, BootFactsError> {
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&bytes[0x68..0x78]);
    if ro_compat & RO_COMPAT_METADATA_CSUM == 0 {
        let some = ro_compat & RO_COMPAT_GDT_CSUM != 0;
        return Ok(if some { Sums::Descriptors { uuid } } else { Sums::None });
    }
    let (stored, computed) = (u32_at(bytes, 0x3fc), crc32c(!0, &bytes[..0x3fc]));
    if stored != computed {
        let found = format!("{stored:08x} for {computed:08x}");
        return Err(doubt("a superblock with the right checksum", found));
    }
    let own = incompat & INCOMPAT_CSUM_SEED != 0;
    Ok(Sums::All { seed: if own { u32_at(bytes, 0x270) } else { crc32c(!0, &uuid) } })
}

fn check_clean(bytes: &[u8; 1024], ro_compat: u32) -> Result<(), BootFactsError> {
    let (state, last_orphan) = (u16_at(bytes, 0x3a), u32_at(bytes, 0xe8));
    let orphans = last_orphan != 0 || ro_compat & RO_COMPAT_ORPHAN_PRESENT != 0;
    if state == STATE_CLEAN && !orphans {
        return Ok(());
    }
    let orphans = if orphans { ", files that are still to be removed" } else { "" };
    let found = format!("state {state:#x}{orphans}: mounted, or run e2fsck on it first");
    Err(doubt("a file system that was unmounted and has no errors (state 0x1)", found))
}
