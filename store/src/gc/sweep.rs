//! The journal, and what is deleted by it.

use super::marks::Marks;
use super::plan::Plan;
use super::{GcError, GcOptions};
use crate::Digest;
use crate::dir::journal::{Condemned, Moment};
use crate::dir::lock::lock;
use crate::dir::{DirError, DirStore, users};
use crate::source::Item;
use std::collections::BTreeSet;
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
    let since = |entry: Option<&u64>| entry.copied().unwrap_or(now.seconds);
    for pack in plan.dead.iter().chain(plan.repack.keys()) {
        new.packs.insert(pack.digest, since(old.packs.get(&pack.digest)));
    }
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
        new.packs.entry(*pack).or_insert(now.seconds);
    }
    new.write(store)?;
    Ok(Before { condemned: old, users: users::list(store)? })
}

/// Deletes those of `packs` that stand in the journal, and takes them out of it.
pub(super) fn delete_packs(store: &DirStore, packs: Vec<&Digest>) -> Result<Vec<Digest>, GcError> {
    let mut deleted = Vec::new();
    for pack in packs {
        let _lock = lock(&store.lock_path())?;
        let mut condemned = Condemned::read(store)?;
        if !condemned.strike(&[*pack], &[]) {
            continue;
        }
        let path = store.path().join(Item::Pack(*pack).path());
        fs::remove_file(&path).map_err(DirError::io("remove", &path))?;
        condemned.write(store)?;
        deleted.push(*pack);
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
    let (live, pinned) = (marks.live_bytes(), marks.pinned());
    let manifests = plan.manifests.iter().filter(|manifest| !marks.has(manifest));
    let is_dead = |pack: &&Digest| !live.contains_key(*pack) && !pinned.contains(*pack);
    let packs = plan.dead.iter().map(|pack| &pack.digest).filter(is_dead);
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
        entries.for_each(|since| *since = now.seconds);
        condemned.boot.clone_from(&now.boot);
    }
    Ok(condemned)
}

/// Takes back what was condemned by this run.
pub(super) fn withdraw(store: &DirStore, before: &Before) -> Result<(), GcError> {
    let _lock = lock(&store.lock_path())?;
    let mut condemned = Condemned::read(store)?;
    condemned.packs.retain(|pack, _| before.condemned.packs.contains_key(pack));
    condemned.manifests.retain(|manifest, _| before.condemned.manifests.contains_key(manifest));
    Ok(condemned.write(store)?)
}

/// Strikes out what is needed after all.
pub(super) fn pardon(
    store: &DirStore,
    packs: &[Digest],
    manifests: &[Digest],
) -> Result<(), GcError> {
    drop(crate::dir::journal::strike(store, packs, manifests)?);
    Ok(())
}

/// Says of all that was condemned by this run that nothing leads to it as of now.
pub(super) fn stamp(
    store: &DirStore,
    before: &Before,
    options: &GcOptions<'_>,
) -> Result<(), GcError> {
    let _lock = lock(&store.lock_path())?;
    let now = (options.clock)().seconds;
    let mut condemned = Condemned::read(store)?;
    let Before { condemned: old, .. } = before;
    for (pack, since) in &mut condemned.packs {
        *since = old.packs.get(pack).copied().unwrap_or(now);
    }
    for (manifest, since) in &mut condemned.manifests {
        *since = old.manifests.get(manifest).copied().unwrap_or(now);
    }
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
    let mut sort = |item: Item, since: u64| {
        let Ok(metadata) = fs::metadata(store.path().join(item.path())) else { return };
        let is_due = now.seconds.saturating_sub(since) >= grace_s;
        let to = if is_due { &mut swept.removed } else { &mut swept.pending };
        to.push((item.path(), metadata.len()));
    };
    // Whoever finds a map finds its packs: maps go first.
    for (manifest, since) in &condemned.manifests {
        for item in items(*manifest) {
            sort(item, *since);
        }
    }
    condemned.packs.iter().for_each(|(pack, since)| sort(Item::Pack(*pack), *since));
    swept
}

/// What there may be of a manifest.
fn items(manifest: Digest) -> [Item; 3] {
    [Item::Diffs(manifest), Item::Map(manifest), Item::Manifest(manifest)]
}

/// Deletes what stands in the journal for as long as readers were promised. What was struck out
/// meanwhile stays: the journal is read again under the lock each time.
pub(super) fn sweep(store: &DirStore, options: &GcOptions<'_>) -> Result<Swept, GcError> {
    let mut swept = Swept::default();
    loop {
        let _lock = lock(&store.lock_path())?;
        let mut condemned = Condemned::read(store)?;
        let Swept { removed: due, pending } =
            due(store, &condemned, &(options.clock)(), options.grace_s);
        for (path, bytes) in due.iter().take(AT_ONCE) {
            let full = store.path().join(path);
            match fs::remove_file(&full) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                deleted => deleted.map_err(DirError::io("remove", &full))?,
            }
            swept.removed.push((path.clone(), *bytes));
        }
        if due.len() > AT_ONCE {
            continue;
        }
        // What is gone need not stand there any more.
        let waits: BTreeSet<&str> = pending.iter().map(|(path, _)| path.as_str()).collect();
        let there = |item: Item| waits.contains(item.path().as_str());
        condemned.packs.retain(|pack, _| there(Item::Pack(*pack)));
        condemned.manifests.retain(|name, _| items(*name).into_iter().any(there));
        condemned.write(store)?;
        swept.pending = pending;
        return Ok(swept);
    }
}
