//! `inaug verify`: every byte against its digest.

use super::open::open_patient;
use super::open_dir;
use crate::args::VerifyArgs;
use crate::exit::Damaged;
use crate::output::Output;
use crate::text;
use serde::Serialize;
use std::fmt;
use store::Digest;
use store::gc::WAIT;
use store::heal::{Healed, verify_and_heal};
use store::manifest_reader::ReadError;
use store::verify::{Damage, Report, verify};

/// Checks the label, or the whole store.
pub(crate) fn run(args: &VerifyArgs, output: &Output) -> anyhow::Result<()> {
    let store = open_dir(&args.store.store, "verify")?;
    if let (Some(label), None) = (&args.label, &args.heal)
        && let Err(missing @ ReadError::Source(_)) = store.read_record(label)
    {
        return Err(missing.into());
    }
    let (report, healed) = match &args.heal {
        None => (verify(&store, args.label.as_ref())?, None),
        Some(second) => {
            let second = open_patient(second, &args.access, "--heal")?;
            let healed = verify_and_heal(&store, args.label.as_ref(), &*second, WAIT);
            healed.map(|(report, healed)| (report, Some(healed)))?
        }
    };
    output.answer(&Document::of(args, &report, healed.as_ref()))?;
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
    /// What is wrong; with `--heal`, what is wrong still.
    damages: Vec<DamageDocument>,
    /// With `--heal`, what was healed.
    healed: Option<HealedDocument>,
}

#[derive(Serialize)]
struct HealedDocument {
    store: String,
    records: Vec<String>,
    manifests: Vec<String>,
    maps: Vec<String>,
    /// Manifests whose diffs were taken anew.
    diffs: Vec<String>,
    /// Objects that were moved out of damaged packs, or taken.
    objects: u64,
    object_bytes: u64,
    taken_objects: u64,
    removed_packs: Vec<String>,
    /// What stands against healing the rest.
    obstacles: Vec<String>,
}

impl HealedDocument {
    fn of(store: &str, healed: &Healed) -> Self {
        let hex = |digests: &[Digest]| digests.iter().map(ToString::to_string).collect();
        Self {
            store: store.to_owned(),
            records: healed.records.iter().map(ToString::to_string).collect(),
            manifests: hex(&healed.manifests),
            maps: hex(&healed.maps),
            diffs: hex(&healed.diffs),
            objects: healed.objects,
            object_bytes: healed.object_bytes,
            taken_objects: healed.taken_objects,
            removed_packs: hex(&healed.removed_packs),
            obstacles: healed.obstacles.clone(),
        }
    }
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
    fn of(args: &VerifyArgs, report: &Report, healed: Option<&Healed>) -> Self {
        let second = args.heal.as_deref().unwrap_or_default();
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
            healed: healed.map(|healed| HealedDocument::of(second, healed)),
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (labels, packs) = (text::count(self.labels, "label"), text::count(self.packs, "pack"));
        let objects = text::count(self.objects, "object");
        let bytes = text::size(self.pack_bytes);
        writeln!(f, "checked   {labels} and {packs} with {objects}, {bytes}")?;
        if let Some(healed) = &self.healed {
            write!(f, "{healed}")?;
        }
        for damage in &self.damages {
            writeln!(f, "damaged   {}", damage.text)?;
        }
        if self.damages.is_empty() {
            writeln!(f, "all       as it should be")?;
        }
        Ok(())
    }
}

impl fmt::Display for HealedDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (objects, bytes) = (text::count(self.objects, "object"), text::size(self.object_bytes));
        let (taken, store) = (self.taken_objects, &self.store);
        if self.objects > 0 {
            writeln!(
                f,
                "healed    {objects}, {bytes}, in new packs; {taken} of them from {store}"
            )?;
        }
        for name in &self.records {
            writeln!(f, "healed    the record of {name}, from {store}")?;
        }
        for digest in &self.manifests {
            writeln!(f, "healed    manifest {}, from {store}", &digest[..12])?;
        }
        for digest in &self.maps {
            writeln!(f, "healed    the map of manifest {}", &digest[..12])?;
        }
        for digest in &self.diffs {
            writeln!(f, "healed    diffs of manifest {}, from {store}", &digest[..12])?;
        }
        for digest in &self.removed_packs {
            writeln!(f, "removed   pack {}, which was damaged", &digest[..12])?;
        }
        for obstacle in &self.obstacles {
            writeln!(f, "not       {obstacle}")?;
        }
        Ok(())
    }
}
