//! Seeds: what the target already has, and where. A hint and no proof: every seed is hashed
//! before it is believed.
//!
//! The index of a disk's seeds is the manifest of the label that it holds, which its
//! [`crate::Mark`] names and the store has. Without one, content is cut anew where it lies
//! ([`scan`]).

mod scan;

pub(crate) use scan::scan;

use crate::content::{content_segments, read_segments};
use crate::label::Label;
use crate::meter::Meter;
use store::Digest;
use store::cut::BLOCK_BYTES;
use store::manifest::{Entry, Segment};
use store::manifest_reader::{ReadError, read_root};

/// Seeds that are remembered at most: 8 MiB of memory, about 16 GiB of content. What goes
/// beyond is fetched.
const SEEDS_MAX: usize = 1 << 20;

/// Where the target may have which objects.
#[derive(Debug, Default)]
pub(crate) struct Seeds {
    /// Sorted by key once [`Seeds::sort`] was called; the first of a key is the one to take.
    entries: Vec<Seed>,
    /// How much of the target can be read, bytes.
    readable_bytes: u64,
}

/// An object by the start of its digest, and the block of the target where it starts.
#[derive(Debug, Clone, Copy)]
struct Seed {
    key: u32,
    block: u32,
}

impl Seeds {
    /// None yet, of a target of which `readable_bytes` can be read.
    pub(crate) fn within(readable_bytes: u64) -> Self {
        Self { entries: Vec::new(), readable_bytes }
    }

    /// What the manifests `digests` say, as far as the store of `label` has them. A manifest
    /// that cannot be had is no fault: what only it knew is fetched.
    pub(crate) fn of(
        label: &Label,
        digests: &[Digest],
        readable_bytes: u64,
        meter: &Meter,
    ) -> Self {
        let mut seeds = Self::within(readable_bytes);
        for digest in digests.iter().filter(|digest| **digest != label.record.manifest) {
            // Of a manifest that ends in an error the segments before it are as good.
            let _ = seeds.add_manifest(label, digest, meter);
        }
        seeds.sort();
        seeds
    }

    fn add_manifest(
        &mut self,
        label: &Label,
        digest: &Digest,
        meter: &Meter,
    ) -> Result<(), ReadError> {
        // Each store is asked once: nobody waits for what can be done without.
        let mut roots = label.links.live().map(|(link, _)| read_root(&*link.source, digest));
        let Some((manifest, root_bytes)) = roots.find_map(Result::ok) else { return Ok(()) };
        if manifest.image().is_none() {
            return Ok(());
        }
        let (root, mut offset) = ((&manifest, root_bytes, digest), 0);
        let range = 0..content_segments(&manifest);
        read_segments(&label.links, root, range, meter, |_, segment: Segment| {
            self.add_segment(&segment, offset, |_| true);
            offset += segment.span_bytes();
            !self.is_full()
        })
    }

    /// Adds the objects of a segment that starts at `offset`, as far as `wanted` says so by the
    /// entry's index.
    pub(crate) fn add_segment(
        &mut self,
        segment: &Segment,
        mut offset: u64,
        wanted: impl Fn(usize) -> bool,
    ) {
        for (index, entry) in segment.entries.iter().enumerate() {
            if let Entry::Data { digest, .. } = entry
                && wanted(index)
            {
                self.add(digest, offset);
            }
            offset += entry.length();
        }
    }

    fn add(&mut self, digest: &Digest, offset: u64) {
        let block = u32::try_from(offset / BLOCK_BYTES as u64);
        if let (Ok(block), false) = (block, self.is_full()) {
            self.entries.push(Seed { key: key(digest), block });
        }
    }

    /// Makes what was added findable.
    pub(crate) fn sort(&mut self) {
        // Stable: of several places of one object the one that was added first is taken.
        self.entries.sort_by_key(|seed| seed.key);
        self.entries.dedup_by_key(|seed| seed.key);
    }

    /// Where else than at `offset` the target may have the object of `length` bytes with this
    /// digest, bytes.
    pub(crate) fn find(&self, digest: &Digest, length: u32, offset: u64) -> Option<u64> {
        let found = self.entries.binary_search_by_key(&key(digest), |seed| seed.key).ok()?;
        let at = u64::from(self.entries[found].block) * BLOCK_BYTES as u64;
        (at != offset && at + u64::from(length) <= self.readable_bytes).then_some(at)
    }

    /// Whether no more are remembered.
    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= SEEDS_MAX
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Digests that share these 32 bits are taken for each other until they are hashed: of a million
/// seeds some hundred are, which costs as many objects to be fetched.
fn key(digest: &Digest) -> u32 {
    digest.as_bytes().first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_that_was_added_first_is_found() {
        let mut seeds = Seeds::within(10 * 4096);
        let digest = |number: u32| Digest::of(&number.to_le_bytes());
        for (number, block) in [(1, 7), (2, 9), (1, 3)] {
            seeds.add(&digest(number), block * BLOCK_BYTES as u64);
        }
        seeds.sort();
        let found = [1, 2, 3].map(|number| seeds.find(&digest(number), 4096, 0));
        assert_eq!(found, [Some(7 * 4096), Some(9 * 4096), None]);
        assert_eq!(seeds.find(&digest(2), 4097, 0), None, "beyond what can be read");
        assert_eq!(seeds.find(&digest(1), 4096, 7 * 4096), None, "where it belongs");
    }

    #[test]
    fn no_more_is_remembered_than_the_bound() {
        let mut seeds = Seeds::default();
        for number in 0..SEEDS_MAX as u64 + 9 {
            seeds.add(&Digest::from_bytes([number as u8; 32]), number * BLOCK_BYTES as u64);
        }
        assert_eq!(seeds.entries.len(), SEEDS_MAX);
    }
}
