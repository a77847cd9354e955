//! Where on a target which objects are, collected by several threads in bounded memory.

use super::Seed;
use std::sync::{Mutex, PoisonError};

/// So many objects of a target are remembered: they take 64 MiB, and are some 128 GiB of content.
/// What is beyond them is fetched where it is wanted, though the target has it.
const SEEDS_MAX: usize = 2 << 20;

/// Where this part of all is not given back by forgetting what is there twice, no more is looked
/// for: it would be sorted again and again.
const GAIN_SHARE: usize = 8;

/// Seeds that were found so far.
pub(super) struct Seeds {
    max: usize,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    seeds: Vec<Seed>,
    is_full: bool,
}

impl Default for Seeds {
    fn default() -> Self {
        Self::at_most(SEEDS_MAX)
    }
}

impl Seeds {
    fn at_most(max: usize) -> Self {
        Self { max, found: Mutex::default() }
    }

    /// Takes all of `more`.
    pub(super) fn add(&self, more: &mut Vec<Seed>) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.seeds.len() + more.len() > self.max && !found.is_full {
            found.tidy();
            found.is_full = found.seeds.len() > self.max - self.max / GAIN_SHARE;
        }
        let room = self.max.saturating_sub(found.seeds.len());
        found.seeds.extend(more.drain(..).take(room));
    }

    /// One place for each object, in order.
    pub(super) fn done(self) -> Vec<Seed> {
        let mut found = self.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.tidy();
        found.seeds.shrink_to_fit();
        found.seeds
    }
}

impl Found {
    /// One place for each object is enough.
    fn tidy(&mut self) {
        self.seeds.sort_unstable();
        self.seeds.dedup_by_key(|seed| (seed.key, seed.length));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(key: u32, file: u32) -> Seed {
        Seed { key: key.into(), file, length: 1, offset_bytes: 0 }
    }

    fn keys(batches: &[&[u32]], max: usize) -> Vec<u128> {
        let seeds = Seeds::at_most(max);
        for (file, batch) in (0..).zip(batches) {
            let mut batch: Vec<_> = batch.iter().map(|key| seed(*key, file)).collect();
            seeds.add(&mut batch);
            assert!(batch.is_empty());
        }
        let done = seeds.done();
        assert!(done.capacity() <= max);
        done.iter().map(|seed| seed.key).collect()
    }

    #[test]
    fn no_more_than_the_bound_are_remembered_and_each_once() {
        let many: Vec<u32> = (0..20).collect();
        let table: [(&[&[u32]], &[u128]); 5] = [
            (&[], &[]),
            (&[&[3, 1], &[1, 2]], &[1, 2, 3]),
            // What is there twice makes room.
            (&[&[1; 8], &[2; 8], &[3; 8], &[4, 5]], &[1, 2, 3, 4, 5]),
            (&[&[1, 2, 3, 4], &[5, 6, 7, 8], &[9, 10]], &[1, 2, 3, 4, 5, 6, 7, 8]),
            (&[&many], &[0, 1, 2, 3, 4, 5, 6, 7]),
        ];
        for (batches, expected) in table {
            assert_eq!(keys(batches, 8), expected, "{batches:?}");
        }
    }

    #[test]
    fn what_is_met_first_is_where_an_object_is() {
        let seeds = Seeds::at_most(8);
        seeds.add(&mut vec![seed(1, 5)]);
        seeds.add(&mut vec![seed(1, 2), seed(1, 7)]);
        assert_eq!(seeds.done(), [seed(1, 2)]);
    }
}
