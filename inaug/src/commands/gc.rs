//! `inaug gc`: deletes what no label needs.

use super::open_dir;
use crate::args::GcArgs;
use crate::exit::Damaged;
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
    let report = gc(&store, &options)?;
    output.answer(&Document::of(args, &report))?;
    match report.damaged.first() {
        Some((pack, why)) if report.is_refused => Err(Damaged(format!(
            "{}: pack {} is needed: {why}; nothing is deleted: inaug verify --heal first",
            args.store.store,
            pack.short()
        ))
        .into()),
        _ => Ok(()),
    }
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
    /// Packs that are needed and are not there or cannot be read; left as they are.
    damaged: Vec<DamageDocument>,
    /// Nothing is deleted because of those.
    refused: bool,
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
            refused: report.is_refused,
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
        let [remove, moving, delete] = if self.dry_run {
            ["to remove", "to move", "to delete"]
        } else {
            ["removed", "moved", "deleted"]
        };
        for label in &self.labels {
            writeln!(f, "{remove:<10}label {label}, not used for the longest time")?;
        }
        if !self.repacked.is_empty() {
            let packs = text::count(self.repacked.len() as u64, "pack");
            let about = if self.dry_run { "about " } else { "" };
            let new = text::size(self.new_bytes);
            writeln!(f, "{moving:<10}what is needed of {packs}, {about}{new}")?;
        }
        if self.dry_run {
            for FileDocument { path, bytes } in &self.removed {
                writeln!(f, "file      {path}, {}", text::size(*bytes))?;
            }
        }
        let (removed, pending) = (self.removed.len() as u64, self.pending.len() as u64);
        let bytes = text::size(self.removed_bytes);
        writeln!(f, "{delete:<10}{}, {bytes}", text::count(removed, "file"))?;
        if pending > 0 {
            let (files, bytes) = (text::count(pending, "file"), text::size(self.pending_bytes));
            let wait = self.grace_s;
            writeln!(
                f,
                "pending   {files}, {bytes}, which readers may know: a gc in {wait} s deletes them"
            )?;
        }
        for DamageDocument { pack, why } in &self.damaged {
            writeln!(f, "damaged   pack {} is needed, and stays as it is: {why}", &pack[..12])?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::StoreDirArg;
    use store::map::PackRef;

    fn shown(dry_run: bool, report: &GcReport) -> String {
        let args = GcArgs {
            store: StoreDirArg { store: "/store".into() },
            dry_run,
            max_size: None,
            keep: Vec::new(),
            grace: 600,
            wait: 0,
        };
        Document::of(&args, report).to_string()
    }

    #[test]
    fn what_is_done_and_what_would_be_reads_well() {
        let pack = PackRef { digest: Digest::of(b"pack"), size_bytes: 2048 };
        let report = GcReport {
            labels: vec!["old".parse().unwrap()],
            removed: vec![("maps/x".into(), 1024)],
            pending: vec![("packs/y".into(), 2048)],
            repacked: vec![pack],
            new_bytes: 1024,
            damaged: vec![(pack.digest, "it is short".into())],
            size_bytes: 4096,
            ..GcReport::default()
        };
        let rest = format!(
            "pending   1 file, 2.00 KiB, which readers may know: a gc in 600 s deletes them\n\
             damaged   pack {} is needed, and stays as it is: it is short\n\
             needed    4.00 KiB\n",
            pack.digest.short()
        );
        let did = "removed   label old, not used for the longest time\n\
                   moved     what is needed of 1 pack, 1.00 KiB\n\
                   deleted   1 file, 1.00 KiB\n";
        assert_eq!(shown(false, &report), format!("{did}{rest}"));
        let would = "to remove label old, not used for the longest time\n\
                     to move   what is needed of 1 pack, about 1.00 KiB\n\
                     file      maps/x, 1.00 KiB\n\
                     to delete 1 file, 1.00 KiB\n";
        assert_eq!(shown(true, &report), format!("{would}{rest}"));
    }
}
