//! Which entries of a label a target lacks, a bit for each, and what they add up to.

use crate::content::{Content, Positioned};
use crate::meter::Meter;
use crate::seeds::Seeds;
use crate::{Error, Label};
use std::collections::HashSet;
use store::manifest::Entry;

/// Which entries of a label a target lacks.
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
    /// Of the missing objects, those that are said to be elsewhere on the target.
    pub moved_objects: u64,
    /// Their bytes.
    pub moved_bytes: u64,
    /// Of the others, those that come by diffs; what these take is part of `packed_bytes`.
    pub diff_objects: u64,
    /// Their bytes.
    pub diff_bytes: u64,
    /// Of the others, those that the store beside the target has.
    pub near_objects: u64,
    /// Their bytes.
    pub near_bytes: u64,
    /// Bytes that should be zero and are.
    pub zero_kept_bytes: u64,
    /// Bytes that should be zero and are not.
    pub zero_missing_bytes: u64,
    /// What the frames that hold the objects to be fetched take in their packs, bytes.
    pub packed_bytes: u64,
}

impl Missing {
    /// All of `label`: of a target that was not looked at.
    pub(crate) fn all(label: &Label, content: &Content<'_>, meter: &Meter) -> Result<Self, Error> {
        let seeds = Seeds::default();
        let mut missing = MissingBuilder::new(label, &seeds);
        content.each(meter, |positioned| {
            let words = positioned.segment.entries.len().div_ceil(64);
            missing.push(&positioned, vec![u64::MAX; words]);
            Ok(())
        })?;
        Ok(missing.done())
    }

    /// The same, counted anew with what `seeds` know of.
    pub(crate) fn recount(
        self,
        label: &Label,
        content: &Content<'_>,
        seeds: &Seeds,
        meter: &Meter,
    ) -> Result<Self, Error> {
        let mut segments = self.segments.into_iter();
        let mut missing = MissingBuilder::new(label, seeds);
        content.each(meter, |positioned| {
            missing.push(&positioned, segments.next().unwrap_or_default());
            Ok(())
        })?;
        Ok(missing.done())
    }

    /// Whether the target has everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.totals.missing_bytes == 0 && self.totals.zero_missing_bytes == 0
    }

    /// Whether entry number `entry` of segment number `segment` is missing.
    pub(crate) fn has(&self, segment: usize, entry: usize) -> bool {
        self.segments.get(segment).is_some_and(|bits| is_set(bits, entry))
    }
}

/// Adds up a [`Missing`], segment by segment.
pub(crate) struct MissingBuilder<'a> {
    label: &'a Label,
    seeds: &'a Seeds,
    missing: Missing,
    /// Frames that are counted: by pack and where they start.
    frames: HashSet<(u32, u64)>,
}

impl<'a> MissingBuilder<'a> {
    pub(crate) fn new(label: &'a Label, seeds: &'a Seeds) -> Self {
        Self { label, seeds, missing: Missing::default(), frames: HashSet::new() }
    }

    /// Adds the next segment and the bits of what is missing of it.
    pub(crate) fn push(&mut self, positioned: &Positioned<'_>, bits: Vec<u64>) {
        let map = self.label.map();
        let section = &map.sections[positioned.index];
        let mut places = section.places.iter();
        let mut offset = positioned.offset_bytes;
        for (index, entry) in positioned.segment.entries.iter().enumerate() {
            let is_missing = is_set(&bits, index);
            let at = offset;
            offset += entry.length();
            let totals = &mut self.missing.totals;
            let Entry::Data { digest, length: object_bytes } = entry else {
                let kept = &mut totals.zero_kept_bytes;
                *(if is_missing { &mut totals.zero_missing_bytes } else { kept }) += entry.length();
                continue;
            };
            let (place, length) = (places.next(), u64::from(*object_bytes));
            if !is_missing {
                totals.kept_objects += 1;
                totals.kept_bytes += length;
                continue;
            }
            totals.missing_objects += 1;
            totals.missing_bytes += length;
            if self.seeds.find(digest, *object_bytes, at).is_some() {
                totals.moved_objects += 1;
                totals.moved_bytes += length;
            } else if self.label.near.as_ref().is_some_and(|near| near.has(digest)) {
                totals.near_objects += 1;
                totals.near_bytes += length;
            } else if let Some(place) = place {
                let frame = section.frames[place.frame as usize];
                if self.frames.insert((frame.pack, frame.offset_bytes)) {
                    totals.packed_bytes += u64::from(frame.packed_bytes);
                }
            }
        }
        self.missing.segments.push(bits);
    }

    pub(crate) fn done(self) -> Missing {
        self.missing
    }
}

fn is_set(bits: &[u64], index: usize) -> bool {
    bits.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
}
