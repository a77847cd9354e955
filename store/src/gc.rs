//! Collecting what no label needs.
//!
//! ```text
//! mark      what each label needs: manifests, and of each pack which objects
//! plan      labels that are to make room, packs that are dead or mostly dead
//! condemn   the journal: whoever begins to write relies on none of it
//! wait      for those who began before
//! mark      again: what they published is needed
//! repack    what is needed of packs that are mostly dead; maps lead there
//! sweep     what has stood in the journal for long enough is deleted
//! ```
//!
//! A cut at any moment loses nothing: until the sweep nothing is deleted, and the sweep deletes
//! only what stands in the journal, which nothing that is needed leads to. The next run takes it
//! from there. Writers and readers go on meanwhile: a map of a label never leads to a
//! pack that is gone; whoever read the map before has the time of grace to finish. One collection at
//! a time.

mod labels;
mod marks;
mod plan;
mod repack;
mod sweep;

use crate::Digest;
use crate::dir::index::keep;
use crate::dir::lock::{open, wait_for};
use crate::dir::packs::frames_bytes;
use crate::dir::{DirError, DirStore, Moment, temp, users};
use crate::label::LabelName;
use crate::manifest_reader::ReadError;
use crate::map::PackRef;
use crate::restock::TakeError;
use marks::Marks;
use plan::{MISSING, Packs, Plan, is_mostly_dead};
use repack::{Repacked, repack};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;
use sweep::Swept;

/// How long what nothing leads to any more stays for readers that know an older map, seconds: a
/// deployment reads a map again when a pack is gone, but other readers may not; this
/// is longer than most of them take for all of an image.
pub const GRACE_S: u64 = 600;

/// How long pushes that began before are waited for: longer than most, and no night.
pub const WAIT: Duration = Duration::from_mins(10);

/// How long the lock is waited for: a process that is being started has all files of its parent
/// for a moment, also those of one that collected.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// How to collect.
pub struct GcOptions<'a> {
    /// Only to say what would be done.
    pub dry_run: bool,
    /// How much packs, manifests and maps may take, bytes: labels that were not used for the
    /// longest time are removed until the rest fits.
    pub max_bytes: Option<u64>,
    /// Patterns of labels that are not removed for that (see [`crate::label_list::matches`]).
    pub keep: Vec<String>,
    /// See [`GRACE_S`].
    pub grace_s: u64,
    /// See [`WAIT`].
    pub wait: Duration,
    /// What time it is.
    pub clock: &'a dyn Fn() -> Moment,
}

/// What a collection did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GcReport {
    /// Labels removed to make room, the least recently used first.
    pub labels: Vec<LabelName>,
    /// Files deleted: their paths in the store and lengths, bytes.
    pub removed: Vec<(String, u64)>,
    /// Files that nothing leads to, which stay for readers that know an older map; a later
    /// collection deletes them.
    pub pending: Vec<(String, u64)>,
    /// Packs that were mostly dead: what is needed of them was moved.
    pub repacked: Vec<PackRef>,
    /// Packs that were written for that. None in a dry run.
    pub new_packs: Vec<PackRef>,
    /// Their bytes; in a dry run, about how many.
    pub new_bytes: u64,
    /// Packs that are needed and are not there or cannot be read, each with why: left as they are.
    pub damaged: Vec<(Digest, String)>,
    /// Whether nothing was deleted because of those: what they held may be in packs that nothing leads
    /// to, where healing finds it.
    pub is_refused: bool,
    /// Bytes of packs, manifests and maps that labels need.
    pub size_bytes: u64,
    /// How much that is above the maximum, because of what is to be kept, bytes.
    pub over_bytes: u64,
    /// Files of writers that were cut, removed.
    pub cleaned_files: usize,
    /// Why the store's index could not be brought up to date: the next push takes longer to
    /// begin, and nothing else is wrong.
    pub index_failure: Option<String>,
}

/// Why nothing was collected, or not all. No label has lost anything.
#[derive(Debug, thiserror::Error)]
pub enum GcError {
    /// Another collection is at work.
    #[error("another gc is at work in this store: it holds {}", path.display())]
    Busy {
        /// The lock file.
        path: PathBuf,
    },
    /// Somebody who began to write before does not end.
    #[error(
        "{writers} of those who began to write before did not end within {waited_s} s: nothing was changed"
    )]
    Waited {
        /// How many.
        writers: usize,
        /// How long was waited, seconds.
        waited_s: u64,
    },
    /// The disk is so full that it cannot be written down what is going to be deleted.
    #[error("there is no room for a list of what to delete: --grace 0 deletes at once what it can")]
    NoRoom {
        /// The failure.
        source: DirError,
    },
    /// A label cannot be read, so that nobody knows what it needs.
    #[error("label {label} cannot be read, so nothing is collected: verify --heal or rm it first")]
    Label {
        /// The label.
        label: LabelName,
        /// The failure.
        source: ReadError,
    },
    /// A manifest could be read a moment ago.
    #[error("what a label needs cannot be read any more")]
    Manifest {
        /// The failure.
        source: ReadError,
    },
    /// A pack that was there a moment ago is gone.
    #[error(
        "pack {} is needed and is not there, so nothing is deleted: verify --heal first", pack.short()
    )]
    Missing {
        /// The pack.
        pack: Digest,
    },
    /// Somebody writes maps without regard to what is being collected.
    #[error(
        "the map of manifest {} was changed meanwhile, so nothing is deleted: run gc again",
        manifest.short()
    )]
    Overtaken {
        /// The manifest.
        manifest: Digest,
    },
    /// Objects could not be moved.
    #[error(transparent)]
    Take(#[from] TakeError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] DirError),
}

/// Collects what no label of `store` needs.
pub fn gc(store: &DirStore, options: &GcOptions<'_>) -> Result<GcReport, GcError> {
    if options.dry_run {
        return rehearse(store, options);
    }
    let _only = only_one(store, LOCK_WAIT)?;
    let cleaned_files = temp::clean(store)?;
    let plan = plan(store, options)?;
    if !plan.damaged.is_empty() {
        return Ok(GcReport { cleaned_files, ..plan.refusal(options) });
    }
    let before = condemn(store, &plan, options)?;
    let freed = free(store, &plan, &before, options);
    // Should this fail as well, what stands in the journal still is not older for it.
    let freed = freed.inspect_err(|_| drop(sweep::withdraw(store, &before)))?;
    let Freed { labels, marks, repacking, repacked: Repacked { stocked, damaged } } = freed;
    let Swept { removed, pending } = sweep::sweep(store, options)?;
    let packs = plan.dead.into_iter().chain(plan.repack.into_keys());
    let is_repacked = |pack: &Digest| repacking.contains(pack) && !damaged.contains_key(pack);
    let mut report = GcReport {
        labels,
        removed,
        pending,
        repacked: packs.filter(|pack| is_repacked(&pack.digest)).collect(),
        new_packs: stocked.packs.clone(),
        new_bytes: stocked.packs.iter().map(|pack| pack.size_bytes).sum(),
        cleaned_files,
        ..GcReport::default()
    };
    report.damaged = damaged.into_iter().collect();
    report.index_failure = index(store, &report, &stocked).err().map(|e| crate::verify::chain(&e));
    report.measure(store, &marks, options)?;
    Ok(report)
}

/// What nothing leads to any more is in the journal.
struct Freed<'a> {
    labels: Vec<LabelName>,
    marks: Marks,
    /// Packs that were mostly dead.
    repacking: BTreeSet<Digest>,
    repacked: Repacked<'a>,
}

/// Once those who began before have ended, sees to it that nothing leads to what is condemned.
fn free<'a>(
    store: &'a DirStore,
    plan: &Plan,
    before: &sweep::Before,
    options: &GcOptions<'_>,
) -> Result<Freed<'a>, GcError> {
    let writers = users::wait_until_gone(&before.users, options.wait)?;
    if writers > 0 {
        return Err(GcError::Waited { writers, waited_s: options.wait.as_secs() });
    }
    let labels = labels::remove(store, &plan.labels)?;
    let marks = Marks::read(store, &labels::names(&labels::all(store, options.dry_run)?))?;
    for pack in marks.needed_packs() {
        if store.pack_with_size(*pack)?.is_none() {
            return Err(GcError::Missing { pack: *pack });
        }
    }
    let repacking = pardon_live(store, plan, &marks)?;
    let repacked = repack(store, &marks, &repacking)?;
    sweep::stamp(store, options)?;
    Ok(Freed { labels, marks, repacking, repacked })
}

/// Writes the journal. Where there is no room even for that, and readers need no grace, first
/// deletes what can be deleted without one.
fn condemn(
    store: &DirStore,
    plan: &Plan,
    options: &GcOptions<'_>,
) -> Result<sweep::Before, GcError> {
    match sweep::condemn(store, plan, options) {
        Err(GcError::Store(source @ DirError::Full { .. })) if options.grace_s > 0 => {
            Err(GcError::NoRoom { source })
        }
        Err(full @ GcError::Store(DirError::Full { .. })) => {
            if sweep::make_room(store, plan)? == 0 {
                return Err(full);
            }
            sweep::condemn(store, plan, options)
        }
        condemned => condemned,
    }
}

/// What would be done, without changing anything.
fn rehearse(store: &DirStore, options: &GcOptions<'_>) -> Result<GcReport, GcError> {
    let mut plan = plan(store, options)?;
    if plan.damaged.iter().any(|(_, why)| why == MISSING) {
        // Another collection may have led a map elsewhere since it was read.
        plan = self::plan(store, options)?;
    }
    if !plan.damaged.is_empty() {
        return Ok(plan.refusal(options));
    }
    let now = (options.clock)();
    let mut condemned = sweep::journal(store, &now)?;
    let packs: BTreeSet<Digest> =
        plan.dead.iter().chain(plan.repack.keys()).map(|pack| pack.digest).collect();
    condemned.packs.retain(|pack, _| packs.contains(pack));
    condemned.manifests.retain(|manifest, _| plan.manifests.contains(manifest));
    for pack in packs {
        condemned.packs.entry(pack).or_insert(now.seconds);
    }
    for manifest in &plan.manifests {
        condemned.manifests.entry(*manifest).or_insert(now.seconds);
    }
    let Swept { removed, pending } = sweep::due(store, &condemned, &now, options.grace_s);
    let over = options.max_bytes.map_or(0, |max| plan.size_bytes.saturating_sub(max));
    Ok(GcReport {
        labels: plan.labels.into_iter().map(|label| label.name).collect(),
        removed,
        pending,
        new_bytes: plan.repack.values().sum(),
        repacked: plan.repack.into_keys().collect(),
        size_bytes: plan.size_bytes,
        over_bytes: over,
        ..GcReport::default()
    })
}

fn plan(store: &DirStore, options: &GcOptions<'_>) -> Result<Plan, GcError> {
    let labels = labels::all(store, options.dry_run)?;
    let mut marks = Marks::read(store, &labels::names(&labels))?;
    // Listed after the labels were: what a writer has put there since is not looked at.
    let packs = Packs::read(store)?;
    Plan::make(store, &packs, &labels, &mut marks, options)
}

/// Takes out of the journal what is needed after all; returns the packs that are mostly dead still.
fn pardon_live(store: &DirStore, plan: &Plan, marks: &Marks) -> Result<BTreeSet<Digest>, GcError> {
    let (mut needed, mut mostly_dead) = (Vec::new(), BTreeSet::new());
    for pack in plan.dead.iter().chain(plan.repack.keys()) {
        if !marks.needs(&pack.digest) {
            continue;
        }
        let live = marks.live_bytes(&pack.digest);
        match frames_bytes(store, pack).filter(|_| !marks.is_pinned(&pack.digest)) {
            Some(frames) if is_mostly_dead(frames, live) => {
                mostly_dead.insert(pack.digest);
            }
            _ => needed.push(pack.digest),
        }
    }
    let manifests: Vec<Digest> =
        plan.manifests.iter().filter(|manifest| marks.has(manifest)).copied().collect();
    sweep::pardon(store, &needed, &manifests)?;
    Ok(mostly_dead)
}

/// Takes the runs that name packs that are gone out of the index, and what was moved into it.
fn index(
    store: &DirStore,
    report: &GcReport,
    stocked: &crate::restock::Stocked<'_>,
) -> Result<(), DirError> {
    let pending: BTreeSet<&str> = report.pending.iter().map(|(path, _)| path.as_str()).collect();
    let is_live = |pack: &PackRef| {
        let path = crate::source::Item::Pack(pack.digest).path();
        !pending.contains(path.as_str())
            && store.pack_with_size(pack.digest).is_ok_and(|found| found == Some(*pack))
    };
    if stocked.packs.is_empty() {
        return keep(store, Vec::new(), &is_live);
    }
    stocked.index(Vec::new(), &is_live)
}

/// Only one collection at a time.
fn only_one(store: &DirStore, wait: Duration) -> Result<File, GcError> {
    let path = store.gc_lock_path();
    let file = open(&path)?;
    wait_for(file, &path, wait)?.ok_or(GcError::Busy { path })
}

impl GcReport {
    /// Says how much stays.
    fn measure(
        &mut self,
        store: &DirStore,
        marks: &Marks,
        options: &GcOptions<'_>,
    ) -> Result<(), GcError> {
        let new: BTreeSet<Digest> = self.new_packs.iter().map(|pack| pack.digest).collect();
        let packs = store.packs_with_sizes()?.into_iter();
        let moved: BTreeSet<Digest> = self.repacked.iter().map(|pack| pack.digest).collect();
        let needed = packs.filter(|pack| {
            new.contains(&pack.digest) || marks.needs(&pack.digest) && !moved.contains(&pack.digest)
        });
        let manifests = marks.manifest_bytes_now(store);
        self.size_bytes = manifests + needed.map(|pack| pack.size_bytes).sum::<u64>();
        self.over_bytes = options.max_bytes.map_or(0, |max| self.size_bytes.saturating_sub(max));
        Ok(())
    }

    /// Bytes that were deleted.
    pub fn removed_bytes(&self) -> u64 {
        self.removed.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Bytes that a later collection deletes.
    pub fn pending_bytes(&self) -> u64 {
        self.pending.iter().map(|(_, bytes)| bytes).sum()
    }
}

/// Deletes those of `packs` that nothing leads to, once those who began to write before have
/// ended; returns them. All labels must be readable: nobody knows what the others need.
pub(crate) fn discard(
    store: &DirStore,
    packs: &BTreeSet<Digest>,
    wait: Duration,
) -> Result<Vec<Digest>, GcError> {
    if packs.is_empty() {
        return Ok(Vec::new());
    }
    // Whoever collects ends, and leaves what is damaged.
    let _only = only_one(store, wait.max(LOCK_WAIT))?;
    let clock = || Moment::now();
    let options = GcOptions {
        dry_run: false,
        max_bytes: None,
        keep: Vec::new(),
        grace_s: 0,
        wait,
        clock: &clock,
    };
    let before = sweep::condemn_packs(store, packs, &options)?;
    let dead = dead(store, packs, &before, wait);
    let dead = dead.inspect_err(|_| drop(sweep::withdraw(store, &before)))?;
    sweep::delete_packs(store, &dead)
}

/// Those of `packs` that nothing leads to; the others are taken out of the journal.
fn dead(
    store: &DirStore,
    packs: &BTreeSet<Digest>,
    before: &sweep::Before,
    wait: Duration,
) -> Result<Vec<Digest>, GcError> {
    let writers = users::wait_until_gone(&before.users, wait)?;
    if writers > 0 {
        return Err(GcError::Waited { writers, waited_s: wait.as_secs() });
    }
    let marks = Marks::read(store, &labels::names(&labels::all(store, false)?))?;
    let (needed, dead): (Vec<_>, Vec<_>) = packs.iter().partition(|pack| marks.needs(pack));
    sweep::pardon(store, &needed, &[])?;
    Ok(dead)
}
