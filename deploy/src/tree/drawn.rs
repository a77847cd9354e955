//! What is to be on a target, before there is one: labels joined, to be looked into and laid under
//! a machine's own files.

use super::inventory::Inventory;
use super::keep::Keep;
use super::load::Objects;
use super::nodes::What;
use super::overlay::Overlay;
use super::plan::{Job, Plan, joined, plan_again, under};
use super::rights::Rights;
use super::root::Root;
use super::wanted::{From, Proof, Wanted};
use crate::fetch::{Sink, Want, fetch, sort};
use crate::meter::Meter;
use crate::near::NearLink;
use crate::stop::Stop;
use crate::{Error, Label};
use std::collections::HashSet;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};
use store::Digest;
use store::near::Near;
use store::tree::Meta;

/// Labels joined.
pub struct Drawn {
    /// What messages call them.
    name: String,
    labels: Vec<Label>,
    objects: Objects,
    wanted: Wanted,
    rights: Rights,
    meter: Arc<Meter>,
}

/// What it takes to make of nothing what was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Nodes.
    pub nodes: u64,
    /// Objects of files.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What their frames take on the wire, bytes, without those that are near.
    pub packed_bytes: u64,
    /// Objects that are in the store beside the target.
    pub near_objects: u64,
    /// Their bytes.
    pub near_bytes: u64,
}

impl Drawn {
    /// What `labels`, one or more, are together.
    pub fn of(labels: Vec<Label>, rights: Rights, meter: Arc<Meter>) -> Result<Self, Error> {
        let (name, wanted) = joined(&labels, rights, &meter)?;
        let objects = Objects::of(&labels);
        Ok(Self { name, labels, objects, wanted, rights, meter })
    }

    /// The labels, in the order in which they were given.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// Takes from `near` what that has, and puts there what comes from far.
    pub(crate) fn take_near(&mut self, near: &Arc<Near>) {
        for label in &mut self.labels {
            label.near = Some(NearLink::new(Arc::clone(near), &self.meter));
        }
    }

    /// Whether there is a regular file at `path`.
    pub fn has_file(&self, path: &[u8]) -> bool {
        self.wanted.file(path).is_some()
    }

    /// Whether there is anything at `path`.
    pub fn has(&self, path: &[u8]) -> bool {
        self.wanted.nodes.find(path).is_some()
    }

    /// By what the regular file at `path` is proven, if there is one.
    pub(crate) fn proof(&self, path: &[u8]) -> Option<Proof> {
        self.wanted.proof(path)
    }

    /// The metadata of the regular file at `path`.
    pub fn meta(&self, path: &[u8]) -> Option<Meta> {
        self.wanted.file(path)?;
        let index = self.wanted.nodes.find(path)?;
        Some(self.wanted.nodes.meta(self.wanted.nodes.first(index)))
    }

    /// What the regular file at `path` is to have, if there is one and it has at most `limit_bytes`:
    /// from the target where that has it, else fetched.
    pub fn read(
        &self,
        path: &[u8],
        limit_bytes: u64,
        has: Option<(&Root, &Inventory)>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = self.wanted.file(path).filter(|file| file.size_bytes <= limit_bytes)
        else {
            return Ok(None);
        };
        let content = Content(Mutex::new(vec![0; file.size_bytes as usize]));
        let mut wants: Vec<(usize, Want)> = Vec::new();
        for (at, piece) in self.wanted.pieces(file) {
            let Some((digest, from)) = piece.object() else { continue };
            let found = match from {
                From::Overlay => self.wanted.local.get(&digest).map(|bytes| bytes.to_vec()),
                From::Label(_) => has.and_then(|has| local_copy(has, &digest, piece.length())),
            };
            match (found, from) {
                (Some(bytes), _) => content.put(at, &bytes)?,
                (None, From::Label(place)) => {
                    wants.extend(self.want(place, (digest, piece.length()), at));
                }
                (None, From::Overlay) => {}
            }
        }
        for (number, label) in self.labels.iter().enumerate() {
            let of_label = wants.iter().filter(|(label, _)| *label == number);
            let mut wants: Vec<Want> = of_label.map(|(_, want)| want.clone()).collect();
            sort(&mut wants);
            fetch(label, &wants, &content, &Stop::default(), &self.meter)?;
        }
        Ok(Some(content.0.into_inner().unwrap_or_else(PoisonError::into_inner)))
    }

    /// The same under a machine's own files.
    pub fn under(self, overlay: &Overlay) -> Result<Self, Error> {
        let wanted = under(&self.name, self.wanted, overlay, self.rights)?;
        Ok(Self { wanted, ..self })
    }

    /// What it takes where there is nothing yet.
    pub fn needs(&self) -> Needs {
        let nodes = u64::from(self.wanted.nodes.len());
        let (mut needs, mut frames) = (Needs { nodes, ..Needs::default() }, HashSet::new());
        for file in &self.wanted.files {
            for (_, piece) in self.wanted.pieces(file) {
                let Some((digest, From::Label(place))) = piece.object() else { continue };
                needs.objects += 1;
                needs.bytes += piece.length();
                let want = self.want(place, (digest, piece.length()), 0);
                let near = want.as_ref().and_then(|(label, _)| self.labels[*label].near.as_ref());
                if near.is_some_and(|near| near.has(&digest)) {
                    needs.near_objects += 1;
                    needs.near_bytes += piece.length();
                    continue;
                }
                frames.extend(want.map(|(label, want)| (label, want.frame)));
            }
        }
        needs.packed_bytes = frames.iter().map(|(_, frame)| u64::from(frame.packed_bytes)).sum();
        needs
    }

    /// Finds out what it takes to make it of `root`, which has `inventory`.
    pub fn plan(self, root: Arc<Root>, keep: Keep, inventory: Inventory) -> Result<Plan, Error> {
        let Self { labels, objects, mut wanted, meter, .. } = self;
        wanted.nodes.part_links(|path| keep.keeper_of(path).map(<[u8]>::to_vec));
        let diffs = Vec::new();
        plan_again(Job { root, labels, objects, diffs, wanted, keep, meter }, inventory)
    }

    /// What messages call the labels.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The nodes, and the pieces of files.
    pub(crate) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Live counters.
    pub(crate) fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Whether something that is no directory is where `path` leads, links followed.
    pub(crate) fn leads_to_program(&self, path: &[u8]) -> bool {
        let found = Overlay::default().follow(&self.wanted.nodes, path);
        let found = found.and_then(|path| self.wanted.nodes.find(&path));
        let what = found.map(|index| self.wanted.nodes.what(self.wanted.nodes.first(index)));
        matches!(what, Some(What::File(_)))
    }

    /// The want of an object of the labels for the address `at`, and the label's number.
    pub(crate) fn want_of(
        &self,
        place: u32,
        object: (Digest, u64),
        at: u64,
    ) -> Result<(usize, Want), Error> {
        // Segments are only taken where the map has a place for each of their objects.
        self.want(place, object, at).ok_or_else(|| Error::Map {
            manifest: self.labels[0].record.manifest,
            segment: 0,
            expected: place as usize + 1,
            found: self.objects.count() as usize,
        })
    }

    fn want(&self, place: u32, object: (Digest, u64), at: u64) -> Option<(usize, Want)> {
        self.objects.want(&self.labels, place, object, at)
    }
}

/// The object from where the target is said to have it, if that is true.
fn local_copy((root, has): (&Root, &Inventory), digest: &Digest, length: u64) -> Option<Vec<u8>> {
    let seed = has.seed(digest, length)?;
    let path = has.path_of(seed.file)?;
    let mut bytes = vec![0; length as usize];
    root.file(&path).ok()?.read_exact_at(&mut bytes, seed.offset_bytes).ok()?;
    (Digest::of(&bytes) == *digest).then_some(bytes)
}

/// A file in memory.
struct Content(Mutex<Vec<u8>>);

impl Sink for Content {
    fn put(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let mut content = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = offset as usize;
        // Pieces of a file lie within it.
        content[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}
