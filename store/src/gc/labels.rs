//! The labels of a store, as `gc` sees them, and their removal.

use super::GcError;
use crate::Digest;
use crate::dir::lock::lock;
use crate::dir::{DirError, DirStore};
use crate::label::LabelName;
use crate::source::Item;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

/// How many are removed at once while the store's lock is held: the list of labels is written once
/// for all of them.
const AT_ONCE: usize = 64;

/// A label that there is, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its name.
    pub(super) name: LabelName,
    /// The manifest it names.
    pub(super) manifest: Digest,
    /// When it was of use: its file was modified by a push or a depot, or read by some other
    /// server. `None`: its record is lost, and only the list of labels knows of it.
    pub(super) used: Option<SystemTime>,
    /// What whoever pushes or touches it changes, and no clock that was set back hides.
    stamp: Option<Stamp>,
}

/// Time of change, seconds and nanoseconds, and inode (inode(7)).
type Stamp = (i64, i64, u64);

/// All labels, also those that only the list knows: what was lost may be found again. Under the
/// store's lock, so that none is missed that is being renamed; only to `look`, without it where it
/// cannot be had.
pub(super) fn all(store: &DirStore, look: bool) -> Result<Vec<Listed>, GcError> {
    let _lock = match lock(&store.lock_path()) {
        Err(error) if !look => return Err(error.into()),
        locked => locked.ok(),
    };
    let mut labels = Vec::new();
    for name in store.labels("*")? {
        let (used, stamp) = used(store, &name)?.unzip();
        let failed = |source| GcError::Label { label: name.clone(), source };
        let manifest = store.read_record(&name).map_err(failed)?.manifest;
        labels.push(Listed { name, manifest, used, stamp });
    }
    let known = names(&labels);
    let lost = store.list()?.into_iter().filter(|(name, _)| !known.contains_key(name));
    labels.extend(lost.map(|(name, manifest)| Listed { name, manifest, used: None, stamp: None }));
    Ok(labels)
}

/// What each of `labels` names.
pub(super) fn names(labels: &[Listed]) -> BTreeMap<LabelName, Digest> {
    labels.iter().map(|label| (label.name.clone(), label.manifest)).collect()
}

/// Removes those of `labels` that are as they were; returns them.
pub(super) fn remove(store: &DirStore, labels: &[Listed]) -> Result<Vec<LabelName>, GcError> {
    let mut removed = Vec::new();
    for labels in labels.chunks(AT_ONCE) {
        let _lock = lock(&store.lock_path())?;
        let mut names = Vec::new();
        for label in labels {
            let same = store.read_record(&label.name).is_ok_and(|r| r.manifest == label.manifest);
            // Used meanwhile: it is not the one that was not for the longest time any more.
            if same && used(store, &label.name)?.map(|(_, stamp)| stamp) == label.stamp {
                names.push(label.name.clone());
            }
        }
        store.remove_locked(&names)?;
        removed.extend(names);
    }
    Ok(removed)
}

/// When the label was of use, and what tells whether it was since.
fn used(store: &DirStore, name: &LabelName) -> Result<Option<(SystemTime, Stamp)>, DirError> {
    let path = store.path().join(Item::Label(name.clone()).path());
    let metadata = match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(DirError::io("look at", &path))?,
    };
    let times = [metadata.modified(), metadata.accessed()].into_iter().flatten();
    // A file system that keeps no such times has used all at the same time: names decide.
    let used = times.max().unwrap_or(SystemTime::UNIX_EPOCH);
    Ok(Some((used, (metadata.ctime(), metadata.ctime_nsec(), metadata.ino()))))
}
