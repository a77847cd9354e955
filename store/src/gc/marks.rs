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
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fs;

/// What a set of manifests leads to. About 25 bytes of memory for each object.
#[derive(Default)]
pub(super) struct Marks {
    packs: HashMap<Digest, u32>,
    /// For each pack, by its number, how much of it is needed, bytes.
    live: Vec<u64>,
    frames: HashMap<(u32, u64), u32>,
    /// By the number of the frame.
    of_frames: Vec<FrameMark>,
    /// How often an object is needed: by frame, and where it starts in there.
    objects: HashMap<(u32, u32), u32>,
    manifests: BTreeMap<Digest, u64>,
    manifest_bytes: u64,
    /// Packs with diffs of each manifest. Nothing can be taken out of a frame that is a diff
    /// without its base: such a pack stays as it is for as long as the manifest does.
    diffs: BTreeMap<Digest, Vec<Digest>>,
    /// How many manifests have diffs in a pack.
    pinned: HashMap<Digest, u32>,
}

/// A frame of a pack.
struct FrameMark {
    pack: u32,
    packed_bytes: u32,
    raw_bytes: u32,
    live_raw_bytes: u64,
}

impl FrameMark {
    /// How much of the frame is needed, bytes: a part as large as what is needed of its content. What
    /// is not nothing there is not nothing here.
    fn live_bytes(&self) -> u64 {
        let part = u128::from(self.live_raw_bytes.min(u64::from(self.raw_bytes)));
        let bytes = u128::from(self.packed_bytes) * part;
        bytes.div_ceil(u128::from(self.raw_bytes.max(1))) as u64
    }
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

    /// Whether the pack stays whole.
    pub(super) fn is_pinned(&self, pack: &Digest) -> bool {
        self.pinned.contains_key(pack)
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
        self.manifest_bytes
    }

    /// How much of the pack is needed, bytes; 0: nothing is.
    pub(super) fn live_bytes(&self, pack: &Digest) -> u64 {
        let number = self.packs.get(pack);
        number.and_then(|number| self.live.get(*number as usize)).copied().unwrap_or_default()
    }

    /// Whether the pack is of use as it is.
    pub(super) fn needs(&self, pack: &Digest) -> bool {
        self.live_bytes(pack) > 0 || self.is_pinned(pack)
    }

    /// The packs that objects are needed of.
    pub(super) fn needed_packs(&self) -> impl Iterator<Item = &Digest> {
        self.packs.keys().filter(|pack| self.live_bytes(pack) > 0)
    }

    fn add(&mut self, store: &DirStore, manifest: &Digest) -> Result<(), ReadError> {
        self.visit(store, manifest, Count::In)?;
        let bytes = lengths(store, manifest);
        self.manifests.insert(*manifest, bytes);
        self.manifest_bytes += bytes;
        // Dispensable: a list that cannot be read is of no use to anybody.
        let list = read_all(store, &Item::Diffs(*manifest), DIFFS_MAX_BYTES).ok();
        if let Some(diffs) = list.and_then(|bytes| Diffs::decode(&bytes).ok()) {
            let packs: Vec<Digest> = diffs.packs.iter().map(|pack| pack.digest).collect();
            for pack in &packs {
                *self.pinned.entry(*pack).or_default() += 1;
            }
            self.diffs.insert(*manifest, packs);
        }
        Ok(())
    }

    /// Takes out what only this manifest needs; returns the packs that it led to.
    pub(super) fn remove(
        &mut self,
        store: &DirStore,
        manifest: &Digest,
    ) -> Result<Vec<Digest>, ReadError> {
        let mut packs = self.visit(store, manifest, Count::Out)?;
        if let Some(bytes) = self.manifests.remove(manifest) {
            self.manifest_bytes -= bytes;
        }
        for pack in self.diffs.remove(manifest).unwrap_or_default() {
            if let Entry::Occupied(mut uses) = self.pinned.entry(pack) {
                *uses.get_mut() -= 1;
                if *uses.get() == 0 {
                    uses.remove();
                }
            }
            packs.push(pack);
        }
        Ok(packs)
    }

    fn visit(
        &mut self,
        store: &DirStore,
        digest: &Digest,
        count: Count,
    ) -> Result<Vec<Digest>, ReadError> {
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
        Ok(map.packs.iter().map(|pack| pack.digest).collect())
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
            let bytes_before = mark.live_bytes();
            match (before, *uses) {
                (0, 1) => mark.live_raw_bytes += u64::from(*length),
                (1, 0) => {
                    mark.live_raw_bytes = mark.live_raw_bytes.saturating_sub(u64::from(*length));
                }
                _ => continue,
            }
            if let Some(live) = self.live.get_mut(mark.pack as usize) {
                *live = *live + mark.live_bytes() - bytes_before;
            }
        }
    }

    /// The number of a frame.
    fn frame(&mut self, map: &Map, frame: &FrameRef) -> u32 {
        // The map's own reader has seen to it that there is such a pack.
        let digest = map.packs.get(frame.pack as usize).map(|pack| pack.digest);
        let next = self.packs.len() as u32;
        let pack = *self.packs.entry(digest.unwrap_or(Digest::of(&[]))).or_insert(next);
        if pack == next {
            self.live.push(0);
        }
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
