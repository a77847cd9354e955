//! Manifest, map and label of what was written; and the order in which all gets its name.

use super::catalog::Catalog;
use super::gather::{Content, Gathered};
use super::packs::Written;
use super::{PushError, PushImage};
use crate::dir::temp::{self, TempFile, sync_directory};
use crate::dir::{DirError, DirStore, LabelChange, label_change, publish_label};
use crate::label::LabelRecord;
use crate::manifest::Manifest;
use crate::manifest_reader::map_max_bytes;
use crate::map::{FrameRef, Map, PackRef, Place, Section};
use crate::source::Item;
use crate::{Digest, FormatError};
use std::collections::HashMap;

/// What is published.
pub(super) struct Publication<'a> {
    pub(super) request: &'a PushImage,
    pub(super) manifest: &'a Manifest,
    pub(super) content: &'a Content,
    pub(super) catalog: &'a Catalog,
    pub(super) written: Written,
}

/// Digest of the manifest, and what became of the label.
pub(super) struct Published {
    pub(super) manifest: Digest,
    pub(super) change: LabelChange,
}

/// Makes all of it part of the store. Everything is written and durable before the
/// first name is given, so that a full disk leaves the store as it was; names are given in
/// the order packs, manifest and map, label.
pub(super) fn publish(
    store: &DirStore,
    publication: Publication<'_>,
) -> Result<Published, PushError> {
    let Publication { request, manifest, content, catalog, written } = publication;
    let root = manifest.encode();
    // By the readers' own rules: a label that nobody accepts must not replace one that all do.
    Manifest::root_length(&root)?;
    Manifest::decode(&root)?;
    let digest = Digest::of(&root);
    let record = LabelRecord {
        name: request.label.clone(),
        manifest: digest,
        kind: "image".into(),
        size_bytes: manifest.image().size_bytes,
        pushed_unix_s: request.pushed_unix_s,
        facts: request.sorted_facts(),
    };
    LabelRecord::decode_any(record.encode().as_bytes())?;
    let refused = |refusal| PushError::refused(refusal, &request.label, store.path(), digest);
    label_change(store, &record, request.force).map_err(refused)?;

    let map = map(content, catalog, &written).encode();
    check_map_length(manifest, &map)?;
    let segments = content.segments.iter().map(|segment| segment.encoded.as_slice());
    let manifest_file =
        write(store, &Item::Manifest(digest), [&*root].into_iter().chain(segments))?;
    let map_file = write(store, &Item::Map(digest), [&*map].into_iter())?;
    for pack in written.packs {
        pack.file.rename(store, &Item::Pack(pack.pack.digest))?;
    }
    // Also when nothing is new: what this push relies on may just have been renamed by another.
    sync_directory(&store.path().join("packs"))?;
    manifest_file.rename(store, &Item::Manifest(digest))?;
    map_file.rename(store, &Item::Map(digest))?;
    sync_directory(&store.path().join("manifests"))?;
    sync_directory(&store.path().join("maps"))?;
    let change = publish_label(store, &record, request.force).map_err(refused)?;
    Ok(Published { manifest: digest, change })
}

/// Refuses a map that is longer than readers take.
fn check_map_length(manifest: &Manifest, map: &[u8]) -> Result<(), FormatError> {
    let max = map_max_bytes(manifest);
    if map.len() as u64 <= max {
        return Ok(());
    }
    let (expected, found) = (format!("at most {max} bytes"), format!("{}", map.len()));
    Err(FormatError { what: "map".into(), at: max, expected, found })
}

fn write<'a>(
    store: &DirStore,
    item: &Item,
    parts: impl Iterator<Item = &'a [u8]>,
) -> Result<TempFile, DirError> {
    let mut file = temp::create(store, item.to_string())?;
    for part in parts {
        file.write(part)?;
    }
    file.sync()?;
    Ok(file)
}

/// Where every object is, in packs old and new.
fn map(content: &Content, catalog: &Catalog, written: &Written) -> Map {
    let mut packs = Packs { catalog, written, numbers: HashMap::new(), refs: Vec::new() };
    let sections = content.segments.iter().map(|segment| section(segment, &mut packs)).collect();
    Map { packs: packs.refs, sections }
}

fn section(segment: &Gathered, packs: &mut Packs<'_>) -> Section {
    let mut numbers = HashMap::new();
    let mut section =
        Section { frames: Vec::new(), places: Vec::with_capacity(segment.spots.len()) };
    for spot in &segment.spots {
        let frame = *numbers.entry(spot.frame).or_insert_with(|| {
            section.frames.push(packs.frame(spot.frame));
            section.frames.len() as u32 - 1
        });
        section.places.push(Place { frame, offset_bytes: spot.offset_bytes });
    }
    section
}

/// The packs a map names, numbered as they come up.
struct Packs<'a> {
    catalog: &'a Catalog,
    written: &'a Written,
    numbers: HashMap<u32, u32>,
    refs: Vec<PackRef>,
}

impl Packs<'_> {
    /// The frame with this number: the store's frames come first, then the new ones.
    fn frame(&mut self, number: u32) -> FrameRef {
        let (old_frames, old_packs) = (&self.catalog.frames, self.catalog.packs.len());
        let (frame, pack) = if let Some(frame) = old_frames.get(number as usize) {
            (frame, frame.pack)
        } else {
            let frame = &self.written.frames[number as usize - old_frames.len()];
            (frame, old_packs as u32 + frame.pack)
        };
        FrameRef {
            pack: self.pack(pack),
            offset_bytes: frame.offset_bytes,
            packed_bytes: frame.packed_bytes,
            raw_bytes: frame.raw_bytes,
        }
    }

    fn pack(&mut self, number: u32) -> u32 {
        let old_packs = &self.catalog.packs;
        *self.numbers.entry(number).or_insert_with(|| {
            let pack = match old_packs.get(number as usize) {
                Some(pack) => *pack,
                None => self.written.packs[number as usize - old_packs.len()].pack,
            };
            self.refs.push(pack);
            self.refs.len() as u32 - 1
        })
    }
}
