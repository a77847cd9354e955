//! What a target has: its nodes, and where on it which objects are. It needs no label, so it can
//! be taken while a machine still waits for its own.
//!
//! One thread walks, others read, cut and hash the files. What is kept is walked past, and what
//! others have mounted is not entered.

mod hashing;
mod seeds;

use super::error::TreeError;
use super::keep::Keep;
use super::nodes::{Misplaced, Nodes, What};
use super::root::Root;
use super::stage::STAGE;
use crate::Error;
use crate::diffs::Holder;
use crate::meter::{Meter, add};
use crate::stop::{Stop, Stopper};
use hashing::{Hashed, Hashers};
use rustix::fs::{Advice, fadvise};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread::JoinHandle;
use store::Digest;
use store::diffs::Part;
use store::tree::walk::{self, Mounts, Skipped, Walk, WalkOptions, Walked};
use store::tree::{Meta, NodeKind};

/// What a target has.
#[derive(Debug, Default)]
pub struct Inventory {
    pub(crate) nodes: Nodes,
    /// Regular files, by their numbers.
    pub(crate) files: Vec<Have>,
    /// What each file's content is; see [`Inventory::id`].
    ids: Vec<Digest>,
    /// Names of staged files that an earlier run left, with their numbers among `files`.
    pub(crate) staged: Vec<(Vec<u8>, u32)>,
    /// Nothing goes on from what is staged: the room it takes is needed.
    pub(crate) is_staged_given_up: bool,
    /// Where something else is mounted.
    pub(crate) mounts: HashSet<u32>,
    /// Nodes, by their first names, that have several.
    pub(crate) linked: HashSet<u32>,
    /// Nodes, by their first names, that have names outside of the target too.
    pub(crate) shared: HashSet<u32>,
    /// Where objects are, in order of their digests.
    seeds: Vec<Seed>,
}

#[cfg(test)]
impl Inventory {
    /// Adds a file of one piece, which the next node is.
    pub(crate) fn add_file(&mut self, piece: &store::manifest::Entry) -> What {
        let mut id = super::content_id::ContentId::default();
        id.add(piece);
        self.ids.push(id.finish());
        let place = Place::Node(self.nodes.len());
        let size_bytes = piece.length();
        self.files.push(Have { size_bytes, allocated_bytes: size_bytes, place });
        What::File(self.files.len() as u32 - 1)
    }
}

/// Stands for the digest of content that is not known.
const UNKNOWN: Digest = Digest::from_bytes([0; Digest::LEN]);

/// A regular file that a target has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Have {
    /// Its length, bytes.
    pub(crate) size_bytes: u64,
    /// What it takes on the file system, bytes.
    pub(crate) allocated_bytes: u64,
    /// Where it is.
    pub(crate) place: Place,
}

/// Where a file of a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is this node.
    Node(u32),
    /// It is this one of the staged files.
    Staged(u32),
}

/// Where an object is said to be; it is hashed before it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seed {
    /// The first half of its digest.
    key: u128,
    /// The number of the file.
    pub(crate) file: u32,
    /// Its length, bytes.
    pub(crate) length: u32,
    /// Where it starts in the file, bytes.
    pub(crate) offset_bytes: u64,
}

/// Whether what the kernel remembers of files is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cache {
    /// It is.
    Believed,
    /// It is dropped before a file is read (`posix_fadvise(2)`); what is read comes from the disk.
    Dropped,
}

impl Inventory {
    /// Looks through all of `root` but what is kept.
    pub fn take(root: &Root, keep: &Keep, meter: &Meter) -> Result<Self, Error> {
        take(root, keep, Cache::Believed, meter, &Stop::default())
    }

    /// Does the same beside other work.
    pub fn start(root: Arc<Root>, keep: Keep, meter: Arc<Meter>) -> Taking {
        let stop = Arc::new(Stop::default());
        let heard = Arc::clone(&stop);
        let work = move || take(&root, &keep, Cache::Believed, &meter, &heard);
        Taking { stop, thread: Some(std::thread::spawn(work)) }
    }

    /// What a file's content is (see [`super::content_id::ContentId`]); none where it could not be
    /// read, or changed meanwhile.
    pub(crate) fn id(&self, file: u32) -> Option<Digest> {
        self.ids.get(file as usize).copied().filter(|id| *id != UNKNOWN)
    }

    /// What a node is, for people.
    pub(crate) fn describe(&self, index: u32) -> String {
        let first = self.nodes.first(index);
        let meta = self.nodes.meta(first);
        let what = match self.nodes.what(first) {
            What::File(number) => {
                let file = &self.files[number as usize];
                let id = self.id(number).map_or("not readable".to_owned(), |id| id.short());
                format!("a file of {} bytes ({id})", file.size_bytes)
            }
            What::Symlink(to) => {
                format!("a symbolic link to {}", self.nodes.text(to).escape_ascii())
            }
            other => other.noun().to_owned(),
        };
        describe(&what, &meta)
    }

    /// The path of a file by its number; none of those that are staged.
    pub(crate) fn path_of(&self, file: u32) -> Option<Vec<u8>> {
        match self.files.get(file as usize)?.place {
            Place::Node(index) => Some(self.nodes.path(index)),
            Place::Staged(_) => None,
        }
    }

    /// Where the object is said to be.
    pub(crate) fn seed(&self, digest: &Digest, length: u64) -> Option<&Seed> {
        let key = key(digest);
        let at = self.seeds.partition_point(|seed| seed.key < key);
        self.seeds.get(at).filter(|seed| seed.key == key && u64::from(seed.length) == length)
    }

    /// Where an object of which the start of the digest is known is said to be.
    fn seed_of(&self, part: &Part) -> Option<&Seed> {
        let start = u64::from_be_bytes(part.key);
        let at = self.seeds.partition_point(|seed| ((seed.key >> 64) as u64) < start);
        let mut same = self.seeds[at..].iter().take_while(|seed| (seed.key >> 64) as u64 == start);
        same.find(|seed| seed.length == part.length)
    }

    /// Gives up what an earlier run has staged: nothing goes on from it, nothing is copied from it.
    pub(crate) fn give_up_staged(&mut self) {
        self.is_staged_given_up = true;
        let files = &self.files;
        self.seeds.retain(|seed| matches!(files[seed.file as usize].place, Place::Node(_)));
    }

    /// Opens a file of the target.
    pub(crate) fn open(&self, root: &Root, file: u32) -> io::Result<File> {
        match self.files[file as usize].place {
            Place::Node(node) => root.file(&self.nodes.path(node)),
            Place::Staged(number) => {
                root.file(&[STAGE, b"/", &self.staged[number as usize].0].concat())
            }
        }
    }
}

/// A target with what it has: the objects that diffs are told by.
pub(crate) struct Held<'a> {
    pub(crate) root: &'a Root,
    pub(crate) has: &'a Inventory,
}

impl Holder for Held<'_> {
    fn has(&self, part: &Part) -> bool {
        self.has.seed_of(part).is_some()
    }

    fn read(&self, part: &Part, into: &mut Vec<u8>) -> bool {
        let Some(seed) = self.has.seed_of(part) else { return false };
        let Ok(file) = self.has.open(self.root, seed.file) else { return false };
        let start = into.len();
        into.resize(start + seed.length as usize, 0);
        let read = file.read_exact_at(&mut into[start..], seed.offset_bytes);
        read.is_ok() && key(&Digest::of(&into[start..])) == seed.key
    }
}

/// An inventory that is being taken; given up when it is dropped, so that nothing of the target is
/// held on to after a failure.
pub struct Taking {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<Result<Inventory, Error>>>,
}

impl Taking {
    /// Waits for it.
    pub fn finish(mut self) -> Result<Inventory, Error> {
        let ended = self.thread.take().map(JoinHandle::join);
        ended.and_then(Result::ok).unwrap_or(Err(Error::Stopped))
    }

    /// Gives it up.
    pub fn stop(self) {
        drop(self);
    }

    /// What gives it up from elsewhere, while it is waited for.
    pub(crate) fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.stop))
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.stop.say();
        if let Some(thread) = self.thread.take() {
            // Whatever came of it is not wanted any more.
            drop(thread.join());
        }
    }
}

/// Looks through all of `root` but what is kept.
pub(crate) fn take(
    root: &Root,
    keep: &Keep,
    cache: Cache,
    meter: &Meter,
    stop: &Stop,
) -> Result<Inventory, Error> {
    meter.open_stage();
    let hashers = Hashers { meter, stop };
    let (mut inventory, hashed) = hashers.run(|hand| {
        let mut taker = Taker::new(root, keep, cache, (meter, stop), hand);
        taker.walk()?;
        taker.walk_stage()?;
        Ok(taker.done())
    })?;
    // What was not hashed because of it must not be taken for changed.
    stop.check()?;
    inventory.fill(hashed);
    Ok(inventory)
}

impl Inventory {
    fn fill(&mut self, hashed: Hashed) {
        self.nodes.shrink();
        self.files.shrink_to_fit();
        self.ids = hashed.ids;
        self.ids.resize(self.files.len(), UNKNOWN);
        self.ids.shrink_to_fit();
        self.seeds = hashed.seeds;
    }
}

/// A node with its metadata, for people.
pub(crate) fn describe(what: &str, meta: &Meta) -> String {
    let Meta { mode, uid, gid, mtime_s, mtime_ns, xattrs } = meta;
    let names: Vec<_> = xattrs.iter().map(|one| one.name.escape_ascii().to_string()).collect();
    let with = if names.is_empty() { String::new() } else { format!(", {}", names.join(", ")) };
    format!("{what}, mode {mode:o}, owner {uid}:{gid}, modified at {mtime_s}.{mtime_ns:09}{with}")
}

fn key(digest: &Digest) -> u128 {
    let mut half = [0; 16];
    half.copy_from_slice(&digest.as_bytes()[..16]);
    u128::from_be_bytes(half)
}

/// Gives a file to those who hash.
type Hand<'a> = &'a mut dyn FnMut(hashing::Job) -> Result<(), Error>;

struct Taker<'a> {
    root: &'a Root,
    keep: &'a Keep,
    meter: &'a Meter,
    stop: &'a Stop,
    cache: Cache,
    hand: Hand<'a>,
    inventory: Inventory,
    /// How many names were met of each node that has several, and how many it has.
    names: HashMap<u32, (u32, u32)>,
}

impl<'a> Taker<'a> {
    fn new(
        root: &'a Root,
        keep: &'a Keep,
        cache: Cache,
        (meter, stop): (&'a Meter, &'a Stop),
        hand: Hand<'a>,
    ) -> Self {
        let inventory = Inventory::default();
        Self { root, keep, cache, meter, stop, hand, inventory, names: HashMap::new() }
    }

    fn walk(&mut self) -> Result<(), Error> {
        let mut walk = Walk::new(self.root, self.root.name(), options());
        while let Some(found) = walk.next() {
            self.stop.check()?;
            match found.map_err(|source| self.walking(source))? {
                walk::Found::Node(walked) => {
                    let is_kept = self.keep.is_kept(&walked.node.path);
                    let index = self.node(&walked)?;
                    if is_kept {
                        walk.skip_directory();
                    } else {
                        self.content(index, walked)?;
                    }
                }
                walk::Found::Skipped { path, why } => self.skipped(&path, why)?,
            }
        }
        Ok(())
    }

    fn node(&mut self, walked: &Walked) -> Result<u32, Error> {
        let node = &walked.node;
        let nodes = &mut self.inventory.nodes;
        let what = match &node.kind {
            NodeKind::Directory => What::Directory,
            NodeKind::File { .. } => What::File(self.inventory.files.len() as u32),
            NodeKind::Symlink { target } => {
                let kept = nodes.keep_text(target);
                What::Symlink(kept.map_err(|wrong| self.misplaced(&node.path, wrong))?)
            }
            NodeKind::HardLink { to } => {
                let first = nodes.find(to).ok_or_else(|| {
                    let wrong = ("its first name before it", "none".to_owned());
                    self.misplaced(&node.path, wrong)
                });
                What::Link(first?)
            }
            NodeKind::Fifo => What::Fifo,
            NodeKind::CharDevice { major, minor } => What::CharDevice(*major, *minor),
            NodeKind::BlockDevice { major, minor } => What::BlockDevice(*major, *minor),
        };
        let index = self.push(&node.path, what, &node.meta)?;
        if let NodeKind::File { size_bytes } = node.kind {
            let place = Place::Node(index);
            let allocated_bytes = walked.allocated_bytes;
            self.inventory.files.push(Have { size_bytes, allocated_bytes, place });
        }
        if what != What::Directory && walked.links > 1 {
            let first = self.inventory.nodes.first(index);
            self.names.entry(first).or_insert((0, walked.links)).0 += 1;
        }
        Ok(index)
    }

    fn push(&mut self, path: &[u8], what: What, meta: &Meta) -> Result<u32, Error> {
        let pushed = self.inventory.nodes.push(path, what, meta);
        Ok(pushed.map_err(|wrong| self.misplaced(path, wrong))?)
    }

    /// Hands over what `walked`, if it is a file, has.
    fn content(&mut self, index: u32, walked: Walked) -> Result<(), Error> {
        let (What::File(number), Some(Ok(file))) = (self.inventory.nodes.what(index), walked.file)
        else {
            return Ok(());
        };
        self.see_disk(&file, &walked.node.path)?;
        add(&self.meter.total_bytes, walked.stamp.size_bytes);
        (self.hand)(hashing::Job { number, file, stamp: walked.stamp })
    }

    /// What is to stand as proof is not read from what memory holds of a file.
    fn see_disk(&self, file: &File, path: &[u8]) -> Result<(), TreeError> {
        if self.cache == Cache::Believed {
            return Ok(());
        }
        let dropped = fadvise(file, 0, None, Advice::DontNeed).map_err(io::Error::from);
        dropped.map_err(self.root.failed("have memory forget", path))
    }

    fn skipped(&mut self, path: &[u8], why: Skipped) -> Result<(), Error> {
        match why {
            // What is not as it was is found when all is read back.
            Skipped::Reserved | Skipped::Changed => {}
            Skipped::Socket => {
                self.push(path, What::Socket, &Meta::default())?;
            }
            Skipped::Unknown => {
                self.push(path, What::Unknown, &Meta::default())?;
            }
            Skipped::Mounted => {
                let last = self.inventory.nodes.len().saturating_sub(1);
                let is_last = self.inventory.nodes.path(last) == path;
                let index =
                    if is_last { last } else { self.push(path, What::Mount, &Meta::default())? };
                self.inventory.mounts.insert(index);
            }
        }
        Ok(())
    }

    /// What an earlier run has staged: files that are whole, and parts of files.
    fn walk_stage(&mut self) -> Result<(), Error> {
        let Ok(stage) = self.root.directory(STAGE) else { return Ok(()) };
        let name = self.root.name().join(String::from_utf8_lossy(STAGE).as_ref());
        for found in Walk::new(&stage, &name, options()) {
            self.stop.check()?;
            let walk::Found::Node(walked) = found.map_err(|source| self.walking(source))? else {
                continue;
            };
            let (NodeKind::File { size_bytes }, Some(Ok(file))) = (&walked.node.kind, walked.file)
            else {
                continue;
            };
            self.see_disk(&file, STAGE)?;
            let number = self.inventory.files.len() as u32;
            let place = Place::Staged(self.inventory.staged.len() as u32);
            let (size_bytes, allocated_bytes) = (*size_bytes, walked.allocated_bytes);
            self.inventory.files.push(Have { size_bytes, allocated_bytes, place });
            self.inventory.staged.push((walked.node.path, number));
            add(&self.meter.total_bytes, size_bytes);
            (self.hand)(hashing::Job { number, file, stamp: walked.stamp })?;
        }
        Ok(())
    }

    fn done(self) -> Inventory {
        let mut inventory = self.inventory;
        for (first, (met, has)) in self.names {
            if met > 1 {
                inventory.linked.insert(first);
            }
            if met < has {
                inventory.shared.insert(first);
            }
        }
        inventory
    }

    fn misplaced(&self, path: &[u8], (expected, found): Misplaced) -> TreeError {
        TreeError::Misplaced { path: self.root.shown(path), expected, found }
    }

    fn walking(&self, source: walk::WalkError) -> TreeError {
        TreeError::Walk { target: self.root.name().display().to_string(), source }
    }
}

fn options() -> WalkOptions {
    WalkOptions { mounts: Mounts::Empty, allow_changed: true, allow_unknown: true }
}
