//! Which file it is, and whether it was written to.

use rustix::fs::{AtFlags, Statx, StatxFlags, statx};
use std::fs::File;
use std::io;
use std::path::Path;

/// That of the file `path`, now; `None` if it cannot be opened.
pub(crate) fn stamp_of(path: &Path) -> Option<Stamp> {
    File::open(path).and_then(|file| Stamp::of(&file)).ok()
}

/// Which file it is, and what changes when it is written to (stat(2)). A block device shows
/// nothing of the latter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Major and minor number of the device it lies on.
    pub device: (u32, u32),
    /// Its number there: with the device, which file it is.
    pub inode: u64,
    /// Its length, bytes.
    pub size_bytes: u64,
    /// When its content was last modified, seconds since 1970 UTC and nanoseconds.
    pub modified: (i64, u32),
    /// When anything of it last changed. Unlike the time before, nobody sets this one back.
    pub changed: (i64, u32),
}

impl Stamp {
    /// That of `file`, now.
    pub fn of(file: &File) -> io::Result<Self> {
        Ok(Self::from_stat(&statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?))
    }

    /// As statx(2) says it.
    pub(crate) fn from_stat(stat: &Statx) -> Self {
        Self {
            device: (stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            size_bytes: stat.stx_size,
            modified: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            changed: (stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
        }
    }

    /// Whether the content may still be that of `before`: what a write changes is the same, whatever
    /// became of names and modes. Who writes can set this back; of a file, rather compare all.
    pub fn has_content_of(&self, before: &Self) -> bool {
        (self.size_bytes, self.modified) == (before.size_bytes, before.modified)
    }
}
