//! The plan carried out: staged, made durable, put in place, made durable.

use super::commit::Commit;
use super::decide::Action;
use super::error::TreeError;
use super::gate::At;
use super::inventory::Inventory;
use super::plan::{Job, Plan, spared};
use super::stage::{STAGE, Stage, remove_area};
use super::staging::{self, Staged};
use super::tight::{Seeds, fitting, stale};
use crate::Error;
use rustix::fd::AsFd;

/// The labels are on the target; nothing is proven yet.
pub struct Written {
    pub(crate) job: Job,
    /// The target had everything before: it was read and hashed, and not written to.
    pub(crate) is_untouched: bool,
}

/// Carries out `plan`.
pub fn write(plan: Plan) -> Result<Written, Error> {
    plan.job.root.claim().map_err(Error::TreeRefused)?;
    if plan.decisions.is_nothing() {
        return keep(plan);
    }
    let objects = plan.totals().objects;
    plan.job.meter.stage(objects.missing_bytes);
    let stage = Stage::open(&plan.job.root)?;
    let is_tight = plan.room.is_tight();
    let Plan { job, inventory, decisions, .. } = plan;
    let mut commit = Commit::new(&job, &inventory, &decisions, &stage);
    let staged = staging::files(&job, &inventory, &decisions.actions);
    if is_tight {
        make_room(&mut commit, &stage, (&job, &inventory), &decisions.actions, &staged)?;
    }
    let (mut nodes, mut rest) = (job.wanted.nodes.cursor(), &staged[..]);
    loop {
        let count = if is_tight {
            fitting(&job, &inventory, rest, spared(job.root.free_bytes()?))
        } else {
            rest.len()
        };
        let (round, later) = rest.split_at(count);
        staging::make(&job, &inventory, &stage, round)?;
        job.sync()?;
        let mut next = round.iter().peekable();
        let end = later.first().map_or(job.wanted.nodes.len(), |staged| staged.node);
        commit.place(&mut nodes, end, |index| {
            next.next_if(|staged| staged.node == index).map(|staged| staged.name(&job))
        })?;
        if later.is_empty() {
            break;
        }
        rest = later;
    }
    commit.remove_unknown(|_| true)?;
    finish(&job, commit)?;
    Ok(Written { job, is_untouched: false })
}

/// First goes what neither labels know nor anything is copied from.
fn make_room(
    commit: &mut Commit<'_>,
    stage: &Stage,
    (job, has): (&Job, &Inventory),
    actions: &[Action],
    staged: &[Staged],
) -> Result<(), TreeError> {
    let seeds = Seeds::of(job, has, actions);
    for name in stale(has, staged, &seeds) {
        stage.remove(name).map_err(job.root.failed("remove", STAGE))?;
    }
    commit.remove_unknown(|index| !seeds.has_node(index))
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
    // What was left on what nobody can write to now stays.
    if !job.root.is_read_only()? {
        if remove_area(&job.root)? {
            let at = At::Name(job.root.as_fd(), b".");
            let set = job.root.hands.set_times(at, &job.wanted.nodes.meta(0));
            set.map_err(job.root.failed("give metadata to", b""))?;
        }
        job.sync()?;
    }
    Ok(Written { job, is_untouched: true })
}
