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
pub(crate) const NEW: u32 = u32::MAX;

/// New objects and where they are going to be.
pub(crate) struct Fresh<'a> {
    objects_max: usize,
    recent: HashMap<Digest, (u32, u32), ByPrefix>,
    spills: Spills<'a>,
}

impl<'a> Fresh<'a> {
    /// None yet.
    pub(crate) fn new(store: &'a DirStore) -> Self {
        Self::with_room(store, OBJECTS_MAX)
    }

    fn with_room(store: &'a DirStore, objects_max: usize) -> Self {
        let recent = HashMap::with_capacity_and_hasher(objects_max, ByPrefix::default());
        Self { objects_max, recent, spills: Spills::new(store, Vec::new()) }
    }

    /// Where the object is going to be.
    pub(crate) fn find(&self, digest: &Digest) -> Result<Option<Spot>, DirError> {
        if let Some((frame, at)) = self.recent.get(digest) {
            return Ok(Some(spot(*frame, *at)));
        }
        Ok(self.spills.find(digest)?.map(|record| record.spot))
    }

    /// Notes a new object in the new frame with this number.
    pub(crate) fn insert(
        &mut self,
        digest: Digest,
        frame: u32,
        at_bytes: u32,
    ) -> Result<Spot, DirError> {
        if self.recent.len() >= self.objects_max {
            self.spills.add(&mut records(&self.recent))?;
            self.recent.clear();
        }
        self.recent.insert(digest, (frame, at_bytes));
        Ok(spot(frame, at_bytes))
    }

    /// All new objects as what is to be kept, where `place` says it: in `packs`, which are in
    /// order of their digests.
    pub(crate) fn sources<'b>(
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dir::index::{keep, open_all};

    #[test]
    fn what_does_not_fit_in_memory_is_found_and_kept() {
        let root = tempfile::tempdir().unwrap();
        let store = DirStore::create(root.path().join("store")).unwrap();
        let mut fresh = Fresh::with_room(&store, 100);
        let digest = |number: u32| Digest::of(&number.to_le_bytes());
        for number in 0..1050 {
            assert_eq!(fresh.find(&digest(number)).unwrap(), None);
            fresh.insert(digest(number), number / 7, number % 7).unwrap();
        }
        assert!(fresh.spills.runs().count() > 0 && fresh.recent.len() <= 100);
        for number in 0..1050 {
            let expected = spot(number / 7, number % 7);
            assert_eq!(fresh.find(&digest(number)).unwrap(), Some(expected));
        }
        let pack = PackRef { digest: digest(5000), size_bytes: 1 };
        let place = |spot: Spot| Ok(Spot { pack: 0, packed_bytes: 3, ..spot });
        keep(&store, fresh.sources(&[pack], &place), &|_| true).unwrap();
        let kept = open_all(&store).unwrap();
        let records: Vec<Record> = kept[0].run.iter().collect::<Result<_, _>>().unwrap();
        let mut expected: Vec<Record> = (0..1050)
            .map(|number| (digest(number), place(spot(number / 7, number % 7)).unwrap()))
            .map(|(digest, spot)| Record { digest, spot })
            .collect();
        expected.sort_unstable();
        assert_eq!(records, expected);
        drop(fresh);
        assert!(store.path().join("tmp").read_dir().unwrap().next().is_none());
    }
}
