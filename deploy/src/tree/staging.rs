//! First half of writing: every file that is new or changed is made whole beside, from what the
//! target has elsewhere, and from what is fetched.

mod clones;
mod copies;
mod resume;
mod sink;

use super::decide::Action;
use super::error::TreeError;
use super::inventory::{Held, Inventory, Seed};
use super::nodes::What;
use super::plan::{Job, data_bytes};
use super::stage::{Stage, staged_name, staged_of};
use super::wanted::From;
use crate::Error;
use crate::fetch::{Sink, Told, Want, fetch_by_diffs, sort};
use crate::meter::add;
use crate::stop::Stop;
use clones::Clones;
use copies::{Copies, Copy};
use resume::Present;
use sink::Files;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use store::Digest;

/// How many objects are planned at once: bounds memory to some 4 MB whatever the size of a label.
const WINDOW_OBJECTS: usize = 32 << 10;

/// Staged files lie so far apart in the addresses that objects are brought to, bytes: what belongs
/// into two files is never put at once.
const GAP_BYTES: u64 = 4096;

/// A file that is made.
pub(crate) struct Staged {
    /// The wanted node.
    pub(crate) node: u32,
    /// Its number among the wanted files.
    file: u32,
    /// Tells it from others with the same content.
    number: u32,
    /// Where its content is, of all that is brought.
    base_bytes: u64,
    size_bytes: u64,
    /// What an earlier run left of it: the number on the target.
    pub(crate) left: Option<u32>,
    /// Something of it is in the staging area: should it be gone from there, it is not made anew,
    /// empty, but an error.
    is_begun: AtomicBool,
    /// It has all its content and metadata.
    is_done: AtomicBool,
}

/// The files that are to be made, in the order of their nodes, with what is there already. However
/// many are made at a time, they have their names from here: each is taken once.
pub(crate) fn files(job: &Job, has: &Inventory, actions: &[Action]) -> Vec<Staged> {
    each(job, has, actions).collect()
}

/// The same, one after another.
pub(crate) fn each(job: &Job, has: &Inventory, actions: &[Action]) -> impl Iterator<Item = Staged> {
    let mut names = Names::new(has);
    let mut next_bytes = 0;
    (0..)
        .zip(actions)
        .filter_map(|(node, action)| match (job.wanted.nodes.what(node), action) {
            (What::File(file), Action::Make) => Some((node, file)),
            _ => None,
        })
        .map(move |(node, file)| {
            let wanted = &job.wanted.files[file as usize];
            let (number, left) = names.take(&job.wanted.id(wanted), node);
            let base_bytes = next_bytes;
            next_bytes += (wanted.size_bytes / GAP_BYTES + 2) * GAP_BYTES;
            let size_bytes = wanted.size_bytes;
            let (is_begun, is_done) = (AtomicBool::default(), AtomicBool::default());
            Staged { node, file, number, base_bytes, size_bytes, left, is_begun, is_done }
        })
}

/// Names for staged files: those that are there first, so that they are not made again.
struct Names {
    /// By content: the numbers in the names, and which of the target's files they are.
    left: HashMap<Digest, Vec<(u32, u32)>>,
    taken: HashSet<(Digest, u32)>,
}

impl Names {
    fn new(has: &Inventory) -> Self {
        let (mut left, mut taken) = (HashMap::<_, Vec<_>>::new(), HashSet::new());
        for (name, file) in has.staged.iter().filter(|_| !has.is_staged_given_up) {
            if let Some((id, number)) = staged_of(name) {
                left.entry(id).or_default().push((number, *file));
                taken.insert((id, number));
            }
        }
        // What is whole is taken before what is not.
        for (id, names) in &mut left {
            names.sort_by_key(|(_, file)| has.id(*file) == Some(*id));
        }
        Self { left, taken }
    }

    /// The number of a file with this content for the wanted node `node`, and what is left of it.
    fn take(&mut self, id: &Digest, node: u32) -> (u32, Option<u32>) {
        if let Some((number, file)) = self.left.get_mut(id).and_then(Vec::pop) {
            return (number, Some(file));
        }
        let mut free = (node..=u32::MAX).chain(0..node);
        let number = free.find(|number| !self.taken.contains(&(*id, *number))).unwrap_or(node);
        if !self.taken.is_empty() {
            self.taken.insert((*id, number));
        }
        (number, None)
    }
}

/// Makes `staged`, files of the area `stage`.
pub(crate) fn make(
    job: &Job,
    has: &Inventory,
    stage: &Stage,
    staged: &[Staged],
) -> Result<(), Error> {
    let files = Files::new(job, stage, staged);
    let mut window = Window::new(job, has, &files);
    let mut clones = Clones::new(job, has, stage);
    for one in staged {
        let present = match one.left {
            Some(left) => resume::look(job, has, left, &files, one)?,
            None => clones.try_clone(one)?,
        };
        if let Present::All = present {
            files.finish(one)?;
            continue;
        }
        let file = &job.wanted.files[one.file as usize];
        for (number, (at, piece)) in job.wanted.pieces(file).enumerate() {
            let Some((digest, from)) = piece.object() else { continue };
            if present.has(number) {
                add(&job.meter.done_bytes, piece.length());
                continue;
            }
            window.add(one.base_bytes + at, (digest, piece.length()), from)?;
        }
    }
    window.bring()?;
    for one in staged {
        files.finish(one)?;
    }
    Ok(())
}

/// Objects that are brought at once.
struct Window<'a> {
    job: &'a Job,
    has: &'a Inventory,
    files: &'a Files<'a>,
    copies: Vec<Copy>,
    /// For each label, what is fetched of it.
    fetches: Vec<Vec<Want>>,
    /// How many objects that is.
    objects: usize,
}

impl<'a> Window<'a> {
    fn new(job: &'a Job, has: &'a Inventory, files: &'a Files<'a>) -> Self {
        Self { job, has, files, copies: Vec::new(), fetches: none(job), objects: 0 }
    }

    fn add(&mut self, at: u64, object: (Digest, u64), from: From) -> Result<(), Error> {
        let (digest, length) = object;
        match (from, self.has.seed(&digest, length)) {
            (From::Overlay, _) => {
                let bytes = self.job.wanted.local.get(&digest).map(|bytes| &bytes[..]);
                self.files.put(at, bytes.unwrap_or_default())?;
            }
            (From::Label(place), Some(seed)) => self.copy(place, seed, digest, at),
            (From::Label(place), None) => self.fetch(place, object, at)?,
        }
        self.objects += 1;
        if self.objects >= WINDOW_OBJECTS {
            self.bring()?;
        }
        Ok(())
    }

    fn copy(&mut self, place: u32, seed: &Seed, digest: Digest, at: u64) {
        self.copies.push(Copy { seed: *seed, place, digest, at });
    }

    fn fetch(&mut self, place: u32, object: (Digest, u64), at: u64) -> Result<(), Error> {
        let (label, want) = self.job.want(place, object, at)?;
        self.fetches[label].push(want);
        Ok(())
    }

    /// Copies and fetches beside each other; then fetches what could not be copied.
    fn bring(&mut self) -> Result<(), Error> {
        let (copies, stop) = (std::mem::take(&mut self.copies), Stop::default());
        let wants = std::mem::replace(&mut self.fetches, none(self.job));
        self.objects = 0;
        let crew = Copies { job: self.job, has: self.has, sink: self.files, stop: &stop };
        let (lost, came) = std::thread::scope(|scope| {
            let copying = (!copies.is_empty()).then(|| scope.spawn(|| crew.run(copies)));
            let came = self.fetch_all(wants, &stop);
            let lost = copying.map_or(Ok(Ok(Vec::new())), std::thread::ScopedJoinHandle::join);
            (lost.unwrap_or(Err(Error::Stopped)), came)
        });
        let lost = match (lost, came) {
            // What stopped the others is said, not that they stopped.
            (Ok(_) | Err(Error::Stopped), Err(error)) => return Err(error),
            (lost, _) => lost?,
        };
        for copy in lost {
            let length = u64::from(copy.seed.length);
            add(&self.job.meter.unmoved_bytes, length);
            self.fetch(copy.place, (copy.digest, length), copy.at)?;
        }
        let wants = std::mem::replace(&mut self.fetches, none(self.job));
        self.fetch_all(wants, &stop)
    }

    /// Fetches from each label what is its own.
    fn fetch_all(&self, fetches: Vec<Vec<Want>>, stop: &Stop) -> Result<(), Error> {
        let holder = Held { root: &self.job.root, has: self.has };
        for (number, mut wants) in fetches.into_iter().enumerate() {
            sort(&mut wants);
            let diffs = self.job.diffs.get(number).and_then(Option::as_ref);
            let told = diffs.map(|diffs| Told { diffs, holder: &holder });
            let label = &self.job.labels[number];
            fetch_by_diffs(label, &wants, told, self.files, stop, &self.job.meter)?;
        }
        Ok(())
    }
}

/// Nothing of each label.
fn none(job: &Job) -> Vec<Vec<Want>> {
    job.labels.iter().map(|_| Vec::new()).collect()
}

impl Staged {
    /// What is still to be written of it, by whole blocks, bytes.
    pub(crate) fn needs_bytes(&self, job: &Job, has: &Inventory) -> u64 {
        let all = data_bytes(job, &job.wanted.files[self.file as usize]);
        let is_there = self.left.map_or(0, |left| has.files[left as usize].allocated_bytes);
        all.saturating_sub(is_there)
    }

    fn begin(&self) {
        self.is_begun.store(true, Ordering::Relaxed);
    }

    /// What it is called in the staging area.
    pub(crate) fn name(&self, job: &Job) -> Vec<u8> {
        staged_name(&job.wanted.id(&job.wanted.files[self.file as usize]), self.number)
    }

    /// What `doing` failed with.
    fn failed(
        &self,
        job: &Job,
        doing: &'static str,
    ) -> impl FnOnce(std::io::Error) -> TreeError + use<> {
        job.root.failed(doing, &job.wanted.nodes.path(self.node))
    }
}
