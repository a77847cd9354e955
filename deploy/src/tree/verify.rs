//! What is on the target, read back from its disk, compared with what is to be there, and written
//! once more where it differs.

use super::decide::{Action, Fate};
use super::error::TreeError;
use super::inventory::{Cache, take};
use super::nodes::{NONE, What};
use super::plan::{Job, Plan, plan_again};
use super::root::Root;
use super::stage::STAGE;
use super::wanted::Proof;
use super::write::{Written, write};
use crate::Error;
use crate::stop::Stop;
use crate::verify::ReadBack;
use std::sync::Arc;

/// A target that holds its labels, proven by reading it back.
pub struct Verified {
    pub(crate) job: Job,
    /// All of it was read back from its disk.
    pub(crate) is_read_back: bool,
}

impl Verified {
    /// The target.
    pub(crate) fn root(&self) -> &Root {
        &self.job.root
    }

    /// By what the regular file at `path` is proven, if there is one.
    pub(crate) fn proof(&self, path: &[u8]) -> Option<Proof> {
        self.job.wanted.proof(path)
    }

    /// The same with the target as `reopen` returns it; nothing else has it meanwhile.
    pub(crate) fn reached_anew(
        self,
        reopen: &mut dyn FnMut(Arc<Root>) -> Result<Arc<Root>, Error>,
    ) -> Result<Self, Error> {
        Ok(Self { job: self.job.reached_anew(reopen)?, ..self })
    }
}

/// Reads everything back, what the kernel remembers of files dropped, and repairs once what is not
/// as it should be. What was found to be right and not written to is not read a second time: it was
/// compared, but what was hashed may have come from memory.
pub fn verify(written: Written, read_back: ReadBack) -> Result<Verified, Error> {
    verify_anew(written, read_back, &mut Ok)
}

/// The same, where `reopen` gives up the target and returns it as it is read from its disk.
pub(crate) fn verify_anew(
    written: Written,
    read_back: ReadBack,
    reopen: &mut dyn FnMut(Arc<Root>) -> Result<Arc<Root>, Error>,
) -> Result<Verified, Error> {
    if read_back == ReadBack::No || written.is_untouched {
        return Ok(Verified { job: written.job, is_read_back: false });
    }
    let plan = look(written.job.reached_anew(reopen)?)?;
    if plan.nothing_to_do() {
        return Ok(Verified { job: plan.job, is_read_back: true });
    }
    let plan = look(write(plan)?.job.reached_anew(reopen)?)?;
    if plan.nothing_to_do() {
        return Ok(Verified { job: plan.job, is_read_back: true });
    }
    Err(wrong(&plan).into())
}

fn look(job: Job) -> Result<Plan, Error> {
    let root = Arc::clone(&job.root);
    let inventory = take(&root, &job.keep, Cache::Dropped, &job.meter, &Stop::default())?;
    plan_again(job, inventory).map_err(|error| match error {
        // It is said when nothing was written; here, something was.
        Error::TreeRefused(source) => TreeError::Repair { source }.into(),
        error => error,
    })
}

/// The first thing that is wrong; of directories, which differ when something in them does, only
/// where nothing else is.
fn wrong(plan: &Plan) -> TreeError {
    let (decisions, wanted, has) = (&plan.decisions, &plan.job.wanted, &plan.inventory);
    let is_wrong =
        |index: &u32| !matches!(decisions.actions[*index as usize], Action::Keep | Action::Leave);
    let is_directory = |index: &u32| wanted.nodes.what(*index) == What::Directory;
    let mut all = (0..wanted.nodes.len()).filter(is_wrong);
    let other = all.find(|index| !is_directory(index));
    let unknown = decisions.fates.iter().position(|fate| *fate == Fate::Remove);
    if let (None, Some(unknown)) = (other, unknown) {
        let path = plan.job.root.shown(&has.nodes.path(unknown as u32));
        let (expected, found) = ("nothing".to_owned(), has.describe(unknown as u32));
        return TreeError::ReadBack { path, expected, found };
    }
    let Some(index) = other.or_else(|| (0..wanted.nodes.len()).find(is_wrong)) else {
        let (path, expected) = (plan.job.root.shown(STAGE), "nothing".to_owned());
        return TreeError::ReadBack { path, expected, found: "staged files".to_owned() };
    };
    let path = plan.job.root.shown(&wanted.nodes.path(index));
    let found = match decisions.at[index as usize] {
        NONE => "nothing".to_owned(),
        at => has.describe(at),
    };
    TreeError::ReadBack { path, expected: wanted.describe(index), found }
}
