//! `inaug diff`: what a machine that holds one label fetches for another.

mod image;
mod tree;

use super::{open_source, read};
use crate::args::DiffArgs;
use crate::exit::{Damaged, Usage};
use crate::output::Output;
use crate::text;
use serde::Serialize;
use std::collections::HashSet;
use std::fmt;
use store::Digest;
use store::map::{FrameRef, Section};
use tree::{Change, Counts};

/// Shows what must move from `old` to `new`.
pub(crate) fn run(args: &DiffArgs, output: &Output) -> anyhow::Result<()> {
    let source = open_source(&args.store)?;
    let old = read::label(&*source, &args.old)?;
    let new = read::label(&*source, &args.new)?;
    let are_trees = [&old, &new].iter().all(|label| label.manifest.image().is_none());
    if args.files && !are_trees {
        let sentence = format!("{} and {}: expected two trees for --files", args.old, args.new);
        return Err(Usage(sentence).into());
    }
    let (totals, files) = if are_trees {
        let (totals, files) = tree::compare(&*source, &old, &new)?;
        (totals, Some(files))
    } else {
        (image::compare(&*source, &old, &new)?, None)
    };
    let same_label = old.record.manifest == new.record.manifest;
    let manifest_bytes = if same_label { 0 } else { read::manifest_bytes(&new) };
    let document = Document {
        schema: "inaug/diff/1",
        old: args.old.to_string(),
        new: args.new.to_string(),
        manifest_bytes,
        totals,
        nodes: files.as_ref().map(|files| files.counts),
        files: files.filter(|_| args.files).map(|files| files.changes),
    };
    Ok(output.answer(&document)?)
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
    /// Content that the machine holds at another place, and that is moved or copied.
    moved_bytes: u64,
    /// Content that is in its place already.
    kept_bytes: u64,
    /// Content that repeats an object that is fetched anyway.
    repeated_bytes: u64,
    /// Content that is zeroes: written or discarded, never fetched.
    zero_bytes: u64,
}

/// Adds up what must be fetched, and what of it only once.
#[derive(Default)]
struct Fetches {
    objects: HashSet<Digest>,
    frames: HashSet<FrameRef>,
    totals: Totals,
}

impl Fetches {
    /// An object of `length` bytes in `frame` that the machine does not hold.
    fn add(&mut self, digest: Digest, length: u64, frame: FrameRef) {
        let totals = &mut self.totals;
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

/// The frames of the objects of a segment, in order.
struct Frames<'a> {
    section: &'a Section,
    places: std::slice::Iter<'a, store::map::Place>,
}

impl<'a> Frames<'a> {
    fn of(section: &'a Section) -> Self {
        Self { section, places: section.places.iter() }
    }

    /// That of the next object.
    fn next(&mut self) -> Result<FrameRef, Damaged> {
        let place = self.places.next();
        let frame = place.and_then(|place| self.section.frames.get(place.frame as usize));
        frame.copied().ok_or_else(|| {
            let places = self.section.places.len();
            Damaged(format!("the map has {places} places for a segment with more objects"))
        })
    }
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
    /// Between two trees: how many nodes became what.
    nodes: Option<Counts>,
    /// With `--files`: which.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Vec<Change>>,
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
        writeln!(f, "zeroes    {}", text::size(totals.zero_bytes))?;
        if let Some(nodes) = &self.nodes {
            writeln!(f, "nodes     {nodes}")?;
        }
        self.files.iter().flatten().try_for_each(|change| writeln!(f, "{change}"))
    }
}
