//! The map of what is pushed, made section by section: none but one is held.

use super::catalog::Catalog;
use super::fresh::NEW;
use super::gather::Content;
use super::packs::Written;
use super::spool::Spool;
use crate::dir::index::{SPOT_BYTES, Spot};
use crate::dir::temp::{self, TempFile};
use crate::dir::{DirError, DirStore};
use crate::map::{FrameRef, PackRef, Place, Section, encode_head};
use crate::source::Item;
use crate::{Digest, Hasher};
use std::collections::HashMap;

/// How a map is made from spots, in packs old and new.
pub(super) struct Mapping<'a, 'c> {
    store: &'c DirStore,
    catalog: &'a Catalog<'c>,
    written: &'a Written<'c>,
    /// The packs the map names, numbered as they come up.
    packs: Vec<PackRef>,
    numbers: HashMap<PackRef, u32>,
    sections: Spool<'c>,
}

/// A map that is not written yet.
pub(super) struct NewMap<'c> {
    head: Vec<u8>,
    sections: Spool<'c>,
}

impl<'a, 'c> Mapping<'a, 'c> {
    /// Nothing yet.
    pub(super) fn new(
        store: &'c DirStore,
        catalog: &'a Catalog<'c>,
        written: &'a Written<'c>,
    ) -> Self {
        let sections = Spool::new(store, "the map's sections");
        Self { store, catalog, written, packs: Vec::new(), numbers: HashMap::new(), sections }
    }

    /// The map of `content`.
    pub(super) fn map(mut self, content: &Content<'_>) -> Result<NewMap<'c>, DirError> {
        let mut at = 0;
        for objects in &content.objects {
            let mut spots = vec![0; *objects as usize * SPOT_BYTES];
            content.spots.read_at(&mut spots, at)?;
            at += spots.len() as u64;
            let mut encoded = Vec::new();
            let (spots, _) = spots.as_chunks::<SPOT_BYTES>();
            self.section(spots.iter().map(Spot::decode))?.encode(&mut encoded);
            self.sections.write(&encoded)?;
        }
        let head = encode_head(&self.packs, content.objects.len());
        Ok(NewMap { head, sections: self.sections })
    }

    fn section(&mut self, spots: impl Iterator<Item = Spot>) -> Result<Section, DirError> {
        let mut numbers = HashMap::new();
        let mut section = Section::default();
        for spot in spots {
            let next = section.frames.len() as u32;
            let frame = *numbers.entry((spot.pack, spot.offset_bytes)).or_insert(next);
            if frame == next {
                section.frames.push(self.frame(spot)?);
            }
            section.places.push(Place { frame, offset_bytes: spot.at_bytes });
        }
        Ok(section)
    }

    fn frame(&mut self, spot: Spot) -> Result<FrameRef, DirError> {
        let (spot, pack) = if spot.pack == NEW {
            let frame = new_frame(&self.written.frames, spot.offset_bytes)?;
            (frame, self.written.packs.get(frame.pack as usize).map(|pack| pack.pack))
        } else {
            (spot, self.catalog.packs().get(spot.pack as usize).copied())
        };
        let pack = pack.ok_or_else(|| self.astray(spot.pack))?;
        let next = self.packs.len() as u32;
        let number = *self.numbers.entry(pack).or_insert(next);
        if number == next {
            self.packs.push(pack);
        }
        Ok(FrameRef {
            pack: number,
            offset_bytes: spot.offset_bytes,
            packed_bytes: spot.packed_bytes,
            raw_bytes: spot.raw_bytes,
        })
    }
}

impl Mapping<'_, '_> {
    /// What was read back from a temporary file is not what was written.
    fn astray(&self, found: u32) -> DirError {
        let packs = (self.catalog.packs().len(), self.written.packs.len());
        let what = format!("pack {found} of {} old and {} new ones", packs.0, packs.1);
        let error = std::io::Error::new(std::io::ErrorKind::InvalidData, what);
        DirError::io("read back a temporary file in", &self.store.path().join("tmp"))(error)
    }
}

/// The new frame with this number: its pack counts from the first new one.
pub(super) fn new_frame(frames: &Spool<'_>, number: u64) -> Result<Spot, DirError> {
    let mut bytes = [0; SPOT_BYTES];
    frames.read_at(&mut bytes, number * SPOT_BYTES as u64)?;
    Ok(Spot::decode(&bytes))
}

impl NewMap<'_> {
    /// Its length, bytes.
    pub(super) fn size_bytes(&self) -> u64 {
        self.head.len() as u64 + self.sections.size_bytes() + Digest::LEN as u64
    }

    /// Writes it to the store's `tmp`, durable.
    pub(super) fn write(&self, store: &DirStore, item: &Item) -> Result<TempFile, DirError> {
        let mut file = temp::create(store, item.to_string())?;
        let mut check = Hasher::new();
        let mut put = |bytes: &[u8]| {
            check.update(bytes);
            file.write(bytes)
        };
        put(&self.head)?;
        self.sections.copy(&mut put)?;
        file.write(check.finish().as_bytes())?;
        file.sync()?;
        Ok(file)
    }
}
