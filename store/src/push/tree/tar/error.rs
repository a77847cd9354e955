//! What can be wrong with an archive.

use crate::dir::DirError;
use std::io;
use std::path::PathBuf;

/// Why an archive could not be read. Nothing was pushed.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// It could not be read.
    #[error("read {} at byte {at}", archive.display())]
    Read {
        /// The archive.
        archive: PathBuf,
        /// How much of it was read, bytes.
        at: u64,
        /// The failure.
        source: io::Error,
    },
    /// It ends too early.
    #[error("{} is cut short: expected {expected} in {member}, found its end after {found}", archive.display())]
    Short {
        /// The archive.
        archive: PathBuf,
        /// Where in it.
        member: String,
        /// What was to come.
        expected: String,
        /// What came.
        found: String,
    },
    /// A header is none.
    #[error("{} at byte {at}: expected {expected}, found {found}", archive.display())]
    Header {
        /// The archive.
        archive: PathBuf,
        /// Where the header starts, bytes.
        at: u64,
        /// What would have been right.
        expected: String,
        /// What stood there.
        found: String,
    },
    /// A member is none that a tree can have.
    #[error("{}: {member}: expected {expected}, found {found}", archive.display())]
    Member {
        /// The archive.
        archive: PathBuf,
        /// The member's path as it stands in the archive.
        member: String,
        /// What would have been right.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A member's path, or that of what it links to, leads out of the tree.
    #[error("{}: {member}: expected a path below the root, found {path}", archive.display())]
    Outside {
        /// The archive.
        archive: PathBuf,
        /// The member's path as it stands in the archive.
        member: String,
        /// The path that leads out.
        path: String,
    },
    /// What was read could not be kept in the store's `tmp` until it is pushed.
    #[error(transparent)]
    Store(#[from] DirError),
}
