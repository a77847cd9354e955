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
pub mod place;
pub mod refresh;
pub mod stick;

mod error;
mod esp;
mod ext4;
mod grub;
mod needs;
mod shape;
mod staging;

pub use error::MediaError;
pub use staging::{Copied, Progress, Step};

use std::time::Duration;
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

/// What the slowest stick that is any use writes in a second, bytes.
const LEAST_BYTES_PER_S: u64 = 1 << 20;

/// How long a program may take that writes so many bytes: what every one may, and what the
/// slowest stick needs for them.
fn patience(bytes: u64) -> Duration {
    Duration::from_mins(10) + Duration::from_secs(bytes / LEAST_BYTES_PER_S)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_program_may_take_as_long_as_a_slow_stick_does() {
        let minutes = |bytes: u64| super::patience(bytes).as_secs() / 60;
        assert_eq!((minutes(0), minutes(32 << 30), minutes(256 << 30)), (10, 556, 4379));
    }
}
