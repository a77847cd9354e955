//! Healing a store from another one.
//!
//! Given what verifying found, this moves what is sound out of packs that are damaged, takes
//! what is lost from the second store, proven by its digest like all else, and leads the maps there.
//! Manifests and records that are lost are taken as well, where their digest is known. A pack that
//! nothing leads to any more is removed. A cut at any moment leaves the store no worse than it was.

mod content;
mod second;

use crate::Digest;
use crate::diffs::{carry, prune};
use crate::dir::journal::strike;
use crate::dir::packs::has_ends;
use crate::dir::temp::{self, sync_directory};
use crate::dir::users::register;
use crate::dir::{DirError, DirStore, LabelRefusal, publish_label};
use crate::gc::discard;
use crate::label::LabelName;
use crate::manifest_reader::{ReadError, read_label, read_root};
use crate::map::PackRef;
use crate::objects::read_objects;
use crate::restock::TakeError;
use crate::source::{Item, Source};
use crate::verify::{Packs, Report, chain, look, refresh};
use std::collections::BTreeMap;
use std::time::Duration;

/// What was healed, and what there is to be said of the rest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Healed {
    /// Labels whose records were taken.
    pub records: Vec<LabelName>,
    /// Manifests that were taken.
    pub manifests: Vec<Digest>,
    /// Manifests whose maps were made anew.
    pub maps: Vec<Digest>,
    /// Manifests whose diffs were taken anew.
    pub diffs: Vec<Digest>,
    /// Objects that were moved out of damaged packs, or taken.
    pub objects: u64,
    /// Their bytes.
    pub object_bytes: u64,
    /// Of those, objects that were taken from the second store.
    pub taken_objects: u64,
    /// Damaged packs that were removed.
    pub removed_packs: Vec<Digest>,
    /// What stands against healing the rest, in words.
    pub obstacles: Vec<String>,
}

/// How often it is tried to heal while others collect and push: each of them must have come between
/// two steps of this.
const ATTEMPTS_MAX: u32 = 4;

/// Why healing ended early.
#[derive(Debug, thiserror::Error)]
pub enum HealError {
    /// What was found could not be stored.
    #[error(transparent)]
    Take(#[from] TakeError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] DirError),
}

/// Verifies `label`, or all of `store`; heals what is damaged from `second`, and verifies again,
/// waiting up to `wait` for others who write before a damaged pack is removed. Returns what is
/// wrong still.
pub fn verify_and_heal(
    store: &DirStore,
    label: Option<&LabelName>,
    second: &dyn Source,
    wait: Duration,
) -> Result<(Report, Healed), HealError> {
    let mut healed = Healed::default();
    let mut looked = look(store, label)?;
    for _ in 0..ATTEMPTS_MAX {
        let (report, packs) = &mut looked;
        if report.is_clean() {
            break;
        }
        temp::clean(store)?;
        healed.obstacles.clear();
        let is_done = attempt(store, label, second, (report, packs), &mut healed)?;
        match discard(store, &packs.damaged(), wait) {
            Ok(removed) => healed.removed_packs.extend(removed),
            Err(error) => healed.obstacles.push(format!("damaged packs stay: {}", chain(&error))),
        }
        looked = look(store, label)?;
        if is_done {
            break;
        }
    }
    Ok((looked.0, healed))
}

/// Heals what can be; `false` where others were at work and it is to be done again.
fn attempt(
    store: &DirStore,
    label: Option<&LabelName>,
    second: &dyn Source,
    (report, packs): (&mut Report, &mut Packs),
    healed: &mut Healed,
) -> Result<bool, HealError> {
    // What is relied on from here on stays; until now, packs may have come and gone.
    let user = register(store)?;
    refresh(store, label, packs, user.condemned.packs.keys().copied().collect(), report)?;
    let labels = labels(store, label)?;
    let manifests = manifests(&labels);
    for manifest in &manifests {
        let taken = take_manifest(store, second, manifest, healed);
        taken.or_else(|error| healed.note(&Item::Manifest(*manifest), error))?;
    }
    let is_done = content::heal(store, second, packs, &manifests, healed)?;
    for manifest in &manifests {
        take_diffs(store, second, manifest, packs, healed)?;
    }
    for (name, manifest) in &labels {
        let taken = take_record(store, second, name, *manifest, healed);
        taken.or_else(|error| healed.note(&Item::Label(name.clone()), error))?;
    }
    Ok(is_done)
}

impl Healed {
    fn note(&mut self, item: &Item, failure: Failure) -> Result<(), HealError> {
        match failure {
            Failure::Store(error) => Err(error.into()),
            Failure::Read(error) => {
                self.obstacles.push(format!("{item}: {}", chain(&error)));
                Ok(())
            }
        }
    }
}

/// Why something was not taken.
enum Failure {
    /// The second store does not have it, or has something else.
    Read(ReadError),
    /// This store failed.
    Store(DirError),
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<DirError> for Failure {
    fn from(error: DirError) -> Self {
        Self::Store(error)
    }
}

/// Labels with the manifests they name, as far as that is known: by their records, or, where those
/// cannot be read, by the list of labels.
fn labels(
    store: &DirStore,
    label: Option<&LabelName>,
) -> Result<BTreeMap<LabelName, Option<Digest>>, DirError> {
    let listed = store.list()?;
    let mut labels: BTreeMap<_, _> =
        listed.into_iter().map(|(name, manifest)| (name, Some(manifest))).collect();
    for name in store.labels("*")? {
        match store.read_record(&name) {
            Ok(record) => drop(labels.insert(name, Some(record.manifest))),
            Err(_) => drop(labels.entry(name).or_default()),
        }
    }
    labels.retain(|name, _| label.is_none_or(|label| label == name));
    Ok(labels)
}

fn manifests(labels: &BTreeMap<LabelName, Option<Digest>>) -> Vec<Digest> {
    let mut manifests: Vec<_> = labels.values().flatten().copied().collect();
    manifests.sort();
    manifests.dedup();
    manifests
}

/// Takes the manifest from `second` if it cannot be read.
fn take_manifest(
    store: &DirStore,
    second: &dyn Source,
    digest: &Digest,
    healed: &mut Healed,
) -> Result<(), Failure> {
    let whole = |source: &dyn Source, put: &mut dyn FnMut(&[u8]) -> Result<(), DirError>| {
        let (manifest, root_bytes) = read_root(source, digest)?;
        put(&manifest.encode())?;
        for segment in read_objects(source, &manifest, root_bytes, digest) {
            put(&segment?.encoded)?;
        }
        Ok::<_, Failure>(())
    };
    if whole(store, &mut |_| Ok(())).is_ok() {
        return Ok(());
    }
    let item = Item::Manifest(*digest);
    let mut file = temp::create(store, item.to_string())?;
    whole(second, &mut |bytes| file.write(bytes))?;
    file.sync()?;
    let naming = strike(store, &[], &[*digest])?;
    file.rename(store, &item)?;
    drop(naming);
    sync_directory(&store.path().join("manifests"))?;
    healed.manifests.push(*digest);
    Ok(())
}

/// Takes diffs anew whose packs are damaged or gone; those that `second` has not are done without.
fn take_diffs(
    store: &DirStore,
    second: &dyn Source,
    manifest: &Digest,
    packs: &Packs,
    healed: &mut Healed,
) -> Result<(), DirError> {
    // To heal one label, packs of diffs were not looked at.
    let is_sound = |pack: &PackRef| {
        packs.sound(&pack.digest) == Some(*pack)
            || packs.is_unknown(&pack.digest) && has_ends(store, pack)
    };
    if prune(store, manifest, &is_sound)?
        && carry(second, store, manifest, &is_sound).is_ok_and(|carried| carried.diffs > 0)
    {
        healed.diffs.push(*manifest);
    }
    Ok(())
}

/// Takes the record of `name` from `second` if it cannot be read, and is known to have been of
/// `manifest`.
fn take_record(
    store: &DirStore,
    second: &dyn Source,
    name: &LabelName,
    manifest: Option<Digest>,
    healed: &mut Healed,
) -> Result<(), Failure> {
    if store.read_record(name).is_ok() {
        return Ok(());
    }
    let record = read_label(second, name)?;
    let Some(expected) = manifest else {
        healed.obstacles.push(format!("label {name}: nobody knows what it was"));
        return Ok(());
    };
    if record.manifest != expected {
        let found = record.manifest.short();
        let sentence = format!("label {name}: it was {}, and is {found} there", expected.short());
        healed.obstacles.push(sentence);
        return Ok(());
    }
    match publish_label(store, &record, false) {
        Ok(_) => healed.records.push(name.clone()),
        Err(LabelRefusal::Store(error)) => return Err(error.into()),
        // Somebody has pushed it meanwhile.
        Err(LabelRefusal::Taken(_)) => {}
    }
    Ok(())
}
