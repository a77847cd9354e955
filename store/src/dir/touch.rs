//! When something was of use: told by the times of its file.

use super::{DirError, DirStore};
use crate::label::LabelName;
use crate::source::Item;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, utimensat};
use std::io;
use std::path::Path;

/// Sets a file's time of modification to now. One that is gone is none that is of use.
pub(crate) fn touch(path: &Path) -> Result<(), DirError> {
    set_times(path, UTIME_OMIT, UTIME_NOW)
}

fn set_times(path: &Path, accessed: i64, modified: i64) -> Result<(), DirError> {
    let time = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    let times = Timestamps { last_access: time(accessed), last_modification: time(modified) };
    match utimensat(CWD, path, &times, AtFlags::empty()) {
        Err(error) if error != rustix::io::Errno::NOENT => {
            Err(DirError::io("touch", path)(io::Error::from(error)))
        }
        _ => Ok(()),
    }
}

impl DirStore {
    /// Notes that the label is of use: `gc` with a maximum size removes those first that were not
    /// for the longest time. It is the time of access that is set, so that the label stays the same
    /// for caches. Whoever serves a store without leave to write to it cannot.
    pub fn touch_label(&self, name: &LabelName) -> Result<(), DirError> {
        let path = self.path().join(Item::Label(name.clone()).path());
        set_times(&path, UTIME_NOW, UTIME_OMIT)
    }
}
