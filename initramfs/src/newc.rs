//! One record of a newc cpio archive, as the kernel reads it.
//!
//! Format: `Documentation/driver-api/early-userspace/buffer-format.rst` of the kernel. Where the
//! content of a file goes, behind its header, is its writer's business, so that an archive can be
//! laid out before there is any content.

/// Name of the entry that ends an archive.
pub const TRAILER: &str = "TRAILER!!!";

/// Archives are padded to whole blocks, as cpio(1) does.
pub const BLOCK_BYTES: usize = 512;

/// The kernel's `PATH_MAX`, with its final NUL.
pub const MAX_NAME_BYTES: usize = 4096;

/// The file size field has eight hexadecimal digits.
pub const MAX_FILE_BYTES: u64 = u32::MAX as u64;

/// Headers and contents begin at multiples of this.
pub const ALIGN_BYTES: usize = 4;

/// Kinds of file in [`Header::mode`] (inode(7)).
pub mod kind {
    /// A named pipe.
    pub const FIFO: u32 = 0o010_000;
    /// A character device.
    pub const CHARACTER: u32 = 0o020_000;
    /// A directory.
    pub const DIRECTORY: u32 = 0o040_000;
    /// A block device.
    pub const BLOCK: u32 = 0o060_000;
    /// A regular file.
    pub const FILE: u32 = 0o100_000;
    /// A symbolic link.
    pub const SYMLINK: u32 = 0o120_000;
}

/// The fields of a record that differ between entries.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Inode number: names of one file that has several have the same.
    pub number: u32,
    /// Kind and permissions (inode(7)).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// How many names it has.
    pub links: u32,
    /// When it was last modified, seconds since 1970 UTC.
    pub mtime_s: u32,
    /// Length of the content that follows, bytes.
    pub size_bytes: u32,
    /// Of a device: its major number.
    pub major: u32,
    /// Of a device: its minor number.
    pub minor: u32,
}

/// Adds the header and `name` to `out`, whose length is a multiple of [`ALIGN_BYTES`] before and
/// after.
pub fn push(out: &mut Vec<u8>, name: &[u8], header: &Header) {
    out.extend_from_slice(b"070701");
    let fields = [
        header.number,
        header.mode,
        header.uid,
        header.gid,
        header.links,
        header.mtime_s,
        header.size_bytes,
        0, // device of the file system
        0,
        header.major,
        header.minor,
        name.len() as u32 + 1,
        0, // checksum, of another variant of the format
    ];
    for field in fields {
        out.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    out.extend_from_slice(name);
    out.push(0);
    align(out);
}

/// Pads `out` to where the next header or content begins.
pub fn align(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(ALIGN_BYTES), 0);
}
