//! Every way in which reading an image can fail.

use std::io;

use ext4_view::Ext4Error;

/// Why something in the image could not be read. Names the object, what was
/// expected and what was found.
#[derive(Debug, thiserror::Error)]
pub enum BootFactsError {
    /// The image's length could not be determined.
    #[error("image: cannot tell its length")]
    Length(#[source] io::Error),
    /// The operating system could not read the image.
    #[error("image: cannot read {length_bytes} bytes at {offset_bytes}")]
    Read {
        /// Where in the image, in bytes.
        offset_bytes: u64,
        /// How much, in bytes.
        length_bytes: u64,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A structure points outside of what it lies in.
    #[error(
        "{object}: {length_bytes} bytes at {offset_bytes} reach past its end at {end_bytes} bytes"
    )]
    OutOfBounds {
        /// What is too short: the image, a partition.
        object: &'static str,
        /// Start, in bytes from the object's start.
        offset_bytes: u64,
        /// Length, in bytes.
        length_bytes: u64,
        /// The object's length in bytes.
        end_bytes: u64,
    },
    /// A structure has a value it must not have.
    #[error("{object}: {field}: expected {expected}, found {found}")]
    Malformed {
        /// What was being read.
        object: &'static str,
        /// The value's name in its specification.
        field: &'static str,
        /// What would have been right.
        expected: &'static str,
        /// What was there.
        found: String,
    },
    /// No such file, or a directory where a file should be.
    #[error("{path}: no such file on {volume}")]
    Missing {
        /// The volume, as in `partition 3 (ext4)`.
        volume: String,
        /// The path on it.
        path: String,
    },
    /// A file is larger, or smaller, than anything of its kind.
    #[error("{path}: is {found_bytes} bytes, expected 1 to {limit_bytes}")]
    Size {
        /// The file.
        path: String,
        /// Its length in bytes.
        found_bytes: u64,
        /// The largest length that is read, in bytes.
        limit_bytes: u64,
    },
    /// There is more of something than any real image has.
    #[error("{object}: more than {limit} {things}")]
    TooMany {
        /// Where.
        object: String,
        /// What there is too much of.
        things: &'static str,
        /// How much is read.
        limit: usize,
    },
    /// A file's bytes could not be read.
    #[error("{path}: cannot be read")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What a volume says of its own free space is not to be relied upon.
    #[error("{volume}: expected {expected}, found {found}")]
    Doubt {
        /// The volume, as in `partition 3 (ext4)`.
        volume: String,
        /// What would have been right.
        expected: &'static str,
        /// What was there.
        found: String,
    },
    /// A volume could not be read.
    #[error("{volume}")]
    Volume {
        /// The volume, as in `partition 3 (ext4)`.
        volume: String,
        /// Why.
        #[source]
        source: Box<BootFactsError>,
    },
    /// The ext4 file system could not be read.
    #[error("ext4: {path}: cannot be read")]
    Ext4 {
        /// The file or directory, `/` for the file system as a whole.
        path: String,
        /// What the reader of ext4 said.
        #[source]
        source: Ext4Error,
    },
}

impl BootFactsError {
    /// The same, said of `volume`.
    pub(crate) fn of_volume(self, volume: &str) -> Self {
        let volume = volume.to_owned();
        match self {
            Self::Doubt { expected, found, .. } => Self::Doubt { volume, expected, found },
            source => Self::Volume { volume, source: Box::new(source) },
        }
    }

    /// The error and its causes as one line, for a warning.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(inner) = cause {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            cause = inner.source();
        }
        text
    }
}
