//! GRUB: its core is made by its own program out of the deployed tree, and laid where BIOS finds
//! it by us, so that the sector that makes a disk boot is written last.
//!
//! The layout of `boot.img` and of the first sector of the core is GRUB's
//! `include/grub/i386/pc/boot.h` and `include/grub/offsets.h`; what is set in them is what
//! `util/setup.c` (grub-bios-setup) sets.

use crate::tools::{Tool, ToolError};
use crate::volumes::FileSystem;
use std::os::fd::BorrowedFd;

/// Sectors as BIOS counts them, bytes. GRUB boots by BIOS from no other.
pub(crate) const SECTOR_BYTES: usize = 512;

/// Boot code ends where the disk's signature and the partition table begin.
pub(crate) const BOOT_CODE_BYTES: usize = 440;

/// In `boot.img`: sector of the core, and whether the BIOS is to be believed about the drive.
const KERNEL_SECTOR_AT: usize = 0x5c;
const BOOT_DRIVE_AT: usize = 0x64;
const DRIVE_CHECK_AT: usize = 0x66;

/// In the core's first sector: the list of blocks that follow, of 12 bytes: first sector,
/// how many, and where in memory they go.
const BLOCK_LIST_AT: usize = SECTOR_BYTES - 12;

/// What is in every core: enough to read a menu of ours or of grub-mkconfig(8) from a root.
const MODULES: [&str; 19] = [
    "part_gpt",
    "normal",
    "configfile",
    "linux",
    "search",
    "search_fs_uuid",
    "search_label",
    "search_fs_file",
    "serial",
    "terminal",
    "echo",
    "test",
    "true",
    "ls",
    "cat",
    "halt",
    "reboot",
    "sleep",
    "fat",
];

/// Firmware that GRUB is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// BIOS.
    Bios,
    /// UEFI on x86-64.
    Uefi,
}

/// Why there is no core.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// GRUB's program failed.
    #[error("cannot make GRUB's core")]
    Make(#[source] ToolError),
    /// What it made, or the boot sector beside it, is not what it should be.
    #[error("GRUB's {what}: expected {expected}, found {found}")]
    Wrong {
        /// Core or boot sector.
        what: &'static str,
        /// What would be right.
        expected: String,
        /// What is there.
        found: String,
    },
}

/// A core for BIOS, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Core {
    /// What goes into the first sector of the disk, before the partition table.
    pub boot_code: [u8; BOOT_CODE_BYTES],
    /// What goes into the BIOS boot partition.
    pub core: Vec<u8>,
}

impl Platform {
    /// Path of a module in a tree.
    pub(super) fn module(self, name: &str) -> String {
        format!("usr/lib/grub/{}/{name}", self.word())
    }

    fn word(self) -> &'static str {
        match self {
            Self::Bios => "i386-pc",
            Self::Uefi => "x86_64-efi",
        }
    }

    fn modules(self) -> &'static [&'static str] {
        match self {
            Self::Bios => &["biosdisk"],
            Self::Uefi => &["efi_gop", "efi_uga", "all_video"],
        }
    }

    /// Makes the core that reads its configuration from partition `number` of the disk that it
    /// was read from, with `program` of the tree below `root`.
    pub fn make(
        self,
        root: BorrowedFd<'_>,
        program: &str,
        kind: FileSystem,
        number: u32,
    ) -> Result<Vec<u8>, CoreError> {
        let reader = match kind {
            FileSystem::Ext4 => "ext2",
            FileSystem::Xfs => "xfs",
            FileSystem::Btrfs => "btrfs",
        };
        // Without a disk in the prefix it is the one that the core came from.
        Tool::inside(root, &format!("/{program}"))
            .args(["-O", self.word(), "-p", &format!("(,gpt{number})/boot/grub"), reader])
            .args(MODULES.iter().chain(self.modules()))
            .run()
            .map_err(CoreError::Make)
    }
}

impl Core {
    /// Prepares `boot_image` (`boot.img`) and `core` for a core that starts at `start_bytes` of
    /// the disk, where there is room for `room_bytes`.
    pub fn place(
        boot_image: &[u8],
        mut core: Vec<u8>,
        start_bytes: u64,
        room_bytes: u64,
    ) -> Result<Self, CoreError> {
        let wrong = |what, expected: String, found: usize| {
            Err(CoreError::Wrong { what, expected, found: format!("{found} bytes") })
        };
        if boot_image.len() != SECTOR_BYTES {
            return wrong("boot sector", format!("{SECTOR_BYTES} bytes"), boot_image.len());
        }
        let length = core.len();
        if length < 2 * SECTOR_BYTES || length as u64 > room_bytes {
            let expected = format!("{} to {room_bytes} bytes", 2 * SECTOR_BYTES);
            return wrong("core", expected, length);
        }
        core.resize(length.next_multiple_of(SECTOR_BYTES), 0);
        let sector = start_bytes / SECTOR_BYTES as u64;
        let listed =
            usize::from(u16::from_le_bytes([core[BLOCK_LIST_AT + 8], core[BLOCK_LIST_AT + 9]]));
        let rest = core.len() / SECTOR_BYTES - 1;
        if listed != rest {
            let (expected, found) = (format!("{rest} sectors after its first"), listed.to_string());
            return Err(CoreError::Wrong { what: "core", expected, found });
        }
        core[BLOCK_LIST_AT..BLOCK_LIST_AT + 8].copy_from_slice(&(sector + 1).to_le_bytes());
        let mut boot_code = [0; BOOT_CODE_BYTES];
        boot_code.copy_from_slice(&boot_image[..BOOT_CODE_BYTES]);
        boot_code[KERNEL_SECTOR_AT..KERNEL_SECTOR_AT + 8].copy_from_slice(&sector.to_le_bytes());
        boot_code[BOOT_DRIVE_AT] = 0xff; // the one that the BIOS says
        // No jump over the check for BIOSes that say nonsense.
        boot_code[DRIVE_CHECK_AT..DRIVE_CHECK_AT + 2].copy_from_slice(&[0x90, 0x90]);
        Ok(Self { boot_code, core })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn core(sectors: u16) -> Vec<u8> {
        let mut core = vec![7; usize::from(sectors) * SECTOR_BYTES];
        core[BLOCK_LIST_AT..][..12].fill(0);
        core[BLOCK_LIST_AT + 8..][..2].copy_from_slice(&(sectors - 1).to_le_bytes());
        core.truncate(core.len() - 100);
        core
    }

    #[test]
    fn the_boot_sector_leads_to_the_core_and_that_to_its_rest() {
        let placed = Core::place(&[1; 512], core(5), 1 << 20, 1 << 20).unwrap();
        assert_eq!(placed.boot_code[KERNEL_SECTOR_AT..][..8], 2048_u64.to_le_bytes());
        assert_eq!(placed.boot_code[BOOT_DRIVE_AT..][..4], [0xff, 1, 0x90, 0x90]);
        assert_eq!(placed.core[BLOCK_LIST_AT..][..8], 2049_u64.to_le_bytes());
        assert_eq!(placed.core.len(), 5 * SECTOR_BYTES);
    }

    #[test]
    fn what_is_no_core_is_refused() {
        let boot = [1; 512];
        let mut short_list = core(5);
        short_list[BLOCK_LIST_AT + 8] = 9;
        let table: [(&[u8], Vec<u8>, &str); 4] = [
            (&boot[1..], core(5), "GRUB's boot sector: expected 512 bytes, found 511 bytes"),
            (&boot, core(1), "GRUB's core: expected 1024 to 4096 bytes, found 412 bytes"),
            (&boot, core(9), "GRUB's core: expected 1024 to 4096 bytes, found 4508 bytes"),
            (&boot, short_list, "GRUB's core: expected 4 sectors after its first, found 9"),
        ];
        for (boot, core, expected) in table {
            let refused = Core::place(boot, core, 1 << 20, 4096).unwrap_err();
            assert_eq!(refused.to_string(), expected);
        }
    }
}
