//! What of an image is free, for a push that trims it.

use crate::exit::Refused;
use crate::output::Output;
use anyhow::Context;
use bootfacts::BootFactsError;
use rustix::fs::OFlags;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use store::push::{Free, Stamp};

/// The free space of the file systems of the image at `path`, and the image held: while it is
/// open, a block device can be mounted by nobody. A file system whose free space cannot be
/// relied upon is refused; what is none that is known is a warning.
pub(super) fn find(path: &Path) -> anyhow::Result<(Free, File)> {
    let image = open(path)?;
    // Before looking: what is written meanwhile must be noticed.
    let as_of = Stamp::of(&image).context("cannot tell when the image was written")?;
    let found = bootfacts::free_space(&image).map_err(|error| match error {
        BootFactsError::Doubt { .. } => Refused(format!("cannot trim: {error}")).into(),
        other => anyhow::Error::new(other).context("cannot tell what is free in the image"),
    })?;
    found.warnings.iter().for_each(|warning| Output::warning(warning));
    if found.volumes.is_empty() {
        Output::warning("nothing to trim: no ext2, ext3, ext4 or vfat file system was found");
    }
    let ranges = found.extents.iter().map(|extent| (extent.offset_bytes, extent.length_bytes));
    Ok((Free { ranges: ranges.collect(), as_of }, image))
}

/// Opens a file, or a block device that nothing in the system uses (open(2), `O_EXCL`): one
/// that is mounted changes without showing it.
fn open(path: &Path) -> anyhow::Result<File> {
    let is_device = path.metadata().is_ok_and(|metadata| metadata.file_type().is_block_device());
    let flags = if is_device { OFlags::EXCL } else { OFlags::empty() };
    File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path).map_err(
        |error| {
            if error.kind() == ErrorKind::ResourceBusy {
                let path = path.display();
                return Refused(format!("cannot trim: {path} is mounted or held: unmount it"))
                    .into();
            }
            anyhow::Error::new(error).context(format!("cannot open the image {}", path.display()))
        },
    )
}
