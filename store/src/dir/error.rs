//! What can go wrong with a store in a directory.

use crate::FormatError;
use crate::label::LabelName;
use rustix::io::Errno;
use std::io;
use std::path::{Path, PathBuf};

/// Why a directory store could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// The directory holds something else, or another version's store.
    #[error("{} is not a store: expected a file {marker} that says {expected:?}, found {found}", path.display())]
    NotAStore {
        /// The directory.
        path: PathBuf,
        /// Name of the file that marks a store.
        marker: &'static str,
        /// What it has to say.
        expected: &'static str,
        /// What was there.
        found: String,
    },
    /// A store was to be made where other files are.
    #[error("{}: expected a store, an empty directory or nothing, found {found}", path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
        /// A file that is there.
        found: String,
    },
    /// There is no room. Nothing of what was to be written is left.
    #[error("no room in the store for {what}: writing {wanted_bytes} bytes to {} at {at_bytes}", path.display())]
    Full {
        /// What was to be written.
        what: String,
        /// The file.
        path: PathBuf,
        /// How many bytes were to be written.
        wanted_bytes: u64,
        /// How many the file already had.
        at_bytes: u64,
        /// Disk or quota.
        source: io::Error,
    },
    /// Another process holds the store's lock.
    #[error("the store is locked: {} was not free for {waited_s} s", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// How long was waited, seconds.
        waited_s: u64,
    },
    /// The journal of `gc` cannot be read, so that nobody knows what is being deleted.
    #[error("{} is damaged: inaug gc makes it anew", path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<FormatError>,
    },
    /// The label is not there.
    #[error("label {label} is not in the store {store}")]
    NoLabel {
        /// The label.
        label: LabelName,
        /// The store's name.
        store: String,
    },
    /// A call failed.
    #[error("{action} {}", path.display())]
    Io {
        /// What was tried: "write", "rename", ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The failure.
        source: io::Error,
    },
}

impl DirError {
    /// A failed call, to be handed to `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// Whether `error` says that the disk or the quota is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOSPC | Errno::DQUOT))
}
