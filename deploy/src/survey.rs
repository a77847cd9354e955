//! Compares a target with a label: every entry is read and hashed, nothing is written.
//!
//! The same comparison finds what a target lacks before writing, and proves afterwards
//! what was written.

use crate::Error;
use crate::content::{Content, Positioned};
use crate::held::Held;
use crate::label::Label;
use crate::meter::{Limit, Meter, add};
use crate::missing::{Missing, MissingBuilder};
use crate::seeds::Seeds;
use crate::target::{AlignedBuffer, Target, TargetError};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use store::Digest;
use store::cut::is_zero;
use store::manifest::{Entry, OBJECT_MAX_BYTES};

/// Cores this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// What is read from the target at once, bytes. An object is never longer.
const STEP_BYTES: usize = OBJECT_MAX_BYTES as usize;

/// Who compares: while some wait for the disk, others hash.
const COMPARERS_MIN: usize = 4;

/// A target as the image would see it: what is held back lies over what is on the disk.
pub(crate) struct View<'a> {
    pub(crate) target: &'a Target,
    pub(crate) held: &'a Held,
}

impl View<'_> {
    /// Reads `into`; past the end of a file that has yet to grow there are zeroes.
    pub(crate) fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), TargetError> {
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
    pub(crate) fn is_hole(&self, offset: u64, length: usize) -> bool {
        let end = offset + length as u64;
        let data = self.target.next_data(offset);
        !self.held.touches(offset, length) && data.is_none_or(|data| data >= end)
    }
}

/// What a comparison is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To find out what to write: taking something for missing costs only its fetching.
    Survey,
    /// The same where another label is known to be there: long runs of zeroes are not read, as
    /// zeroing them costs less.
    SurveyOfAnother,
    /// To prove what was written: every byte counts.
    Proof,
}

/// Finds what `view` lacks of `label`. What `seeds` know of is counted as to be moved.
pub(crate) fn compare(
    label: &Label,
    content: &Content<'_>,
    view: &View<'_>,
    purpose: Purpose,
    seeds: &Seeds,
    meter: &Meter,
) -> Result<Missing, Error> {
    let mut missing = MissingBuilder::new(label, seeds);
    content.each(meter, |positioned| {
        let bits = compare_segment(&positioned, view, purpose, meter)?;
        missing.push(&positioned, bits);
        Ok(())
    })?;
    Ok(missing.done())
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
        for _ in 1..cores().max(COMPARERS_MIN).min(groups.len()) {
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
    if purpose == Purpose::SurveyOfAnother && group.length > STEP_BYTES as u64 {
        // Only a run of zeroes is that long.
        let length = group.length as usize;
        if !view.is_hole(group.offset_bytes, length) {
            missing(0);
        }
        add(&meter.done_bytes, group.length);
        return Ok(());
    }
    let mut at = 0;
    while at < group.length {
        let offset = group.offset_bytes + at;
        let step = (group.length - at).min(STEP_BYTES as u64) as usize;
        let bytes = &mut buffer[..step];
        if view.is_hole(offset, step) {
            bytes.fill(0);
        } else if let Err(error) = meter.time(Limit::Disk, || view.read(offset, bytes)) {
            if purpose == Purpose::Proof {
                return Err(error.into());
            }
            // A sector that cannot be read can often be written; where it cannot, that is said.
            (0..entries.len()).for_each(&mut missing);
            add(&meter.done_bytes, group.length - at);
            return Ok(());
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
        Entry::Data { .. } if purpose != Purpose::Proof && is_zero(bytes) => false,
        Entry::Data { digest, .. } => Digest::of(bytes) == *digest,
    }
}
