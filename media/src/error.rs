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
use store::label::LabelName;
use store::manifest_reader::ReadError;

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
    #[error("cannot make {what}{}", has(.package, .source))]
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
    /// A label could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
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
    /// No medium is made there.
    #[error("{}: expected a disk, a file or a new one, found {found}", path.display())]
    Place {
        /// The path.
        path: PathBuf,
        /// What is there.
        found: String,
    },
    /// What is made meanwhile does not fit.
    #[error(
        "{}: needs {needs_bytes} bytes for what is made there first, has {has_bytes} free",
        path.display()
    )]
    Room {
        /// The directory.
        path: PathBuf,
        /// What would do.
        needs_bytes: u64,
        /// What is free.
        has_bytes: u64,
    },
    /// A disk with other sectors.
    #[error(
        "{}: expected a disk with sectors of 512 bytes, found {found_bytes}: no BIOS boots from it",
        path.display()
    )]
    Sectors {
        /// The disk.
        path: PathBuf,
        /// What its sectors have, bytes.
        found_bytes: u64,
    },
    /// Somebody put another disk in its place.
    #[error("{} is another disk than it was when this began", path.display())]
    Swapped {
        /// Its node.
        path: PathBuf,
    },
    /// A refresh would take labels away.
    #[error(
        "{} is the medium {id} and carries labels that are not named: {}; --remove removes them",
        path.display(), joined(.labels)
    )]
    Others {
        /// The file or device.
        path: PathBuf,
        /// What tells it from others.
        id: String,
        /// The labels.
        labels: Vec<LabelName>,
    },
    /// There is no room for what comes before what goes is deleted, and nothing can be deleted.
    #[error("{}: there is no room, and nothing can be deleted: {}", path.display(), .faults.join("; "))]
    Damaged {
        /// The file or device.
        path: PathBuf,
        /// The packs that are damaged, each with why.
        faults: Vec<String>,
    },
    /// Only root may mount the store of a medium.
    #[error("{}: only root refreshes a medium: its store is mounted for that", path.display())]
    Root {
        /// The file or device.
        path: PathBuf,
    },
    /// Somebody uses it.
    #[error("{} is in use", path.display())]
    Busy {
        /// The file or device.
        path: PathBuf,
    },
}

/// Where a program that is not here is to be had.
fn has(package: &str, source: &ToolError) -> String {
    match source {
        ToolError::Missing { .. } => format!(": package {package} has what it takes"),
        _ => String::new(),
    }
}

fn joined(labels: &[LabelName]) -> String {
    labels.iter().map(LabelName::as_str).collect::<Vec<_>>().join(", ")
}

impl MediaError {
    /// For `map_err`: `action` on `path` failed.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deploy::tools::Tool;

    #[test]
    fn a_package_is_named_only_where_its_program_is_missing() {
        let of = |source| MediaError::Tool { what: "a part", package: "its-package", source };
        let missing = Tool::named("no-such-program").unwrap_err();
        assert_eq!(
            of(missing).to_string(),
            "cannot make a part: package its-package has what it takes"
        );
        let failed = Tool::named("false").unwrap().run().unwrap_err();
        assert_eq!(of(failed).to_string(), "cannot make a part");
    }
}
