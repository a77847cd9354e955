//! Where room is short: what goes first, and how many files are made at a time.

use super::decide::{Action, Decisions, Fate};
use super::error::TreeRefusal;
use super::inventory::{Inventory, Place};
use super::nodes::{NONE, What};
use super::plan::Job;
use super::staging::Staged;
use std::collections::HashSet;

/// What of a target something is copied from: it goes last.
pub(crate) struct Seeds {
    files: HashSet<u32>,
    /// For each node, whether it or something in it is such.
    nodes: Vec<bool>,
}

impl Seeds {
    /// What is copied from for the files that `actions` make.
    pub(crate) fn of(job: &Job, has: &Inventory, actions: &[Action]) -> Self {
        let mut files = HashSet::new();
        for (index, action) in (0..).zip(actions) {
            let (What::File(file), Action::Make) = (job.wanted.nodes.what(index), action) else {
                continue;
            };
            for (_, piece) in job.wanted.pieces(&job.wanted.files[file as usize]) {
                let seed = piece.object().and_then(|(digest, _)| has.seed(&digest, piece.length()));
                files.extend(seed.map(|seed| seed.file));
            }
        }
        let mut seeds = Self { files, nodes: vec![false; has.nodes.len() as usize] };
        seeds.mark(has);
        seeds
    }

    fn mark(&mut self, has: &Inventory) {
        for file in &self.files {
            if let Place::Node(node) = has.files[*file as usize].place {
                self.nodes[node as usize] = true;
            }
        }
        // Names come after the first one, and directories before what is in them.
        for index in 0..has.nodes.len() {
            self.nodes[index as usize] |= self.nodes[has.nodes.first(index) as usize];
        }
        for index in (1..has.nodes.len()).rev().filter(|index| has.nodes.parent(*index) != NONE) {
            let is_seed = self.nodes[index as usize];
            self.nodes[has.nodes.parent(index) as usize] |= is_seed;
        }
    }

    /// Whether something is copied from the node `index` of the target, or from what is in it.
    pub(crate) fn has_node(&self, index: u32) -> bool {
        self.nodes[index as usize]
    }

    /// Whether something is copied from this file of the target.
    pub(crate) fn has_file(&self, file: u32) -> bool {
        self.files.contains(&file)
    }
}

/// Names in the staging area that no file of `staged` goes on from, and nothing is copied from.
pub(crate) fn stale<'a>(
    has: &'a Inventory,
    staged: &[Staged],
    seeds: &Seeds,
) -> impl Iterator<Item = &'a [u8]> {
    let used: HashSet<u32> = staged.iter().filter_map(|one| one.left).collect();
    let is_stale = move |file: &u32| !used.contains(file);
    let names = has.staged.iter().filter(move |(_, file)| is_stale(file));
    let files: HashSet<u32> =
        has.staged.iter().map(|(_, file)| *file).filter(|file| seeds.has_file(*file)).collect();
    names.filter(move |(_, file)| !files.contains(file)).map(|(name, _)| &name[..])
}

/// How many of the first of `staged`, one or more, have room in `free_bytes`.
pub(crate) fn fitting(job: &Job, has: &Inventory, staged: &[Staged], free_bytes: u64) -> usize {
    let mut needs_bytes = 0;
    let fits = |one: &&Staged| {
        needs_bytes += one.needs_bytes(job, has);
        needs_bytes <= free_bytes
    };
    staged.iter().take_while(fits).count().max(1).min(staged.len())
}

/// A refusal where a file of `staged` has no room beside what is there, even when all files before it
/// have changed places and what may go first is gone. `free_bytes` are free now.
pub(crate) fn check(
    (job, has): (&Job, &Inventory),
    decisions: &Decisions,
    staged: &[Staged],
    mut free_bytes: u64,
) -> Result<(), TreeRefusal> {
    let seeds = Seeds::of(job, has, &decisions.actions);
    let is_alone = |index: u32| !has.linked.contains(&index) && !has.shared.contains(&index);
    let gives = |index: u32| match has.nodes.what(index) {
        What::File(file) if is_alone(index) => has.files[file as usize].allocated_bytes,
        _ => 0,
    };
    for (index, fate) in (0..).zip(&decisions.fates) {
        if *fate == Fate::Remove && !seeds.has_node(index) {
            free_bytes += gives(index);
        }
    }
    let names: HashSet<&[u8]> = stale(has, staged, &seeds).collect();
    let stale = has.staged.iter().filter(|(name, _)| names.contains(&name[..]));
    free_bytes += stale.map(|(_, file)| has.files[*file as usize].allocated_bytes).sum::<u64>();
    for one in staged {
        let needs_bytes = one.needs_bytes(job, has);
        if needs_bytes > free_bytes {
            let target = job.root.shown(&job.wanted.nodes.path(one.node));
            return Err(TreeRefusal::NoRoom { target, needs_bytes, has_bytes: free_bytes });
        }
        free_bytes -= needs_bytes;
        let at = decisions.at[one.node as usize];
        free_bytes += if at == NONE { 0 } else { gives(at) };
    }
    Ok(())
}
