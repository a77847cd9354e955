//! The objects that are new in this push: in memory up to a bound, the rest on disk.

use crate::Digest;
use crate::dir::index::{Record, Sequence, Source, Spills, Spot};
use crate::dir::{DirError, DirStore};
use crate::map::PackRef;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

/// New objects held in memory: 3.5 GiB of content. The table takes 11 MB, sorting it another 13.
/// A table of 2^18 places is not made larger before it has these.
const OBJECTS_MAX: usize = (1 << 18) / 8 * 7;

/// The pack of a spot whose frame is not in a pack yet; its offset is the frame's number.
pub(super) const NEW: u32 = u32::MAX;

/// New objects and where they are going to be.
pub(super) struct Fresh<'a> {
    recent: HashMap<Digest, (u32, u32), ByPrefix>,
    spills: Spills<'a>,
}

impl<'a> Fresh<'a> {
    /// None yet.
    pub(super) fn new(store: &'a DirStore) -> Self {
        let recent = HashMap::with_capacity_and_hasher(OBJECTS_MAX, ByPrefix::default());
        Self { recent, spills: Spills::new(store, Vec::new()) }
    }

    /// Where the object is going to be.
    pub(super) fn find(&self, digest: &Digest) -> Result<Option<Spot>, DirError> {
        if let Some((frame, at)) = self.recent.get(digest) {
            return Ok(Some(spot(*frame, *at)));
        }
        Ok(self.spills.find(digest)?.map(|record| record.spot))
    }

    /// Notes a new object in the new frame with this number.
    pub(super) fn insert(
        &mut self,
        digest: Digest,
        frame: u32,
        at_bytes: u32,
    ) -> Result<Spot, DirError> {
        if self.recent.len() >= OBJECTS_MAX {
            self.spills.add(&mut records(&self.recent))?;
            self.recent.clear();
        }
        self.recent.insert(digest, (frame, at_bytes));
        Ok(spot(frame, at_bytes))
    }

    /// All new objects as what is to be kept, where `place` says it: in `packs`, which are in
    /// order of their digests.
    pub(super) fn sources<'b>(
        &'b self,
        packs: &[PackRef],
        place: &'b dyn Fn(Spot) -> Result<Spot, DirError>,
    ) -> Vec<Source<'b>> {
        let mut recent = records(&self.recent);
        recent.sort_unstable();
        let recent_count = recent.len() as u64;
        let recent: Sequence<'b> = Box::new(recent.into_iter().map(Ok));
        let spilled = self.spills.runs().map(Source::of);
        let spilled = spilled.map(|source| (source.count, source.records));
        let all = spilled.chain([(recent_count, recent)]);
        let placed = |(count, records): (u64, Sequence<'b>)| Source {
            packs: packs.to_vec(),
            count,
            records: Box::new(records.map(|record| {
                let Record { digest, spot } = record?;
                let spot = place(spot).map_err(std::io::Error::other)?;
                Ok(Record { digest, spot })
            })),
        };
        all.map(placed).collect()
    }
}

fn spot(frame: u32, at_bytes: u32) -> Spot {
    Spot { pack: NEW, offset_bytes: u64::from(frame), at_bytes, ..Spot::default() }
}

fn records(objects: &HashMap<Digest, (u32, u32), ByPrefix>) -> Vec<Record> {
    let record = |(digest, (frame, at)): (&Digest, &(u32, u32))| Record {
        digest: *digest,
        spot: spot(*frame, *at),
    };
    objects.iter().map(record).collect()
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
