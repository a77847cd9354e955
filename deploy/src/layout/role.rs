//! What each partition is for, as a table.

use super::Guid;
use std::fmt;

/// What a partition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Where GRUB has its core on a BIOS machine; there on every disk, so that one layout fits
    /// both firmwares.
    BiosBoot,
    /// The EFI system partition: boot loader, and the kernels that it cannot read elsewhere.
    Esp,
    /// The root file system.
    Root,
    /// Swap.
    Swap,
    /// What survives every label: mounted at `/srv`.
    Data,
    /// Where others keep kernels that do not fit onto the EFI system partition (XBOOTLDR): its
    /// entries are booted as well. Never made.
    ExtendedBoot,
    /// The store of a medium that machines without network boot from. Never made on a disk that
    /// something is deployed to.
    Store,
}

impl Role {
    /// Every role that is made, in the order in which partitions lie on a disk. The data partition
    /// is the last: it stays where it is whatever becomes of those before it.
    pub const ALL: [Self; 5] = [Self::BiosBoot, Self::Esp, Self::Root, Self::Swap, Self::Data];

    /// The type of its partition (Discoverable Partitions Specification, UAPI.2; the first is
    /// GRUB's own).
    pub const fn guid(self) -> Guid {
        match self {
            Self::BiosBoot => Guid::of(0x2168_6148, 0x6449, 0x6E6F, 0x744E, 0x6565_6445_4649),
            Self::Esp => Guid::of(0xC12A_7328, 0xF81F, 0x11D2, 0xBA4B, 0x00A0_C93E_C93B),
            // Root partition for x86-64.
            Self::Root => Guid::of(0x4F68_BCE3, 0xE8CD, 0x4DB1, 0x96E7, 0xFBCA_F984_B709),
            Self::Swap => Guid::of(0x0657_FD6D, 0xA4AB, 0x43C4, 0x84E5, 0x0933_C84B_4F4F),
            // Server data, which systemd mounts at /srv by itself where it is told the disk.
            Self::Data => Guid::of(0x3B8F_8425, 0x20E0, 0x4F3B, 0x907F, 0x1A25_A76F_98E8),
            // Ours alone: no tool mounts it for what it is not.
            Self::Store => Guid::of(0x8E5C_1F0A, 0x3D27, 0x4B6E, 0x9A41, 0x1A70_D0C5_57E2),
            Self::ExtendedBoot => Guid::of(0xBC13_C2FF, 0x59E6, 0x4262, 0xA352, 0xB275_FD6F_7172),
        }
    }

    /// The role of a partition of this type.
    pub fn of(kind: Guid) -> Option<Self> {
        Self::ALL
            .into_iter()
            .chain([Self::ExtendedBoot, Self::Store])
            .find(|role| role.guid() == kind)
    }

    /// The partition's name, and its file system's label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BiosBoot => "bios",
            Self::Esp => "esp",
            Self::Root => "root",
            Self::Swap => "swap",
            Self::Data => "data",
            Self::ExtendedBoot => "xbootldr",
            Self::Store => "store",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
