//! Who relies on what the store holds while they add to it: pushes, copies, repairs.
//!
//! Each has a file `tmp/user-PID-N` that it keeps locked (flock(2)) until all it relies on is named
//! by what it published. It is made under the store's lock, together with a look at the journal
//! of `gc`: whoever is not among those that `gc` finds when it writes its journal has read it.

use super::journal::Condemned;
use super::lock::{lock, wait_for};
use super::temp::{self, TempFile};
use super::{DirError, DirStore};
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What the files of users begin with.
const PREFIX: &str = "user-";

/// Somebody who relies on the store, until this is dropped.
pub(crate) struct User {
    /// What must not be relied on.
    pub(crate) condemned: Condemned,
    _file: TempFile,
}

/// Makes the caller known.
pub(crate) fn register(store: &DirStore) -> Result<User, DirError> {
    let _lock = lock(&store.lock_path())?;
    let file = temp::create_prefixed(store, PREFIX, "a file that says who writes here")?;
    Ok(User { condemned: Condemned::read(store)?, _file: file })
}

/// The files of all who are known. The caller holds the store's lock.
pub(crate) fn list(store: &DirStore) -> Result<Vec<PathBuf>, DirError> {
    let directory = store.path().join("tmp");
    let mut users = Vec::new();
    for entry in fs::read_dir(&directory).map_err(DirError::io("read", &directory))? {
        let entry = entry.map_err(DirError::io("read", &directory))?;
        if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            users.push(entry.path());
        }
    }
    Ok(users)
}

/// Waits up to `wait` until all of `users` have ended, or have died. Returns how many have not.
pub(crate) fn wait_until_gone(users: &[PathBuf], wait: Duration) -> Result<usize, DirError> {
    let end = Instant::now() + wait;
    let mut there = 0;
    for path in users {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.map_err(DirError::io("open", path))?,
        };
        let left = end.saturating_duration_since(Instant::now());
        there += usize::from(wait_for(file, path, left)?.is_none());
    }
    Ok(there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let store = DirStore::create(root.path()).unwrap();
        let user = register(&store).unwrap();
        let users = list(&store).unwrap();
        assert_eq!(users.len(), 1);
        assert_eq!(wait_until_gone(&users, Duration::ZERO).unwrap(), 1);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| wait_until_gone(&users, Duration::from_mins(10)));
            drop(user);
            assert_eq!(waiting.join().unwrap().unwrap(), 0);
        });
        assert_eq!(wait_until_gone(&users, Duration::ZERO).unwrap(), 0);
        assert!(list(&store).unwrap().is_empty());
    }
}
