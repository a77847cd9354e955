//! What must move where one of two labels is an image.

use super::{Fetches, Frames, Totals};
use crate::commands::read::{AnySegment, Label};
use crate::exit::Damaged;
use std::collections::BTreeSet;
use store::Digest;
use store::manifest::{Entry, Part};
use store::map::Section;
use store::source::Source;

/// What of `new` moves on a machine that holds `old`.
pub(super) fn compare(source: &dyn Source, old: &Label, new: &Label) -> anyhow::Result<Totals> {
    let held = held(source, old)?;
    let mut moves = Moves { held: &held, at: 0, fetches: Fetches::default() };
    let parts = new.manifest.segments.iter().map(|segment| segment.part);
    for ((segment, part), section) in new.segments(source).zip(parts).zip(&new.map.sections) {
        moves.add(&segment?, part, section)?;
    }
    Ok(moves.fetches.totals)
}

/// Each object on the disk of a machine that holds a label, with its place there. Payloads
/// beside the image are on no disk; where files are, nobody knows.
type Held = BTreeSet<(Digest, u64)>;

fn held(source: &dyn Source, label: &Label) -> anyhow::Result<Held> {
    let mut held = Held::new();
    let mut at = 0;
    for (segment, part) in label.segments(source).zip(&label.manifest.segments) {
        let segment = segment?;
        if part.part == Part::Payload {
            continue;
        }
        let is_image = matches!(segment, AnySegment::Entries(_));
        for entry in segment.entries() {
            if let Entry::Data { digest, .. } = entry {
                held.insert((*digest, if is_image { at } else { u64::MAX }));
            }
            at += entry.length();
        }
    }
    Ok(held)
}

/// Walks the new label and adds up what becomes of each object.
struct Moves<'a> {
    held: &'a Held,
    at: u64,
    fetches: Fetches,
}

impl Moves<'_> {
    fn add(&mut self, segment: &AnySegment, part: Part, section: &Section) -> Result<(), Damaged> {
        let mut frames = Frames::of(section);
        let is_placed = part == Part::Content && matches!(segment, AnySegment::Entries(_));
        for entry in segment.entries() {
            let totals = &mut self.fetches.totals;
            match entry {
                Entry::Zero { length } => totals.zero_bytes += length,
                Entry::Data { digest, length } => {
                    let (frame, length) = (frames.next()?, u64::from(*length));
                    let mut places = self.held.range((*digest, 0)..=(*digest, u64::MAX));
                    if is_placed && self.held.contains(&(*digest, self.at)) {
                        totals.kept_bytes += length;
                    } else if places.next().is_some() {
                        totals.moved_bytes += length;
                    } else {
                        self.fetches.add(*digest, length, frame);
                    }
                }
            }
            if part == Part::Content {
                self.at += entry.length();
            }
        }
        Ok(())
    }
}
