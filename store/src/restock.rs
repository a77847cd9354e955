//! Objects into new packs of a store, from wherever they are: what copying, collecting and healing
//! have in common.
//!
//! Given the segments of manifests and, for each object, where it is or can be taken from, this
//! writes the packs and knows the maps. Every object is hashed before it is stored. A pack gets its
//! name as soon as it is full, so that a cut costs no more than one; nothing leads to it
//! until the maps are written, which is the caller's to do.

mod frames;
mod take;

pub(crate) use take::{FrameAt, Want, take};

use crate::Digest;
use crate::dir::index::{self, Spot, keep};
use crate::dir::journal::strike_for_map;
use crate::dir::{DirError, DirStore};
use crate::map::{Map, PackRef, Section};
use crate::push::fresh::{Fresh, NEW};
use crate::push::mapping::{Mapping, NewMap, astray};
use crate::push::spool::Spool;
use crate::source::{Item, Source, SourceError};
use crate::stamp::{Stamp, stamp_of};
use frames::Frames;
use std::collections::{HashMap, HashSet};
use std::io;

/// Why an object could not be taken from where it should be.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The store did not give it.
    #[error("object {}", object.short())]
    Source {
        /// The object.
        object: Digest,
        /// The failure.
        source: SourceError,
    },
    /// Something else is there.
    #[error("object {} in pack {} at {offset_bytes} of {store}: expected {expected}, found {found}", object.short(), pack.short())]
    Wrong {
        /// The object.
        object: Digest,
        /// The pack.
        pack: Digest,
        /// Where its frame starts in the pack, bytes.
        offset_bytes: u64,
        /// The store's name.
        store: String,
        /// What would have been right.
        expected: String,
        /// What there is.
        found: String,
    },
    /// Nobody knows where it is.
    #[error("object {} is in no store that was asked", object.short())]
    Nowhere {
        /// The object.
        object: Digest,
    },
    /// The store that it was to be put into failed.
    #[error(transparent)]
    Store(#[from] DirError),
    /// zstd failed.
    #[error("compress")]
    Compress(#[source] io::Error),
}

/// Where an object is to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// It stays where it is: in a pack of the store.
    Here(PackRef, Spot),
    /// It is taken from this place of this frame, bytes.
    From(FrameAt, u32),
    /// Nowhere.
    Lost,
}

/// Told of objects that could not be had; an error ends all.
pub(crate) type OnLoss<'a> = &'a mut dyn FnMut(&[Digest], TakeError) -> Result<(), TakeError>;

/// Objects on their way into a store.
pub(crate) struct Restock<'s, 'a> {
    store: &'a DirStore,
    sources: Vec<&'s dyn Source>,
    frames: Frames<'a>,
    fresh: Fresh<'a>,
    /// Packs that stay, numbered as they come up.
    old: Vec<PackRef>,
    numbers: HashMap<PackRef, u32>,
    /// For each object of each manifest, in order, its place.
    spots: Spool<'a>,
    /// Objects that were taken from each source.
    taken: Vec<u64>,
    /// Their bytes.
    taken_bytes: u64,
}

/// A manifest whose objects are seen to.
pub(crate) struct Placed {
    /// For each segment so far, how many objects it has.
    pub(crate) objects: Vec<u32>,
    /// How many could not be had.
    pub(crate) lost: u64,
    /// Where its places start among all, bytes.
    start_bytes: u64,
}

/// New packs, and what is in them.
pub(crate) struct Stocked<'a> {
    store: &'a DirStore,
    /// The packs that were written.
    pub(crate) packs: Vec<PackRef>,
    /// How many objects were taken from each source.
    pub(crate) taken: Vec<u64>,
    /// Their bytes.
    pub(crate) raw_bytes: u64,
    /// Bytes of the frames that were written.
    pub(crate) packed_bytes: u64,
    frames: Vec<Spot>,
    fresh: Fresh<'a>,
    spots: Spool<'a>,
    old: Vec<PackRef>,
}

impl<'s, 'a> Restock<'s, 'a> {
    /// Into `store`, from `sources`, with packs of about `close_bytes`.
    pub(crate) fn new(store: &'a DirStore, sources: Vec<&'s dyn Source>, close_bytes: u64) -> Self {
        Self {
            store,
            taken: vec![0; sources.len()],
            sources,
            frames: Frames::new(store, close_bytes),
            fresh: Fresh::new(store),
            old: Vec::new(),
            numbers: HashMap::new(),
            spots: Spool::new(store, "the objects' places"),
            taken_bytes: 0,
        }
    }

    /// Begins the next manifest.
    pub(crate) fn begin(&self) -> Placed {
        Placed { objects: Vec::new(), lost: 0, start_bytes: self.spots.size_bytes() }
    }

    /// Sees to the objects of the next segment of the manifest of `placed`; `choose` is told the
    /// number of an object in the segment, its digest and length.
    pub(crate) fn segment(
        &mut self,
        objects: &[(Digest, u32)],
        placed: &mut Placed,
        choose: &mut dyn FnMut(usize, Digest, u32) -> Result<Choice, TakeError>,
        lost: OnLoss<'_>,
    ) -> Result<(), TakeError> {
        let mut here = vec![None; objects.len()];
        let mut wants = Vec::new();
        let mut asked = HashSet::new();
        for (number, (digest, length)) in objects.iter().enumerate() {
            match choose(number, *digest, *length)? {
                Choice::Here(pack, spot) => here[number] = Some(self.stays(pack, spot)),
                _ if asked.contains(digest) || self.fresh.find(digest)?.is_some() => {}
                Choice::Lost => lost(&[*digest], TakeError::Nowhere { object: *digest })?,
                Choice::From(frame, at_bytes) => {
                    asked.insert(*digest);
                    wants.push((frame, Want { at_bytes, length: *length, digest: *digest }));
                }
            }
        }
        self.take(wants, lost)?;
        for ((digest, _), here) in objects.iter().zip(here) {
            let spot = if here.is_some() { here } else { self.fresh.find(digest)? };
            placed.lost += u64::from(spot.is_none());
            self.spots.write(&spot.unwrap_or_default().encode())?;
        }
        placed.objects.push(objects.len() as u32);
        Ok(())
    }

    fn take(&mut self, wants: Vec<(FrameAt, Want)>, lost: OnLoss<'_>) -> Result<(), TakeError> {
        let Self { frames, fresh, taken: counts, taken_bytes: bytes, .. } = self;
        take(&self.sources, wants, &mut |mut taken| {
            for (objects, error) in std::mem::take(&mut taken.lost) {
                lost(&objects, error)?;
            }
            counts[taken.source] += taken.proven.len() as u64;
            *bytes += taken.proven.iter().map(|want| u64::from(want.length)).sum::<u64>();
            frames.add(&mut taken, &mut |(digest, frame, at)| {
                fresh.insert(digest, frame, at).map(drop)
            })
        })
    }

    fn stays(&mut self, pack: PackRef, spot: Spot) -> Spot {
        let next = self.old.len() as u32;
        let number = *self.numbers.entry(pack).or_insert(next);
        if number == next {
            self.old.push(pack);
        }
        Spot { pack: number, ..spot }
    }

    /// Ends the last pack.
    pub(crate) fn finish(mut self) -> Result<Stocked<'a>, TakeError> {
        self.frames.finish()?;
        let Frames { packs, places: frames, packed_bytes, .. } = self.frames;
        let Self { store, fresh, spots, old, taken, taken_bytes: raw_bytes, .. } = self;
        Ok(Stocked { store, packs, taken, raw_bytes, packed_bytes, frames, fresh, spots, old })
    }
}

impl<'a> Stocked<'a> {
    /// How many objects were taken.
    pub(crate) fn objects(&self) -> u64 {
        self.taken.iter().sum()
    }

    /// Leads the map of `manifest` to where its objects are now. `false`: others were faster. The map
    /// is not `read`, as it was before it was looked into, or a pack is being collected, or is gone.
    pub(crate) fn lead(
        &self,
        manifest: &Digest,
        placed: &Placed,
        read: Option<&Stamp>,
    ) -> Result<bool, DirError> {
        let item = Item::Map(*manifest);
        let map = self.map(placed)?;
        let file = map.write(self.store, &item)?;
        let Some(_naming) = strike_for_map(self.store, manifest, map.packs())? else {
            return Ok(false);
        };
        if map_stamp(self.store, manifest).as_ref() != read {
            return Ok(false);
        }
        file.rename(self.store, &item)?;
        Ok(true)
    }

    /// The map of a manifest of which nothing was lost.
    pub(crate) fn map(&self, placed: &Placed) -> Result<NewMap<'a>, DirError> {
        let resolve = |spot: Spot| {
            let (spot, pack) = if spot.pack == NEW {
                let frame = self.frames.get(spot.offset_bytes as usize).copied();
                let frame = frame.ok_or_else(|| astray(self.store, spot.pack))?;
                (frame, self.packs.get(frame.pack as usize))
            } else {
                (spot, self.old.get(spot.pack as usize))
            };
            Ok((*pack.ok_or_else(|| astray(self.store, spot.pack))?, spot))
        };
        Mapping::new(self.store, &resolve).map(&placed.objects, &self.spots, placed.start_bytes)
    }

    /// Brings the store's index up to date: what was taken, and `made`, runs of packs that are in
    /// none. `is_live` says which other packs are there.
    pub(crate) fn index(
        &self,
        made: Vec<index::Source<'_>>,
        is_live: &dyn Fn(&PackRef) -> bool,
    ) -> Result<(), DirError> {
        let mut packs = self.packs.clone();
        packs.sort();
        packs.dedup();
        let place = |spot: Spot| {
            let frame = self.frames.get(spot.offset_bytes as usize).copied();
            let frame = frame.ok_or_else(|| astray(self.store, spot.pack))?;
            let pack = self.packs.get(frame.pack as usize).map(|pack| packs.binary_search(pack));
            let pack = pack.and_then(Result::ok).map_or(u32::MAX, |number| number as u32);
            Ok(Spot { pack, at_bytes: spot.at_bytes, ..frame })
        };
        let fresh = self.fresh.sources(&packs, &place);
        let is_live = |pack: &PackRef| packs.binary_search(pack).is_ok() || is_live(pack);
        keep(self.store, made.into_iter().chain(fresh).collect(), &is_live)
    }
}

/// The map of `manifest` as a file; `None`: there is none.
pub(crate) fn map_stamp(store: &DirStore, manifest: &Digest) -> Option<Stamp> {
    stamp_of(&store.path().join(Item::Map(*manifest).path()))
}

/// Where `map` says that object `number` of `section` is, as a choice to take it from source
/// `source`, or to leave it.
pub(crate) fn in_map(map: &Map, section: &Section, number: usize) -> Option<(PackRef, Spot)> {
    let place = section.places.get(number)?;
    let frame = section.frames.get(place.frame as usize)?;
    let spot = Spot {
        pack: 0,
        offset_bytes: frame.offset_bytes,
        packed_bytes: frame.packed_bytes,
        raw_bytes: frame.raw_bytes,
        at_bytes: place.offset_bytes,
    };
    Some((*map.packs.get(frame.pack as usize)?, spot))
}

/// The choice to take what is at `spot` of `pack` from source number `source`.
pub(crate) fn from(source: usize, pack: PackRef, spot: Spot) -> Choice {
    let Spot { offset_bytes, packed_bytes, raw_bytes, at_bytes, .. } = spot;
    let frame = FrameAt { source, pack: pack.digest, offset_bytes, packed_bytes, raw_bytes };
    Choice::From(frame, at_bytes)
}
