//! Frames into new packs: as they came where they hold little else, else put together anew.

use super::TakeError;
use super::take::{Taken, Want};
use crate::Digest;
use crate::dir::index::Spot;
use crate::dir::journal::strike;
use crate::dir::temp::sync_directory;
use crate::dir::{DirError, DirStore};
use crate::map::PackRef;
use crate::push::packs::{OpenPack, PackedFrame};
use crate::push::{FRAME_RAW_BYTES, LEVEL_DEFAULT};
use crate::source::Item;
use std::io;

/// A frame is taken as it is if at most one part in so many of it is wanted by nobody: this much
/// more is stored, and nothing is compressed again. Beyond it, compressing is worth its time.
/// Less than what makes a pack worth collecting ([`crate::gc`]).
const OTHERS_MAX_SHARE: u32 = 8;

/// Where an object is going to be: frame number, and the place in it, bytes.
pub(super) type NewPlace = (Digest, u32, u32);

/// New packs being written.
pub(super) struct Frames<'a> {
    store: &'a DirStore,
    close_bytes: u64,
    open: Option<OpenPack>,
    /// The packs that have their names.
    pub(super) packs: Vec<PackRef>,
    /// Where each frame is; `pack` counts in `packs`.
    pub(super) places: Vec<Spot>,
    /// Objects that wait to be compressed together, the number of the frame they are going to be,
    /// and their bytes.
    waiting: Vec<(Digest, u32)>,
    waiting_frame: u32,
    waiting_bytes: Vec<u8>,
    /// Bytes of frames written.
    pub(super) packed_bytes: u64,
}

impl<'a> Frames<'a> {
    /// None yet. A pack is closed, named and durable when it has `close_bytes`.
    pub(super) fn new(store: &'a DirStore, close_bytes: u64) -> Self {
        Self {
            store,
            close_bytes,
            open: None,
            packs: Vec::new(),
            places: Vec::new(),
            waiting: Vec::new(),
            waiting_frame: 0,
            waiting_bytes: Vec::new(),
            packed_bytes: 0,
        }
    }

    /// Stores what was proven of a frame; hands the place of each object to `put`.
    pub(super) fn add(
        &mut self,
        taken: &mut Taken,
        put: &mut dyn FnMut(NewPlace) -> Result<(), DirError>,
    ) -> Result<(), TakeError> {
        if taken.proven.is_empty() {
            return Ok(());
        }
        if let Some(objects) = as_it_is(&taken.raw, &taken.proven) {
            let number = self.reserve();
            let packed = std::mem::take(&mut taken.packed);
            self.write(number, &PackedFrame { packed, objects })?;
            for want in &taken.proven {
                put((want.digest, number, want.at_bytes))?;
            }
            return Ok(());
        }
        for want in &taken.proven {
            let bytes = &taken.raw[want.at_bytes as usize..][..want.length as usize];
            let (frame, at) = self.wait(want.digest, bytes)?;
            put((want.digest, frame, at))?;
        }
        Ok(())
    }

    /// Ends the last frame and the last pack.
    pub(super) fn finish(&mut self) -> Result<(), TakeError> {
        self.compress()?;
        Ok(self.close()?)
    }

    fn wait(&mut self, digest: Digest, bytes: &[u8]) -> Result<(u32, u32), TakeError> {
        if self.waiting_bytes.len() + bytes.len() > FRAME_RAW_BYTES {
            self.compress()?;
        }
        if self.waiting.is_empty() {
            self.waiting_frame = self.reserve();
        }
        let at = self.waiting_bytes.len() as u32;
        self.waiting.push((digest, bytes.len() as u32));
        self.waiting_bytes.extend_from_slice(bytes);
        Ok((self.waiting_frame, at))
    }

    fn compress(&mut self) -> Result<(), TakeError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let packed = zstd::bulk::compress(&self.waiting_bytes, LEVEL_DEFAULT);
        let packed = packed.map_err(TakeError::Compress)?;
        self.waiting_bytes.clear();
        let objects = std::mem::take(&mut self.waiting);
        Ok(self.write(self.waiting_frame, &PackedFrame { packed, objects })?)
    }

    fn reserve(&mut self) -> u32 {
        self.places.push(Spot::default());
        self.places.len() as u32 - 1
    }

    fn write(&mut self, number: u32, frame: &PackedFrame) -> Result<(), DirError> {
        let mut pack = match self.open.take() {
            Some(pack) => pack,
            None => OpenPack::create(self.store)?,
        };
        let spot = pack.append(self.packs.len() as u32, frame)?;
        match self.places.get_mut(number as usize) {
            Some(place) => *place = spot,
            None => return Err(self.astray(number)),
        }
        self.packed_bytes += frame.packed.len() as u64;
        let full = pack.is_full(self.close_bytes);
        self.open = Some(pack);
        if full { self.close() } else { Ok(()) }
    }

    /// Gives the open pack its name at once: what is in it is found by whoever comes after a cut.
    fn close(&mut self) -> Result<(), DirError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let new = open.close()?;
        let naming = strike(self.store, &[new.pack.digest], &[])?;
        new.file.rename(self.store, &Item::Pack(new.pack.digest))?;
        drop(naming);
        sync_directory(&self.store.path().join("packs"))?;
        self.packs.push(new.pack);
        Ok(())
    }

    fn astray(&self, number: u32) -> DirError {
        let error = io::Error::other(format!("frame {number} has no place"));
        DirError::io("write packs of", self.store.path())(error)
    }
}

/// The objects that a frame is to be said to hold, if it is worth taking as it is: those that are
/// wanted, and whatever lies between them.
fn as_it_is(raw: &[u8], wants: &[Want]) -> Option<Vec<(Digest, u32)>> {
    let (mut at, mut others) = (0, 0);
    let mut objects = Vec::with_capacity(wants.len());
    let mut other = |from: u32, to: u32, objects: &mut Vec<(Digest, u32)>| {
        if from < to {
            objects.push((Digest::of(&raw[from as usize..to as usize]), to - from));
            others += to - from;
        }
    };
    for want in wants {
        // Objects that overlap, or have no bytes, are in no pack's index.
        if want.at_bytes < at || want.length == 0 {
            return None;
        }
        other(at, want.at_bytes, &mut objects);
        objects.push((want.digest, want.length));
        at = want.at_bytes + want.length;
    }
    other(at, raw.len() as u32, &mut objects);
    (others <= raw.len() as u32 / OTHERS_MAX_SHARE).then_some(objects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_as_it_is_where_little_of_it_is_for_nobody() {
        let raw: Vec<u8> = (0..80).collect();
        let want = |at_bytes: u32, length: u32| Want {
            at_bytes,
            length,
            digest: Digest::of(&raw[at_bytes as usize..][..length as usize]),
        };
        let lengths = |wants: &[Want]| {
            let objects = as_it_is(&raw, wants)?;
            let mut at = 0;
            for (digest, length) in &objects {
                assert_eq!(*digest, Digest::of(&raw[at..at + *length as usize]));
                at += *length as usize;
            }
            assert_eq!(at, raw.len());
            Some(objects.iter().map(|(_, length)| *length).collect::<Vec<_>>())
        };
        assert_eq!(lengths(&[want(0, 80)]), Some(vec![80]));
        assert_eq!(lengths(&[want(0, 30), want(40, 40)]), Some(vec![30, 10, 40]));
        assert_eq!(lengths(&[want(5, 30), want(35, 40)]), Some(vec![5, 30, 40, 5]));
        assert_eq!(lengths(&[want(0, 30), want(41, 39)]), None, "too much for nobody");
        assert_eq!(lengths(&[want(0, 50), want(40, 40)]), None, "one over the other");
    }
}
