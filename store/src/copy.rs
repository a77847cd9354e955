//! Labels from one store into another, sending only what the other has not.
//!
//! Given a store to read and a directory store, this puts a label there as it is in the first: its
//! record with its facts, its manifest, a map, and its objects. What the directory store has by
//! its index is not read; what is read is proven by its digest before it is stored. Diffs of the
//! label against others come along, as far as they can be had. A cut at any
//! moment leaves every label as it was; packs that were full by then are there, and the next
//! copy finds what is in them.

use crate::diffs::carry;
use crate::dir::journal::strike;
use crate::dir::temp::{self, TempFile, sync_directory};
use crate::dir::{DirError, DirStore, LabelChange, LabelRefusal, label_change, publish_label};
use crate::label::{LabelName, LabelRecord};
use crate::manifest::Manifest;
use crate::manifest_reader::{ReadError, read_label, read_map, read_root};
use crate::map::PackRef;
use crate::objects::read_objects;
use crate::push::catalog::Catalog;
use crate::push::check_map_length;
use crate::restock::{Choice, Placed, Restock, Stocked, TakeError, from, in_map};
use crate::source::{Item, Source};
use crate::{Digest, FormatError};

/// A pack of a copy is closed, named and durable when it has this many bytes: what a cut sends
/// again at most. A terabyte is still some four thousand packs.
pub const COPY_PACK_BYTES: u64 = 256 << 20;

/// How to copy.
#[derive(Debug, Clone, Copy)]
pub struct CopyOptions {
    /// Whether a label that names other content may be replaced.
    pub force: bool,
    /// When a pack is closed, bytes; see [`COPY_PACK_BYTES`].
    pub pack_bytes: u64,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self { force: false, pack_bytes: COPY_PACK_BYTES }
    }
}

/// What a copy did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyReport {
    /// The label's record, the same in both stores now.
    pub record: LabelRecord,
    /// What became of the label in the store it was copied to.
    pub change: LabelChange,
    /// Objects in the manifest, each as often as it is there; 0 where nothing had to be looked
    /// at, because the label was there already.
    pub objects: u64,
    /// Objects that were sent.
    pub objects_sent: u64,
    /// Their bytes.
    pub sent_raw_bytes: u64,
    /// Bytes of the frames that were stored for them.
    pub sent_packed_bytes: u64,
    /// The packs written.
    pub packs: Vec<PackRef>,
    /// Diffs against other labels that are new in the store.
    pub diffs: u64,
    /// The packs of diffs that were sent as they are.
    pub diff_packs: Vec<PackRef>,
    /// Why diffs could not be sent: deployments fetch objects instead, and nothing else is wrong.
    pub diffs_failure: Option<String>,
    /// Files of writers that were cut, removed.
    pub cleaned_files: usize,
    /// Why the store's index could not be brought up to date: the next push takes longer to
    /// begin, and nothing else is wrong.
    pub index_failure: Option<String>,
}

/// Why a copy failed. The labels of the store that was copied to are as they were.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The label, its manifest or its map could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An object could not be had, or could not be stored.
    #[error(transparent)]
    Take(#[from] TakeError),
    /// What came does not fit a store.
    #[error("what is to be copied")]
    Format(#[from] FormatError),
    /// The label names other content there.
    #[error("label {label} is {old} in the store {store}: expected {new}; --force replaces it")]
    Taken {
        /// The label.
        label: LabelName,
        /// The store that was to be copied to.
        store: String,
        /// Digest of the manifest that the label names.
        old: Digest,
        /// Digest of the manifest that was to be copied.
        new: Digest,
    },
    /// The store that was to be copied to failed.
    #[error(transparent)]
    Store(#[from] DirError),
}

/// Copies the label `name` from `source` to `store`; `progress` is told how many bytes of its
/// content were seen to, and how many there are.
pub fn copy_label(
    source: &dyn Source,
    store: &DirStore,
    name: &LabelName,
    options: CopyOptions,
    progress: &dyn Fn(u64, u64),
) -> Result<CopyReport, CopyError> {
    let record = read_label(source, name)?;
    let refused = |refusal| refused(refusal, &record, store);
    label_change(store, &record, options.force).map_err(refused)?;
    let cleaned_files = temp::clean(store)?;
    let catalog = Catalog::read(store)?;
    let mut report = CopyReport {
        record: record.clone(),
        change: LabelChange::Same,
        objects: 0,
        objects_sent: 0,
        sent_raw_bytes: 0,
        sent_packed_bytes: 0,
        packs: Vec::new(),
        diffs: 0,
        diff_packs: Vec::new(),
        diffs_failure: None,
        cleaned_files,
        index_failure: None,
    };
    let mut stocked = None;
    if !is_there(store, &catalog, &record.manifest) {
        let (placed, packs) =
            content(source, store, &catalog, &record.manifest, options.pack_bytes, progress)?;
        report.objects = placed.objects.iter().map(|objects| u64::from(*objects)).sum();
        report.objects_sent = packs.objects();
        report.sent_raw_bytes = packs.raw_bytes;
        report.sent_packed_bytes = packs.packed_bytes;
        report.packs.clone_from(&packs.packs);
        stocked = Some(packs);
    }
    match carry(source, store, &record.manifest, &|pack| catalog.had(pack)) {
        Ok(carried) => (report.diffs, report.diff_packs) = (carried.diffs, carried.packs),
        Err(error) => report.diffs_failure = Some(crate::verify::chain(&error)),
    }
    for directory in ["packs", "manifests", "maps"] {
        sync_directory(&store.path().join(directory))?;
    }
    report.change = publish_label(store, &record, options.force).map_err(refused)?;
    let indexed = stocked.map_or(Ok(()), |stocked| index(store, &catalog, &stocked));
    report.index_failure = indexed.err().map(|error| crate::verify::chain(&error));
    Ok(report)
}

/// Whether all of the manifest is in the store, and is going to stay.
fn is_there(store: &DirStore, catalog: &Catalog<'_>, digest: &Digest) -> bool {
    let Ok((manifest, root_bytes)) = read_root(store, digest) else { return false };
    let Ok(map) = read_map(store, digest, &manifest) else { return false };
    let segments = read_objects(store, &manifest, root_bytes, digest).zip(&map.sections);
    !catalog.condemns(digest)
        && map.packs.iter().all(|pack| catalog.had(pack))
        && segments.into_iter().all(|(segment, section)| {
            segment.is_ok_and(|segment| segment.objects.len() == section.places.len())
        })
}

/// Puts manifest, map and objects into the store; no label leads to them yet.
fn content<'a>(
    source: &dyn Source,
    store: &'a DirStore,
    catalog: &Catalog<'a>,
    digest: &Digest,
    pack_bytes: u64,
    progress: &dyn Fn(u64, u64),
) -> Result<(Placed, Stocked<'a>), CopyError> {
    let (manifest, root_bytes) = read_root(source, digest)?;
    let map = read_map(source, digest, &manifest)?;
    let mut manifest_file = temp::create(store, Item::Manifest(*digest).to_string())?;
    manifest_file.write(&root(&manifest, digest)?)?;
    let total = manifest.segments.iter().map(|segment| segment.span_bytes).sum();
    let mut restock = Restock::new(store, vec![source], pack_bytes);
    let mut placed = restock.begin();
    let mut done = 0;
    for (number, segment) in read_objects(source, &manifest, root_bytes, digest).enumerate() {
        let segment = segment?;
        manifest_file.write(&segment.encoded)?;
        let section = map.sections.get(number);
        let mut choose = |number: usize, object: Digest, _: u32| {
            if let Some(spot) = catalog.find(&object)?
                && let Some(pack) = catalog.packs().get(spot.pack as usize)
            {
                return Ok(Choice::Here(*pack, spot));
            }
            let place = section.and_then(|section| in_map(&map, section, number));
            Ok(place.map_or(Choice::Lost, |(pack, spot)| from(0, pack, spot)))
        };
        restock.segment(&segment.objects, &mut placed, &mut choose, &mut |_, error| Err(error))?;
        done += manifest.segments.get(number).map_or(0, |segment| segment.span_bytes);
        progress(done, total);
    }
    let stocked = restock.finish()?;
    publish(store, &manifest, digest, manifest_file, &stocked, &placed)?;
    Ok((placed, stocked))
}

/// The root's bytes: there is one way to write a root, and they have its digest.
fn root(manifest: &Manifest, digest: &Digest) -> Result<Vec<u8>, FormatError> {
    let root = manifest.encode();
    let found = Digest::of(&root);
    if found == *digest {
        return Ok(root);
    }
    let (expected, found) = (format!("the one way to write {digest}"), found.to_string());
    Err(FormatError { what: "manifest".into(), at: 0, expected, found })
}

/// Gives manifest and map their names.
fn publish(
    store: &DirStore,
    manifest: &Manifest,
    digest: &Digest,
    file: TempFile,
    stocked: &Stocked<'_>,
    placed: &Placed,
) -> Result<(), CopyError> {
    let map = stocked.map(placed)?;
    check_map_length(manifest, map.size_bytes())?;
    let map = map.write(store, &Item::Map(*digest))?;
    file.sync()?;
    let naming = strike(store, &[], &[*digest])?;
    file.rename(store, &Item::Manifest(*digest))?;
    map.rename(store, &Item::Map(*digest))?;
    drop(naming);
    Ok(())
}

fn index(store: &DirStore, catalog: &Catalog<'_>, stocked: &Stocked<'_>) -> Result<(), DirError> {
    let damaged = catalog.damaged();
    let is_live = |pack: &PackRef| {
        let found = || store.pack_with_size(pack.digest);
        !damaged.contains(&pack.digest) && found().is_ok_and(|found| found == Some(*pack))
    };
    catalog.made(|made| stocked.index(made, &is_live))
}

fn refused(refusal: LabelRefusal, record: &LabelRecord, store: &DirStore) -> CopyError {
    match refusal {
        LabelRefusal::Store(error) => CopyError::Store(error),
        LabelRefusal::Taken(old) => CopyError::Taken {
            label: record.name.clone(),
            store: store.path().display().to_string(),
            old,
            new: record.manifest,
        },
    }
}
