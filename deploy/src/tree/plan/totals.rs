//! What a plan adds up to, and whether there is room for it.

use super::Job;
use crate::Error;
use crate::tree::decide::{Action, Decisions, Fate};
use crate::tree::error::{TreeError, TreeRefusal};
use crate::tree::inventory::Inventory;
use crate::tree::nodes::{NONE, What};
use crate::tree::wanted::{self, From};
use crate::tree::{staging, tight};
use std::collections::HashSet;

/// What a file takes at least, and more of, bytes: the block of common file systems.
const BLOCK_BYTES: u64 = 4096;

/// Of the room that is free, so much is left for directories and the file system's own needs: one
/// part in so many.
const SPARE_SHARE: u64 = 16;

/// What a plan adds up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// The same for images: objects that are there, or not, or are copied on the target.
    pub objects: crate::Totals,
    /// What is done with nodes.
    pub nodes: Nodes,
}

/// How many nodes are treated in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Nodes {
    /// All that the labels have.
    pub all: u64,
    /// As they should be.
    pub kept: u64,
    /// Given other metadata only.
    pub changed: u64,
    /// Made where nothing was.
    pub new: u64,
    /// Made in the place of something else.
    pub replaced: u64,
    /// Known to no label, and removed.
    pub removed: u64,
    /// Known to no label, and left: kept by the operator, mounted by others, or above such.
    pub left: u64,
}

/// Room on the target's file system.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Room {
    /// What staged files take, bytes.
    needs_bytes: u64,
    /// How many files and directories are made.
    needs_nodes: u64,
    /// What is given back when all is done, bytes.
    freed_bytes: u64,
    freed_nodes: u64,
    /// What is free, bytes.
    pub(crate) has_bytes: u64,
    /// None where the file system does not count.
    has_nodes: Option<u64>,
}

/// Adds up what is to be done.
pub(super) fn add_up(job: &Job, has: &Inventory, decisions: &Decisions) -> Result<Totals, Error> {
    let mut totals = Totals { nodes: nodes(decisions), ..Totals::default() };
    let mut frames = HashSet::new();
    for (index, action) in (0..).zip(&decisions.actions) {
        let What::File(file) = job.wanted.nodes.what(index) else { continue };
        let file = &job.wanted.files[file as usize];
        match action {
            Action::Keep | Action::Meta => keep(job, file, &mut totals.objects),
            Action::Make => make(job, has, file, &mut totals.objects, &mut frames)?,
            Action::Link | Action::Leave => {}
        }
    }
    let packed =
        frames.iter().map(|(_, _, frame): &(_, _, store::map::FrameRef)| frame.packed_bytes);
    totals.objects.packed_bytes = packed.map(u64::from).sum();
    Ok(totals)
}

fn keep(job: &Job, file: &wanted::File, totals: &mut crate::Totals) {
    for (_, piece) in job.wanted.pieces(file) {
        if piece.object().is_some() {
            totals.kept_objects += 1;
            totals.kept_bytes += piece.length();
        } else {
            totals.zero_kept_bytes += piece.length();
        }
    }
}

fn make(
    job: &Job,
    has: &Inventory,
    file: &wanted::File,
    totals: &mut crate::Totals,
    frames: &mut HashSet<(usize, bool, store::map::FrameRef)>,
) -> Result<(), Error> {
    for (_, piece) in job.wanted.pieces(file) {
        let length = piece.length();
        let Some((digest, from)) = piece.object() else {
            totals.zero_missing_bytes += length;
            continue;
        };
        let From::Label(place) = from else { continue };
        totals.missing_objects += 1;
        totals.missing_bytes += length;
        if has.seed(&digest, length).is_some() {
            totals.moved_objects += 1;
            totals.moved_bytes += length;
        } else {
            let (label, want) = job.want(place, (digest, length), 0)?;
            if job.labels[label].near.as_ref().is_some_and(|near| near.has(&digest)) {
                totals.near_objects += 1;
                totals.near_bytes += length;
                continue;
            }
            let diffs = job.diffs.get(label).and_then(Option::as_ref);
            let by_diff = diffs.and_then(|diffs| diffs.find(&digest, want.length));
            if by_diff.is_some() {
                totals.diff_objects += 1;
                totals.diff_bytes += length;
            }
            // Frames of objects and of diffs are in packs of different tables.
            let frame = by_diff.map_or(want.frame, |(frame, _)| frame);
            frames.insert((label, by_diff.is_some(), frame));
        }
    }
    Ok(())
}

fn nodes(decisions: &Decisions) -> Nodes {
    let mut nodes = Nodes { all: decisions.actions.len() as u64, ..Nodes::default() };
    for (action, at) in decisions.actions.iter().zip(&decisions.at) {
        let counter = match action {
            Action::Keep => &mut nodes.kept,
            Action::Meta => &mut nodes.changed,
            Action::Make | Action::Link if *at == NONE => &mut nodes.new,
            Action::Make | Action::Link => &mut nodes.replaced,
            // Counted among those of the target.
            Action::Leave => continue,
        };
        *counter += 1;
    }
    let count = |fate| decisions.fates.iter().filter(|other| **other == fate).count() as u64;
    (nodes.removed, nodes.left) = (count(Fate::Remove), count(Fate::Stay));
    nodes
}

impl Room {
    /// What is needed and what there is.
    pub(super) fn of(job: &Job, has: &Inventory, decisions: &Decisions) -> Result<Self, TreeError> {
        let stat = job.root.room()?;
        let mut room = Self {
            has_bytes: job.root.free_bytes()?,
            has_nodes: (stat.f_files > 0).then_some(stat.f_ffree),
            ..Self::default()
        };
        room.add_needs(job, has, decisions);
        room.add_freed(has, decisions);
        Ok(room)
    }

    fn add_needs(&mut self, job: &Job, has: &Inventory, decisions: &Decisions) {
        let is_made = |action: &&Action| **action == Action::Make;
        self.needs_nodes = decisions.actions.iter().filter(is_made).count() as u64;
        // What an earlier run staged is there already; of it, what is not wanted any more goes.
        self.freed_bytes = has.staged.iter().map(|(_, file)| allocated(has, *file)).sum();
        for staged in staging::each(job, has, &decisions.actions) {
            let needs = staged.needs_bytes(job, has);
            self.needs_bytes += needs;
            self.freed_bytes -= staged.left.map_or(0, |left| allocated(has, left));
        }
    }

    /// Files of several names, and what others hold open, may not be given back.
    fn add_freed(&mut self, has: &Inventory, decisions: &Decisions) {
        let mut goes: Vec<_> = decisions.fates.iter().map(|fate| *fate == Fate::Remove).collect();
        for (action, at) in decisions.actions.iter().zip(&decisions.at) {
            if *at != NONE && *action == Action::Make {
                goes[*at as usize] = true;
            }
        }
        for (index, _) in (0_u32..).zip(&goes).filter(|(_, goes)| **goes) {
            let is_linked = has.linked.contains(&index) || has.shared.contains(&index);
            let What::File(file) = has.nodes.what(index) else { continue };
            if !is_linked {
                self.freed_nodes += 1;
                self.freed_bytes += allocated(has, file);
            }
        }
    }

    /// A refusal where there is too little, even with all that is given back.
    pub(super) fn check(
        &self,
        job: &Job,
        has: &Inventory,
        decisions: &Decisions,
    ) -> Result<(), TreeRefusal> {
        if decisions.is_nothing() {
            return Ok(());
        }
        let target = || job.root.name().display().to_string();
        let (needs_bytes, has_bytes) =
            (self.needs_bytes.saturating_sub(self.freed_bytes), self.has_bytes);
        if needs_bytes > has_bytes {
            return Err(TreeRefusal::NoRoom { target: target(), needs_bytes, has_bytes });
        }
        let needs = self.needs_nodes.saturating_sub(self.freed_nodes);
        match self.has_nodes {
            Some(has) if needs > has => Err(TreeRefusal::NoInodes { target: target(), needs, has }),
            _ if self.is_tight() => {
                let staged = staging::files(job, has, &decisions.actions);
                tight::check((job, has), decisions, &staged, has_bytes)
            }
            _ => Ok(()),
        }
    }

    /// Whether all that is made can not be made at once.
    pub(crate) fn is_tight(&self) -> bool {
        self.needs_bytes > spared(self.has_bytes)
    }
}

/// What may be used of `free_bytes` at once.
pub(crate) fn spared(free_bytes: u64) -> u64 {
    free_bytes - free_bytes / SPARE_SHARE
}

/// What a file takes on disk by whole blocks, holes apart, bytes.
pub(crate) fn data_bytes(job: &Job, file: &wanted::File) -> u64 {
    let pieces = job.wanted.pieces(file).filter(|(_, piece)| piece.object().is_some());
    pieces.map(|(_, piece)| piece.length()).sum::<u64>().next_multiple_of(BLOCK_BYTES)
}

fn allocated(has: &Inventory, file: u32) -> u64 {
    has.files[file as usize].allocated_bytes
}
