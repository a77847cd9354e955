//! Labels in a directory store: one file each, replaced by rename.

use super::temp::{self, TempFile, sync_directory};
use super::{DirError, DirStore};
use crate::Digest;
use crate::label::{LabelName, LabelRecord};
use crate::label_list;
use crate::manifest_reader::{ReadError, read_label};
use crate::source::{Item, SourceError};
use std::fs;

/// What publishing a record did to its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelChange {
    /// The label was not there.
    New,
    /// The label already said the same: its record stays as it was.
    Same,
    /// The label already named this content; its facts are new.
    Facts,
    /// The label named other content: the manifest with this digest.
    Replaced(Digest),
}

/// What stands against publishing a record.
pub(crate) enum LabelRefusal {
    /// The label names other content and was not to be forced.
    Taken(Digest),
    /// The store failed.
    Store(DirError),
}

impl From<DirError> for LabelRefusal {
    fn from(error: DirError) -> Self {
        Self::Store(error)
    }
}

impl DirStore {
    /// Reads the record of `name`.
    pub fn read_record(&self, name: &LabelName) -> Result<LabelRecord, ReadError> {
        read_label(self, name)
    }

    /// The names of all labels that match `pattern` (see [`label_list::matches`]), in order.
    pub fn labels(&self, pattern: &str) -> Result<Vec<LabelName>, DirError> {
        let directory = self.path().join("labels");
        let mut names = Vec::new();
        for entry in fs::read_dir(&directory).map_err(DirError::io("read", &directory))? {
            let entry = entry.map_err(DirError::io("read", &directory))?;
            let name = entry.file_name().to_str().and_then(|name| name.parse::<LabelName>().ok());
            names.extend(name.filter(|name| label_list::matches(pattern, name.as_str())));
        }
        names.sort();
        Ok(names)
    }

    /// Removes the label `name`. Its manifest, map and objects stay until they are collected.
    pub fn remove_label(&self, name: &LabelName) -> Result<(), DirError> {
        let _lock = super::lock::lock(&self.lock_path())?;
        let mut others = self.list()?;
        others.retain(|(other, _)| other != name);
        let path = self.path().join(Item::Label(name.clone()).path());
        if !path.exists() {
            let (label, store) = (name.clone(), self.path().display().to_string());
            return Err(DirError::NoLabel { label, store });
        }
        // Off the list first: a label that is listed and has no record was lost, not removed.
        let unlisted = write_list(self, &others);
        fs::remove_file(&path).map_err(DirError::io("remove", &path))?;
        sync_directory(&self.path().join("labels"))?;
        // On a full disk there may be room now.
        unlisted.or_else(|_| write_list(self, &others))
    }

    /// All labels whose records can be read, in order.
    fn list(&self) -> Result<Vec<(LabelName, Digest)>, DirError> {
        let names = self.labels("*")?.into_iter();
        let record = |name: LabelName| Some((self.read_record(&name).ok()?.manifest, name));
        Ok(names.filter_map(record).map(|(digest, name)| (name, digest)).collect())
    }
}

/// What publishing `record` would do. A record that cannot be read is replaced like one
/// that is not there: it names nothing.
pub(crate) fn label_change(
    store: &DirStore,
    record: &LabelRecord,
    force: bool,
) -> Result<LabelChange, LabelRefusal> {
    let old = match store.read_record(&record.name) {
        Ok(old) => old,
        Err(ReadError::Source(SourceError::Io { source, .. })) => {
            let path = store.path().join(Item::Label(record.name.clone()).path());
            return Err(DirError::io("read", &path)(source).into());
        }
        Err(_) => return Ok(LabelChange::New),
    };
    if old.manifest != record.manifest {
        let change = LabelChange::Replaced(old.manifest);
        return if force { Ok(change) } else { Err(LabelRefusal::Taken(old.manifest)) };
    }
    Ok(if old.facts == record.facts { LabelChange::Same } else { LabelChange::Facts })
}

/// Lets `record` be what its label says, unless the label names other content and `force`
/// is not given. All that can run out of room is done before anything changes.
pub(crate) fn publish_label(
    store: &DirStore,
    record: &LabelRecord,
    force: bool,
) -> Result<LabelChange, LabelRefusal> {
    let _lock = super::lock::lock(&store.lock_path())?;
    let change = label_change(store, record, force)?;
    if change == LabelChange::Same {
        return Ok(change);
    }
    let mut labels = store.list()?;
    labels.retain(|(other, _)| *other != record.name);
    labels.push((record.name.clone(), record.manifest));
    labels.sort();
    let list = prepare(store, "the list of labels", &label_list::encode(&labels))?;
    let item = Item::Label(record.name.clone());
    prepare(store, &item.to_string(), &record.encode())?.rename(store, &item)?;
    sync_directory(&store.path().join("labels"))?;
    list.rename(store, &Item::LabelList)?;
    sync_directory(store.path())?;
    Ok(change)
}

/// Writes the list of labels; the caller holds the store's lock.
pub(super) fn write_list(store: &DirStore, labels: &[(LabelName, Digest)]) -> Result<(), DirError> {
    prepare(store, "the list of labels", &label_list::encode(labels))?
        .rename(store, &Item::LabelList)?;
    sync_directory(store.path())
}

fn prepare(store: &DirStore, what: &str, text: &str) -> Result<TempFile, DirError> {
    let mut file = temp::create_locked(store, what)?;
    file.write(text.as_bytes())?;
    file.sync()?;
    Ok(file)
}
