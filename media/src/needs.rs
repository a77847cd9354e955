//! What labels take in a store, told from their records and maps before anything is copied.

use crate::{Load, MediaError};
use std::collections::{BTreeSet, HashMap};
use store::Digest;
use store::dir::DirStore;
use store::label::LabelName;
use store::manifest_reader::{ReadError, read_label, read_map, read_root};
use store::map::Map;
use store::source::{Item, Source};

/// What a store takes for itself, bytes: its lists and directories.
const STORE_BYTES: u64 = 256 << 10;

/// What the index of a store takes for each object, bytes.
const INDEX_BYTES: u64 = 64;

/// What the labels of `load` take in a new store, bytes. Diffs between them come along where there
/// is room, and are not counted.
pub(crate) fn of(load: &Load<'_>) -> Result<u64, MediaError> {
    let mut needs = Needs::default();
    for name in load.labels {
        needs.add(&Weight::read(load.source, name)?);
    }
    Ok(needs.bytes + STORE_BYTES)
}

/// What the labels of `load` take in `medium` at most, once nothing else is there. Packs of labels
/// that it has already stay whole, as long as most of each is needed.
pub(crate) fn on(medium: &DirStore, load: &Load<'_>) -> Result<u64, MediaError> {
    let mut needs = Needs::default();
    let mut packs = BTreeSet::new();
    let mut lacks = Vec::new();
    for name in load.labels {
        let weight = Weight::read(load.source, name)?;
        match weight.there(medium) {
            Some(map) => {
                packs.extend(map.packs);
                needs.frames.extend(weight.frames());
                needs.bytes += weight.files_bytes;
            }
            None => lacks.push(weight),
        }
    }
    for weight in &lacks {
        needs.add(weight);
    }
    let there: u64 = packs.iter().map(|pack| pack.size_bytes).sum();
    Ok(there + needs.bytes + STORE_BYTES)
}

/// A label's manifest and map, read.
struct Weight {
    manifest: Digest,
    map: Map,
    /// Of manifest, map, and what the index has of it, bytes.
    files_bytes: u64,
}

/// A frame by its pack and where it starts in it, and what it takes, bytes.
type Frame = ((Digest, u64), u64);

impl Weight {
    fn read(source: &dyn Source, name: &LabelName) -> Result<Self, MediaError> {
        let digest = read_label(source, name)?.manifest;
        let (manifest, root_bytes) = read_root(source, &digest)?;
        let map = read_map(source, &digest, &manifest)?;
        let segments: u64 =
            manifest.segments.iter().map(|part| u64::from(part.encoded_bytes)).sum();
        let objects: usize = map.sections.iter().map(|section| section.places.len()).sum();
        let body = source.open(&Item::Map(digest), None).map_err(ReadError::from)?;
        let files_bytes = root_bytes as u64
            + segments
            + body.total_bytes.or(body.length_bytes).unwrap_or(0)
            + objects as u64 * INDEX_BYTES;
        Ok(Self { manifest: digest, map, files_bytes })
    }

    /// Its map in `medium`, where the label's content is there already.
    fn there(&self, medium: &DirStore) -> Option<Map> {
        let (manifest, _) = read_root(medium, &self.manifest).ok()?;
        read_map(medium, &self.manifest, &manifest).ok()
    }

    fn frames(&self) -> impl Iterator<Item = Frame> {
        let frames = self.map.sections.iter().flat_map(|section| &section.frames);
        frames.filter_map(|frame| {
            let pack = self.map.packs.get(frame.pack as usize)?;
            Some(((pack.digest, frame.offset_bytes), u64::from(frame.packed_bytes)))
        })
    }
}

#[derive(Default)]
struct Needs {
    /// Frames that are counted, or there.
    frames: HashMap<(Digest, u64), u64>,
    bytes: u64,
}

impl Needs {
    fn add(&mut self, weight: &Weight) {
        self.bytes += weight.files_bytes;
        for (frame, bytes) in weight.frames() {
            if self.frames.insert(frame, bytes).is_none() {
                self.bytes += bytes;
            }
        }
    }
}
