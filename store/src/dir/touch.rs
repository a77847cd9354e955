//! When something was of use: told by the times of its file.

use super::{DirError, DirStore};
use crate::label::LabelName;
use crate::source::Item;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, utimensat};
use std::io;
use std::path::Path;

/// Sets a file's time of modification to now. One that is gone is none that is of use.
pub(crate) fn touch(path: &Path) -> Result<(), DirError> {
    let time = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    let times = Timestamps { last_access: time(UTIME_OMIT), last_modification: time(UTIME_NOW) };
    match utimensat(CWD, path, &times, AtFlags::empty()) {
        Err(error) if error != rustix::io::Errno::NOENT => {
            Err(DirError::io("touch", path)(io::Error::from(error)))
        }
        _ => Ok(()),
    }
}

impl DirStore {
    /// Notes that the label is of use: `gc` with a maximum size removes those first that were not
    /// for the longest time. Whoever serves a store without leave to write to it cannot.
    pub fn touch_label(&self, name: &LabelName) -> Result<(), DirError> {
        touch(&self.path().join(Item::Label(name.clone()).path()))
    }
}
