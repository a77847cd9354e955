//! `inaug diff`: what a machine that holds one label fetches for another.

use super::{open_source, read};
use crate::args::DiffArgs;
use crate::exit::Damaged;
use crate::output::Output;
use crate::text;
use serde::Serialize;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use store::Digest;
use store::manifest::{Entry, Part, Segment};
use store::map::{FrameRef, Section};
use store::source::Source;

/// Shows what must move from `old` to `new`.
pub(crate) fn run(args: &DiffArgs, output: &Output) -> anyhow::Result<()> {
    let source = open_source(&args.store.store)?;
    let old = read::label(&*source, &args.old)?;
    let new = read::label(&*source, &args.new)?;
    let held = held(&*source, &old)?;
    let mut moves = Moves::new(&held);
    let parts = new.manifest.segments.iter().map(|segment| segment.part);
    for ((segment, part), section) in new.segments(&*source).zip(parts).zip(&new.map.sections) {
        moves.add(&segment?, part, section)?;
    }
    let same_label = old.record.manifest == new.record.manifest;
    let manifest_bytes = if same_label { 0 } else { read::manifest_bytes(&new) };
    let document = Document {
        schema: "inaug/diff/1",
        old: args.old.to_string(),
        new: args.new.to_string(),
        manifest_bytes,
        totals: moves.totals,
    };
    Ok(output.answer(&document)?)
}

/// Each object on the disk of a machine that holds a label, with its place there. Payloads
/// beside the image are on no disk.
type Held = BTreeSet<(Digest, u64)>;

fn held(source: &dyn Source, label: &read::Label) -> anyhow::Result<Held> {
    let mut held = Held::new();
    let mut at = 0;
    for (segment, part) in label.segments(source).zip(&label.manifest.segments) {
        let segment = segment?;
        if part.part == Part::Payload {
            continue;
        }
        for entry in &segment.entries {
            if let Entry::Data { digest, .. } = entry {
                held.insert((*digest, at));
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
    objects: HashSet<Digest>,
    frames: HashSet<FrameRef>,
    totals: Totals,
}

/// What moves, in bytes of content unless said otherwise.
#[derive(Default, Serialize)]
struct Totals {
    /// Different objects that must be fetched.
    fetch_objects: u64,
    /// What they hold.
    fetch_bytes: u64,
    /// Frames that hold them: a frame is fetched whole.
    fetch_frames: u64,
    /// What those frames take on the wire.
    fetch_packed_bytes: u64,
    /// Content that the disk holds at another place, and that is moved.
    moved_bytes: u64,
    /// Content that is in its place already.
    kept_bytes: u64,
    /// Content that repeats an object that is fetched anyway.
    repeated_bytes: u64,
    /// Content that is zeroes: written or discarded, never fetched.
    zero_bytes: u64,
}

impl<'a> Moves<'a> {
    fn new(held: &'a Held) -> Self {
        let (objects, frames) = (HashSet::new(), HashSet::new());
        Self { held, at: 0, objects, frames, totals: Totals::default() }
    }

    fn add(&mut self, segment: &Segment, part: Part, section: &Section) -> Result<(), Damaged> {
        let mut places = section.places.iter();
        for entry in &segment.entries {
            match entry {
                Entry::Zero { length } => self.totals.zero_bytes += length,
                Entry::Data { digest, length } => {
                    let frame = places.next().map(|place| section.frames[place.frame as usize]);
                    let frame = frame.ok_or_else(|| short_map(section))?;
                    self.add_object(*digest, u64::from(*length), part, frame);
                }
            }
            if part == Part::Content {
                self.at += entry.length();
            }
        }
        Ok(())
    }

    fn add_object(&mut self, digest: Digest, length: u64, part: Part, frame: FrameRef) {
        let totals = &mut self.totals;
        if part == Part::Content && self.held.contains(&(digest, self.at)) {
            totals.kept_bytes += length;
            return;
        }
        if self.held.range((digest, 0)..=(digest, u64::MAX)).next().is_some() {
            totals.moved_bytes += length;
            return;
        }
        if !self.objects.insert(digest) {
            totals.repeated_bytes += length;
            return;
        }
        totals.fetch_objects += 1;
        totals.fetch_bytes += length;
        if self.frames.insert(frame) {
            totals.fetch_frames += 1;
            totals.fetch_packed_bytes += u64::from(frame.packed_bytes);
        }
    }
}

fn short_map(section: &Section) -> Damaged {
    let places = section.places.len();
    Damaged(format!("the map has {places} places for a segment with more objects"))
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    old: String,
    new: String,
    /// The new manifest, fetched before anything else.
    manifest_bytes: u64,
    #[serde(flatten)]
    totals: Totals,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = &self.totals;
        writeln!(f, "A machine that holds {} and is to hold {}", self.old, self.new)?;
        let objects = text::count(totals.fetch_objects, "object");
        let frames = text::count(totals.fetch_frames, "frame");
        let (raw, packed) = (text::size(totals.fetch_bytes), text::size(totals.fetch_packed_bytes));
        writeln!(f, "fetches   {objects} of {raw}, as {packed} in {frames}")?;
        writeln!(f, "and       {} of manifest", text::size(self.manifest_bytes))?;
        writeln!(f, "keeps     {} where it is", text::size(totals.kept_bytes))?;
        writeln!(f, "moves     {} to other places", text::size(totals.moved_bytes))?;
        writeln!(f, "repeats   {} of what it fetches", text::size(totals.repeated_bytes))?;
        writeln!(f, "zeroes    {}", text::size(totals.zero_bytes))
    }
}
