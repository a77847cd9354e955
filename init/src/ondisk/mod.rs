//! What the disks of this machine hold to be booted, and starting it from here: without a network,
//! without mounting, without writing.
//!
//! ```text
//! find     disks                     ->  what each could be booted by, or why not
//! choose   those, predicates         ->  the one entry that is meant
//! start    an entry                  ->  (never returns)
//! ```
//!
//! Nothing here is proven by a digest: what is loaded is what was read from the disk. But a disk
//! whose deployment was not finished is never started, whoever asks.

mod choose;
mod find;
mod start;

use std::fmt;

use bootfacts::BootFacts;
use deploy::Unproven;
use deploy::disks::Disk;

pub use choose::{ChooseError, choose};
pub use find::find;
pub use start::{StartError, start};

/// A disk, and what it could be booted by.
#[derive(Debug, Clone)]
pub struct OnDisk {
    /// The disk.
    pub disk: Disk,
    /// Its entries, at least one, the default first.
    pub entries: Result<Vec<Entry>, NotBootable>,
    /// What was left out or looked strange, one sentence each.
    pub notes: Vec<String>,
}

/// One of the entries of a disk.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The disk.
    pub disk: Disk,
    /// Kernel, initrd, command line, and where they are from.
    pub facts: BootFacts,
}

/// Why nothing on a disk is booted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotBootable {
    /// Its deployment was not finished.
    #[error(transparent)]
    Unproven(#[from] Unproven),
    /// There is nothing to boot on it, or nothing that can be read.
    #[error("nothing to boot{}", joined(.0))]
    Nothing(Vec<String>),
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The disk does not answer.
    #[error("{0}")]
    Silent(String),
}

/// Notes behind a sentence.
fn joined(notes: &[String]) -> String {
    notes.iter().fold(String::new(), |text, note| text + "; " + note)
}

impl OnDisk {
    /// A disk that does not answer.
    pub(crate) fn silent(disk: Disk) -> Self {
        let why = NotBootable::Silent(disk.contents.to_string());
        Self { disk, entries: Err(why), notes: Vec::new() }
    }
}

impl fmt::Display for Entry {
    /// One line: `Debian GNU/Linux (GRUB menu entry, partition 2 ext4 /boot/grub/grub.cfg)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = &self.facts.found;
        let place = found.partition.map_or(String::new(), |number| format!("partition {number} "));
        let (title, origin, kind) = (&found.title, found.origin.name(), found.file_system);
        write!(f, "{title} ({origin}, {place}{kind} {})", found.path)
    }
}

impl Entry {
    /// Whether it starts an inaugurator, as those of our own media do.
    pub fn is_inaugurator(&self) -> bool {
        self.facts.cmdline.split_whitespace().any(|word| word.starts_with("inaugurator."))
    }
}

#[cfg(test)]
mod tests;
