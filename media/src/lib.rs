//! Media for machines without network: what boots them, and a store with the labels they need.
//!
//! [`stick`] is an image of a disk, or a disk: a GPT with GRUB for a BIOS, an EFI system partition,
//! and an ext4 with the store, so that no pack is too long. [`disc`] is the same as a CD-ROM.
//! [`refresh`](refresh::refresh) brings a stick to other labels, moving only what differs. The same
//! inputs give the same bytes: identities are digests of what is on the medium, times are one
//! constant.
//!
//! Runs programs of others (`grub-mkimage`, `mke2fs`, `debugfs`, `xorriso`), and needs no root for
//! an image.

pub mod boot;
pub mod disc;
pub mod refresh;
pub mod stick;

mod error;
mod esp;
mod ext4;
mod grub;
mod shape;
mod staging;

pub use error::MediaError;
pub use staging::{Copied, Progress};

use store::label::LabelName;
use store::source::Source;

/// What a medium is to carry.
pub struct Load<'a> {
    /// Where the labels are.
    pub source: &'a dyn Source,
    /// The labels, at least one.
    pub labels: &'a [LabelName],
    /// What machines boot.
    pub boot: &'a boot::Boot,
}

/// Every time on a medium, seconds since 1970: the first that no tool takes for "now".
const TIME_S: u64 = 1;
