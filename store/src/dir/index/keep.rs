//! The runs that have names: opened by a push when it starts, kept few when it ends.

use super::layout::PACKS_MAX;
use super::merge::{MergeError, Sequence, merge};
use super::plan::absorbed;
use super::run::{Run, RunError};
use super::write::{Writer, Written};
use super::{Record, spills};
use crate::Digest;
use crate::dir::lock::lock;
use crate::dir::{DirError, DirStore};
use crate::map::PackRef;
use std::collections::HashSet;
use std::fs::{self, File};
use std::path::PathBuf;

/// A run that has a name.
pub(crate) struct Kept {
    /// Its name.
    pub(crate) name: Digest,
    /// Its content.
    pub(crate) run: Run,
}

/// Records that are to be kept.
pub(crate) struct Source<'a> {
    /// The packs that the records count by, in order of their digests.
    pub(crate) packs: Vec<PackRef>,
    /// About how many records there are.
    pub(crate) count: u64,
    /// The records, in order.
    pub(crate) records: Sequence<'a>,
}

impl<'a> Source<'a> {
    /// All of a run.
    pub(crate) fn of(run: &'a Run) -> Self {
        let (packs, count) = (run.packs().to_vec(), run.records());
        Self { packs, count, records: Box::new(run.iter()) }
    }
}

/// Opens all runs. What is no whole run is removed, and what cannot be read is passed over:
/// they say nothing that the packs do not.
pub(crate) fn open_all(store: &DirStore) -> Result<Vec<Kept>, DirError> {
    // Under the lock, so that no run is replaced between being listed and being opened.
    let _lock = lock(&store.lock_path())?;
    let Ok(entries) = fs::read_dir(directory(store)) else { return Ok(Vec::new()) };
    let mut runs = Vec::new();
    for entry in entries.map_while(Result::ok) {
        let name = entry.file_name().to_str().and_then(|name| name.parse::<Digest>().ok());
        let Some(name) = name else { continue };
        let file = File::open(entry.path()).map_err(RunError::from);
        match file.and_then(|file| Run::open(file, &name)) {
            Ok(run) => runs.push(Kept { name, run }),
            Err(RunError::Format(_)) => remove(store, &name),
            Err(RunError::Io(_)) => {}
        }
    }
    runs.sort_by_key(|kept| kept.name);
    Ok(runs)
}

/// Adds `sources` to the named runs, merging as many of those as [`absorbed`] says, and
/// all that name packs that `is_live` denies or that another run has as well.
pub(crate) fn keep(
    store: &DirStore,
    sources: Vec<Source<'_>>,
    is_live: &dyn Fn(&PackRef) -> bool,
) -> Result<(), DirError> {
    let new = sources.iter().map(|source| source.count).sum();
    let (merging, kept) = choose(open_all(store)?, new, is_live);
    if merging.is_empty() && sources.iter().all(|source| source.packs.is_empty()) {
        return Ok(());
    }
    let covered: HashSet<PackRef> =
        kept.iter().flat_map(|kept| kept.run.packs().iter().copied()).collect();
    let old = merging.iter().map(|kept| Source::of(&kept.run));
    let sources: Vec<_> = old.chain(sources).collect();
    let packs = sources.iter().flat_map(|source| source.packs.iter());
    let mut packs: Vec<PackRef> =
        packs.filter(|pack| !covered.contains(pack) && is_live(pack)).copied().collect();
    packs.sort();
    packs.dedup();
    let written =
        if packs.is_empty() { None } else { Some(merge_all(store, sources, packs, &merging)?) };
    replace(store, written, &merging)
}

/// The runs to merge, and those to leave.
fn choose(
    mut runs: Vec<Kept>,
    new: u64,
    is_live: &dyn Fn(&PackRef) -> bool,
) -> (Vec<Kept>, Vec<Kept>) {
    runs.sort_by_key(|kept| std::cmp::Reverse(kept.run.records()));
    let mut seen = HashSet::new();
    let (mut kept, mut merging): (Vec<_>, Vec<_>) = runs.into_iter().partition(|kept| {
        let packs = kept.run.packs();
        packs.iter().all(|pack| is_live(pack) && !seen.contains(pack))
            && packs.iter().all(|pack| seen.insert(*pack))
    });
    let stale: u64 = merging.iter().map(|kept| kept.run.records()).sum();
    let sizes: Vec<u64> = kept.iter().map(|kept| kept.run.records()).collect();
    let mut absorbed = absorbed(new + stale, &sizes);
    absorbed.sort_unstable();
    for number in absorbed.into_iter().rev() {
        merging.push(kept.swap_remove(number));
    }
    (merging, kept)
}

/// One run of all records of `sources` whose pack is in `packs`. The first sources are
/// the runs `named`; one that cannot be read loses its name.
fn merge_all(
    store: &DirStore,
    sources: Vec<Source<'_>>,
    packs: Vec<PackRef>,
    named: &[Kept],
) -> Result<Written, DirError> {
    if packs.len() as u64 > PACKS_MAX {
        let found = format!("expected at most {PACKS_MAX} packs in a run, found {}", packs.len());
        return Err(DirError::io("write", &directory(store))(std::io::Error::other(found)));
    }
    let inputs = sources.into_iter().map(|source| renumbered(source, &packs)).collect();
    let mut writer = Writer::create(store, packs)?;
    merge(inputs, &mut writer).map_err(|error| match error {
        MergeError::Write(error) => error,
        MergeError::Read(number, error) => {
            named.get(number).into_iter().for_each(|kept| remove(store, &kept.name));
            spills::unreadable(store, error)
        }
    })?;
    writer.finish()
}

/// The records of `source` whose pack is in `packs`, counted by that. Both tables are in
/// order of digests, so the records stay in order.
fn renumbered<'a>(source: Source<'a>, packs: &[PackRef]) -> Sequence<'a> {
    let number = |pack: &PackRef| packs.binary_search(pack).ok().map(|number| number as u32);
    let numbers: Vec<Option<u32>> = source.packs.iter().map(number).collect();
    Box::new(source.records.filter_map(move |record| {
        let renumber = |mut record: Record| {
            record.spot.pack = (*numbers.get(record.spot.pack as usize)?)?;
            Some(record)
        };
        record.map(renumber).transpose()
    }))
}

/// Gives `written` its name, and takes theirs from the runs that are in it.
fn replace(store: &DirStore, written: Option<Written>, merged: &[Kept]) -> Result<(), DirError> {
    let _lock = lock(&store.lock_path())?;
    let name = written.as_ref().map(|written| written.name);
    if let Some(Written { name, file, .. }) = written {
        let directory = directory(store);
        fs::create_dir_all(&directory).map_err(DirError::io("create", &directory))?;
        file.rename_to(&path(store, &name))?;
    }
    for kept in merged.iter().filter(|kept| Some(kept.name) != name) {
        remove(store, &kept.name);
    }
    Ok(())
}

/// Takes a run out of the index. One that cannot be removed is merged again by the next push.
pub(crate) fn remove(store: &DirStore, name: &Digest) {
    fs::remove_file(path(store, name)).ok();
}

fn directory(store: &DirStore) -> PathBuf {
    store.path().join("index")
}

fn path(store: &DirStore, name: &Digest) -> PathBuf {
    directory(store).join(name.to_string())
}
