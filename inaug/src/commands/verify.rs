//! `inaug verify`: every byte against its digest.

use super::open_dir;
use crate::args::VerifyArgs;
use crate::exit::Damaged;
use crate::output::Output;
use crate::text;
use serde::Serialize;
use std::fmt;
use store::manifest_reader::ReadError;
use store::verify::{Damage, Report, verify};

/// Checks the label, or the whole store.
pub(crate) fn run(args: &VerifyArgs, output: &Output) -> anyhow::Result<()> {
    let store = open_dir(&args.store.store, "verify")?;
    if let Some(label) = &args.label
        && let Err(missing @ ReadError::Source(_)) = store.read_record(label)
    {
        return Err(missing.into());
    }
    let report = verify(&store, args.label.as_ref())?;
    output.answer(&Document::of(args, &report))?;
    let Some(first) = report.damages.first() else { return Ok(()) };
    let places = text::count(report.damages.len() as u64, "place");
    let sentence = format!("{} is damaged in {places}, first: {first}", args.store.store);
    Err(Damaged(sentence).into())
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    store: String,
    /// The label that was checked; none: the whole store.
    label: Option<String>,
    labels: u64,
    manifests: u64,
    packs: u64,
    objects: u64,
    pack_bytes: u64,
    damages: Vec<DamageDocument>,
}

#[derive(Serialize)]
struct DamageDocument {
    object: String,
    expected: String,
    found: String,
    /// The labels that cannot be deployed because of it.
    labels: Vec<String>,
    #[serde(skip)]
    text: String,
}

impl DamageDocument {
    fn of(damage: &Damage) -> Self {
        Self {
            object: damage.object.clone(),
            expected: damage.expected.clone(),
            found: damage.found.clone(),
            labels: damage.labels.iter().map(ToString::to_string).collect(),
            text: damage.to_string(),
        }
    }
}

impl Document {
    fn of(args: &VerifyArgs, report: &Report) -> Self {
        Self {
            schema: "inaug/verify/1",
            store: args.store.store.clone(),
            label: args.label.as_ref().map(ToString::to_string),
            labels: report.labels,
            manifests: report.manifests,
            packs: report.packs,
            objects: report.objects,
            pack_bytes: report.pack_bytes,
            damages: report.damages.iter().map(DamageDocument::of).collect(),
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (labels, packs) = (text::count(self.labels, "label"), text::count(self.packs, "pack"));
        let objects = text::count(self.objects, "object");
        let bytes = text::size(self.pack_bytes);
        writeln!(f, "checked   {labels} and {packs} with {objects}, {bytes}")?;
        for damage in &self.damages {
            writeln!(f, "damaged   {}", damage.text)?;
        }
        if self.damages.is_empty() {
            writeln!(f, "all       as it should be")?;
        }
        Ok(())
    }
}
