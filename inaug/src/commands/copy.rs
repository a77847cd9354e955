//! `inaug copy`: labels from one store into another.

use super::open::{directory, open_patient};
use crate::args::CopyArgs;
use crate::exit::Usage;
use crate::output::Output;
use crate::text;
use indicatif::ProgressBar;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use store::copy::{CopyOptions, CopyReport, copy_label};
use store::dir::{DirStore, LabelChange};
use store::is_url;
use store::label::LabelName;
use store::label_list::{self, LABEL_LIST_MAX_BYTES};
use store::map::PackRef;
use store::source::{Item, Source, read_all};

/// Copies the labels, one after another.
pub(crate) fn run(args: &CopyArgs, output: &Output) -> anyhow::Result<()> {
    let wanted = wanted(&args.labels)?;
    let to = directory(&args.to, "copy --to")?;
    let from = open_patient(&args.from, &args.access, "--from")?;
    let names = names(wanted, args, &*from)?;
    let store = DirStore::create(to)?;
    let mut labels = Vec::new();
    let options = CopyOptions { force: args.force, ..CopyOptions::default() };
    for name in names {
        let bar = Output::bar("copy", 0);
        bar.set_message(name.to_string());
        let copied = copy_label(&*from, &store, &name, options, &advance(&bar));
        bar.finish_and_clear();
        labels.push(Row::of(&copied?));
    }
    let (from, to) = (args.from.clone(), args.to.clone());
    Ok(output.answer(&Document { schema: "inaug/copy/1", from, to, labels })?)
}

fn advance(bar: &ProgressBar) -> impl Fn(u64, u64) {
    |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    }
}

/// What was asked for, as meant.
enum Wanted {
    Name(LabelName),
    Pattern(String),
}

fn wanted(labels: &[String]) -> Result<Vec<Wanted>, Usage> {
    let one = |text: &String| match text.parse::<LabelName>() {
        _ if text.contains(['*', '?']) => Ok(Wanted::Pattern(text.clone())),
        Ok(name) => Ok(Wanted::Name(name)),
        Err(error) => Err(Usage(error.to_string())),
    };
    labels.iter().map(one).collect()
}

/// The labels asked for: names as they are, patterns by what the store has.
fn names(
    wanted: Vec<Wanted>,
    args: &CopyArgs,
    from: &dyn Source,
) -> anyhow::Result<BTreeSet<LabelName>> {
    let mut names = BTreeSet::new();
    for one in wanted {
        match one {
            Wanted::Name(name) => drop(names.insert(name)),
            Wanted::Pattern(glob) => {
                let found = matching(args, from, &glob)?;
                if found.is_empty() {
                    anyhow::bail!("no label of {} matches {glob}", args.from);
                }
                names.extend(found);
            }
        }
    }
    Ok(names)
}

fn matching(args: &CopyArgs, from: &dyn Source, glob: &str) -> anyhow::Result<Vec<LabelName>> {
    if !is_url(&args.from) {
        return Ok(DirStore::open(&args.from)?.labels(glob)?);
    }
    let bytes = read_all(from, &Item::LabelList, LABEL_LIST_MAX_BYTES)?;
    let names = label_list::decode(&bytes)?.into_iter().map(|(name, _)| name);
    Ok(names.filter(|name| label_list::matches(glob, name.as_str())).collect())
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    from: String,
    to: String,
    labels: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    label: String,
    manifest: String,
    /// `new`, `same`, `facts` or `replaced`: what became of the label.
    change: &'static str,
    /// The manifest that the label named before, if it was replaced.
    replaced: Option<String>,
    objects: u64,
    sent_objects: u64,
    sent_bytes: u64,
    sent_packed_bytes: u64,
    packs: Vec<String>,
    /// Diffs against other labels that are new in the store.
    diffs: u64,
    /// The packs of diffs that were sent as they are, and their bytes.
    diff_packs: Vec<String>,
    diff_bytes: u64,
    /// Why diffs could not be sent, which harms nothing.
    diffs_failure: Option<String>,
    /// Files of writers that were cut, removed.
    cleaned_files: usize,
    /// Why the store's index could not be brought up to date, which harms nothing.
    index_failure: Option<String>,
}

impl Row {
    fn of(report: &CopyReport) -> Self {
        let names = |packs: &[PackRef]| packs.iter().map(|pack| pack.digest.to_string()).collect();
        let (change, replaced) = match report.change {
            LabelChange::New => ("new", None),
            LabelChange::Same => ("same", None),
            LabelChange::Facts => ("facts", None),
            LabelChange::Replaced(old) => ("replaced", Some(old.to_string())),
        };
        Self {
            label: report.record.name.to_string(),
            manifest: report.record.manifest.to_string(),
            change,
            replaced,
            objects: report.objects,
            sent_objects: report.objects_sent,
            sent_bytes: report.sent_raw_bytes,
            sent_packed_bytes: report.sent_packed_bytes,
            packs: names(&report.packs),
            diffs: report.diffs,
            diff_packs: names(&report.diff_packs),
            diff_bytes: report.diff_packs.iter().map(|pack| pack.size_bytes).sum(),
            diffs_failure: report.diffs_failure.clone(),
            cleaned_files: report.cleaned_files,
            index_failure: report.index_failure.clone(),
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.labels {
            let (sent, packed) = (text::size(row.sent_bytes), text::size(row.sent_packed_bytes));
            let objects = text::count(row.sent_objects, "object");
            let change = match row.change {
                "new" => "new",
                "same" => "the same as before",
                "facts" => "new facts, the same content",
                _ => "replaced",
            };
            writeln!(
                f,
                "copied    {}: {change}; sent {objects} of {sent}, packed {packed}",
                row.label
            )?;
            if row.diffs > 0 {
                let (diffs, bytes) = (text::count(row.diffs, "diff"), text::size(row.diff_bytes));
                writeln!(f, "diffs     {diffs} against other labels, {bytes}")?;
            }
            if let Some(failure) = &row.diffs_failure {
                writeln!(f, "diffs     not sent: {failure}")?;
            }
            if let Some(failure) = &row.index_failure {
                writeln!(f, "index     not brought up to date: {failure}")?;
            }
        }
        let sent = self.labels.iter().map(|row| row.sent_packed_bytes + row.diff_bytes).sum();
        let labels = text::count(self.labels.len() as u64, "label");
        writeln!(
            f,
            "in all    {labels}, {} packed, from {} to {}",
            text::size(sent),
            self.from,
            self.to
        )
    }
}
