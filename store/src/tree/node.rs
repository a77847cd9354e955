//! Nodes: what stands at a path, and its metadata.

use alloc::vec::Vec;

/// Permissions, setuid, setgid and sticky bits: all that chmod(2) sets.
pub const MODE_MAX: u16 = 0o7777;

/// The longest target of a symbolic link, bytes: `PATH_MAX` of Linux without its zero.
pub const TARGET_MAX_BYTES: usize = 4095;

/// `XATTR_NAME_MAX` of Linux (xattr(7)).
pub const XATTR_NAME_MAX_BYTES: usize = 255;

/// `XATTR_SIZE_MAX` of Linux (xattr(7)).
pub const XATTR_VALUE_MAX_BYTES: usize = 64 << 10;

/// All names and values of one node together, bytes: so that a segment that holds it stays far
/// below its own limit. ext4 has room for a block or one inode of them.
pub const XATTRS_MAX_BYTES: usize = 1 << 20;

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where, from the tree's root; see [`super::compare`] for the order.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: NodeKind,
    /// Its metadata; of a hard link, that of what it links to, and left empty here.
    pub meta: Meta,
}

/// Kinds of node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A directory.
    Directory,
    /// A regular file of this length, bytes. Its content stands beside the node.
    File {
        /// Its length, bytes.
        size_bytes: u64,
    },
    /// A symbolic link.
    Symlink {
        /// What it says, as bytes; followed by nobody here.
        target: Vec<u8>,
    },
    /// Another name of an earlier node that is no directory and no hard link itself.
    HardLink {
        /// The path of that node.
        to: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
}

/// What inode(7) says of a node besides its kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meta {
    /// Permission bits, setuid, setgid, sticky: at most [`MODE_MAX`].
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When it was last modified, seconds since 1970 UTC.
    pub mtime_s: i64,
    /// And nanoseconds, below 1,000,000,000.
    pub mtime_ns: u32,
    /// Extended attributes in order of their names, each name once: capabilities and ACLs
    /// are among them.
    pub xattrs: Vec<Xattr>,
}

/// An extended attribute (xattr(7)).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Xattr {
    /// Its name with its namespace, such as `security.capability`.
    pub name: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}
