//! Which objects the store has, and where: from the indexes of its packs.
//!
//! About 60 bytes of memory for each object: 4 MB for each GiB of content in the store.

use crate::Digest;
use crate::dir::packs::read_index;
use crate::dir::{DirError, DirStore};
use crate::map::PackRef;
use crate::source::Item;
use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};

/// Where objects are, and where the new ones are going to be.
#[derive(Default)]
pub(super) struct Catalog {
    /// Packs of the store.
    pub(super) packs: Vec<PackRef>,
    /// Frames in those packs, then those that this push makes.
    pub(super) frames: Vec<Frame>,
    /// Packs whose index cannot be read: their objects count as missing.
    pub(super) damaged: Vec<Digest>,
    objects: HashMap<Digest, Spot, ByPrefix>,
}

/// A frame of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// Number of its pack in [`Catalog::packs`].
    pub(super) pack: u32,
    /// Where it starts in the pack's file, bytes.
    pub(super) offset_bytes: u64,
    /// What it takes there, bytes.
    pub(super) packed_bytes: u32,
    /// What it holds, bytes.
    pub(super) raw_bytes: u32,
}

/// An object's place in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    /// Number of the frame in [`Catalog::frames`].
    pub(super) frame: u32,
    /// Where the object starts in the decompressed frame, bytes.
    pub(super) offset_bytes: u32,
}

impl Catalog {
    /// Reads the indexes of all packs. A pack that cannot be read holds nothing that can
    /// be relied on; it is passed over and named.
    pub(super) fn read(store: &DirStore) -> Result<Self, DirError> {
        let mut catalog = Self::default();
        for digest in store.packs()? {
            let path = store.path().join(Item::Pack(digest).path());
            match File::open(path).map_err(Into::into).and_then(|file| read_index(&file)) {
                Ok((index, size_bytes)) => catalog.add(PackRef { digest, size_bytes }, &index),
                Err(_) => catalog.damaged.push(digest),
            }
        }
        Ok(catalog)
    }

    fn add(&mut self, pack: PackRef, index: &crate::pack::Index) {
        let number = self.packs.len() as u32;
        self.packs.push(pack);
        for frame in &index.frames {
            let (number_of_frame, mut offset_bytes) = (self.frames.len() as u32, 0);
            for (digest, length) in &frame.objects {
                let spot = Spot { frame: number_of_frame, offset_bytes };
                self.objects.entry(*digest).or_insert(spot);
                offset_bytes += length;
            }
            self.frames.push(Frame {
                pack: number,
                offset_bytes: frame.offset_bytes,
                packed_bytes: frame.packed_bytes,
                raw_bytes: offset_bytes,
            });
        }
    }

    /// Where the object is.
    pub(super) fn spot(&self, digest: &Digest) -> Option<Spot> {
        self.objects.get(digest).copied()
    }

    /// Notes a new object.
    pub(super) fn insert(&mut self, digest: Digest, spot: Spot) {
        self.objects.insert(digest, spot);
    }
}

/// Digests are as random as a hash of them would be. Who makes content so that digests share
/// 64 bits makes their own push slow, and nothing else.
#[derive(Default, Clone)]
struct ByPrefix(u64);

impl BuildHasher for ByPrefix {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl Hasher for ByPrefix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(prefix) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*prefix);
        }
    }

    /// The length of an array says nothing.
    fn write_usize(&mut self, _: usize) {}
}
