//! What is in partitions: file systems made by the programs that everybody makes them with,
//! mounted where nobody else sees them, and swap.

mod mounted;
mod nodes;
mod swap;

pub use mounted::{Access, Mounted, release};
pub use nodes::{check_takes_partitions, forget_partitions, node_of, show_partitions};
pub use swap::swap_header;

use crate::layout::Guid;
use crate::tools::{Tool, ToolError};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// File systems that a root can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileSystem {
    /// ext4, with the features that GRUB 2.06 reads.
    #[default]
    Ext4,
    /// XFS.
    Xfs,
    /// btrfs.
    Btrfs,
}

/// Features of ext4, each named, so that a new version of mke2fs(8) or a host's mke2fs.conf
/// changes nothing. Without `metadata_csum_seed` and `orphan_file`, which GRUB 2.06 refuses.
const EXT4_FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,\
    64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum";

/// Tables and journal are zeroed by the kernel while the file system is used already: before
/// that it would be 1.6 % of the disk. Nothing is discarded, which takes some disks minutes.
const EXT4_EXTENDED: &str = "nodiscard,lazy_itable_init=1,lazy_journal_init=1";

/// Why a volume could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The program that makes it failed.
    #[error("cannot make {kind} on {device}")]
    Make {
        /// The file system.
        kind: FileSystem,
        /// The partition.
        device: PathBuf,
        /// Why.
        source: ToolError,
    },
    /// Nothing here makes it.
    #[error("nothing here makes {kind}")]
    NoMaker {
        /// The file system.
        kind: FileSystem,
        /// Why.
        source: ToolError,
    },
    /// This kernel does not know it.
    #[error("the kernel does not know {kind}")]
    Unknown {
        /// The file system.
        kind: FileSystem,
        /// Why.
        source: io::Error,
    },
    /// It would be too small.
    #[error("a partition of {has_bytes} bytes is too small for {kind}: needs {needs_bytes}")]
    Small {
        /// The file system.
        kind: FileSystem,
        /// The smallest, bytes.
        needs_bytes: u64,
        /// What the partition has, bytes.
        has_bytes: u64,
    },
    /// It could not be mounted.
    #[error("cannot mount {device} as {kind}")]
    Mount {
        /// The file system.
        kind: FileSystem,
        /// The partition.
        device: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was unmounted, and is in use all the same.
    #[error("cannot look at {device} anew after it was unmounted")]
    Release {
        /// The partition.
        device: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel does not take the partitions.
    #[error("the kernel does not take partition {number} of {disk}")]
    Partition {
        /// The disk.
        disk: String,
        /// The partition.
        number: u32,
        /// Why.
        source: io::Error,
    },
    /// It is no disk: it cannot be divided.
    #[error("{disk}: expected a disk that takes partitions, found {found}")]
    Undivided {
        /// What was to be divided.
        disk: String,
        /// What it is.
        found: &'static str,
    },
    /// The partition has no device node.
    #[error("partition {number} of {disk} has no device node: looked for {expected}")]
    NoNode {
        /// The disk.
        disk: String,
        /// The partition.
        number: u32,
        /// Where it should be.
        expected: String,
    },
    /// The node of a partition is of something else.
    #[error("{node} is expected to be partition {number} of {disk}, and is another device")]
    OtherNode {
        /// The disk.
        disk: String,
        /// The partition.
        number: u32,
        /// The node.
        node: String,
    },
}

impl FileSystem {
    /// Every one with its word.
    pub const WORDS: [(&str, Self); 3] =
        [("ext4", Self::Ext4), ("xfs", Self::Xfs), ("btrfs", Self::Btrfs)];

    /// The one of this word.
    pub fn named(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(name, _)| *name == word).map(|(_, kind)| *kind)
    }

    /// Its word, which is what mount(2) and fstab(5) call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    /// The program that makes it.
    pub fn maker(self) -> &'static str {
        match self {
            Self::Ext4 => "mke2fs",
            Self::Xfs => "mkfs.xfs",
            Self::Btrfs => "mkfs.btrfs",
        }
    }

    /// The smallest that its program makes, bytes: ext4 has no journal below 8 MiB (2048 blocks);
    /// mkfs.xfs refuses less than 300 MiB since xfsprogs 5.19, mkfs.btrfs less than 109 MiB.
    fn min_bytes(self) -> u64 {
        match self {
            Self::Ext4 => 8 << 20,
            Self::Xfs => 300 << 20,
            Self::Btrfs => 128 << 20,
        }
    }

    /// An error where this machine cannot make it of `has_bytes`, as far as is known without doing
    /// so. Nothing is written.
    pub fn check(self, has_bytes: u64) -> Result<(), VolumeError> {
        let no_maker = |source| VolumeError::NoMaker { kind: self, source };
        Tool::named(self.maker()).map_err(no_maker)?;
        let unknown = |source| VolumeError::Unknown { kind: self, source };
        mounted::is_known(self).map_err(io::Error::from).map_err(unknown)?;
        let needs_bytes = self.min_bytes();
        if has_bytes < needs_bytes {
            return Err(VolumeError::Small { kind: self, needs_bytes, has_bytes });
        }
        Ok(())
    }

    /// Makes it on `device`, over whatever is there.
    pub fn make(self, device: &Path, uuid: Guid, label: &str) -> Result<(), VolumeError> {
        let failed = |source| VolumeError::Make { kind: self, device: device.to_owned(), source };
        let tool = Tool::named(self.maker()).map_err(failed)?;
        let tool = match self {
            Self::Ext4 => tool
                .args(["-q", "-F", "-t", "ext4", "-b", "4096", "-i", "16384", "-I", "256"])
                .args(["-m", "1", "-O", EXT4_FEATURES, "-L", label])
                .args(["-U", &uuid.to_string()])
                .args(["-E", &format!("hash_seed={uuid},{EXT4_EXTENDED}")]),
            Self::Xfs => tool.args(["-q", "-f", "-K", "-L", label, "-m", &format!("uuid={uuid}")]),
            Self::Btrfs => tool.args(["-q", "-f", "-K", "-L", label, "-U", &uuid.to_string()]),
        };
        tool.arg(device.display()).run().map(drop).map_err(failed)
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
