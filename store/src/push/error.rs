//! What can go wrong with a push.

use crate::Digest;
use crate::codec::FormatError;
use crate::dir::{DirError, LabelRefusal};
use crate::label::LabelName;
use crate::parallel::panic_text;
use crate::tree::walk::WalkError;
use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};

/// Why a push failed. The store's labels are as they were.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The input could not be read.
    #[error("read {}", path.display())]
    Read {
        /// The file or device.
        path: PathBuf,
        /// The failure.
        source: io::Error,
    },
    /// The input is of a kind that has no fixed content.
    #[error("{}: expected a regular file or a block device, found {found}", path.display())]
    NotReadable {
        /// The path as given.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// What is to be pushed as a tree is no directory.
    #[error("{}: expected a directory", path.display())]
    NoDirectory {
        /// The path as given.
        path: PathBuf,
    },
    /// The image has no bytes.
    #[error("{}: expected an image, found 0 bytes", path.display())]
    Empty {
        /// The image.
        path: PathBuf,
    },
    /// The input was written to meanwhile.
    #[error("{} changed while it was read: push it again when nothing writes to it", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The sector size given is not the one the image is made for.
    #[error("{}: expected {given}-byte sectors, found a partition table for {found}-byte sectors", path.display())]
    Sectors {
        /// The image.
        path: PathBuf,
        /// As given, bytes.
        given: u32,
        /// As in the image, bytes.
        found: u32,
    },
    /// The sector size given is none.
    #[error("sector size: expected 512 or 4096, found {given}")]
    SectorSize {
        /// As given, bytes.
        given: u32,
    },
    /// A kernel or initrd is not what it was said to be.
    #[error("{payload}: expected digest {expected}, found {found} at its place in the image")]
    Payload {
        /// "kernel" or "initrd".
        payload: &'static str,
        /// The digest given.
        expected: Digest,
        /// The digest of the image's bytes there.
        found: Digest,
    },
    /// The tree could not be walked.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// The store that is pushed to is part of the tree.
    #[error("{}: expected a tree without the store it is pushed to, found that store", path.display())]
    StoreInTree {
        /// Where.
        path: PathBuf,
    },
    /// A kernel or initrd that is to be in the tree is not.
    #[error("/{}: expected a regular file of the tree to boot it with, found none", path.escape_ascii())]
    NotInTree {
        /// Its path there.
        path: Vec<u8>,
    },
    /// A kernel or initrd cannot be.
    #[error("{payload}: expected {expected}, found {found}")]
    PayloadSize {
        /// "kernel" or "initrd".
        payload: &'static str,
        /// What would have been right.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A fact cannot be written.
    #[error(
        "fact: expected KEY=VALUE with letters, digits, '.', '_', '-' in KEY, each KEY once, and VALUE on one line, found {found:?}"
    )]
    Fact {
        /// As given.
        found: String,
    },
    /// What was given does not fit a manifest or record.
    #[error("what is to be pushed")]
    Format(#[from] FormatError),
    /// The label names other content.
    #[error("label {label} is {old} in the store {store}: expected {new}; --force replaces it")]
    Taken {
        /// The label.
        label: LabelName,
        /// The store's name.
        store: String,
        /// Digest of the manifest that the label names.
        old: Digest,
        /// Digest of the manifest that was to be pushed.
        new: Digest,
    },
    /// The store could not be written.
    #[error(transparent)]
    Store(#[from] DirError),
    /// zstd failed.
    #[error("compress")]
    Compress(#[source] io::Error),
    /// A thread of the push is gone.
    #[error("a thread of the push ended early; it said: {said}")]
    Thread {
        /// The words of its panic.
        said: String,
    },
}

impl PushError {
    /// A thread that panicked.
    pub(super) fn panicked(payload: &(dyn Any + Send)) -> Self {
        Self::Thread { said: panic_text(payload) }
    }

    /// A failed read, to be handed to `map_err`.
    pub(super) fn reading(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    /// What stands against publishing the manifest `new` as `label`.
    pub(super) fn refused(
        refusal: LabelRefusal,
        label: &LabelName,
        store: &Path,
        new: Digest,
    ) -> Self {
        match refusal {
            LabelRefusal::Store(error) => Self::Store(error),
            LabelRefusal::Taken(old) => {
                let store = store.display().to_string();
                Self::Taken { label: label.clone(), store, old, new }
            }
        }
    }
}
