//! Compares a target with a label: every entry is read and hashed, nothing is written.
//!
//! The same comparison finds what a target lacks before writing, and proves afterwards
//! what was written.

use crate::Error;
use crate::content::{Content, Positioned};
use crate::held::Held;
use crate::label::Label;
use crate::meter::{Limit, Meter, add};
use crate::target::{AlignedBuffer, Target, TargetError};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use store::Digest;
use store::cut::is_zero;
use store::manifest::{Entry, OBJECT_MAX_BYTES, Segment};

/// What is read from the target at once, bytes. An object is never longer.
const STEP_BYTES: usize = OBJECT_MAX_BYTES as usize;

/// A target as the image would see it: what is held back lies over what is on the disk.
pub(crate) struct View<'a> {
    pub(crate) target: &'a Target,
    pub(crate) held: &'a Held,
}

impl View<'_> {
    /// Reads `into`; past the end of a file that has yet to grow there are zeroes.
    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), TargetError> {
        let there = self.target.size_bytes().saturating_sub(offset).min(into.len() as u64);
        let (on_target, beyond) = into.split_at_mut(there as usize);
        if !on_target.is_empty() {
            self.target.read(offset, on_target)?;
        }
        beyond.fill(0);
        self.held.overlay(offset, into);
        Ok(())
    }

    /// Whether `length` bytes at `offset` are known to be zero without reading them.
    fn is_hole(&self, offset: u64, length: usize) -> bool {
        let end = offset + length as u64;
        let data = self.target.next_data(offset);
        !self.held.touches(offset, length) && data.is_none_or(|data| data >= end)
    }
}

/// Which entries of a label a target lacks: a bit for each entry.
#[derive(Debug, Clone, Default)]
pub(crate) struct Missing {
    segments: Vec<Vec<u64>>,
    /// Sums over what is missing and what is not.
    pub(crate) totals: Totals,
}

/// What a comparison found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Objects in place, counted once for each place.
    pub kept_objects: u64,
    /// Their bytes.
    pub kept_bytes: u64,
    /// Objects missing, counted once for each place.
    pub missing_objects: u64,
    /// Their bytes.
    pub missing_bytes: u64,
    /// Bytes that should be zero and are.
    pub zero_kept_bytes: u64,
    /// Bytes that should be zero and are not.
    pub zero_missing_bytes: u64,
    /// What the frames that hold the missing objects take in their packs, bytes.
    pub packed_bytes: u64,
}

impl Missing {
    /// Whether the target has everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.totals.missing_bytes == 0 && self.totals.zero_missing_bytes == 0
    }

    /// Whether entry number `entry` of segment number `segment` is missing.
    pub(crate) fn has(&self, segment: usize, entry: usize) -> bool {
        let word = self.segments.get(segment).and_then(|bits| bits.get(entry / 64));
        word.is_some_and(|word| word >> (entry % 64) & 1 == 1)
    }
}

/// What a comparison is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To find out what to write: taking something for missing costs only its fetching.
    Survey,
    /// To prove what was written: every byte counts.
    Proof,
}

/// Finds what `view` lacks of `label`.
pub(crate) fn compare(
    label: &Label,
    content: &Content<'_>,
    view: &View<'_>,
    purpose: Purpose,
    meter: &Meter,
) -> Result<Missing, Error> {
    let mut missing = Missing::default();
    let mut frames = HashSet::new();
    content.each(meter, |positioned| {
        let bits = compare_segment(&positioned, view, purpose, meter)?;
        missing.totals.add(&positioned, &bits);
        let section = &label.map.sections[positioned.index];
        for (place, _) in missing_places(positioned.segment, &bits, &section.places) {
            let frame = section.frames[place.frame as usize];
            if frames.insert((frame.pack, frame.offset_bytes)) {
                missing.totals.packed_bytes += u64::from(frame.packed_bytes);
            }
        }
        missing.segments.push(bits);
        Ok(())
    })?;
    Ok(missing)
}

/// Places of the missing objects of a segment, each with its entry's index.
fn missing_places<'a>(
    segment: &'a Segment,
    bits: &'a [u64],
    places: &'a [store::map::Place],
) -> impl Iterator<Item = (&'a store::map::Place, usize)> {
    let data = segment.entries.iter().enumerate();
    let data = data.filter(|(_, entry)| matches!(entry, Entry::Data { .. }));
    let is_missing = |index: usize| bits[index / 64] >> (index % 64) & 1 == 1;
    places.iter().zip(data.map(|(index, _)| index)).filter(move |(_, index)| is_missing(*index))
}

/// A run of entries that is read at once.
struct Group {
    entries: Range<usize>,
    offset_bytes: u64,
    length: u64,
}

/// Entries next to each other, at most [`STEP_BYTES`] of them; a longer run of zeroes by itself.
fn groups(positioned: &Positioned<'_>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut offset_bytes = positioned.offset_bytes;
    for (index, entry) in positioned.segment.entries.iter().enumerate() {
        let length = entry.length();
        match groups.last_mut() {
            Some(last) if last.length + length <= STEP_BYTES as u64 => {
                last.entries.end += 1;
                last.length += length;
            }
            _ => groups.push(Group { entries: index..index + 1, offset_bytes, length }),
        }
        offset_bytes += length;
    }
    groups
}

/// The bits of one segment, its groups shared out over all cores.
fn compare_segment(
    positioned: &Positioned<'_>,
    view: &View<'_>,
    purpose: Purpose,
    meter: &Meter,
) -> Result<Vec<u64>, Error> {
    let groups = groups(positioned);
    let bits = Mutex::new(vec![0_u64; positioned.segment.entries.len().div_ceil(64)]);
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let work = || {
        let mut buffer = AlignedBuffer::new(STEP_BYTES);
        while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
            let entries = &positioned.segment.entries[group.entries.clone()];
            let found = compare_group(group, entries, view, purpose, &mut buffer, meter, |index| {
                let index = group.entries.start + index;
                let mut bits = bits.lock().unwrap_or_else(PoisonError::into_inner);
                bits[index / 64] |= 1 << (index % 64);
            });
            if let Err(error) = found {
                next.store(groups.len(), Ordering::Relaxed);
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..crate::fetch::cores().min(groups.len()) {
            scope.spawn(work);
        }
        work();
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(bits.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

fn compare_group(
    group: &Group,
    entries: &[Entry],
    view: &View<'_>,
    purpose: Purpose,
    buffer: &mut [u8],
    meter: &Meter,
    mut missing: impl FnMut(usize),
) -> Result<(), Error> {
    let mut at = 0;
    while at < group.length {
        let offset = group.offset_bytes + at;
        let step = (group.length - at).min(STEP_BYTES as u64) as usize;
        let bytes = &mut buffer[..step];
        if view.is_hole(offset, step) {
            bytes.fill(0);
        } else {
            meter.time(Limit::Disk, || view.read(offset, bytes))?;
        }
        meter.time(Limit::Hash, || {
            compare_entries(entries, bytes, purpose, &mut missing);
        });
        add(&meter.done_bytes, step as u64);
        at += step as u64;
    }
    Ok(())
}

/// Compares `bytes` with the entries they should be; a run of zeroes may be longer than them.
fn compare_entries(
    entries: &[Entry],
    mut bytes: &[u8],
    purpose: Purpose,
    missing: &mut impl FnMut(usize),
) {
    for (index, entry) in entries.iter().enumerate() {
        let length = entry.length().min(bytes.len() as u64) as usize;
        let (here, rest) = bytes.split_at(length);
        if !entry_is(entry, here, purpose) {
            missing(index);
        }
        bytes = rest;
    }
}

/// Whether `bytes` are what `entry` says. An object that reads as zeroes is taken for missing
/// without hashing: an empty disk is looked through at the speed of reading it, and an object
/// that really is all zeroes, which no push makes, is merely fetched again.
fn entry_is(entry: &Entry, bytes: &[u8], purpose: Purpose) -> bool {
    match entry {
        Entry::Zero { .. } => is_zero(bytes),
        Entry::Data { .. } if purpose == Purpose::Survey && is_zero(bytes) => false,
        Entry::Data { digest, .. } => Digest::of(bytes) == *digest,
    }
}

impl Totals {
    fn add(&mut self, positioned: &Positioned<'_>, bits: &[u64]) {
        for (index, entry) in positioned.segment.entries.iter().enumerate() {
            let is_missing = bits[index / 64] >> (index % 64) & 1 == 1;
            let (objects, bytes) = match (entry, is_missing) {
                (Entry::Zero { .. }, false) => (None, &mut self.zero_kept_bytes),
                (Entry::Zero { .. }, true) => (None, &mut self.zero_missing_bytes),
                (Entry::Data { .. }, false) => (Some(&mut self.kept_objects), &mut self.kept_bytes),
                (Entry::Data { .. }, true) => {
                    (Some(&mut self.missing_objects), &mut self.missing_bytes)
                }
            };
            *bytes += entry.length();
            if let Some(objects) = objects {
                *objects += 1;
            }
        }
    }
}
