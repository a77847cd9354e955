//! Why there is no medium.

use deploy::boot::CoreError;
use deploy::tools::ToolError;
use deploy::vfat::VfatError;
use deploy::volumes::VolumeError;
use std::io;
use std::path::{Path, PathBuf};
use store::copy::CopyError;
use store::dir::DirError;
use store::gc::GcError;

/// Why there is no medium.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// A file could not be used.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program that makes a part of it failed.
    #[error("cannot make {what}: package {package} has what it takes")]
    Tool {
        /// The part.
        what: &'static str,
        /// The Debian package.
        package: &'static str,
        /// Why.
        source: ToolError,
    },
    /// GRUB does not fit its place.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The boot files are no FAT.
    #[error("the medium's EFI system partition")]
    Esp(#[from] VfatError),
    /// A label could not be copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The medium's store failed.
    #[error(transparent)]
    Store(#[from] DirError),
    /// What is not needed any more could not be removed.
    #[error(transparent)]
    Collect(#[from] GcError),
    /// The medium's file system failed.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A command line that boot loaders would change.
    #[error("command line: expected printable ASCII without ' and \\, found {found:?} in {word:?}")]
    CommandLine {
        /// The word.
        word: String,
        /// What cannot be there.
        found: char,
    },
    /// The size that was asked for is too small.
    #[error("{what}: needs {needs_bytes} bytes, has {has_bytes}")]
    Small {
        /// Of what.
        what: &'static str,
        /// What would do.
        needs_bytes: u64,
        /// What there is.
        has_bytes: u64,
    },
    /// What is to be refreshed is no medium.
    #[error("{}: expected a medium made by inaug media, found {found}", path.display())]
    NoMedium {
        /// The file or device.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// Somebody uses it.
    #[error("{} is in use", path.display())]
    Busy {
        /// The file or device.
        path: PathBuf,
    },
}

impl MediaError {
    /// For `map_err`: `action` on `path` failed.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
