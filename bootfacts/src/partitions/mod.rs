//! Where the image's volumes are: GPT, MBR, or no table at all.

mod gpt;
mod mbr;

use crate::BootFactsError;
use crate::fs::{self, Sniffed};
use crate::image::Window;
use crate::warnings::Warnings;

/// A range of the image that may hold a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    /// The partition's number as Linux counts it; `None` for the whole image.
    pub(crate) number: Option<u32>,
    pub(crate) offset_bytes: u64,
    pub(crate) length_bytes: u64,
}

impl Partition {
    /// `partition 3`, or `whole image`.
    pub(crate) fn name(&self) -> String {
        self.number.map_or("whole image".to_owned(), |number| format!("partition {number}"))
    }
}

/// The partitions of `image`, by number.
///
/// A file system at the very start is believed before an MBR: the boot sector
/// of vfat carries the MBR's signature too.
pub(crate) fn read(
    image: &Window,
    warnings: &mut Warnings,
) -> Result<Vec<Partition>, BootFactsError> {
    if let Some(partitions) = gpt::read(image, warnings)? {
        return Ok(partitions);
    }
    if !matches!(fs::sniff(image)?, Sniffed::Unknown) {
        let length_bytes = image.length_bytes;
        return Ok(vec![Partition { number: None, offset_bytes: 0, length_bytes }]);
    }
    mbr::read(image, warnings)
}
