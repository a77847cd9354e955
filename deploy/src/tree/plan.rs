//! What would be done, as a value that prints itself. Nothing is written.

mod diffs;
mod screen;
mod totals;

pub use totals::{Nodes as NodeTotals, Totals};
pub(crate) use totals::{data_bytes, spared};

use super::decide::{Decisions, decide};
use super::drawn::Drawn;
use super::error::{TreeError, TreeRefusal};
use super::inventory::Inventory;
use super::join::{JoinError, Rule, join};
use super::keep::Keep;
use super::load::{Objects, load};
use super::overlay::Overlay;
use super::rights::{Adapted, Rights};
use super::root::Root;
use super::wanted::{Proof, Wanted};
use super::write::Written;
use crate::diffs::UsableDiffs;
use crate::fetch::Want;
use crate::meter::Meter;
use crate::{Error, Label};
use std::sync::Arc;
use store::Digest;
use totals::Room;

/// Everything one deployment works with; handed from stage to stage.
pub(crate) struct Job {
    pub(crate) root: Arc<Root>,
    pub(crate) labels: Vec<Label>,
    pub(crate) objects: Objects,
    /// For each label, the diffs that bring some of what the target lacks.
    pub(crate) diffs: Vec<Option<UsableDiffs>>,
    pub(crate) wanted: Wanted,
    pub(crate) keep: Keep,
    pub(crate) meter: Arc<Meter>,
}

/// What goes onto a target besides the labels, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Paths that stay as they are.
    pub keep: Keep,
    /// Files that are made for this one machine.
    pub overlay: Overlay,
    /// Who deploys.
    pub rights: Rights,
}

impl Default for Options {
    fn default() -> Self {
        let (keep, overlay) = (Keep::default(), Overlay::default());
        Self { keep, overlay, rights: Rights::of_process() }
    }
}

/// What a deployment would do.
pub struct Plan {
    pub(crate) job: Job,
    pub(crate) inventory: Inventory,
    pub(crate) decisions: Decisions,
    totals: Totals,
    pub(crate) room: Room,
}

/// Finds out what it takes to make of `root`, which has `inventory`, what `labels` joined are.
/// `labels` has one or more.
pub fn plan(
    labels: Vec<Label>,
    root: Arc<Root>,
    inventory: Inventory,
    options: Options,
    meter: Arc<Meter>,
) -> Result<Plan, Error> {
    let Options { keep, overlay, rights } = options;
    Drawn::of(labels, rights, meter)?.under(&overlay)?.plan(root, keep, inventory)
}

/// The plan of a deployment that is under way, for what the target has by now.
pub(crate) fn plan_again(mut job: Job, mut inventory: Inventory) -> Result<Plan, Error> {
    let shown = |path: &[u8]| job.root.shown(path);
    let decisions =
        decide(&job.wanted, &inventory, &job.keep, &shown).map_err(Error::TreeRefused)?;
    if !decisions.is_nothing() && job.root.is_read_only()? {
        let target = job.root.name().display().to_string();
        return Err(Error::TreeRefused(TreeRefusal::ReadOnly { target }));
    }
    let mut room = Room::of(&job, &inventory, &decisions)?;
    if let Err(refusal) = room.check(&job, &inventory, &decisions) {
        if inventory.staged.is_empty() {
            return Err(Error::TreeRefused(refusal));
        }
        // Files that a run has staged before it was cut may stand where an earlier one has no room.
        inventory.give_up_staged();
        room = Room::of(&job, &inventory, &decisions)?;
        room.check(&job, &inventory, &decisions).map_err(Error::TreeRefused)?;
    }
    job.diffs = diffs::choose(&job, &inventory, &decisions)?;
    let totals = totals::add_up(&job, &inventory, &decisions)?;
    Ok(Plan { job, inventory, decisions, totals, room })
}

/// What `labels` joined are, and what messages call them.
pub(crate) fn joined(
    labels: &[Label],
    rights: Rights,
    meter: &Meter,
) -> Result<(String, Wanted), Error> {
    let mut all: Option<(String, Wanted)> = None;
    for (number, label) in labels.iter().enumerate() {
        let name = label.record.name.to_string();
        let one = load(label, Objects::of(&labels[..number]).count(), rights, meter)?;
        all = Some(match all {
            None => (name, one),
            Some((before, wanted)) => {
                let joined = join(&wanted, &one, &Rule::Same);
                let joined = joined.map_err(|error| error.between(&before, &name))?;
                (format!("{before}+{name}"), joined)
            }
        });
    }
    Ok(all.unwrap_or_default())
}

/// What labels called `name` are under `overlay`.
pub(crate) fn under(
    name: &str,
    wanted: Wanted,
    overlay: &Overlay,
    rights: Rights,
) -> Result<Wanted, Error> {
    if overlay.is_empty() {
        return Ok(wanted);
    }
    let (own, weak) = overlay.through_links_of(&wanted.nodes).wanted(rights)?;
    let joined = join(&wanted, &own, &Rule::Second(&weak));
    Ok(joined.map_err(|error| error.between(name, "of this machine's own files"))?)
}

impl JoinError {
    fn between(self, first: &str, second: &str) -> TreeError {
        use super::error::shown;
        match self {
            Self::Differ(path, of_first, of_second) => TreeError::Conflict {
                first: first.to_owned(),
                second: second.to_owned(),
                path: shown(&path),
                of_first,
                of_second,
            },
            Self::Misplaced(path, (expected, found)) => TreeError::Node {
                label: format!("{first}+{second}"),
                path: shown(&path),
                expected,
                found,
            },
        }
    }
}

impl Job {
    /// The want of an object of the labels for the address `at`, and the label's number.
    pub(crate) fn want(
        &self,
        place: u32,
        object: (Digest, u64),
        at: u64,
    ) -> Result<(usize, Want), Error> {
        let want = self.objects.want(&self.labels, place, object, at);
        // Segments are only taken where the map has a place for each of their objects.
        want.ok_or_else(|| Error::Map {
            manifest: self.labels[0].record.manifest,
            segment: 0,
            expected: place as usize + 1,
            found: self.objects.count() as usize,
        })
    }

    /// The same with the target as `reopen` returns it; nothing else has it meanwhile.
    pub(crate) fn reached_anew(
        self,
        reopen: &mut dyn FnMut(Arc<Root>) -> Result<Arc<Root>, Error>,
    ) -> Result<Self, Error> {
        let Self { root, labels, objects, diffs, wanted, keep, meter } = self;
        let root = reopen(root)?;
        Ok(Self { root, labels, objects, diffs, wanted, keep, meter })
    }

    /// Makes everything on the target's file system durable.
    pub(crate) fn sync(&self) -> Result<(), TreeError> {
        let synced = self.meter.time(crate::Limit::Disk, || self.root.hands.sync(&*self.root));
        synced.map_err(self.root.failed("flush the file system of", b""))
    }
}

impl Plan {
    /// What is there and what is not.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Whether the target is as it should be already.
    pub fn nothing_to_do(&self) -> bool {
        self.decisions.is_nothing() && self.inventory.staged.is_empty()
    }

    /// The same plan for the same target as `reopen` returns it; nothing else has it meanwhile.
    pub(crate) fn reached_anew(
        self,
        reopen: &mut dyn FnMut(Arc<Root>) -> Result<Arc<Root>, Error>,
    ) -> Result<Self, Error> {
        Ok(Self { job: self.job.reached_anew(reopen)?, ..self })
    }

    /// Nothing is written, since all is there.
    pub(crate) fn untouched(self) -> Written {
        Written { job: self.job, is_untouched: true }
    }

    /// The labels, in the order in which they were given.
    pub fn labels(&self) -> &[Label] {
        &self.job.labels
    }

    /// The target.
    pub fn root(&self) -> &Arc<Root> {
        &self.job.root
    }

    /// What the target is given otherwise than in the labels, for want of rights.
    pub fn adapted(&self) -> Adapted {
        self.job.wanted.adapted
    }

    /// By what the regular file at `path` is proven, if there is to be one.
    pub(crate) fn proof(&self, path: &[u8]) -> Option<Proof> {
        self.job.wanted.proof(path)
    }

    /// Live counters.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.job.meter
    }
}
