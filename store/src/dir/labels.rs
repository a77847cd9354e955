//! Labels in a directory store: one file each, replaced by rename.

use super::temp::{self, TempFile, sync_directory};
use super::{DirError, DirStore};
use crate::Digest;
use crate::label::{LabelName, LabelRecord};
use crate::label_list::{self, LABEL_LIST_MAX_BYTES};
use crate::manifest_reader::{ReadError, read_label};
use crate::source::{Item, SourceError, read_all};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
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

/// Why a label has its old name still.
#[derive(Debug, thiserror::Error)]
pub enum RenameError {
    /// Its record could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The new name is another label's.
    #[error("label {label} is there in the store {store}: it is {found}; --force replaces it")]
    Taken {
        /// The new name.
        label: LabelName,
        /// The store's name.
        store: String,
        /// Digest of the manifest that it names.
        found: Digest,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] DirError),
}

impl RenameError {
    fn taken(store: &DirStore, label: &LabelName, found: Digest) -> Self {
        Self::Taken { label: label.clone(), store: store.path().display().to_string(), found }
    }
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

    /// Removes the label `name`, or, where its record is lost, its line in the list. Its
    /// manifest, map and objects stay until they are collected.
    pub fn remove_label(&self, name: &LabelName) -> Result<(), DirError> {
        let _lock = super::lock::lock(&self.lock_path())?;
        if self.path().join(Item::Label(name.clone()).path()).exists() {
            return self.remove_locked(std::slice::from_ref(name));
        }
        let mut others = self.list()?;
        if others.remove(name).is_some() {
            return write_list(self, &others);
        }
        Err(DirError::NoLabel { label: name.clone(), store: self.path().display().to_string() })
    }

    /// Removes labels whose records are there; the caller holds the store's lock.
    pub(crate) fn remove_locked(&self, names: &[LabelName]) -> Result<(), DirError> {
        let mut others = self.list()?;
        others.retain(|name, _| !names.contains(name));
        // Off the list first: a label that is listed and has no record was lost, not removed.
        let unlisted = write_list(self, &others);
        for name in names {
            let path = self.path().join(Item::Label(name.clone()).path());
            fs::remove_file(&path).map_err(DirError::io("remove", &path))?;
        }
        sync_directory(&self.path().join("labels"))?;
        // On a full disk there may be room now.
        unlisted.or_else(|_| write_list(self, &others))
    }

    /// Gives the label `old` the name `new`; `force` replaces a label of that name. At any moment
    /// there is one of them at least, whole.
    pub fn rename_label(
        &self,
        old: &LabelName,
        new: &LabelName,
        force: bool,
    ) -> Result<LabelChange, RenameError> {
        let _lock = super::lock::lock(&self.lock_path())?;
        let record = self.read_record(old)?;
        let renamed = LabelRecord { name: new.clone(), ..record };
        // What a renaming that was cut has left is no other label: it goes on.
        let resumed = old != new && self.read_record(new).is_ok_and(|found| found == renamed);
        let change = match label_change(self, &renamed, force || resumed) {
            Ok(LabelChange::New) => LabelChange::New,
            Ok(change) if old != new && (force || resumed) => change,
            Ok(_) => return Err(RenameError::taken(self, new, renamed.manifest)),
            Err(LabelRefusal::Taken(found)) => return Err(RenameError::taken(self, new, found)),
            Err(LabelRefusal::Store(error)) => return Err(error.into()),
        };
        let mut labels = self.list()?;
        labels.remove(old);
        labels.insert(new.clone(), renamed.manifest);
        let list = prepare(self, "the list of labels", &encode(labels))?;
        let item = Item::Label(new.clone());
        prepare(self, &item.to_string(), &renamed.encode())?.rename(self, &item)?;
        sync_directory(&self.path().join("labels"))?;
        // Off the list first, as when it is removed.
        list.rename(self, &Item::LabelList)?;
        sync_directory(self.path())?;
        let path = self.path().join(Item::Label(old.clone()).path());
        fs::remove_file(&path).map_err(DirError::io("remove", &path))?;
        sync_directory(&self.path().join("labels"))?;
        Ok(change)
    }

    /// The labels that the list is to have: those on it, also where the record is gone, of which
    /// it is the one trace; and those that are there and not on it.
    pub(crate) fn list(&self) -> Result<Labels, DirError> {
        let bytes = read_all(self, &Item::LabelList, LABEL_LIST_MAX_BYTES).ok();
        let listed = bytes.and_then(|bytes| label_list::decode(&bytes).ok());
        // A list that cannot be read is made again from the records.
        let mut labels: Labels = listed.unwrap_or_default().into_iter().collect();
        for name in self.labels("*")? {
            if let Entry::Vacant(vacant) = labels.entry(name)
                && let Ok(record) = self.read_record(vacant.key())
            {
                vacant.insert(record.manifest);
            }
        }
        Ok(labels)
    }
}

/// Labels with what they name, in order.
pub(crate) type Labels = BTreeMap<LabelName, Digest>;

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
    let mut labels = store.list()?;
    labels.insert(record.name.clone(), record.manifest);
    if change == LabelChange::Same {
        // Only its owner and root may say so.
        store.touch_label(&record.name).ok();
        settle_same(store, &labels)?;
        return Ok(change);
    }
    let list = prepare(store, "the list of labels", &encode(labels))?;
    let item = Item::Label(record.name.clone());
    prepare(store, &item.to_string(), &record.encode())?.rename(store, &item)?;
    sync_directory(&store.path().join("labels"))?;
    list.rename(store, &Item::LabelList)?;
    sync_directory(store.path())?;
    Ok(change)
}

/// Finishes what a push that was cut may have left: a record that is not durable, a list that
/// does not say it.
fn settle_same(store: &DirStore, labels: &Labels) -> Result<(), DirError> {
    sync_directory(&store.path().join("labels"))?;
    let listed = read_all(store, &Item::LabelList, LABEL_LIST_MAX_BYTES).ok();
    if listed.as_deref() == Some(encode(labels.clone()).as_bytes()) {
        return Ok(());
    }
    write_list(store, labels)
}

fn encode(labels: Labels) -> String {
    label_list::encode(&labels.into_iter().collect::<Vec<_>>())
}

/// Writes the list of labels; the caller holds the store's lock.
pub(super) fn write_list(store: &DirStore, labels: &Labels) -> Result<(), DirError> {
    prepare(store, "the list of labels", &encode(labels.clone()))?
        .rename(store, &Item::LabelList)?;
    sync_directory(store.path())
}

fn prepare(store: &DirStore, what: &str, text: &str) -> Result<TempFile, DirError> {
    let mut file = temp::create_locked(store, what)?;
    file.write(text.as_bytes())?;
    file.sync()?;
    Ok(file)
}
