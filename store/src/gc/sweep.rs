//! The journal, and what is deleted by it.

use super::marks::Marks;
use super::plan::Plan;
use super::{GcError, GcOptions};
use crate::Digest;
use crate::dir::journal::{self, Condemned, Moment, NOT_YET};
use crate::dir::lock::lock;
use crate::dir::{DirError, DirStore, users};
use crate::source::Item;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// How many are deleted at once while the store's lock is held: a moment each.
const AT_ONCE: usize = 16;

/// A file, relative to the store, and its length, bytes.
pub(super) type Named = (String, u64);

/// What was condemned before.
pub(super) struct Before {
    condemned: Condemned,
    /// Files of those who may rely on what is condemned now.
    pub(super) users: Vec<PathBuf>,
}

/// Writes what `plan` removes into the journal, with what stood there and still is dead.
pub(super) fn condemn(
    store: &DirStore,
    plan: &Plan,
    options: &GcOptions<'_>,
) -> Result<Before, GcError> {
    let _lock = lock(&store.lock_path())?;
    let now = (options.clock)();
    let old = journal(store, &now)?;
    let mut new = Condemned { boot: now.boot.clone(), ..Condemned::default() };
    let since = |entry: Option<&u64>| entry.copied().unwrap_or(NOT_YET);
    for pack in &plan.dead {
        new.packs.insert(pack.digest, since(old.packs.get(&pack.digest)));
    }
    // Maps lead there until they are moved, whatever a run that was cut has written.
    new.packs.extend(plan.repack.keys().map(|pack| (pack.digest, NOT_YET)));
    for manifest in &plan.manifests {
        new.manifests.insert(*manifest, since(old.manifests.get(manifest)));
    }
    new.write(store)?;
    Ok(Before { condemned: old, users: users::list(store)? })
}

/// Adds `packs` to the journal.
pub(super) fn condemn_packs(
    store: &DirStore,
    packs: &BTreeSet<Digest>,
    options: &GcOptions<'_>,
) -> Result<Before, GcError> {
    let _lock = lock(&store.lock_path())?;
    let now = (options.clock)();
    let old = journal(store, &now)?;
    let mut new = old.clone();
    for pack in packs {
        new.packs.entry(*pack).or_insert(NOT_YET);
    }
    new.write(store)?;
    Ok(Before { condemned: old, users: users::list(store)? })
}

/// Deletes those of `packs` that stand in the journal, and takes them out of it.
pub(super) fn delete_packs(store: &DirStore, packs: &[Digest]) -> Result<Vec<Digest>, GcError> {
    let mut deleted = Vec::new();
    for pack in packs {
        let _lock = lock(&store.lock_path())?;
        let mut condemned = Condemned::read(store)?;
        if !condemned.strike(&[*pack], &[]) {
            continue;
        }
        let is_deleted = delete(store, &Item::Pack(*pack))?.is_some();
        condemned.write(store)?;
        deleted.extend(is_deleted.then_some(*pack));
    }
    Ok(deleted)
}

/// Deletes what of `plan` is dead without writing anything: nobody begins to write meanwhile, for
/// the store's lock is held, and nothing is done while somebody writes who began before. What
/// labels need is looked at once more. Returns how many bytes that freed.
pub(super) fn make_room(store: &DirStore, plan: &Plan) -> Result<u64, GcError> {
    let _lock = lock(&store.lock_path())?;
    if users::wait_until_gone(&users::list(store)?, Duration::ZERO)? > 0 {
        return Ok(0);
    }
    let mut needed = store.list()?;
    for name in store.labels("*")? {
        let failed = |source| GcError::Label { label: name.clone(), source };
        needed.insert(name.clone(), store.read_record(&name).map_err(failed)?.manifest);
    }
    let marks = Marks::read(store, &needed)?;
    let manifests = plan.manifests.iter().filter(|manifest| !marks.has(manifest));
    let packs = plan.dead.iter().map(|pack| &pack.digest).filter(|pack| !marks.needs(pack));
    let items = manifests.flat_map(|manifest| items(*manifest));
    let mut freed = 0;
    for item in items.chain(packs.map(|pack| Item::Pack(*pack))) {
        let path = store.path().join(item.path());
        let Ok(metadata) = fs::metadata(&path) else { continue };
        fs::remove_file(&path).map_err(DirError::io("remove", &path))?;
        freed += metadata.len();
    }
    Ok(freed)
}

/// The journal as of now. One that is damaged is made anew: whoever writes to the store has been
/// told to wait for that, and nothing was deleted by it. After another boot times count anew.
pub(super) fn journal(store: &DirStore, now: &Moment) -> Result<Condemned, GcError> {
    let mut condemned = match Condemned::read(store) {
        Err(DirError::Journal { .. }) => Condemned::default(),
        read => read?,
    };
    if condemned.boot != now.boot {
        let entries = condemned.packs.values_mut().chain(condemned.manifests.values_mut());
        entries.filter(|since| **since != NOT_YET).for_each(|since| *since = now.seconds);
        condemned.boot.clone_from(&now.boot);
    }
    Ok(condemned)
}

/// Takes back what was condemned by this run, and leaves what stood there before as it was.
pub(super) fn withdraw(store: &DirStore, before: &Before) -> Result<(), GcError> {
    let _lock = lock(&store.lock_path())?;
    let mut condemned = Condemned::read(store)?;
    let Condemned { packs, manifests, .. } = &before.condemned;
    restore(&mut condemned.packs, packs);
    restore(&mut condemned.manifests, manifests);
    Ok(condemned.write(store)?)
}

/// What of `now` was there before, as it was.
fn restore(now: &mut BTreeMap<Digest, u64>, before: &BTreeMap<Digest, u64>) {
    now.retain(|name, since| {
        before.get(name).is_some_and(|before| {
            *since = *before;
            true
        })
    });
}

/// Strikes out what is needed after all.
pub(super) fn pardon(
    store: &DirStore,
    packs: &[Digest],
    manifests: &[Digest],
) -> Result<(), GcError> {
    drop(journal::strike(store, packs, manifests)?);
    Ok(())
}

/// Says of all that something may have led to until now that nothing does as of now.
pub(super) fn stamp(store: &DirStore, options: &GcOptions<'_>) -> Result<(), GcError> {
    let _lock = lock(&store.lock_path())?;
    let now = (options.clock)().seconds;
    let mut condemned = Condemned::read(store)?;
    let entries = condemned.packs.values_mut().chain(condemned.manifests.values_mut());
    entries.filter(|since| **since == NOT_YET).for_each(|since| *since = now);
    Ok(condemned.write(store)?)
}

/// What is deleted, and what is not yet.
#[derive(Default)]
pub(super) struct Swept {
    pub(super) removed: Vec<Named>,
    pub(super) pending: Vec<Named>,
}

/// What of `condemned` is to be deleted at `now`, and what later.
pub(super) fn due(store: &DirStore, condemned: &Condemned, now: &Moment, grace_s: u64) -> Swept {
    let mut swept = Swept::default();
    for (item, is_due) in entries(condemned, now, grace_s) {
        let to = if is_due { &mut swept.removed } else { &mut swept.pending };
        to.extend(named(store, &item));
    }
    swept
}

/// All that `condemned` has, and whether it is to be deleted at `now`. Whoever finds a map finds its
/// packs: maps go first.
fn entries(
    condemned: &Condemned,
    now: &Moment,
    grace_s: u64,
) -> impl Iterator<Item = (Item, bool)> {
    let manifests = condemned.manifests.iter();
    let manifests = manifests.flat_map(|(name, since)| items(*name).map(|item| (item, *since)));
    let packs = condemned.packs.iter().map(|(pack, since)| (Item::Pack(*pack), *since));
    let seconds = now.seconds;
    let is_due = move |since: u64| seconds.saturating_sub(since) >= grace_s;
    manifests.chain(packs).map(move |(item, since)| (item, is_due(since)))
}

/// What there may be of a manifest.
fn items(manifest: Digest) -> [Item; 3] {
    [Item::Diffs(manifest), Item::Map(manifest), Item::Manifest(manifest)]
}

/// The item, if it is there.
fn named(store: &DirStore, item: &Item) -> Option<Named> {
    let path = item.path();
    let metadata = fs::metadata(store.path().join(&path)).ok()?;
    Some((path, metadata.len()))
}

/// Deletes what stands in the journal for as long as readers were promised. What was struck out
/// meanwhile stays: the journal is looked at under the lock each time.
pub(super) fn sweep(store: &DirStore, options: &GcOptions<'_>) -> Result<Swept, GcError> {
    let mut swept = Swept::default();
    let mut seen = None;
    let (mut condemned, mut due) = (Condemned::default(), VecDeque::new());
    loop {
        let _lock = lock(&store.lock_path())?;
        let now = (options.clock)();
        let stamp = journal::stamp(store);
        // Nobody but those who strike something out replaces it.
        if seen != Some(stamp) {
            condemned = Condemned::read(store)?;
            let entries = entries(&condemned, &now, options.grace_s);
            due = entries.filter(|(_, is_due)| *is_due).map(|(item, _)| item).collect();
            seen = Some(stamp);
        }
        for item in due.drain(..due.len().min(AT_ONCE)) {
            if let Some((path, bytes)) = delete(store, &item)? {
                swept.removed.push((path, bytes));
            }
        }
        if due.is_empty() {
            swept.pending = keep_pending(store, &mut condemned, &now, options)?;
            return Ok(swept);
        }
    }
}

/// Deletes the item, if it is there.
fn delete(store: &DirStore, item: &Item) -> Result<Option<Named>, DirError> {
    let Some((path, bytes)) = named(store, item) else { return Ok(None) };
    let full = store.path().join(&path);
    match fs::remove_file(&full) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        deleted => deleted.map(|()| Some((path, bytes))).map_err(DirError::io("remove", &full)),
    }
}

/// Takes out of the journal what is gone; returns what is not.
fn keep_pending(
    store: &DirStore,
    condemned: &mut Condemned,
    now: &Moment,
    options: &GcOptions<'_>,
) -> Result<Vec<Named>, GcError> {
    let Swept { pending, .. } = due(store, condemned, now, options.grace_s);
    let waits: BTreeSet<&str> = pending.iter().map(|(path, _)| path.as_str()).collect();
    let there = |item: Item| waits.contains(item.path().as_str());
    condemned.packs.retain(|pack, _| there(Item::Pack(*pack)));
    condemned.manifests.retain(|name, _| items(*name).into_iter().any(there));
    condemned.write(store)?;
    Ok(pending)
}
