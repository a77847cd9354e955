//! Moving what is needed out of packs that are mostly dead.

use super::GcError;
use super::marks::Marks;
use super::sweep::pardon;
use crate::Digest;
use crate::dir::DirStore;
use crate::dir::temp::sync_directory;
use crate::manifest_reader::{read_map, read_root};
use crate::map::Map;
use crate::objects::read_objects;
use crate::push::packs::PACK_CLOSE_BYTES;
use crate::restock::{Choice, Placed, Restock, Stocked, TakeError, from, in_map, map_stamp};
use crate::stamp::Stamp;
use std::collections::{BTreeMap, BTreeSet};

/// What was moved.
pub(super) struct Repacked<'a> {
    /// The new packs, and what is in them.
    pub(super) stocked: Stocked<'a>,
    /// Packs that had to stay, because something in them cannot be read, each with why.
    pub(super) damaged: BTreeMap<Digest, String>,
}

/// Moves all that `marks` need out of `packs`, and leads the maps there. Every object is hashed
/// on its way. Other places stay as they are, also where an object is in a pack twice: nobody
/// knows without reading it which of them is sound.
pub(super) fn repack<'a>(
    store: &'a DirStore,
    marks: &Marks,
    packs: &BTreeSet<Digest>,
) -> Result<Repacked<'a>, GcError> {
    let mut restock = Restock::new(store, vec![store], PACK_CLOSE_BYTES);
    let mut moved = Vec::new();
    let mut damaged = BTreeMap::new();
    for manifest in marks.manifests().filter(|_| !packs.is_empty()) {
        let read = map_stamp(store, manifest);
        let Some((map, placed)) = take(store, &mut restock, manifest, packs)? else { continue };
        match placed {
            Ok(placed) => moved.push((*manifest, placed, read)),
            Err(why) => {
                let of = map.packs.iter().map(|pack| pack.digest);
                damaged.extend(of.filter(|p| packs.contains(p)).map(|p| (p, why.clone())));
            }
        }
    }
    let stocked = restock.finish()?;
    let stay: Vec<Digest> = damaged.keys().copied().collect();
    pardon(store, &stay, &[])?;
    for (manifest, placed, read) in &moved {
        lead(store, &stocked, manifest, (placed, read.as_ref()), packs)?;
    }
    sync_directory(&store.path().join("maps"))?;
    Ok(Repacked { stocked, damaged })
}

/// Leads the map to what was moved. Where somebody who began after `packs` were condemned wrote
/// another map meanwhile, that one stays: it does not lead to any of them.
fn lead(
    store: &DirStore,
    stocked: &Stocked<'_>,
    manifest: &Digest,
    (placed, read): (&Placed, Option<&Stamp>),
    packs: &BTreeSet<Digest>,
) -> Result<(), GcError> {
    if stocked.lead(manifest, placed, read)? {
        return Ok(());
    }
    let failed = |source| GcError::Manifest { source };
    let (root, _) = read_root(store, manifest).map_err(failed)?;
    let map = read_map(store, manifest, &root).map_err(failed)?;
    if map_stamp(store, manifest).as_ref() == read
        || map.packs.iter().any(|pack| packs.contains(&pack.digest))
    {
        return Err(GcError::Overtaken { manifest: *manifest });
    }
    Ok(())
}

type Taken = (Map, Result<Placed, String>);

/// Takes what the manifest needs of `packs`; nothing if that is nothing.
fn take(
    store: &DirStore,
    restock: &mut Restock<'_, '_>,
    digest: &Digest,
    packs: &BTreeSet<Digest>,
) -> Result<Option<Taken>, GcError> {
    let failed = |source| GcError::Manifest { source };
    let (manifest, root_bytes) = read_root(store, digest).map_err(failed)?;
    let map = read_map(store, digest, &manifest).map_err(failed)?;
    if !map.packs.iter().any(|pack| packs.contains(&pack.digest)) {
        return Ok(None);
    }
    let mut placed = restock.begin();
    let mut why = None;
    for (number, segment) in read_objects(store, &manifest, root_bytes, digest).enumerate() {
        let section = map.sections.get(number);
        let mut choose = |number: usize, _: Digest, _: u32| {
            let place = section.and_then(|section| in_map(&map, section, number));
            Ok(match place {
                Some((pack, spot)) if packs.contains(&pack.digest) => from(0, pack, spot),
                Some((pack, spot)) => Choice::Here(pack, spot),
                None => Choice::Lost,
            })
        };
        let mut lost = |_: &[Digest], error: TakeError| {
            why.get_or_insert_with(|| crate::verify::chain(&error));
            Ok(())
        };
        let objects = segment.map_err(failed)?.objects;
        restock.segment(&objects, &mut placed, &mut choose, &mut lost)?;
    }
    let placed = match why {
        None if placed.lost == 0 => Ok(placed),
        why => Err(why.unwrap_or_else(|| "its map leads nowhere".to_owned())),
    };
    Ok(Some((map, placed)))
}
