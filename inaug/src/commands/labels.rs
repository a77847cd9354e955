//! `inaug labels`: what a store has.

use super::{Facts, open_source};
use crate::args::LabelsArgs;
use crate::output::Output;
use crate::text;
use serde::Serialize;
use std::fmt;
use store::dir::DirStore;
use store::is_url;
use store::label::{LabelName, LabelRecord};
use store::label_list::{self, LABEL_LIST_MAX_BYTES};
use store::manifest_reader::{ReadError, read_label};
use store::source::{Item, Source, SourceError, read_all};

/// Lists the labels that match.
pub(crate) fn run(args: &LabelsArgs, output: &Output) -> anyhow::Result<()> {
    let source = open_source(&args.store)?;
    let glob = args.glob.as_deref().unwrap_or("*");
    let mut labels = Vec::new();
    for name in names(&args.store.store, &*source, glob)? {
        match read_label(&*source, &name) {
            Ok(record) => labels.push(Row::of(&record)),
            // Removed since it was listed.
            Err(ReadError::Source(SourceError::NotFound { .. })) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let document = Document { schema: "inaug/labels/1", store: source.name().to_owned(), labels };
    Ok(output.answer(&document)?)
}

/// A directory is asked itself; over HTTP the store's list must do.
fn names(store: &str, source: &dyn Source, glob: &str) -> anyhow::Result<Vec<LabelName>> {
    if !is_url(store) {
        return Ok(DirStore::open(store)?.labels(glob)?);
    }
    let bytes = read_all(source, &Item::LabelList, LABEL_LIST_MAX_BYTES)?;
    let names = label_list::decode(&bytes)?.into_iter().map(|(name, _)| name);
    Ok(names.filter(|name| label_list::matches(glob, name.as_str())).collect())
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    store: String,
    labels: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    label: String,
    kind: String,
    size_bytes: u64,
    pushed_unix_s: u64,
    manifest: String,
    facts: Facts,
}

impl Row {
    fn of(record: &LabelRecord) -> Self {
        Self {
            label: record.name.to_string(),
            kind: record.kind.clone(),
            size_bytes: record.size_bytes,
            pushed_unix_s: record.pushed_unix_s,
            manifest: record.manifest.to_string(),
            facts: Facts(record.facts.clone()),
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.labels.iter().map(|row| row.label.len()).max().unwrap_or(0).max(5);
        writeln!(f, "{:width$}  kind   {:>10}  {:19}  manifest", "label", "size", "pushed (UTC)")?;
        for row in &self.labels {
            let (size, pushed) = (text::size(row.size_bytes), text::utc(row.pushed_unix_s));
            let digest: String = row.manifest.chars().take(12).collect();
            writeln!(f, "{:width$}  {:5}  {size:>10}  {pushed}  {digest}", row.label, row.kind)?;
        }
        Ok(())
    }
}
