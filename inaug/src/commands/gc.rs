//! `inaug gc`: deletes what no label needs.

use super::open_dir;
use crate::args::GcArgs;
use crate::output::Output;
use crate::text;
use serde::Serialize;
use std::fmt;
use std::time::Duration;
use store::Digest;
use store::dir::Moment;
use store::gc::{GcOptions, GcReport, gc};

/// Collects.
pub(crate) fn run(args: &GcArgs, output: &Output) -> anyhow::Result<()> {
    let store = open_dir(&args.store.store, "gc")?;
    let options = GcOptions {
        dry_run: args.dry_run,
        max_bytes: args.max_size,
        keep: args.keep.clone(),
        grace_s: args.grace,
        wait: Duration::from_secs(args.wait),
        clock: &Moment::now,
    };
    Ok(output.answer(&Document::of(args, &gc(&store, &options)?))?)
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    store: String,
    /// Nothing was done: this is what would be.
    dry_run: bool,
    /// Labels removed for `--max-size`, the least recently used first.
    labels: Vec<String>,
    /// Files deleted.
    removed: Vec<FileDocument>,
    removed_bytes: u64,
    /// Files that the next run deletes, once the time of grace is over.
    pending: Vec<FileDocument>,
    pending_bytes: u64,
    grace_s: u64,
    /// Packs that were mostly dead: what is needed was moved to new ones.
    repacked: Vec<String>,
    new_packs: Vec<String>,
    /// In a dry run about how many.
    new_bytes: u64,
    /// Packs that are needed and cannot be read; left as they are.
    damaged: Vec<DamageDocument>,
    /// What packs, manifests and maps take that labels need.
    size_bytes: u64,
    max_bytes: Option<u64>,
    /// How much that is above the maximum, because of what is to be kept.
    over_bytes: u64,
    /// Files of writers that were cut, removed.
    cleaned_files: usize,
    /// Why the store's index could not be brought up to date, which harms nothing.
    index_failure: Option<String>,
}

#[derive(Serialize)]
struct FileDocument {
    path: String,
    bytes: u64,
}

#[derive(Serialize)]
struct DamageDocument {
    pack: String,
    why: String,
}

fn files(files: &[(String, u64)]) -> Vec<FileDocument> {
    files.iter().map(|(path, bytes)| FileDocument { path: path.clone(), bytes: *bytes }).collect()
}

impl Document {
    fn of(args: &GcArgs, report: &GcReport) -> Self {
        let damage = |(pack, why): &(Digest, String)| DamageDocument {
            pack: pack.to_string(),
            why: why.clone(),
        };
        Self {
            schema: "inaug/gc/1",
            store: args.store.store.clone(),
            dry_run: args.dry_run,
            labels: report.labels.iter().map(ToString::to_string).collect(),
            removed: files(&report.removed),
            removed_bytes: report.removed_bytes(),
            pending: files(&report.pending),
            pending_bytes: report.pending_bytes(),
            grace_s: args.grace,
            repacked: report.repacked.iter().map(|pack| pack.digest.to_string()).collect(),
            new_packs: report.new_packs.iter().map(|pack| pack.digest.to_string()).collect(),
            new_bytes: report.new_bytes,
            damaged: report.damaged.iter().map(damage).collect(),
            size_bytes: report.size_bytes,
            max_bytes: args.max_size,
            over_bytes: report.over_bytes,
            cleaned_files: report.cleaned_files,
            index_failure: report.index_failure.clone(),
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (would, to_be) = if self.dry_run { ("would ", " to be") } else { ("", "") };
        for label in &self.labels {
            writeln!(f, "label     {label}{to_be} removed: not used for the longest time")?;
        }
        if !self.repacked.is_empty() {
            let packs = text::count(self.repacked.len() as u64, "pack");
            let about = if self.dry_run { "about " } else { "" };
            let new = text::size(self.new_bytes);
            writeln!(f, "moved     what is needed of {packs}{to_be}: {about}{new}")?;
        }
        if self.dry_run {
            for FileDocument { path, bytes } in &self.removed {
                writeln!(f, "file      {path}, {}", text::size(*bytes))?;
            }
        }
        let (removed, pending) = (self.removed.len() as u64, self.pending.len() as u64);
        let bytes = text::size(self.removed_bytes);
        writeln!(f, "deleted   {}{to_be}, {bytes}", text::count(removed, "file"))?;
        if pending > 0 {
            let (files, bytes) = (text::count(pending, "file"), text::size(self.pending_bytes));
            let wait = self.grace_s;
            writeln!(
                f,
                "pending   {files}, {bytes}: readers may know them; gc {would}deletes them in {wait} s or later"
            )?;
        }
        for DamageDocument { pack, why } in &self.damaged {
            writeln!(f, "damaged   pack {} is needed and stays: {why}", &pack[..12])?;
        }
        if self.cleaned_files > 0 {
            let files = text::count(self.cleaned_files as u64, "file");
            writeln!(f, "cleaned   {files} of writers that were cut")?;
        }
        if let Some(failure) = &self.index_failure {
            writeln!(
                f,
                "index     not brought up to date, the next push starts slower: {failure}"
            )?;
        }
        writeln!(f, "needed    {}", text::size(self.size_bytes))?;
        if self.over_bytes > 0 {
            let over = text::size(self.over_bytes);
            writeln!(f, "too much  what is to be kept takes {over} more than --max-size")?;
        }
        Ok(())
    }
}
