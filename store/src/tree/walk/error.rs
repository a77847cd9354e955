//! What can go wrong with a walk.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Why a walk ended early.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// Something could not be looked at.
    #[error("read {}", path.display())]
    Read {
        /// It.
        path: PathBuf,
        /// The failure.
        source: io::Error,
    },
    /// The extended attributes of something could not be read.
    #[error("read the extended attributes of {} (needs /proc)", path.display())]
    Xattrs {
        /// It.
        path: PathBuf,
        /// The failure.
        source: io::Error,
    },
    /// It was moved, removed or replaced meanwhile.
    #[error("{} changed while it was looked at", path.display())]
    Changed {
        /// Where.
        path: PathBuf,
    },
    /// A file system is mounted in the tree, which was not allowed for.
    #[error("{}: expected one file system, found another mounted there", path.display())]
    Mounted {
        /// Where.
        path: PathBuf,
    },
    /// Something is longer than trees can have it.
    #[error("{}: expected {what} of at most {max} bytes, found {found}", path.display())]
    Limit {
        /// Of what.
        path: PathBuf,
        /// What of it.
        what: &'static str,
        /// What a tree can have, bytes.
        max: usize,
        /// How long it is, bytes.
        found: usize,
    },
}

impl WalkError {
    /// Whether it says something of one name only: rights that do not suffice, or more than trees
    /// can have.
    pub(super) fn is_of_one(&self) -> bool {
        match self {
            Self::Limit { .. } => true,
            Self::Read { source, .. } | Self::Xattrs { source, .. } => {
                source.kind() == io::ErrorKind::PermissionDenied
            }
            Self::Changed { .. } | Self::Mounted { .. } => false,
        }
    }
}

/// A path of the tree as the operator would write it.
pub(super) fn shown(root: &Path, path: &[u8]) -> PathBuf {
    if path.is_empty() { root.to_owned() } else { root.join(OsStr::from_bytes(path)) }
}
