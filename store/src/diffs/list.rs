//! The list of diffs of a manifest as a file of a store.

use super::{DIFFS_MAX_BYTES, Diff, Diffs};
use crate::dir::{DirError, DirStore, temp};
use crate::map::PackRef;
use crate::source::{Item, read_all};
use crate::{Digest, FormatError};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;

/// The list that the manifest has already; one that cannot be read is made anew.
pub(super) fn existing(store: &DirStore, manifest: &Digest) -> Diffs {
    let bytes = read_all(store, &Item::Diffs(*manifest), DIFFS_MAX_BYTES).ok();
    bytes.and_then(|bytes| Diffs::decode(&bytes).ok()).unwrap_or_default()
}

/// What the two lists are together, as bytes; only `added` where that would be too long to be read:
/// what machines hold is more likely like the base given last.
pub(super) fn together(list: Diffs, added: &Diffs) -> Result<Vec<u8>, FormatError> {
    let mut bytes = join(list, added.clone()).encode();
    if bytes.len() as u64 > DIFFS_MAX_BYTES {
        bytes = added.encode();
    }
    if bytes.len() as u64 > DIFFS_MAX_BYTES {
        let (expected, found) = (format!("at most {DIFFS_MAX_BYTES} bytes"), bytes.len());
        let what = "list of diffs".into();
        let found = found.to_string();
        return Err(FormatError { what, at: DIFFS_MAX_BYTES, expected, found });
    }
    Ok(bytes)
}

/// A list that is durable, and not yet that of the manifest.
pub(super) struct NewList {
    item: Item,
    file: temp::TempFile,
}

impl NewList {
    /// Writes it: all that can run out of room.
    pub(super) fn write(
        store: &DirStore,
        manifest: &Digest,
        bytes: &[u8],
    ) -> Result<Self, DirError> {
        let item = Item::Diffs(*manifest);
        let mut file = temp::create(store, item.to_string())?;
        file.write(bytes)?;
        file.sync()?;
        let directory = store.path().join("diffs");
        fs::create_dir_all(&directory).map_err(DirError::io("create", &directory))?;
        temp::sync_directory(store.path())?;
        Ok(Self { item, file })
    }

    /// Lets it be the manifest's list. The packs it names are there.
    pub(super) fn publish(self, store: &DirStore) -> Result<(), DirError> {
        self.file.rename(store, &self.item)?;
        temp::sync_directory(&store.path().join("diffs"))
    }
}

/// Takes out of the manifest's list what is in packs that are not `sound`, or all of a list that
/// cannot be read; says whether anything was. Diffs are dispensable, and no damaged pack is to stay
/// for their sake.
pub(crate) fn prune(
    store: &DirStore,
    manifest: &Digest,
    sound: &dyn Fn(&PackRef) -> bool,
) -> Result<bool, DirError> {
    let path = store.path().join(Item::Diffs(*manifest).path());
    if !path.exists() {
        return Ok(false);
    }
    let list = existing(store, manifest);
    if !list.diffs.is_empty() && list.packs.iter().all(sound) {
        return Ok(false);
    }
    let left = within(list, sound);
    if left.diffs.is_empty() {
        return match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            removed => removed.map(|()| true).map_err(DirError::io("remove", &path)),
        };
    }
    NewList::write(store, manifest, &left.encode())?.publish(store)?;
    Ok(true)
}

/// What a diff does, wherever it is.
pub(super) fn key(diff: &Diff) -> (Vec<super::Part>, Vec<super::Part>) {
    (diff.references.clone(), diff.targets.clone())
}

/// Both lists; of diffs that are the same but for their place, the first.
fn join(mut list: Diffs, added: Diffs) -> Diffs {
    let had: HashSet<_> = list.diffs.iter().map(key).collect();
    let first = list.packs.len() as u32;
    list.packs.extend(added.packs);
    for mut diff in added.diffs {
        if !had.contains(&key(&diff)) {
            diff.frame.pack += first;
            list.diffs.push(diff);
        }
    }
    used(list)
}

/// The part of the list that is in packs of which `is_in` says so.
pub(super) fn within(mut list: Diffs, is_in: &dyn Fn(&PackRef) -> bool) -> Diffs {
    let packs: Vec<bool> = list.packs.iter().map(is_in).collect();
    list.diffs.retain(|diff| packs.get(diff.frame.pack as usize) == Some(&true));
    used(list)
}

/// The list without the packs that none of its diffs is in.
fn used(list: Diffs) -> Diffs {
    let (mut packs, mut numbers): (Vec<PackRef>, _) = (Vec::new(), HashMap::new());
    let mut diffs = list.diffs;
    diffs.retain_mut(|diff| {
        let Some(pack) = list.packs.get(diff.frame.pack as usize) else { return false };
        diff.frame.pack = *numbers.entry(pack.digest).or_insert_with(|| {
            packs.push(*pack);
            packs.len() as u32 - 1
        });
        true
    });
    Diffs { packs, diffs }
}
