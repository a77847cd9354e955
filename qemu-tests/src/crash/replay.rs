//! What may be on a disk when its power fails: all that was durable, and of the rest any
//! part, in any order.
//!
//! After the last flush that was done, each write may be there, be lost, or be torn: any of
//! its sectors there and the others not. Writes that overlap may have been carried out in
//! another order. Only a sector is all or nothing. A write that QEMU had done while a
//! flush was under way counts as flushed, so a log says nothing about programs that write
//! and flush at the same time.

use super::log::{Entry, WriteLog};
use anyhow::{Result, ensure};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::iter;
use std::ops::Range;
use wire::Noise;

/// With so few writes pending, tearing them is nearly all that can go wrong.
const FEW: usize = 4;

/// One way in which a run could have been cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Its number among the states of this replay; with the seed it makes the same state.
    pub number: u64,
    /// Requests that were done when the power failed.
    pub done: usize,
    /// Requests that were done at the last flush before.
    pub durable: usize,
}

/// What a replay has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// States made and looked at.
    pub states: usize,
    /// How many of them differ in what survived.
    pub distinct: usize,
}

/// Which states are made.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// How many.
    pub states: usize,
    /// The same seed makes the same states.
    pub seed: u64,
    /// What the disk writes as a whole or not at all, bytes.
    pub sector_bytes: usize,
}

/// Makes crash states of a disk that had `base` on it when `log` began, and gives each to
/// `look`.
pub fn replay(
    base: &[u8],
    log: &WriteLog,
    asked: Asked,
    mut look: impl FnMut(&Cut, &[u8]) -> Result<()>,
) -> Result<Replayed> {
    let whole =
        log.entries.iter().all(|entry| entry.range().len().is_multiple_of(asked.sector_bytes));
    ensure!(whole, "the log has writes of less than {} bytes", asked.sector_bytes);
    ensure!(log.end() <= base.len(), "the log goes beyond the disk of {} bytes", base.len());
    let Asked { states, seed, sector_bytes } = asked;
    let mut medium =
        Medium { durable: base.to_vec(), disk: base.to_vec(), applied: 0, sector_bytes };
    let mut kinds = HashSet::new();
    for cut in super::points::choose(log, states, seed) {
        medium.advance(log, cut.durable);
        let mut noise = Noise::of(mixed(seed, 1 + cut.number));
        let pending = &log.entries[cut.durable..cut.done];
        let survivors = survivors(pending, sector_bytes, &mut noise);
        kinds.insert(fingerprint(cut.durable, &survivors));
        let changed = medium.put(pending, &survivors);
        look(&cut, &medium.disk)?;
        medium.restore(&changed);
    }
    Ok(Replayed { states, distinct: kinds.len() })
}

/// A seed of its own for each pair; the generator ignores the lowest bit of its seed.
pub(super) fn mixed(seed: u64, number: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, number).hash(&mut hasher);
    hasher.finish()
}

/// The disk as it is when all of `log` has been carried out.
pub fn last_state(base: &[u8], log: &WriteLog) -> Vec<u8> {
    let mut disk = base.to_vec();
    for entry in &log.entries {
        entry.put(&mut disk);
    }
    disk
}

struct Medium {
    /// What is certain to be there.
    durable: Vec<u8>,
    /// The same, but while a state is looked at.
    disk: Vec<u8>,
    /// Requests that `durable` has.
    applied: usize,
    sector_bytes: usize,
}

impl Medium {
    fn advance(&mut self, log: &WriteLog, durable: usize) {
        for entry in &log.entries[self.applied..durable] {
            entry.put(&mut self.durable);
            entry.put(&mut self.disk);
        }
        self.applied = durable;
    }

    fn put(&mut self, pending: &[Entry], survivors: &[Survivor]) -> Vec<Range<usize>> {
        let mut changed = Vec::new();
        for survivor in survivors {
            let entry = &pending[survivor.index];
            for part in survivor.parts.ranges(&entry.range(), self.sector_bytes) {
                entry.apply(part.clone(), &mut self.disk);
                changed.push(part);
            }
        }
        changed
    }

    fn restore(&mut self, changed: &[Range<usize>]) {
        for range in changed {
            self.disk[range.clone()].copy_from_slice(&self.durable[range.clone()]);
        }
    }
}

/// A pending request of which at least a part reached the medium.
#[derive(Hash)]
struct Survivor {
    index: usize,
    parts: Parts,
}

/// Which sectors of a write reached the medium.
#[derive(Clone, Copy, Hash)]
enum Parts {
    All,
    /// The first so many, or all but those.
    Split {
        at: usize,
        first: bool,
    },
    /// Each by the toss of a coin.
    Scattered {
        seed: u64,
    },
}

impl Parts {
    fn ranges(self, whole: &Range<usize>, sector_bytes: usize) -> Vec<Range<usize>> {
        let split = |at: usize| whole.start + at * sector_bytes;
        let one = |range| iter::once(range).collect();
        match self {
            Self::All => one(whole.clone()),
            Self::Split { at, first: true } => one(whole.start..split(at)),
            Self::Split { at, first: false } => one(split(at)..whole.end),
            Self::Scattered { seed } => {
                let mut noise = Noise::of(seed);
                let sectors = whole.clone().step_by(sector_bytes);
                sectors.filter(|_| noise.one_in(2)).map(|at| at..at + sector_bytes).collect()
            }
        }
    }
}

/// How a disk loses what it was not told to keep.
#[derive(Clone, Copy)]
enum Mood {
    /// One in so many writes is lost.
    Loses(u64),
    /// One in so many writes is kept.
    Keeps(u64),
    /// The newest so many are kept, all before them lost.
    Newest(u64),
    /// All but one are kept.
    AllButOne(u64),
    /// As a disk without a cache: in order, the last one torn.
    InOrder,
}

impl Mood {
    fn of(pending: usize, noise: &mut Noise) -> Self {
        let pending = (pending as u64).max(1);
        match noise.number() % 8 {
            0 | 1 => Self::Loses(2),
            2 => Self::Loses(16),
            3 => Self::Keeps(4),
            4 => Self::Keeps(16),
            5 => Self::Newest(1 + noise.number() % pending.min(4)),
            6 => Self::AllButOne(noise.number() % pending),
            _ => Self::InOrder,
        }
    }

    fn keeps(self, index: u64, pending: u64, noise: &mut Noise) -> bool {
        match self {
            Self::Loses(of) => !noise.one_in(of),
            Self::Keeps(of) => noise.one_in(of),
            Self::Newest(count) => index + count >= pending,
            Self::AllButOne(lost) => index != lost,
            Self::InOrder => true,
        }
    }
}

/// What survives of the pending requests, in the order in which it reached the medium.
fn survivors(pending: &[Entry], sector_bytes: usize, noise: &mut Noise) -> Vec<Survivor> {
    let mood = Mood::of(pending.len(), noise);
    let count = pending.len() as u64;
    let mut kept = Vec::new();
    // Nothing that was done before a durable write comes after it.
    let mut movable = 0;
    for (index, entry) in pending.iter().enumerate() {
        if matches!(entry, Entry::Write { durable: true, .. }) {
            kept.push(Survivor { index, parts: Parts::All });
            movable = kept.len();
        } else if mood.keeps(index as u64, count, noise) {
            let torn = match mood {
                Mood::InOrder => index + 1 == pending.len(),
                _ => noise.one_in(if pending.len() <= FEW { 2 } else { 4 }),
            };
            let parts =
                if torn { tear(entry.range().len() / sector_bytes, noise) } else { Parts::All };
            kept.push(Survivor { index, parts });
            if !matches!(mood, Mood::InOrder) {
                let other = movable + (noise.number() as usize) % (kept.len() - movable);
                let last = kept.len() - 1;
                kept.swap(other, last);
            }
        }
    }
    kept
}

fn tear(sectors: usize, noise: &mut Noise) -> Parts {
    let at = noise.number() as usize % (sectors + 1);
    match noise.number() % 3 {
        0 => Parts::Split { at, first: true },
        1 => Parts::Split { at, first: false },
        _ => Parts::Scattered { seed: noise.number() },
    }
}

fn fingerprint(durable: usize, survivors: &[Survivor]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (durable, survivors).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
