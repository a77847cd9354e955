//! The plan carried out: staged, made durable, put in place, made durable.

use super::commit::Commit;
use super::decide::Action;
use super::error::TreeError;
use super::inventory::{Inventory, Place};
use super::nodes::What;
use super::plan::{Job, Plan};
use super::stage::{Stage, remove_area};
use super::staging;
use crate::Error;
use std::collections::HashSet;
use std::ops::Range;

/// Of the room that is free, so much is left for directories and the file system's own needs: one
/// part in so many.
const SPARE_SHARE: u64 = 16;

/// The labels are on the target; nothing is proven yet.
pub struct Written {
    pub(crate) job: Job,
    /// The target had everything before: it was read and hashed, and not written to.
    pub(crate) is_untouched: bool,
}

/// Carries out `plan`.
pub fn write(plan: Plan) -> Result<Written, Error> {
    if plan.decisions.is_nothing() {
        return keep(plan);
    }
    let objects = plan.totals().objects;
    plan.job.meter.stage(objects.missing_bytes);
    let stage = Stage::open(&plan.job.root)?;
    let is_tight = plan.room.needs_bytes > spared(plan.room.has_bytes);
    let Plan { job, inventory, decisions, .. } = plan;
    let mut commit = Commit::new(&job, &inventory, &decisions, &stage);
    let everything = 0..job.wanted.nodes.len();
    let rounds = if is_tight {
        // First goes what neither labels know nor anything is copied from.
        let seeds = seeds(&job, &inventory, &decisions.actions);
        commit.remove_unknown(|index| !has_seed(&inventory, &seeds, index))?;
        let free = spared(job.root.room()?.f_bavail * job.root.room()?.f_frsize);
        rounds(&job, &decisions.actions, free)
    } else {
        vec![everything]
    };
    for round in rounds {
        let staged = staging::files(&job, &inventory, &decisions.actions, round.clone());
        staging::make(&job, &inventory, &stage, &staged)?;
        job.sync()?;
        let mut next = staged.iter().peekable();
        commit.place(round, |index| {
            next.next_if(|staged| staged.node == index).map(|staged| staged.name(&job))
        })?;
    }
    commit.remove_unknown(|_| true)?;
    finish(&job, commit)?;
    Ok(Written { job, is_untouched: false })
}

/// The staging area goes before the root directory gets its metadata.
fn finish(job: &Job, commit: Commit<'_>) -> Result<(), TreeError> {
    remove_area(&job.root)?;
    commit.finish_directories()?;
    job.sync()
}

/// A target that has everything. A run that was cut off may have written it all and flushed none of
/// it, or have left its staging area.
fn keep(plan: Plan) -> Result<Written, Error> {
    let job = plan.job;
    if job.root.has(store::tree::walk::RESERVED_NAME) {
        remove_area(&job.root)?;
        let stage_less = super::gate::At::Name;
        let meta = job.wanted.nodes.meta(0);
        let at = stage_less(rustix::fd::AsFd::as_fd(&*job.root), b".");
        let set = job.root.hands.set_times(at, &meta);
        set.map_err(job.root.failed("give metadata to", b""))?;
    }
    if !job.root.is_read_only()? {
        job.sync()?;
    }
    Ok(Written { job, is_untouched: true })
}

fn spared(bytes: u64) -> u64 {
    bytes - bytes / SPARE_SHARE
}

/// The files of the target that something is copied from.
fn seeds(job: &Job, has: &Inventory, actions: &[Action]) -> HashSet<u32> {
    let mut seeds = HashSet::new();
    for (index, action) in (0..).zip(actions) {
        let What::File(file) = job.wanted.nodes.what(index) else { continue };
        if *action != Action::Make {
            continue;
        }
        for (_, piece) in job.wanted.pieces(&job.wanted.files[file as usize]) {
            let seed = piece.object().and_then(|(digest, _)| has.seed(&digest, piece.length()));
            seeds.extend(seed.map(|seed| seed.file));
        }
    }
    seeds
}

/// Whether something is copied from the node `index` of the target, or from what is in it.
fn has_seed(has: &Inventory, seeds: &HashSet<u32>, index: u32) -> bool {
    match has.nodes.what(has.nodes.first(index)) {
        What::File(file) => seeds.contains(&file),
        What::Directory => seeds.iter().any(|file| match has.files[*file as usize].place {
            Place::Node(node) => (index..has.nodes.end_of(index)).contains(&node),
            Place::Staged(_) => false,
        }),
        _ => false,
    }
}

/// The nodes in as many parts as it takes that the files staged for each have room in
/// `free_bytes`; a file that has not is a part of its own.
fn rounds(job: &Job, actions: &[Action], free_bytes: u64) -> Vec<Range<u32>> {
    let mut rounds = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, action) in (0..).zip(actions) {
        let What::File(file) = job.wanted.nodes.what(index) else { continue };
        if *action != Action::Make {
            continue;
        }
        let more = super::plan::data_bytes(job, &job.wanted.files[file as usize]);
        if bytes + more > free_bytes && index > start {
            rounds.push(start..index);
            (start, bytes) = (index, 0);
        }
        bytes += more;
    }
    rounds.push(start..job.wanted.nodes.len());
    rounds
}
