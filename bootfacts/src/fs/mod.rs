//! The file systems that boot files lie on, behind one face.

mod ext4;
mod resolve;
mod sniff;
mod tree;
mod vfat;

use std::io::Read;

use crate::image::Window;
use crate::{BootFactsError, Located};

pub(crate) use sniff::{Sniffed, sniff, sniff_besides, sniff_overlaid};
pub(crate) use tree::TreeVolume;
pub use tree::{Tree, TreeEntry};
pub(crate) use vfat::{Layout, Width};

/// The largest configuration file that is read. A generated `grub.cfg` has
/// 5-50 KiB, an entry less than one.
const MAX_CONFIG_BYTES: u64 = 1 << 20;
/// The most names taken from one directory. `/boot` of a machine that never
/// removed a kernel has some hundred.
const MAX_NAMES: usize = 4096;
/// The longest path, with links resolved, that Linux itself takes (`PATH_MAX`).
const MAX_PATH_BYTES: usize = 4096;

/// The file systems that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// FAT12, FAT16 or FAT32, with long names.
    Vfat,
    /// ext2, ext3 or ext4.
    Ext4,
}

impl Kind {
    /// As Linux calls it in /proc/filesystems.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Vfat => "vfat",
            Self::Ext4 => "ext4",
        }
    }
}

/// An opened file system. Paths are absolute, with `/` between names.
pub(crate) enum FileSystem {
    Vfat(vfat::Vfat),
    Ext4(ext4::Ext4Volume),
    Tree(TreeVolume),
}

impl FileSystem {
    /// Opens the file system of `kind` that fills `window`.
    pub(crate) fn open(window: Window, kind: Kind) -> Result<Self, BootFactsError> {
        match kind {
            Kind::Vfat => vfat::Vfat::open(window).map(Self::Vfat),
            Kind::Ext4 => ext4::Ext4Volume::open(window).map(Self::Ext4),
        }
    }

    /// What `search --fs-uuid` of GRUB compares with, in lower case; empty for a tree.
    pub(crate) fn uuid(&self) -> String {
        match self {
            Self::Vfat(fs) => fs.uuid(),
            Self::Ext4(fs) => fs.uuid(),
            Self::Tree(_) => String::new(),
        }
    }

    /// As Linux calls it in /proc/filesystems; `tree` for a tree.
    pub(crate) fn kind_name(&self) -> &'static str {
        match self {
            Self::Vfat(_) => Kind::Vfat.name(),
            Self::Ext4(_) => Kind::Ext4.name(),
            Self::Tree(_) => "tree",
        }
    }

    /// From now on files are located without their extents where these cost reading the file.
    pub(crate) fn forgo_extents(&mut self) {
        match self {
            Self::Ext4(fs) => fs.forgo_extents(),
            Self::Vfat(_) | Self::Tree(_) => {}
        }
    }

    /// The names in a directory, in no order.
    pub(crate) fn names(&self, path: &str) -> Result<Vec<String>, BootFactsError> {
        match self {
            Self::Vfat(fs) => fs.names(path),
            Self::Ext4(fs) => fs.names(path),
            Self::Tree(tree) => tree.names(path),
        }
    }

    /// A file of at most `limit_bytes` and where it lies.
    pub(crate) fn locate(&self, path: &str, limit_bytes: u64) -> Result<Located, BootFactsError> {
        match self {
            Self::Vfat(fs) => fs.locate(path, limit_bytes),
            Self::Ext4(fs) => fs.locate(path, limit_bytes),
            Self::Tree(tree) => tree.locate(path, limit_bytes),
        }
    }

    /// The bytes of a file from its start.
    pub(crate) fn reader(&self, path: &str) -> Result<Box<dyn Read>, BootFactsError> {
        match self {
            Self::Vfat(fs) => fs.reader(path),
            Self::Ext4(fs) => fs.reader(path),
            Self::Tree(tree) => tree.reader(path),
        }
    }

    /// The bytes of a file from its start, by the path that it was located with.
    pub(crate) fn located_reader(&self, path: &str) -> Result<Box<dyn Read>, BootFactsError> {
        match self {
            Self::Tree(tree) => tree.located_reader(path),
            Self::Vfat(_) | Self::Ext4(_) => self.reader(path),
        }
    }

    /// A small file as text; bytes that are not UTF-8 are replaced.
    pub(crate) fn read_text(&self, path: &str) -> Result<String, BootFactsError> {
        let bytes = self.read_prefix(path, MAX_CONFIG_BYTES + 1)?;
        check_size(path, bytes.len() as u64, MAX_CONFIG_BYTES)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The first `limit_bytes` of a file, less if it is shorter.
    pub(crate) fn read_prefix(
        &self,
        path: &str,
        limit_bytes: u64,
    ) -> Result<Vec<u8>, BootFactsError> {
        let mut bytes = Vec::new();
        self.reader(path)?
            .take(limit_bytes)
            .read_to_end(&mut bytes)
            .map_err(|source| BootFactsError::File { path: path.to_owned(), source })?;
        Ok(bytes)
    }
}

fn missing(path: &str) -> BootFactsError {
    BootFactsError::Missing { volume: "this volume".to_owned(), path: path.to_owned() }
}

fn check_size(path: &str, found_bytes: u64, limit_bytes: u64) -> Result<(), BootFactsError> {
    if found_bytes > limit_bytes {
        return Err(BootFactsError::Size { path: path.to_owned(), found_bytes, limit_bytes });
    }
    Ok(())
}

/// The names of a path, or that it is longer than any path may be.
fn components(path: &str) -> Result<Vec<&str>, BootFactsError> {
    if path.len() > MAX_PATH_BYTES {
        let object = "path".to_owned();
        return Err(BootFactsError::TooMany { object, things: "bytes", limit: MAX_PATH_BYTES });
    }
    Ok(path.split('/').filter(|name| !name.is_empty() && *name != ".").collect())
}
