//! Putting images and trees into a directory store.
//!
//! ```text
//! read, cut    one thread: windows of 1 MiB, holes not read; of a tree, its nodes in order
//! hash         every core
//! gather       one thread, in order: what is new, into frames of 256 KiB
//! compress     every core
//! write        one thread: packs, their digests, sync
//! publish      names: packs, then manifest and map, then the label
//! ```
//!
//! Between the stages are short queues: the content under way takes about 5 MiB and
//! another 5 MiB for each core. Memory grows neither with the image nor with the store: what
//! the store has is looked up in its index on disk, what is new is held up to a bound and
//! sorted to disk beyond it, and manifest and map are put together from temporary files. What
//! grows is small: 48 bytes for each segment of the image, 80 for each pack of the store.

mod boot;
pub(crate) mod catalog;
mod error;
mod free;
pub(crate) mod fresh;
mod gather;
mod gpt;
mod image;
mod input;
pub(crate) mod mapping;
pub(crate) mod packs;
mod publish;
mod run;
mod scan;
mod segments;
pub(crate) mod spool;
mod tally;
mod tree;

pub(crate) use gather::FRAME_RAW_BYTES;
pub(crate) use publish::check_map_length;

pub use boot::{BootInput, PAYLOAD_MAX_BYTES, PayloadInput};
pub use error::PushError;
pub use free::Free;
pub use image::{PushImage, push_image};
pub use tally::{Done, Progress, Seconds};
pub use tree::{Noted, PushTree, TarError, TarTree, TreeInput, TreeNote, TreeReport, push_tree};

pub use crate::stamp::Stamp;

use crate::Digest;
use crate::dir::LabelChange;
use crate::map::PackRef;

/// zstd's own default: about as fast as the disks that images come from, per core.
pub const LEVEL_DEFAULT: i32 = 3;

/// What a push did.
#[derive(Debug, Clone, PartialEq)]
pub struct PushReport {
    /// Digest of the manifest.
    pub manifest: Digest,
    /// What became of the label.
    pub label: LabelChange,
    /// Length of the image, or of all files of the tree together, bytes.
    pub size_bytes: u64,
    /// Of content and payloads, bytes that are zero.
    pub zero_bytes: u64,
    /// Bytes of the image that were taken for zeroes, whatever stands there.
    pub trimmed_bytes: u64,
    /// What is to be said of a tree.
    pub tree: Option<TreeReport>,
    /// Objects in the manifest, each as often as it is there.
    pub objects: u64,
    /// Objects that the store did not have.
    pub objects_new: u64,
    /// Their bytes.
    pub new_raw_bytes: u64,
    /// Bytes of the frames that hold them.
    pub new_packed_bytes: u64,
    /// Bytes of the objects that the store had, or that came twice.
    pub reused_bytes: u64,
    /// The packs written.
    pub packs: Vec<PackRef>,
    /// Packs of the store whose index could not be read; what they held was stored again.
    pub damaged_packs: Vec<Digest>,
    /// Files of pushes that were cut, removed.
    pub cleaned_files: usize,
    /// Why the store's index could not be brought up to date: the next push takes longer to
    /// begin, and nothing else is wrong.
    pub index_failure: Option<String>,
    /// Where the time went.
    pub seconds: Seconds,
}
