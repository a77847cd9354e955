//! Diffs of a label from one store into another: whole packs, proven by their digests.
//!
//! Nothing tells what a diff should be but the objects it is told by, which whoever carries it need
//! not have. A pack that diffs were put into holds nothing else, so it is taken as it is.

use super::list::{NewList, existing, key, together, within};
use super::{DIFFS_MAX_BYTES, Diffs};
use crate::dir::journal::strike;
use crate::dir::temp::{self, TempFile};
use crate::dir::{DirError, DirStore};
use crate::map::PackRef;
use crate::source::{Item, Source, SourceError, from_io, read_all};
use crate::{Digest, FormatError, Hasher};
use std::collections::HashSet;
use std::io::Read;

/// A pack is taken if it has at most as much else as diffs of the list, and so many bytes: its index,
/// and diffs that the list does not have any more. Objects are not taken in this way.
const OTHERS_MAX_BYTES: u64 = 64 << 10;

/// What is read and written at once, bytes.
const COPY_BYTES: usize = 256 << 10;

/// What was carried.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Carried {
    /// Diffs that are new in the list.
    pub(crate) diffs: u64,
    /// Packs that were taken.
    pub(crate) packs: Vec<PackRef>,
}

/// Why diffs were not carried, which harms nothing: objects are whole in packs too.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CarryError {
    /// The store did not give the list, or a pack.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The list is none, or would be too long.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A pack is not what it is called.
    #[error("pack {} of {store}: expected digest {}, found {found}", pack.short(), pack)]
    Wrong {
        /// The pack.
        pack: Digest,
        /// The store's name.
        store: String,
        /// The digest of what came.
        found: Digest,
    },
    /// The store that they were to be put into failed.
    #[error(transparent)]
    Store(#[from] DirError),
}

/// Adds the diffs that `source` has of `manifest` to those that `store` has; `has` says which packs are
/// in there to stay. The caller is known to rely on the store (see [`crate::dir::users`]). A cut
/// leaves the list as it was.
pub(crate) fn carry(
    source: &dyn Source,
    store: &DirStore,
    manifest: &Digest,
    has: &dyn Fn(&PackRef) -> bool,
) -> Result<Carried, CarryError> {
    let theirs = match read_all(source, &Item::Diffs(*manifest), DIFFS_MAX_BYTES) {
        Err(SourceError::NotFound { .. }) => return Ok(Carried::default()),
        bytes => Diffs::decode(&bytes?)?,
    };
    let own = within(existing(store, manifest), has);
    let added = worth_taking(missing(theirs, &own), has);
    let mut carried = Carried { diffs: added.diffs.len() as u64, packs: Vec::new() };
    if added.diffs.is_empty() {
        return Ok(carried);
    }
    for pack in added.packs.iter().filter(|pack| !has(pack)) {
        take_pack(source, store, pack)?;
        carried.packs.push(*pack);
    }
    let bytes = together(own, &added)?;
    NewList::write(store, manifest, &bytes)?.publish(store)?;
    Ok(carried)
}

/// What of `theirs` is not in `own`.
fn missing(mut theirs: Diffs, own: &Diffs) -> Diffs {
    let had: HashSet<_> = own.diffs.iter().map(key).collect();
    theirs.diffs.retain(|diff| !had.contains(&key(diff)));
    within(theirs, &|_| true)
}

/// What of `list` is in packs that the store has, or that are mostly diffs.
fn worth_taking(list: Diffs, has: &dyn Fn(&PackRef) -> bool) -> Diffs {
    let mut bytes = vec![0_u64; list.packs.len()];
    for diff in &list.diffs {
        if let Some(bytes) = bytes.get_mut(diff.frame.pack as usize) {
            *bytes += u64::from(diff.frame.packed_bytes);
        }
    }
    let mostly_diffs: HashSet<PackRef> = list
        .packs
        .iter()
        .zip(bytes)
        .filter(|(pack, bytes)| pack.size_bytes <= bytes.saturating_mul(2) + OTHERS_MAX_BYTES)
        .map(|(pack, _)| *pack)
        .collect();
    within(list, &|pack| has(pack) || mostly_diffs.contains(pack))
}

fn take_pack(source: &dyn Source, store: &DirStore, pack: &PackRef) -> Result<(), CarryError> {
    let item = Item::Pack(pack.digest);
    let mut file = temp::create(store, item.to_string())?;
    let found = copy(source, &item, pack.size_bytes, &mut file)?;
    if found != pack.digest {
        let (pack, store) = (pack.digest, source.name().to_owned());
        return Err(CarryError::Wrong { pack, store, found });
    }
    file.sync()?;
    let naming = strike(store, &[pack.digest], &[])?;
    file.rename(store, &item)?;
    drop(naming);
    Ok(temp::sync_directory(&store.path().join("packs"))?)
}

/// Copies the first `length` bytes of `item`; returns their digest.
fn copy(
    source: &dyn Source,
    item: &Item,
    length: u64,
    file: &mut TempFile,
) -> Result<Digest, CarryError> {
    let mut body = source.open(item, Some(0..length))?.reader.take(length);
    let (mut hasher, mut buffer) = (Hasher::new(), vec![0; COPY_BYTES]);
    loop {
        let read = body.read(&mut buffer).map_err(|error| from_io(error, source, item))?;
        if read == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&buffer[..read]);
        file.write(&buffer[..read])?;
    }
}
