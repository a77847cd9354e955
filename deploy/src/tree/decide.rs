//! What is to be done with each node. Pure.

use super::error::TreeRefusal;
use super::inventory::Inventory;
use super::keep::Keep;
use super::nodes::{NONE, What};
use super::wanted::Wanted;
use std::cmp::Ordering;
use std::collections::HashMap;
use store::tree::{compare, parent};

/// What is done with a node that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// It is there as it should be.
    Keep,
    /// It is there, and gets other metadata.
    Meta,
    /// It is made anew, in the place of what is there, if anything is.
    Make,
    /// A name is added to another node, in the place of what is there, if anything is.
    Link,
    /// What is there stays, whatever it is: the operator keeps it, or others have mounted it.
    Leave,
}

/// What becomes of a node that is on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is at the path of one that is wanted.
    Wanted,
    /// Nobody knows it.
    Remove,
    /// It stays, though no label knows it.
    Stay,
}

/// What is done with all of them.
#[derive(Debug)]
pub(crate) struct Decisions {
    /// For each node that is wanted.
    pub(crate) actions: Vec<Action>,
    /// For each node that is wanted: the one on the target at its path, or [`NONE`].
    pub(crate) at: Vec<u32>,
    /// For each node on the target.
    pub(crate) fates: Vec<Fate>,
}

impl Decisions {
    /// Whether the target is as it should be.
    pub(crate) fn is_nothing(&self) -> bool {
        self.actions.iter().all(|action| matches!(action, Action::Keep | Action::Leave))
            && !self.fates.contains(&Fate::Remove)
    }
}

/// What makes of what a target `has` what is `wanted`. `shown` makes a path on the target readable.
pub(crate) fn decide(
    wanted: &Wanted,
    has: &Inventory,
    keep: &Keep,
    shown: &dyn Fn(&[u8]) -> String,
) -> Result<Decisions, TreeRefusal> {
    let decisions = Decisions {
        actions: vec![Action::Make; wanted.nodes.len() as usize],
        at: vec![NONE; wanted.nodes.len() as usize],
        fates: vec![Fate::Remove; has.nodes.len() as usize],
    };
    let mut deciding = Deciding { wanted, has, keep, shown, decisions, claims: HashMap::new() };
    deciding.stay()?;
    let (mut want, mut have) = (wanted.nodes.cursor(), has.nodes.cursor());
    loop {
        let order = match (want.here(), have.here()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((_, path)), Some((_, other))) => compare(path, other),
        };
        if let Some((w, path)) = want.here().filter(|_| order.is_le()) {
            match have.here().filter(|_| order.is_eq()) {
                Some((h, _)) => deciding.both(w, h, path)?,
                None => deciding.absent(w, path)?,
            }
            want.next();
        }
        if order.is_ge() {
            have.next();
        }
    }
    Ok(deciding.decisions)
}

/// Who claims a file of several names that are not all the label's to change.
const OPERATOR: u32 = NONE;

struct Deciding<'a> {
    wanted: &'a Wanted,
    has: &'a Inventory,
    keep: &'a Keep,
    shown: &'a dyn Fn(&[u8]) -> String,
    decisions: Decisions,
    /// Of files on the target with several names: the wanted node that each is to be.
    claims: HashMap<u32, u32>,
}

impl Deciding<'_> {
    /// What is kept or mounted stays, with the directories above it.
    fn stay(&mut self) -> Result<(), TreeRefusal> {
        for path in self.keep.paths() {
            self.refuse_through_link(path)?;
            self.refuse_in_unknown(path)?;
        }
        let kept = self.keep.paths().filter_map(|path| self.has.nodes.find(path));
        let kept: Vec<_> = kept.collect();
        for index in kept {
            self.decisions.fates[index as usize] = Fate::Stay;
            self.claims.insert(self.has.nodes.first(index), OPERATOR);
            self.stay_above(index, |path, at, found| TreeRefusal::Kept {
                kept: path,
                path: at,
                found,
            })?;
        }
        for index in &self.has.mounts {
            self.decisions.fates[*index as usize] = Fate::Stay;
            self.stay_above(*index, |path, _, _| TreeRefusal::MountPoint {
                path,
                why: "the label has no directory above it",
            })?;
        }
        Ok(())
    }

    /// A path that leads through a symbolic link names nothing that a walk comes by: it would keep
    /// nothing, now or, where the link is the label's, the next time.
    fn refuse_through_link(&self, kept: &[u8]) -> Result<(), TreeRefusal> {
        let both = [(&self.has.nodes, ""), (&self.wanted.nodes, " in the label")];
        for above in std::iter::successors(parent(kept), |path| parent(path)) {
            for (nodes, whose) in both {
                let Some(found) = nodes.find(above) else { continue };
                let What::Symlink(to) = nodes.what(nodes.first(found)) else { continue };
                let (at, to) = ((self.shown)(above), nodes.text(to).escape_ascii());
                return Err(TreeRefusal::KeepPath {
                    path: kept.escape_ascii().to_string(),
                    expected: "only directories above it",
                    found: format!("{at}, a symbolic link to {to}{whose}"),
                });
            }
        }
        Ok(())
    }

    /// What cannot be looked through is removed with all that is in it.
    fn refuse_in_unknown(&self, kept: &[u8]) -> Result<(), TreeRefusal> {
        for above in std::iter::successors(parent(kept), |path| parent(path)) {
            let Some(found) = self.has.nodes.find(above) else { continue };
            let what = self.has.nodes.what(found);
            if what == What::Unknown && self.keep.keeper_of(above).is_none() {
                return Err(TreeRefusal::KeepPath {
                    path: kept.escape_ascii().to_string(),
                    expected: "only directories above it",
                    found: format!("{}, {}", (self.shown)(above), what.noun()),
                });
            }
        }
        Ok(())
    }

    /// The directories above `index` stay; they must be directories in the label too, if it has
    /// them.
    fn stay_above(
        &mut self,
        index: u32,
        refusal: impl Fn(String, String, &'static str) -> TreeRefusal,
    ) -> Result<(), TreeRefusal> {
        let mut above = self.has.nodes.parent(index);
        while above != NONE {
            let path = self.has.nodes.path(above);
            let is_staying = self.decisions.fates[above as usize] == Fate::Stay;
            if let Some(found) = self.wanted.nodes.find(&path)
                && self.wanted.nodes.what(found) != What::Directory
                && !is_staying
            {
                let what = self.wanted.nodes.what(self.wanted.nodes.first(found)).noun();
                let kept = (self.shown)(&self.has.nodes.path(index));
                return Err(refusal(kept, (self.shown)(&path), what));
            }
            self.decisions.fates[above as usize] = Fate::Stay;
            above = self.has.nodes.parent(above);
        }
        Ok(())
    }

    /// A node whose path the target does not have.
    fn absent(&mut self, w: u32, path: &[u8]) -> Result<(), TreeRefusal> {
        let keeper = self.keep.keeper_of(path).and_then(|keeper| self.has.nodes.find(keeper));
        self.decisions.actions[w as usize] = match self.wanted.nodes.what(w) {
            _ if keeper.is_some() => Action::Leave,
            What::Link(_) => Action::Link,
            _ => Action::Make,
        };
        let holder = self.wanted.nodes.parent(w);
        let held = if holder == NONE { NONE } else { self.decisions.at[holder as usize] };
        if held != NONE && self.has.mounts.contains(&held) && keeper.is_none() {
            let path = (self.shown)(&self.has.nodes.path(held));
            return Err(TreeRefusal::MountPoint { path, why: "the label has something in it" });
        }
        Ok(())
    }

    /// A node whose path the target has.
    fn both(&mut self, w: u32, h: u32, path: &[u8]) -> Result<(), TreeRefusal> {
        self.decisions.at[w as usize] = h;
        let action = self.action(w, h, path)?;
        self.decisions.actions[w as usize] = action;
        let fate = if action == Action::Leave { Fate::Stay } else { Fate::Wanted };
        self.decisions.fates[h as usize] = fate;
        Ok(())
    }

    fn action(&mut self, w: u32, h: u32, path: &[u8]) -> Result<Action, TreeRefusal> {
        if self.keep.keeper_of(path).is_some() {
            return Ok(Action::Leave);
        }
        let (wants, has) = (self.wanted.nodes.what(w), self.has.nodes.what(h));
        if self.has.mounts.contains(&h) {
            if (wants, has) == (What::Directory, What::Directory) {
                return Ok(Action::Leave);
            }
            let why = "the label has something else there";
            return Err(TreeRefusal::MountPoint { path: (self.shown)(path), why });
        }
        if let What::Link(to) = wants {
            return Ok(self.link(to, h));
        }
        let first = self.has.nodes.first(h);
        if !self.is_same(wants, self.has.nodes.what(first)) || !self.claim(w, first) {
            return Ok(Action::Make);
        }
        Ok(if self.wanted.nodes.has_meta_of(w, &self.has.nodes, first) {
            Action::Keep
        } else if self.has.shared.contains(&first) {
            // What others have a name of is not ours to change.
            Action::Make
        } else {
            Action::Meta
        })
    }

    /// A name of the node `to`: whether it is one already.
    fn link(&self, to: u32, h: u32) -> Action {
        let (action, at) = (self.decisions.actions[to as usize], self.decisions.at[to as usize]);
        let stays = matches!(action, Action::Keep | Action::Meta) && at != NONE;
        let is_name = stays && self.has.nodes.first(at) == self.has.nodes.first(h);
        if is_name { Action::Keep } else { Action::Link }
    }

    /// Whether what is there is what is wanted, its metadata apart.
    fn is_same(&self, wants: What, has: What) -> bool {
        match (wants, has) {
            (What::File(wants), What::File(has)) => {
                let wants = &self.wanted.files[wants as usize];
                wants.size_bytes == self.has.files[has as usize].size_bytes
                    && self.has.id(has) == Some(self.wanted.id(wants))
            }
            (What::Symlink(wants), What::Symlink(has)) => {
                self.wanted.nodes.text(wants) == self.has.nodes.text(has)
            }
            (wants, has) => wants == has,
        }
    }

    /// Whether the file `first` of the target is free to be the wanted one `w`.
    fn claim(&mut self, w: u32, first: u32) -> bool {
        let has_more_names = self.has.linked.contains(&first);
        !has_more_names && !self.claims.contains_key(&first)
            || *self.claims.entry(first).or_insert(w) == w
    }
}

#[cfg(test)]
mod tests;
