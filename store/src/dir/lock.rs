//! The store's lock: held for moments, never while content is read or written.

use super::DirError;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// The lock is held for a few file operations; whoever has it longer is stopped or hung.
const LOCK_WAIT_S: u64 = 60;

/// The store's lock; free again when dropped, and by the kernel when its holder dies.
pub(crate) struct StoreLock(#[allow(dead_code, reason = "closing it is the unlock")] File);

/// Takes the lock in the file `path`, waiting up to [`LOCK_WAIT_S`].
pub(crate) fn lock(path: &Path) -> Result<StoreLock, DirError> {
    match wait_for(open(path)?, path, Duration::from_secs(LOCK_WAIT_S))? {
        Some(file) => Ok(StoreLock(file)),
        None => Err(DirError::Locked { path: path.to_owned(), waited_s: LOCK_WAIT_S }),
    }
}

/// Opens a lock file, which is made where there is none.
pub(crate) fn open(path: &Path) -> Result<File, DirError> {
    let open = File::options().write(true).create(true).truncate(false).open(path);
    open.map_err(DirError::io("open", path))
}

/// Takes the lock of `file`, whose name is `path`, waiting up to `wait` for it; `None`: another
/// has it still.
pub(crate) fn wait_for(file: File, path: &Path, wait: Duration) -> Result<Option<File>, DirError> {
    if try_lock(&file).map_err(DirError::io("lock", path))? {
        return Ok(Some(file));
    }
    if wait.is_zero() {
        return Ok(None);
    }
    let (sender, receiver) = mpsc::channel();
    // flock(2) has no time limit: a thread waits, and if it is given up on, drops the lock
    // as soon as it gets it.
    std::thread::spawn(move || {
        let locked = flock(&file, FlockOperation::LockExclusive).map(|()| file);
        sender.send(locked).ok();
    });
    match receiver.recv_timeout(wait) {
        Ok(locked) => locked.map(Some).map_err(|error| DirError::io("lock", path)(error.into())),
        Err(_) => Ok(None),
    }
}

/// Takes the lock of `file` if nobody has it.
pub(crate) fn try_lock(file: &File) -> std::io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
