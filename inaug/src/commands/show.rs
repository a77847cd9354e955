//! `inaug show`: what a label is.

mod listing;

use super::read::AnySegment;
use super::{BootDocument, Facts, open_source, read};
use crate::args::ShowArgs;
use crate::exit::Usage;
use crate::output::Output;
use crate::text;
use listing::Row;
use serde::Serialize;
use std::collections::HashSet;
use std::fmt;
use store::manifest::{Entry, Gpt, Kind, Manifest};
use store::map::Map;

/// Shows the label.
pub(crate) fn run(args: &ShowArgs, output: &Output) -> anyhow::Result<()> {
    let source = open_source(&args.store)?;
    let label = read::label(&*source, &args.label)?;
    let mut content = Content::default();
    let mut listing = args.files.then(Vec::new);
    for segment in label.segments(&*source) {
        let segment = segment?;
        content.add(&segment);
        if let (AnySegment::Tree(tree), Some(listing)) = (&segment, &mut listing) {
            listing.extend(Row::all(tree));
        }
    }
    if args.files && label.manifest.image().is_some() {
        let sentence = format!("{} is an image: it has no list of files", args.label);
        return Err(Usage(sentence).into());
    }
    let (record, image) = (&label.record, label.manifest.image());
    let document = Document {
        schema: "inaug/show/1",
        label: record.name.to_string(),
        store: source.name().to_owned(),
        kind: record.kind.clone(),
        manifest: record.manifest.to_string(),
        pushed_unix_s: record.pushed_unix_s,
        facts: Facts(record.facts.clone()),
        size_bytes: label.manifest.size_bytes(),
        nodes: nodes(&label.manifest),
        sector_bytes: image.map(|image| image.sector_bytes),
        gpt: image.and_then(|image| image.gpt.as_ref()).map(GptDocument::of),
        data_bytes: content.data_bytes,
        zero_bytes: content.zero_bytes,
        objects: content.objects.len() as u64,
        segments: label.manifest.segments.len(),
        manifest_bytes: read::manifest_bytes(&label),
        packed_bytes: packed_bytes(&label.map),
        packs: label.map.packs.len(),
        boot: boot(&label.manifest),
        files: listing,
    };
    Ok(output.answer(&document)?)
}

/// What the segments add up to.
#[derive(Default)]
struct Content {
    data_bytes: u64,
    zero_bytes: u64,
    objects: HashSet<store::Digest>,
}

impl Content {
    fn add(&mut self, segment: &AnySegment) {
        for entry in segment.entries() {
            match entry {
                Entry::Zero { length } => self.zero_bytes += length,
                Entry::Data { digest, length } => {
                    self.data_bytes += u64::from(*length);
                    self.objects.insert(*digest);
                }
            }
        }
    }
}

/// What the map's frames take in packs: what a machine with an empty disk fetches.
fn packed_bytes(map: &Map) -> u64 {
    let mut seen = HashSet::new();
    let frames = map.sections.iter().flat_map(|section| &section.frames);
    frames.filter(|frame| seen.insert(**frame)).map(|frame| u64::from(frame.packed_bytes)).sum()
}

fn nodes(manifest: &Manifest) -> Option<u64> {
    match &manifest.kind {
        Kind::Image(_) => None,
        Kind::Tree(tree) => Some(tree.nodes),
    }
}

fn boot(manifest: &Manifest) -> Option<BootDocument> {
    manifest.boot.as_ref().map(BootDocument::of)
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    label: String,
    store: String,
    kind: String,
    manifest: String,
    pushed_unix_s: u64,
    facts: Facts,
    size_bytes: u64,
    /// Of a tree, its nodes.
    nodes: Option<u64>,
    sector_bytes: Option<u32>,
    gpt: Option<GptDocument>,
    data_bytes: u64,
    zero_bytes: u64,
    objects: u64,
    segments: usize,
    manifest_bytes: u64,
    packed_bytes: u64,
    packs: usize,
    boot: Option<BootDocument>,
    /// With `--files`: the nodes of a tree, in its order.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Vec<Row>>,
}

#[derive(Serialize)]
struct GptDocument {
    alternate_lba: u64,
    last_usable_lba: u64,
    protective_sectors: u32,
}

impl GptDocument {
    fn of(gpt: &Gpt) -> Self {
        Self {
            alternate_lba: gpt.alternate_lba,
            last_usable_lba: gpt.last_usable_lba,
            protective_sectors: gpt.protective_sectors,
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "label     {}", self.label)?;
        writeln!(f, "kind      {}", self.kind)?;
        writeln!(f, "manifest  {}", self.manifest)?;
        writeln!(f, "pushed    {} UTC", text::utc(self.pushed_unix_s))?;
        for (key, value) in &self.facts.0 {
            writeln!(f, "fact      {key}={value}")?;
        }
        writeln!(f, "size      {} ({} bytes)", text::size(self.size_bytes), self.size_bytes)?;
        if let Some(sector_bytes) = self.sector_bytes {
            writeln!(f, "sectors   {sector_bytes} bytes")?;
        }
        match (&self.gpt, self.nodes) {
            (Some(gpt), _) => {
                writeln!(f, "table     GPT, backup at sector {}", gpt.alternate_lba)?;
            }
            (None, None) => writeln!(f, "table     no GPT")?,
            (None, Some(nodes)) => writeln!(f, "nodes     {nodes}")?,
        }
        let (data, zero) = (text::size(self.data_bytes), text::size(self.zero_bytes));
        writeln!(f, "content   {data} of data, {zero} of zeroes")?;
        let (objects, segments) =
            (text::count(self.objects, "object"), text::count(self.segments as u64, "segment"));
        writeln!(f, "objects   {objects} in {segments}")?;
        let packed = text::size(self.packed_bytes);
        writeln!(f, "packed    {packed} in {}", text::count(self.packs as u64, "pack"))?;
        match &self.boot {
            Some(boot) => boot.fmt(f)?,
            None if self.nodes.is_some() => writeln!(f, "boot      no kernel is known")?,
            None => writeln!(f, "boot      by its own boot loader: no kernel is known")?,
        }
        self.files.iter().flatten().try_for_each(|row| writeln!(f, "{row}"))
    }
}
