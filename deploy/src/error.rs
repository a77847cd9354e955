//! What can go wrong in the engine. Code decides by the variant, people read the chain.

use crate::boot::CoreError;
use crate::layout::{LayoutRefusal, Role};
use crate::live::LiveRefusal;
use crate::plan::Refusal;
use crate::target::TargetError;
use crate::tree::{TreeError, TreeRefusal};
use crate::vfat::VfatError;
use crate::volumes::{FileSystem, VolumeError};
use store::Digest;
use store::manifest_reader::ReadError;
use store::source::SourceError;

/// Why a deployment stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The label, its manifest or its map could not be read.
    #[error("cannot read {object}")]
    Label {
        /// Which of them.
        object: String,
        /// Why.
        source: ReadError,
    },
    /// No store of the chain has the label.
    #[error("no such label: {label} is in none of: {stores}")]
    NoSuchLabel {
        /// The label.
        label: String,
        /// The stores asked.
        stores: String,
    },
    /// The label is of a kind that cannot be put there.
    #[error("label {label}: expected one of kind {expected}, found {found}")]
    Kind {
        /// The label.
        label: String,
        /// What can be put there.
        expected: &'static str,
        /// What the label is.
        found: &'static str,
    },
    /// A safety check said no; nothing was written.
    #[error("refused")]
    Refused(#[from] Refusal),
    /// A safety check said no to putting a tree onto a directory; nothing was written.
    #[error("refused")]
    TreeRefused(#[source] TreeRefusal),
    /// A tree and a directory do not come together.
    #[error(transparent)]
    Tree(Box<TreeError>),
    /// What a label's manifest says makes no sense.
    #[error("{object} is wrong")]
    Format {
        /// The manifest.
        object: String,
        /// Where and how.
        source: Box<store::FormatError>,
    },
    /// Objects could not be fetched.
    #[error("cannot fetch {bytes} bytes at {offset_bytes} of pack {pack}, tried {tries} times")]
    Fetch {
        /// The pack.
        pack: Digest,
        /// Where the frames start in it, bytes.
        offset_bytes: u64,
        /// Their length, bytes.
        bytes: u64,
        /// How often it was tried.
        tries: u32,
        /// The last failure.
        source: SourceError,
    },
    /// A frame of a pack holds something else than the map and the manifest say.
    #[error(
        "{object} in the frame at {offset_bytes} of pack {pack}: expected {expected}, found {found}"
    )]
    Frame {
        /// The object, or the frame itself.
        object: String,
        /// Where the frame starts in the pack, bytes.
        offset_bytes: u64,
        /// The pack.
        pack: Digest,
        /// What would have been right.
        expected: String,
        /// What was there.
        found: String,
    },
    /// The map does not fit the manifest.
    #[error(
        "map of manifest {manifest}: segment {segment}: expected {expected} places, found {found}"
    )]
    Map {
        /// The manifest.
        manifest: Digest,
        /// The segment.
        segment: usize,
        /// Objects in the segment.
        expected: usize,
        /// Places in the map.
        found: usize,
    },
    /// The target failed.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The target gives back something else than was written, even after a second try.
    #[error(
        "{target} reads back wrong at {offset_bytes}, {bytes} bytes: expected {expected}, found {found}"
    )]
    ReadBack {
        /// The target.
        target: String,
        /// Where, bytes.
        offset_bytes: u64,
        /// How much, bytes.
        bytes: u64,
        /// Digest, or "zeroes".
        expected: String,
        /// Digest of what was read.
        found: String,
    },
    /// A boot file is not what the manifest says.
    #[error("{file} of {label}: expected {expected}, found {found}")]
    BootFile {
        /// Kernel or initrd.
        file: &'static str,
        /// The label.
        label: String,
        /// The digest in the manifest.
        expected: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
    /// A boot file could not be handed over.
    #[error("cannot hand over {file}")]
    HandOver {
        /// Kernel or initrd.
        file: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A store on the disk itself is wanted, and there is no partition for it.
    #[error("{disk} is to have a local store, which needs a data partition, and it has none")]
    NowhereLocal {
        /// The disk.
        disk: String,
    },
    /// The disk cannot be divided as it should be.
    #[error("{disk} cannot take the tree; to lay it out anew, losing everything on it, {how}")]
    Layout {
        /// The disk.
        disk: String,
        /// What to say to have it laid out anew.
        how: String,
        /// Why.
        source: LayoutRefusal,
    },
    /// The root file system is of another kind than is wanted.
    #[error(
        "the root file system of {disk} is {found}, not {wanted}; to make it anew, losing \
         everything on it, {how}"
    )]
    OtherRoot {
        /// The disk.
        disk: String,
        /// What it is.
        found: FileSystem,
        /// What it is to be.
        wanted: FileSystem,
        /// What to say to have it made anew.
        how: String,
    },
    /// The root file system has to be made anew, and something on it is to be kept.
    #[error("{why}: {kept} on {disk} cannot be kept; to give it up, {how}")]
    KeptLost {
        /// The disk.
        disk: String,
        /// Why the root file system cannot stay.
        why: String,
        /// A path that is to be kept.
        kept: String,
        /// What to say to give it up.
        how: String,
    },
    /// A layout lacks a partition.
    #[error("there is no {role} partition")]
    NoPartition {
        /// Which.
        role: Role,
    },
    /// A file system could not be made, mounted or unmounted.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A file system that is to be made cannot be made; nothing was written.
    #[error("the {role} partition cannot be made")]
    Unmakeable {
        /// The partition.
        role: Role,
        /// Why.
        source: VolumeError,
    },
    /// The EFI system partition cannot have the files.
    #[error(transparent)]
    Vfat(#[from] VfatError),
    /// GRUB could not be made to boot the disk.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A boot file of the label is nowhere that a boot loader finds.
    #[error("{file} of the label: expected a path that boot loaders read, found {found}")]
    BootPath {
        /// Kernel or initrd.
        file: &'static str,
        /// Where it is.
        found: String,
    },
    /// root's password cannot be set: nobody could log in.
    #[error(
        "root's password cannot be set: expected etc/shadow with root in the label, found {found}"
    )]
    Password {
        /// What the label has.
        found: String,
    },
    /// The label cannot be run from memory; nothing was fetched.
    #[error(transparent)]
    Live(#[from] LiveRefusal),
    /// It was not wanted any more: by whoever began it, or because another worker failed first,
    /// whose error is the one that is reported.
    #[error("stopped because another part failed")]
    Stopped,
}

/// What kind of failure it is: what exit codes and decisions go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// The store or the way to it.
    Network,
    /// Bytes are not what their digest says.
    Verification,
    /// The target.
    Storage,
    /// Refused for safety, or because it cannot fit.
    Refused,
    /// Anything else.
    Other,
}

impl Error {
    /// Whether a store gave other bytes than the digest says.
    pub(crate) fn is_lie(&self) -> bool {
        matches!(self, Self::Frame { .. })
    }

    /// Whether a store did not give what was asked for.
    pub(crate) fn is_not_given(&self) -> bool {
        matches!(self, Self::Fetch { .. })
    }

    /// Whether a store does not have what its own map leads to.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Fetch { source: SourceError::NotFound { .. }, .. })
    }

    /// What kind of failure this is.
    pub fn category(&self) -> Category {
        match self {
            Self::Label { source: ReadError::Source(_), .. }
            | Self::NoSuchLabel { .. }
            | Self::Fetch { .. } => Category::Network,
            Self::Label { .. }
            | Self::Frame { .. }
            | Self::Map { .. }
            | Self::Format { .. }
            | Self::ReadBack { .. }
            | Self::BootFile { .. } => Category::Verification,
            Self::Refused(_)
            | Self::TreeRefused(_)
            | Self::Layout { .. }
            | Self::OtherRoot { .. }
            | Self::KeptLost { .. }
            | Self::BootPath { .. }
            | Self::Password { .. }
            | Self::Unmakeable { .. }
            | Self::Vfat(_)
            | Self::NowhereLocal { .. }
            | Self::Volume(VolumeError::Undivided { .. })
            | Self::Live(_)
            | Self::Kind { .. } => Category::Refused,
            Self::Tree(error) => error.category(),
            Self::Target(_) | Self::Volume(_) | Self::NoPartition { .. } => Category::Storage,
            Self::HandOver { .. } | Self::Core(_) | Self::Stopped => Category::Other,
        }
    }
}
