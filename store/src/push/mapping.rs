//! The map of a manifest, made section by section: none but one is held.

use super::spool::Spool;
use crate::dir::index::{SPOT_BYTES, Spot};
use crate::dir::temp::{self, TempFile};
use crate::dir::{DirError, DirStore};
use crate::map::{FrameRef, PackRef, Place, Section, encode_head};
use crate::source::Item;
use crate::{Digest, Hasher};
use std::collections::HashMap;

/// The frame that a spot is in, and its pack.
pub(crate) type Resolve<'a> = &'a dyn Fn(Spot) -> Result<(PackRef, Spot), DirError>;

/// How a map is made from spots.
pub(crate) struct Mapping<'a, 'c> {
    resolve: Resolve<'a>,
    /// The packs the map names, numbered as they come up.
    packs: Vec<PackRef>,
    numbers: HashMap<PackRef, u32>,
    sections: Spool<'c>,
}

/// A map that is not written yet.
pub(crate) struct NewMap<'c> {
    packs: Vec<PackRef>,
    head: Vec<u8>,
    sections: Spool<'c>,
}

impl<'a, 'c> Mapping<'a, 'c> {
    /// Nothing yet.
    pub(crate) fn new(store: &'c DirStore, resolve: Resolve<'a>) -> Self {
        let sections = Spool::new(store, "the map's sections");
        Self { resolve, packs: Vec::new(), numbers: HashMap::new(), sections }
    }

    /// The map of a manifest whose segments have `objects` objects, of which each has a spot in
    /// `all_spots`, in order, from byte `at` on.
    pub(crate) fn map(
        mut self,
        objects: &[u32],
        all_spots: &Spool<'_>,
        mut at: u64,
    ) -> Result<NewMap<'c>, DirError> {
        for count in objects {
            let mut spots = vec![0; *count as usize * SPOT_BYTES];
            all_spots.read_at(&mut spots, at)?;
            at += spots.len() as u64;
            let mut encoded = Vec::new();
            let (spots, _) = spots.as_chunks::<SPOT_BYTES>();
            self.section(spots.iter().map(Spot::decode))?.encode(&mut encoded);
            self.sections.write(&encoded)?;
        }
        let head = encode_head(&self.packs, objects.len());
        Ok(NewMap { packs: self.packs, head, sections: self.sections })
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
        let (pack, spot) = (self.resolve)(spot)?;
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

/// What was read back from a temporary file is not what was written.
pub(crate) fn astray(store: &DirStore, found: u32) -> DirError {
    let what = format!("pack {found}, which there is none of");
    let error = std::io::Error::new(std::io::ErrorKind::InvalidData, what);
    DirError::io("read back a temporary file in", &store.path().join("tmp"))(error)
}

/// The new frame with this number: its pack counts from the first new one.
pub(super) fn new_frame(frames: &Spool<'_>, number: u64) -> Result<Spot, DirError> {
    let mut bytes = [0; SPOT_BYTES];
    frames.read_at(&mut bytes, number * SPOT_BYTES as u64)?;
    Ok(Spot::decode(&bytes))
}

impl NewMap<'_> {
    /// The packs that it leads to.
    pub(crate) fn packs(&self) -> &[PackRef] {
        &self.packs
    }

    /// Its length, bytes.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.head.len() as u64 + self.sections.size_bytes() + Digest::LEN as u64
    }

    /// Writes it to the store's `tmp`, durable.
    pub(crate) fn write(&self, store: &DirStore, item: &Item) -> Result<TempFile, DirError> {
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
