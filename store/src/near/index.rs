//! What a near store has: read whole from its packs, as it is small.

use crate::Digest;
use crate::dir::DirStore;
use crate::dir::packs::{IndexError, each_frame};
use crate::map::{FrameRef, PackRef};
use crate::source::Item;
use std::fs::File;

/// Objects that are remembered: 20 MB of memory, about 20 GiB of packs. What comes after is
/// fetched from far again.
const OBJECTS_MAX: usize = 1 << 19;

/// Objects in order of their digests.
pub(super) struct Index(Vec<Entry>);

/// An object by the first bytes of its digest: who is led to another one finds that out by
/// hashing.
struct Entry {
    prefix: u64,
    frame: FrameRef,
    at_bytes: u32,
}

impl Index {
    /// Reads the indexes of `packs`, those first that are to be remembered before others. One that
    /// cannot be read holds nothing.
    pub(super) fn read(store: &DirStore, packs: &[PackRef]) -> Self {
        let mut entries = Vec::new();
        for (number, pack) in packs.iter().enumerate() {
            let before = entries.len();
            if add_pack(store, number as u32, pack, &mut entries).is_err() {
                entries.truncate(before);
            }
        }
        // Stable: of several places of one object the one that was added first is taken.
        entries.sort_by_key(|entry| entry.prefix);
        entries.dedup_by_key(|entry| entry.prefix);
        Self(entries)
    }

    /// Where an object lies: its frame, and where it starts in there.
    pub(super) fn find(&self, digest: &Digest) -> Option<(FrameRef, u32)> {
        let found = self.0.binary_search_by_key(&prefix(digest), |entry| entry.prefix).ok()?;
        let Entry { frame, at_bytes, .. } = self.0[found];
        Some((frame, at_bytes))
    }
}

fn add_pack(
    store: &DirStore,
    number: u32,
    pack: &PackRef,
    entries: &mut Vec<Entry>,
) -> Result<(), IndexError> {
    let file = File::open(store.path().join(Item::Pack(pack.digest).path()))?;
    each_frame(&file, &mut |frame| {
        let place = FrameRef {
            pack: number,
            offset_bytes: frame.offset_bytes,
            packed_bytes: frame.packed_bytes,
            raw_bytes: frame.raw_bytes(),
        };
        let mut at_bytes = 0;
        for (digest, length) in &frame.objects {
            if entries.len() < OBJECTS_MAX {
                entries.push(Entry { prefix: prefix(digest), frame: place, at_bytes });
            }
            at_bytes += length;
        }
    })?;
    Ok(())
}

fn prefix(digest: &Digest) -> u64 {
    digest.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
