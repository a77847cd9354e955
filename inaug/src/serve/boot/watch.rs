//! The machines file as it is now: read again with every question, so that an edit is enough.

use super::machines::{Machines, MachinesError};
use crate::serve::log;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The longest file that is read, bytes: some ten thousand machines.
const FILE_MAX: u64 = 4 << 20;

/// A machines file and what it said last.
#[derive(Debug)]
pub(crate) struct Watched {
    path: PathBuf,
    last: Mutex<Last>,
}

#[derive(Debug)]
struct Last {
    /// What was read last: the same bytes are not parsed, or complained of, twice.
    read: Result<Vec<u8>, String>,
    /// What it said when it was last right.
    machines: Arc<Machines>,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} has a mistake", path.display())]
    Wrong { path: PathBuf, source: MachinesError },
}

impl Watched {
    /// Reads the file, which must be right.
    pub(crate) fn open(path: &Path) -> Result<Self, FileError> {
        let named = || path.to_owned();
        let bytes = read(path).map_err(|source| FileError::Read { path: named(), source })?;
        let machines = Machines::parse(&bytes);
        let machines = machines.map_err(|source| FileError::Wrong { path: named(), source })?;
        let last = Last { read: Ok(bytes), machines: Arc::new(machines) };
        Ok(Self { path: named(), last: Mutex::new(last) })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says now; while it is broken or gone, what it said when it was last right.
    pub(crate) fn now(&self) -> Arc<Machines> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Read while nobody else does: else what was there earlier could count later.
        let read = read(&self.path).map_err(|error| error.to_string());
        if last.read != read {
            match understood(&read) {
                Ok(machines) => last.machines = Arc::new(machines),
                Err(why) => {
                    log::problem(
                        &format!("{} is used as it was before", self.path.display()),
                        &why,
                    );
                }
            }
            last.read = read;
        }
        Arc::clone(&last.machines)
    }
}

fn understood(read: &Result<Vec<u8>, String>) -> Result<Machines, String> {
    let bytes = read.as_ref().map_err(Clone::clone)?;
    Machines::parse(bytes).map_err(|error| chain(&error))
}

/// An error and its causes as one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(io::Error::other(format!("it is longer than {FILE_MAX} bytes")));
    }
    Ok(bytes)
}
