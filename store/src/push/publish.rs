//! Manifest, map and label of what was written; and the order in which all gets its name.

use super::catalog::Catalog;
use super::error::PushError;
use super::fresh::NEW;
use super::gather::Gathered;
use super::mapping::{Mapping, astray, new_frame};
use super::packs::Written;
use super::run::Naming;
use super::spool::Spool;
use crate::dir::index::{Spot, keep};
use crate::dir::journal::strike;
use crate::dir::temp::{self, sync_directory};
use crate::dir::{DirError, DirStore, LabelChange, label_change, publish_label};
use crate::label::LabelRecord;
use crate::manifest::{Kind, Manifest};
use crate::manifest_reader::{map_max_bytes, read_map};
use crate::map::{Map, PackRef};
use crate::source::Item;
use crate::{Digest, FormatError};

/// What is published.
pub(super) struct Publication<'a, 'c> {
    pub(super) naming: Naming<'a>,
    pub(super) manifest: &'a Manifest,
    pub(super) content: &'a Gathered<'c>,
    pub(super) catalog: &'a Catalog<'c>,
    pub(super) written: Written<'c>,
}

/// Digest of the manifest, and what became of the label.
pub(super) struct Published {
    pub(super) manifest: Digest,
    pub(super) change: LabelChange,
    /// Why the index could not be brought up to date, which harms nothing.
    pub(super) index_failure: Option<DirError>,
}

/// Makes all of it part of the store. Everything is written and durable before the
/// first name is given, so that a full disk leaves the store as it was; names are given in
/// the order packs, manifest and map, label.
pub(super) fn publish(
    store: &DirStore,
    publication: Publication<'_, '_>,
) -> Result<Published, PushError> {
    let Publication { naming, manifest, content, catalog, written } = publication;
    let root = manifest.encode();
    // By the readers' own rules: a label that nobody accepts must not replace one that all do.
    Manifest::root_length(&root)?;
    Manifest::decode(&root)?;
    let digest = Digest::of(&root);
    let record = LabelRecord {
        name: naming.label.clone(),
        manifest: digest,
        kind: match manifest.kind {
            Kind::Image(_) => "image".into(),
            Kind::Tree(_) => "tree".into(),
        },
        size_bytes: manifest.size_bytes(),
        pushed_unix_s: naming.pushed_unix_s,
        facts: naming.sorted_facts(),
    };
    LabelRecord::decode_any(record.encode().as_bytes())?;
    let refused = |refusal| PushError::refused(refusal, naming.label, store.path(), digest);
    label_change(store, &record, naming.force).map_err(refused)?;

    let map_file = if old_map_serves(store, manifest, &digest, content, catalog, &written) {
        None
    } else {
        let resolve = |spot| resolve(store, catalog, &written, spot);
        let map = Mapping::new(store, &resolve).map(&content.objects, &content.spots, 0)?;
        check_map_length(manifest, map.size_bytes())?;
        Some(map.write(store, &Item::Map(digest))?)
    };
    let mut manifest_file = temp::create(store, Item::Manifest(digest).to_string())?;
    manifest_file.write(&root)?;
    content.encoded.copy(&mut |bytes| manifest_file.write(bytes))?;
    manifest_file.sync()?;
    let new_packs: Vec<PackRef> = written.packs.iter().map(|pack| pack.pack).collect();
    let names: Vec<Digest> = new_packs.iter().map(|pack| pack.digest).collect();
    let struck = strike(store, &names, &[digest])?;
    for pack in written.packs {
        pack.file.rename(store, &Item::Pack(pack.pack.digest))?;
    }
    drop(struck);
    // Also when nothing is new: what this push relies on may just have been renamed by another.
    sync_directory(&store.path().join("packs"))?;
    manifest_file.rename(store, &Item::Manifest(digest))?;
    map_file.map_or(Ok(()), |map| map.rename(store, &Item::Map(digest)))?;
    sync_directory(&store.path().join("manifests"))?;
    sync_directory(&store.path().join("maps"))?;
    let change = publish_label(store, &record, naming.force).map_err(refused)?;
    let index_failure = index(store, content, catalog, &new_packs, &written.frames).err();
    Ok(Published { manifest: digest, change, index_failure })
}

/// Where a spot's frame is: in a pack that the store has, or in a new one.
fn resolve(
    store: &DirStore,
    catalog: &Catalog<'_>,
    written: &Written<'_>,
    spot: Spot,
) -> Result<(PackRef, Spot), DirError> {
    let (spot, pack) = if spot.pack == NEW {
        let frame = new_frame(&written.frames, spot.offset_bytes)?;
        (frame, written.packs.get(frame.pack as usize).map(|pack| pack.pack))
    } else {
        (spot, catalog.packs().get(spot.pack as usize).copied())
    };
    Ok((pack.ok_or_else(|| astray(store, spot.pack))?, spot))
}

/// Whether the map that this content has already is to stay: all its packs are there, and
/// nothing had to be stored. A new one might name other packs that have the same objects, and
/// that something is wrong with which only reading all of them would tell.
fn old_map_serves(
    store: &DirStore,
    manifest: &Manifest,
    digest: &Digest,
    content: &Gathered<'_>,
    catalog: &Catalog<'_>,
    written: &Written<'_>,
) -> bool {
    let fits = |map: &Map| {
        let sections = map.sections.iter().map(|section| section.places.len());
        map.packs.iter().all(|pack| catalog.had(pack))
            && sections.eq(content.objects.iter().map(|objects| *objects as usize))
    };
    let sound = written.packs.is_empty() && !catalog.condemns(digest);
    sound && read_map(store, digest, manifest).is_ok_and(|map| fits(&map))
}

/// Refuses a map that is longer than readers take.
pub(crate) fn check_map_length(manifest: &Manifest, found: u64) -> Result<(), FormatError> {
    let max = map_max_bytes(manifest);
    if found <= max {
        return Ok(());
    }
    let (expected, found) = (format!("at most {max} bytes"), found.to_string());
    Err(FormatError { what: "map".into(), at: max, expected, found })
}

/// Adds what this push knows to the store's index, so that the next need not read it again.
fn index(
    store: &DirStore,
    content: &Gathered<'_>,
    catalog: &Catalog<'_>,
    new_packs: &[PackRef],
    frames: &Spool<'_>,
) -> Result<(), DirError> {
    let mut packs = new_packs.to_vec();
    packs.sort();
    let place = |spot: Spot| {
        let frame = new_frame(frames, spot.offset_bytes)?;
        let number = new_packs.get(frame.pack as usize).map(|pack| packs.binary_search(pack));
        let pack = number.and_then(Result::ok).map_or(u32::MAX, |number| number as u32);
        Ok(Spot { pack, at_bytes: spot.at_bytes, ..frame })
    };
    // Before the catalog is locked: it is asked for nothing more while it is.
    let damaged = catalog.damaged();
    let is_live = |pack: &PackRef| {
        let found = || store.pack_with_size(pack.digest);
        packs.binary_search(pack).is_ok()
            || !damaged.contains(&pack.digest)
                && (catalog.packs().binary_search(pack).is_ok()
                    || found().is_ok_and(|found| found == Some(*pack)))
    };
    catalog.made(|made| {
        let fresh = content.fresh.sources(&packs, &place);
        keep(store, made.into_iter().chain(fresh).collect(), &is_live)
    })
}
