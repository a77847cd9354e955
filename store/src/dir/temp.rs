//! Unfinished files: written in `tmp/`, durable before they get their name.
//!
//! The writer of a temporary file holds its flock. A file there whose lock is free belongs
//! to nobody who lives. Files are made, locked and cleaned under the store's lock only, so
//! none is ever seen between being made and being locked.

use super::error::is_full;
use super::lock::{lock, try_lock};
use super::{DirError, DirStore};
use crate::source::Item;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Names already taken in `tmp/` are other live writers' with our process id (containers
/// that share a store); there are not this many.
const NAME_ATTEMPTS: u32 = 10_000;

/// A file that does not have its name yet. Dropped, it is removed.
pub(crate) struct TempFile {
    file: File,
    path: PathBuf,
    what: String,
    written_bytes: u64,
    renamed: bool,
}

/// Makes a file for `what`, words for errors.
pub(crate) fn create(store: &DirStore, what: impl Into<String>) -> Result<TempFile, DirError> {
    let _lock = lock(&store.lock_path())?;
    create_locked(store, what)
}

/// Like [`create`], for callers that hold the store's lock.
pub(crate) fn create_locked(
    store: &DirStore,
    what: impl Into<String>,
) -> Result<TempFile, DirError> {
    create_prefixed(store, "", what)
}

/// Like [`create_locked`]; the file's name begins with `prefix`.
pub(crate) fn create_prefixed(
    store: &DirStore,
    prefix: &str,
    what: impl Into<String>,
) -> Result<TempFile, DirError> {
    let what = what.into();
    let directory = store.path().join("tmp");
    for number in 0..NAME_ATTEMPTS {
        let path = directory.join(format!("{prefix}{}-{number}", std::process::id()));
        match File::options().read(true).write(true).create_new(true).open(&path) {
            Ok(file) => {
                try_lock(&file).map_err(DirError::io("lock", &path))?;
                return Ok(TempFile { file, path, what, written_bytes: 0, renamed: false });
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("create", &path, &what, 0, 0, error)),
        }
    }
    let taken = io::Error::other(format!("{NAME_ATTEMPTS} names are taken"));
    Err(DirError::io("create a file in", &directory)(taken))
}

/// Removes what writers that are gone have left; returns how many files that were.
pub(crate) fn clean(store: &DirStore) -> Result<usize, DirError> {
    let _lock = lock(&store.lock_path())?;
    let directory = store.path().join("tmp");
    let mut removed = 0;
    for entry in fs::read_dir(&directory).map_err(DirError::io("read", &directory))? {
        let path = entry.map_err(DirError::io("read", &directory))?.path();
        removed += usize::from(remove_abandoned(&path).map_err(DirError::io("remove", &path))?);
    }
    Ok(removed)
}

fn remove_abandoned(path: &Path) -> io::Result<bool> {
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let file = match File::open(path) {
        Err(error) if gone(&error) => return Ok(false),
        opened => opened?,
    };
    if !try_lock(&file)? {
        return Ok(false);
    }
    // Its writer may have renamed it and let go of it just before we took the lock.
    match fs::remove_file(path) {
        Err(error) if gone(&error) => Ok(false),
        removed => removed.map(|()| true),
    }
}

impl TempFile {
    /// Appends `bytes`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), DirError> {
        self.file.write_all(bytes).map_err(|error| {
            let wanted = bytes.len() as u64;
            failed("write", &self.path, &self.what, wanted, self.written_bytes, error)
        })?;
        self.written_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Another handle of the file, to read what was written.
    pub(crate) fn reader(&self) -> Result<File, DirError> {
        self.file.try_clone().map_err(DirError::io("open", &self.path))
    }

    /// Reads the bytes at `offset`, all of `into`.
    pub(crate) fn read_at(&self, into: &mut [u8], offset: u64) -> Result<(), DirError> {
        self.file.read_exact_at(into, offset).map_err(DirError::io("read", &self.path))
    }

    /// Makes what was written durable. An error here is final: the kernel reports a failed
    /// write once, so nothing could be learned by asking again.
    pub(crate) fn sync(&self) -> Result<(), DirError> {
        let synced = self.file.sync_all();
        synced.map_err(|error| failed("sync", &self.path, &self.what, 0, self.written_bytes, error))
    }

    /// Gives the file, which is durable, its name. The name is durable after
    /// [`sync_directory`].
    pub(crate) fn rename(self, store: &DirStore, item: &Item) -> Result<(), DirError> {
        self.rename_to(&store.path().join(item.path()))
    }

    /// Like [`TempFile::rename`], to a path in the store.
    pub(crate) fn rename_to(mut self, to: &Path) -> Result<(), DirError> {
        fs::rename(&self.path, to)
            .map_err(|error| failed("rename", to, &self.what, 0, self.written_bytes, error))?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.renamed {
            fs::remove_file(&self.path).ok(); // what stays is cleaned by the next push
        }
    }
}

/// Makes the names in a directory of the store durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), DirError> {
    let synced = File::open(path).and_then(|directory| directory.sync_all());
    synced.map_err(DirError::io("sync", path))
}

fn failed(
    action: &'static str,
    path: &Path,
    what: &str,
    wanted_bytes: u64,
    at_bytes: u64,
    source: io::Error,
) -> DirError {
    if !is_full(&source) {
        return DirError::io(action, path)(source);
    }
    let (what, path) = (what.to_owned(), path.to_owned());
    DirError::Full { what, path, wanted_bytes, at_bytes, source }
}
