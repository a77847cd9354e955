//! What of an image is free, for a push that trims it.

use crate::exit::Refused;
use crate::output::Output;
use anyhow::Context;
use bootfacts::BootFactsError;
use std::fs::File;
use store::push::Free;

/// The free space of the file systems of `image`. A file system whose free space cannot be
/// relied upon is refused; what is none that is known is a warning.
pub(super) fn find(image: &File) -> anyhow::Result<Free> {
    // Before looking: what is written meanwhile must be noticed.
    let as_of = image.metadata().and_then(|metadata| metadata.modified());
    let as_of = as_of.context("cannot tell when the image was written")?;
    let found = bootfacts::free_space(image).map_err(|error| match error {
        BootFactsError::Doubt { .. } => Refused(format!("cannot trim: {error}")).into(),
        other => anyhow::Error::new(other).context("cannot tell what is free in the image"),
    })?;
    found.warnings.iter().for_each(|warning| Output::warning(warning));
    if found.volumes.is_empty() {
        Output::warning("nothing to trim: no ext2, ext3, ext4 or vfat file system was found");
    }
    let ranges = found.extents.iter().map(|extent| (extent.offset_bytes, extent.length_bytes));
    Ok(Free { ranges: ranges.collect(), as_of })
}
