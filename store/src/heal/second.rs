//! Where the second store has objects.

use crate::Digest;
use crate::dir::index::Spot;
use crate::label_list::{LABEL_LIST_MAX_BYTES, decode};
use crate::manifest_reader::{ReadError, read_map, read_root};
use crate::map::PackRef;
use crate::objects::read_objects;
use crate::restock::in_map;
use crate::source::{Item, Source, read_all};
use std::collections::{HashMap, HashSet};

/// Finds as many of `wanted` as there are: by the maps of the manifests `first`, then by those of
/// all labels that the store lists. What cannot be read there leads nowhere.
pub(super) fn find(
    second: &dyn Source,
    first: &[Digest],
    wanted: &HashSet<Digest>,
) -> HashMap<Digest, (PackRef, Spot)> {
    let mut found = HashMap::new();
    let mut asked = HashSet::new();
    let mut ask = |manifest: Digest, found: &mut HashMap<_, _>| {
        if found.len() < wanted.len() && asked.insert(manifest) {
            // What was found before it broke counts.
            find_in(second, &manifest, wanted, found).ok();
        }
    };
    for manifest in first {
        ask(*manifest, &mut found);
    }
    if found.len() < wanted.len() {
        let listed = read_all(second, &Item::LabelList, LABEL_LIST_MAX_BYTES).ok();
        let listed = listed.and_then(|bytes| decode(&bytes).ok()).unwrap_or_default();
        for (_, manifest) in listed {
            ask(manifest, &mut found);
        }
    }
    found
}

fn find_in(
    second: &dyn Source,
    digest: &Digest,
    wanted: &HashSet<Digest>,
    found: &mut HashMap<Digest, (PackRef, Spot)>,
) -> Result<(), ReadError> {
    let (manifest, root_bytes) = read_root(second, digest)?;
    let map = read_map(second, digest, &manifest)?;
    let segments = read_objects(second, &manifest, root_bytes, digest);
    for (segment, section) in segments.zip(&map.sections) {
        for (number, (object, _)) in segment?.objects.iter().enumerate() {
            if wanted.contains(object)
                && let Some(place) = in_map(&map, section, number)
            {
                found.entry(*object).or_insert(place);
            }
        }
    }
    Ok(())
}
