//! What labels need: manifests, and of each pack which objects.

use super::GcError;
use crate::Digest;
use crate::diffs::{DIFFS_MAX_BYTES, Diffs};
use crate::dir::DirStore;
use crate::label::LabelName;
use crate::manifest_reader::{ReadError, read_map, read_root};
use crate::map::{FrameRef, Map, Section};
use crate::objects::read_objects;
use crate::source::{Item, read_all};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;

/// What a set of manifests leads to. About 25 bytes of memory for each object.
#[derive(Default)]
pub(super) struct Marks {
    packs: HashMap<Digest, u32>,
    frames: HashMap<(u32, u64), u32>,
    /// By the number of the frame.
    of_frames: Vec<FrameMark>,
    /// How often an object is needed: by frame, and where it starts in there.
    objects: HashMap<(u32, u32), u32>,
    manifests: BTreeMap<Digest, u64>,
    /// Packs with diffs of each manifest. Nothing can be taken out of a frame that is a diff
    /// without its base: such a pack stays as it is for as long as the manifest does.
    diffs: BTreeMap<Digest, Vec<Digest>>,
}

/// A frame of a pack.
struct FrameMark {
    pack: u32,
    packed_bytes: u32,
    raw_bytes: u32,
    live_raw_bytes: u64,
}

/// Whether objects come or go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Count {
    In,
    Out,
}

impl Marks {
    /// What the manifests need that `labels` name. An error names the first label that cannot be
    /// read: nobody knows what it needs.
    pub(super) fn read(
        store: &DirStore,
        labels: &BTreeMap<LabelName, Digest>,
    ) -> Result<Self, GcError> {
        let mut marks = Self::default();
        for (label, manifest) in labels {
            if !marks.manifests.contains_key(manifest) {
                let failed = |source| GcError::Label { label: label.clone(), source };
                marks.add(store, manifest).map_err(failed)?;
            }
        }
        Ok(marks)
    }

    /// Whether the manifest is needed.
    pub(super) fn has(&self, manifest: &Digest) -> bool {
        self.manifests.contains_key(manifest)
    }

    /// Packs that stay whole.
    pub(super) fn pinned(&self) -> HashSet<Digest> {
        self.diffs.values().flatten().copied().collect()
    }

    /// The manifests.
    pub(super) fn manifests(&self) -> impl Iterator<Item = &Digest> {
        self.manifests.keys()
    }

    /// Bytes of manifests and maps as they are by now.
    pub(super) fn manifest_bytes_now(&self, store: &DirStore) -> u64 {
        self.manifests.keys().map(|manifest| lengths(store, manifest)).sum()
    }

    /// Bytes of manifests and maps as they were.
    pub(super) fn manifest_bytes(&self) -> u64 {
        self.manifests.values().sum()
    }

    /// For each pack that is needed, how much of it, bytes: a part of each frame as large as
    /// what is needed of its content.
    pub(super) fn live_bytes(&self) -> HashMap<Digest, u64> {
        let mut live = vec![0; self.packs.len()];
        for mark in &self.of_frames {
            let part = u128::from(mark.live_raw_bytes.min(u64::from(mark.raw_bytes)));
            let bytes = u128::from(mark.packed_bytes) * part / u128::from(mark.raw_bytes.max(1));
            live[mark.pack as usize] += bytes as u64;
        }
        let needed = |(pack, number): (&Digest, &u32)| (*pack, live[*number as usize]);
        self.packs.iter().map(needed).filter(|(_, bytes)| *bytes > 0).collect()
    }

    fn add(&mut self, store: &DirStore, manifest: &Digest) -> Result<(), ReadError> {
        self.visit(store, manifest, Count::In)?;
        let bytes = lengths(store, manifest);
        self.manifests.insert(*manifest, bytes);
        // Dispensable: a list that cannot be read is of no use to anybody.
        let list = read_all(store, &Item::Diffs(*manifest), DIFFS_MAX_BYTES).ok();
        if let Some(diffs) = list.and_then(|bytes| Diffs::decode(&bytes).ok()) {
            let packs = diffs.packs.iter().map(|pack| pack.digest).collect();
            self.diffs.insert(*manifest, packs);
        }
        Ok(())
    }

    /// Takes out what only this manifest needs.
    pub(super) fn remove(&mut self, store: &DirStore, manifest: &Digest) -> Result<(), ReadError> {
        self.visit(store, manifest, Count::Out)?;
        self.manifests.remove(manifest);
        self.diffs.remove(manifest);
        Ok(())
    }

    fn visit(&mut self, store: &DirStore, digest: &Digest, count: Count) -> Result<(), ReadError> {
        let (manifest, root_bytes) = read_root(store, digest)?;
        let map = read_map(store, digest, &manifest)?;
        let segments = read_objects(store, &manifest, root_bytes, digest);
        for (segment, section) in segments.zip(&map.sections) {
            let objects = segment?.objects;
            if objects.len() != section.places.len() {
                return Err(ReadError::Sections {
                    object: Item::Map(*digest).to_string(),
                    store: store.path().display().to_string(),
                    expected: objects.len(),
                    found: section.places.len(),
                });
            }
            self.section(&objects, section, &map, count);
        }
        Ok(())
    }

    fn section(&mut self, objects: &[(Digest, u32)], section: &Section, map: &Map, count: Count) {
        let frames: Vec<u32> = section.frames.iter().map(|frame| self.frame(map, frame)).collect();
        for ((_, length), place) in objects.iter().zip(&section.places) {
            let Some(frame) = frames.get(place.frame as usize) else { continue };
            let uses = self.objects.entry((*frame, place.offset_bytes)).or_insert(0);
            let before = *uses;
            *uses = match count {
                Count::In => before.saturating_add(1),
                Count::Out => before.saturating_sub(1),
            };
            let Some(mark) = self.of_frames.get_mut(*frame as usize) else { continue };
            match (before, *uses) {
                (0, 1) => mark.live_raw_bytes += u64::from(*length),
                (1, 0) => {
                    mark.live_raw_bytes = mark.live_raw_bytes.saturating_sub(u64::from(*length));
                }
                _ => {}
            }
        }
    }

    /// The number of a frame.
    fn frame(&mut self, map: &Map, frame: &FrameRef) -> u32 {
        // The map's own reader has seen to it that there is such a pack.
        let digest = map.packs.get(frame.pack as usize).map(|pack| pack.digest);
        let next = self.packs.len() as u32;
        let pack = *self.packs.entry(digest.unwrap_or(Digest::of(&[]))).or_insert(next);
        let next = self.of_frames.len() as u32;
        let number = *self.frames.entry((pack, frame.offset_bytes)).or_insert(next);
        if number == next {
            let (packed_bytes, raw_bytes) = (frame.packed_bytes, frame.raw_bytes);
            self.of_frames.push(FrameMark { pack, packed_bytes, raw_bytes, live_raw_bytes: 0 });
        }
        number
    }
}

/// Bytes of a manifest, its map and its diffs.
fn lengths(store: &DirStore, manifest: &Digest) -> u64 {
    let items = [Item::Manifest(*manifest), Item::Map(*manifest), Item::Diffs(*manifest)];
    let length = |item: &Item| fs::metadata(store.path().join(item.path())).map_or(0, |m| m.len());
    items.iter().map(length).sum()
}
