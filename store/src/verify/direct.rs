//! Objects read as a deployment reads them: by the map alone. So the labels that a damage
//! hurts are those that cannot be deployed, and no others.

use crate::Digest;
use crate::dir::DirStore;
use crate::map::{FrameRef, Place};
use crate::source::Item;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Reads objects from packs whose index is of no use.
pub(super) struct Direct<'a> {
    store: &'a DirStore,
    /// The frame read last: objects of one frame come one after another.
    last: Option<((Digest, FrameRef), Vec<u8>)>,
}

impl<'a> Direct<'a> {
    /// Nothing read yet.
    pub(super) fn new(store: &'a DirStore) -> Self {
        Self { store, last: None }
    }

    /// Whether the object `digest` of `length` bytes is at `place` in `frame` of `pack`.
    pub(super) fn has(
        &mut self,
        pack: Digest,
        frame: FrameRef,
        place: Place,
        digest: Digest,
        length: u32,
    ) -> bool {
        let key = (pack, frame);
        let raw = match self.last.take().filter(|(last, _)| *last == key) {
            Some((_, raw)) => raw,
            // What cannot be read holds nothing; that the pack is damaged is said already.
            None => self.read(pack, frame).unwrap_or_default(),
        };
        let (_, raw) = self.last.insert((key, raw));
        let object = raw.get(place.offset_bytes as usize..);
        let object = object.and_then(|rest| rest.get(..length as usize));
        object.is_some_and(|object| Digest::of(object) == digest)
    }

    /// The frame, decompressed. Its lengths are bounded by [`crate::map`].
    fn read(&self, pack: Digest, frame: FrameRef) -> io::Result<Vec<u8>> {
        let file = File::open(self.store.path().join(Item::Pack(pack).path()))?;
        let mut packed = vec![0; frame.packed_bytes as usize];
        file.read_exact_at(&mut packed, frame.offset_bytes)?;
        let raw = zstd::bulk::decompress(&packed, frame.raw_bytes as usize)?;
        if raw.len() == frame.raw_bytes as usize {
            return Ok(raw);
        }
        Err(io::Error::other(format!("{} bytes", raw.len())))
    }
}
