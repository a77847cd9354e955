//! `inaug push`: an image into the store, under a label.

mod boot;
mod trim;

use super::Stages;
use super::open::directory;
use crate::args::PushArgs;
use crate::output::Output;
use crate::text;
use anyhow::Context;
use indicatif::ProgressBar;
use serde::Serialize;
use std::fmt;
use std::fs::File;
use std::time::{SystemTime, UNIX_EPOCH};
use store::dir::{DirStore, LabelChange};
use store::push::{Done, Progress, PushImage, PushReport, push_image};

/// Pushes the image.
pub(crate) fn run(args: PushArgs, output: &Output) -> anyhow::Result<()> {
    let directory = directory(&args.store.store, "push")?;
    let image = File::open(&args.image)
        .with_context(|| format!("cannot open the image {}", args.image.display()))?;
    let boot = boot::find(&args, &image)?;
    // Held until the push is done: nobody mounts a device whose free space was looked at.
    let trimmed = args.trim.then(|| trim::find(&args.image)).transpose()?;
    let (free, _held) = trimmed.unzip();
    let store = DirStore::create(directory)?;
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let request = PushImage {
        label: args.label,
        image: args.image,
        sector_bytes: None,
        boot: boot.input.clone(),
        facts: args.facts,
        pushed_unix_s: since_1970.context("this machine's clock is before 1970")?.as_secs(),
        force: args.force,
        level: args.level,
        free,
    };
    let bar = Bar(Output::bar("push", 0));
    let pushed = push_image(&store, &request, &bar);
    bar.0.finish_and_clear();
    Ok(output.answer(&Document::of(&request, &args.store.store, &pushed?))?)
}

struct Bar(ProgressBar);

impl Progress for Bar {
    fn advance(&self, done: &Done) {
        self.0.set_length(done.total_bytes);
        self.0.set_position(done.read_bytes);
        let (new, packed) = (text::size(done.new_bytes), text::size(done.packed_bytes));
        self.0.set_message(format!("new {new}, packed {packed}"));
    }
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    label: String,
    store: String,
    manifest: String,
    /// `new`, `same`, `facts` or `replaced`: what became of the label.
    change: &'static str,
    /// The manifest that the label named before, if it was replaced.
    replaced: Option<String>,
    image_bytes: u64,
    zero_bytes: u64,
    /// Free space of file systems, taken for zeroes whatever stands there: with any, the label is
    /// not bit-identical to the image file.
    trimmed_bytes: u64,
    objects: u64,
    new_objects: u64,
    new_bytes: u64,
    new_packed_bytes: u64,
    reused_bytes: u64,
    packs: Vec<String>,
    /// Packs whose index could not be read; what they held was stored again.
    damaged_packs: Vec<String>,
    /// Why the store's index could not be brought up to date: the next push takes longer to
    /// begin, and nothing else is wrong.
    index_failure: Option<String>,
    /// Files of pushes that were cut, removed.
    cleaned_files: usize,
    boot_source: Option<String>,
    /// Stages overlap; those that several threads do add up over the threads.
    seconds: Stages,
    total_seconds: f64,
}

impl Document {
    fn of(request: &PushImage, store: &str, report: &PushReport) -> Self {
        let (change, replaced) = match report.label {
            LabelChange::New => ("new", None),
            LabelChange::Same => ("same", None),
            LabelChange::Facts => ("facts", None),
            LabelChange::Replaced(old) => ("replaced", Some(old.to_string())),
        };
        let seconds = &report.seconds;
        Self {
            schema: "inaug/push/1",
            label: request.label.to_string(),
            store: store.to_owned(),
            manifest: report.manifest.to_string(),
            change,
            replaced,
            image_bytes: report.image_bytes,
            zero_bytes: report.zero_bytes,
            trimmed_bytes: report.trimmed_bytes,
            objects: report.objects,
            new_objects: report.objects_new,
            new_bytes: report.new_raw_bytes,
            new_packed_bytes: report.new_packed_bytes,
            reused_bytes: report.reused_bytes,
            packs: report.packs.iter().map(|pack| pack.digest.to_string()).collect(),
            damaged_packs: report.damaged_packs.iter().map(ToString::to_string).collect(),
            index_failure: report.index_failure.clone(),
            cleaned_files: report.cleaned_files,
            boot_source: request.boot.as_ref().map(|boot| boot.source.clone()),
            seconds: Stages(vec![
                ("index", seconds.index),
                ("read", seconds.read),
                ("hash", seconds.hash),
                ("compress", seconds.compress),
                ("write", seconds.write),
                ("publish", seconds.publish),
            ]),
            total_seconds: seconds.total,
        }
    }

    fn change_sentence(&self) -> String {
        match (self.change, &self.replaced) {
            ("new", _) => "is new".to_owned(),
            ("same", _) => "is the same as before".to_owned(),
            ("facts", _) => "has new facts, and the same content".to_owned(),
            (_, Some(old)) => format!("was {} before", &old[..12]),
            (other, None) => other.to_owned(),
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pushed    {}, which {}", self.label, self.change_sentence())?;
        writeln!(f, "manifest  {}", self.manifest)?;
        let (image, zero) = (text::size(self.image_bytes), text::size(self.zero_bytes));
        writeln!(f, "image     {image}, of that {zero} zeroes")?;
        if self.trimmed_bytes > 0 {
            let trimmed = text::size(self.trimmed_bytes);
            writeln!(
                f,
                "trimmed   {trimmed} of free space: the label is not bit by bit the image file"
            )?;
        }
        let (new, packed) = (text::size(self.new_bytes), text::size(self.new_packed_bytes));
        let objects = text::count(self.new_objects, "object");
        writeln!(f, "stored    {objects} of {new}, packed {packed}")?;
        writeln!(f, "reused    {}", text::size(self.reused_bytes))?;
        if !self.damaged_packs.is_empty() {
            let packs = self.damaged_packs.join(" ");
            writeln!(f, "damaged   {packs}: what was in them was stored again")?;
        }
        if let Some(failure) = &self.index_failure {
            writeln!(
                f,
                "index     not brought up to date, the next push starts slower: {failure}"
            )?;
        }
        if self.cleaned_files > 0 {
            let files = text::count(self.cleaned_files as u64, "file");
            writeln!(f, "cleaned   {files} of pushes that were cut")?;
        }
        let boot = self.boot_source.as_deref().unwrap_or("by its own boot loader");
        writeln!(f, "boot      {boot}")?;
        writeln!(f, "took      {:.1} s", self.total_seconds)
    }
}
