//! Second half of writing: what was made beside takes its place, name by name, so that each file is
//! old or new at any moment; what no label knows goes.

use super::decide::{Action, Decisions, Fate};
use super::error::TreeError;
use super::gate::At;
use super::inventory::Inventory;
use super::meta::{change, inherited, of_new};
use super::nodes::{Cursor, NONE, What};
use super::plan::Job;
use super::root::Directories;
use super::stage::{MOMENT, Stage};
use super::sweep::sweep;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{self, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::collections::HashSet;
use std::io;
use std::ops::Range;
use store::tree::{Meta, name};

/// Puts things in place.
pub(crate) struct Commit<'a> {
    job: &'a Job,
    has: &'a Inventory,
    decisions: &'a Decisions,
    stage: &'a Stage,
    directories: Directories<'a>,
    /// Nodes of the target that are gone.
    gone: Vec<bool>,
    /// Wanted directories in which something changed.
    touched: HashSet<u32>,
}

impl<'a> Commit<'a> {
    pub(crate) fn new(
        job: &'a Job,
        has: &'a Inventory,
        decisions: &'a Decisions,
        stage: &'a Stage,
    ) -> Self {
        let directories = Directories::new(&job.root);
        let gone = vec![false; has.nodes.len() as usize];
        Self { job, has, decisions, stage, directories, gone, touched: HashSet::new() }
    }

    /// Puts the wanted nodes from `nodes` up to `end` in place; `staged` says what files among them
    /// are called in the staging area.
    pub(crate) fn place(
        &mut self,
        nodes: &mut Cursor<'_>,
        end: u32,
        mut staged: impl FnMut(u32) -> Option<Vec<u8>>,
    ) -> Result<(), TreeError> {
        while let Some((index, path)) = nodes.here().filter(|(index, _)| *index < end) {
            let doing = match self.decisions.actions[index as usize] {
                Action::Keep | Action::Leave => None,
                Action::Meta => Some(("give metadata to", self.meta(index, path))),
                Action::Make => Some(("make", self.make(index, path, staged(index)))),
                Action::Link => Some(("link", self.link(index, path))),
            };
            if let Some((doing, result)) = doing {
                result.map_err(|failed| failed.at(self.job, doing, path))?;
            }
            nodes.next();
        }
        Ok(())
    }

    /// Other metadata for what is there. Directories get theirs at last.
    fn meta(&mut self, index: u32, path: &[u8]) -> Result<(), Failed> {
        let nodes = &self.job.wanted.nodes;
        let what = nodes.what(index);
        if what == What::Directory {
            return Ok(());
        }
        let at = self.has.nodes.first(self.decisions.at[index as usize]);
        let dir = self.directories.holding(path)?;
        let at_name = At::Name(dir.as_fd(), name(path));
        let (wants, has) = (nodes.meta(index), self.has.nodes.meta(at));
        Ok(change(&self.job.root.hands, at_name, what, &wants, &has)?)
    }

    fn make(&mut self, index: u32, path: &[u8], staged: Option<Vec<u8>>) -> Result<(), Failed> {
        let (hands, what) = (&self.job.root.hands, self.job.wanted.nodes.what(index));
        let is_there = self.make_way(index, what == What::Directory)?;
        if path.is_empty() {
            return Ok(());
        }
        self.touch(index);
        let dir = self.directories.holding(path)?;
        let to = (dir.as_fd(), name(path));
        match what {
            What::Directory => {
                hands.make_directory(to.0, to.1)?;
                self.touched.insert(index);
            }
            What::File(_) => {
                let from = staged.unwrap_or_default();
                hands.rename((self.stage.dir(), &from), to)?;
            }
            What::Symlink(_) if !is_there => self.new_node(index, to)?,
            // Devices and fifos might inherit an ACL where they belong; they get none here.
            _ => {
                self.stage.clear_moment()?;
                self.new_node(index, (self.stage.dir(), MOMENT))?;
                hands.rename((self.stage.dir(), MOMENT), to)?;
            }
        }
        Ok(())
    }

    /// Makes what is neither directory nor file, with its metadata.
    fn new_node(&self, index: u32, (dir, name): (BorrowedFd<'_>, &[u8])) -> io::Result<()> {
        let (hands, nodes) = (&self.job.root.hands, &self.job.wanted.nodes);
        let what = nodes.what(index);
        let device = |major, minor| fs::makedev(major, minor);
        match what {
            What::Symlink(target) => hands.make_symlink(dir, name, nodes.text(target))?,
            What::Fifo => hands.make_node(dir, name, FileType::Fifo, 0)?,
            What::CharDevice(major, minor) => {
                hands.make_node(dir, name, FileType::CharacterDevice, device(major, minor))?;
            }
            What::BlockDevice(major, minor) => {
                hands.make_node(dir, name, FileType::BlockDevice, device(major, minor))?;
            }
            _ => {}
        }
        change(hands, At::Name(dir, name), what, &nodes.meta(index), &of_new(0o600))
    }

    /// Another name for a node that is in its place by now.
    fn link(&mut self, index: u32, path: &[u8]) -> Result<(), Failed> {
        let nodes = &self.job.wanted.nodes;
        let is_there = self.make_way(index, false)?;
        let first = nodes.path(nodes.first(index));
        let (from_dir, to_dir) =
            (self.directories.holding(&first)?, self.directories.holding(path)?);
        let (from, to) = ((from_dir.as_fd(), name(&first)), (to_dir.as_fd(), name(path)));
        self.touch(index);
        let hands = &self.job.root.hands;
        if !is_there {
            return Ok(hands.link(from, to)?);
        }
        self.stage.clear_moment()?;
        hands.link(from, (self.stage.dir(), MOMENT))?;
        Ok(hands.rename((self.stage.dir(), MOMENT), to)?)
    }

    /// Removes what a rename cannot replace: a directory with all that is in it, and what a
    /// directory is to take the place of. Whether something is still there.
    fn make_way(&mut self, index: u32, is_directory: bool) -> Result<bool, Failed> {
        let at = self.decisions.at[index as usize];
        if at == NONE || self.gone[at as usize] {
            return Ok(false);
        }
        let was_directory = matches!(self.has.nodes.what(at), What::Directory | What::Unknown);
        if !was_directory && !is_directory {
            return Ok(true);
        }
        self.remove(at..self.has.nodes.end_of(at), |_| true)?;
        Ok(false)
    }

    /// Removes all that no label knows and for which `is_due` says so.
    pub(crate) fn remove_unknown(&mut self, is_due: impl Fn(u32) -> bool) -> Result<(), TreeError> {
        let fates = &self.decisions.fates;
        let due = |index: u32| fates[index as usize] == Fate::Remove && is_due(index);
        let removed = self.remove(0..self.has.nodes.len(), due);
        removed.map_err(|failed| failed.at(self.job, "remove", b""))
    }

    /// Removes the nodes `range` for which `is_due` says so, what is in directories first.
    fn remove(&mut self, range: Range<u32>, is_due: impl Fn(u32) -> bool) -> Result<(), Failed> {
        for index in range.rev() {
            if self.gone[index as usize] || !is_due(index) {
                continue;
            }
            let path = self.has.nodes.path(index);
            let removed = self.remove_one(index, &path);
            removed.map_err(|failed| Failed::Named(failed.at(self.job, "remove", &path)))?;
            self.gone[index as usize] = true;
            let holder = self.job.wanted.nodes.find(store::tree::parent(&path).unwrap_or_default());
            self.touched.extend(holder);
        }
        Ok(())
    }

    fn remove_one(&mut self, index: u32, path: &[u8]) -> Result<(), Failed> {
        let hands = &self.job.root.hands;
        let dir = self.directories.holding(path)?;
        let removed = match self.has.nodes.what(index) {
            What::Directory => {
                self.directories.forget();
                hands.remove_directory(dir.as_fd(), name(path))
            }
            What::Unknown => match sweep(hands, dir.as_fd(), name(path)) {
                Ok(false) => Err(Errno::BUSY.into()),
                swept => swept.map(drop),
            },
            _ => hands.unlink(dir.as_fd(), name(path)),
        };
        match removed {
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => Ok(result?),
        }
    }

    /// Notes that something changed in the directory of a wanted node.
    fn touch(&mut self, index: u32) {
        let holder = self.job.wanted.nodes.parent(index);
        if holder != NONE {
            self.touched.insert(holder);
        }
    }

    /// Gives directories their metadata, those farthest down first: what changes in them would
    /// change it again.
    pub(crate) fn finish_directories(mut self) -> Result<(), TreeError> {
        // The staging area was in it.
        self.touched.insert(0);
        let nodes = &self.job.wanted.nodes;
        for index in (0..nodes.len()).rev() {
            let action = self.decisions.actions[index as usize];
            let is_due = self.touched.contains(&index) || action == Action::Meta;
            if nodes.what(index) != What::Directory || !is_due || action == Action::Leave {
                continue;
            }
            let path = nodes.path(index);
            let finished = self.finish_directory(index, &path, action);
            finished.map_err(|failed| failed.at(self.job, "give metadata to", &path))?;
        }
        Ok(())
    }

    fn finish_directory(&mut self, index: u32, path: &[u8], action: Action) -> Result<(), Failed> {
        let (nodes, root) = (&self.job.wanted.nodes, &self.job.root);
        let at = self.decisions.at[index as usize];
        let dir = self.directories.holding(path)?;
        let name = if path.is_empty() { b"." } else { name(path) };
        let has = if action == Action::Make {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let made = fs::openat(&*dir, name, flags, Mode::empty()).map_err(io::Error::from)?;
            Meta { xattrs: inherited(made)?, ..of_new(0o700) }
        } else {
            self.has.nodes.meta(at)
        };
        let at = At::Name(dir.as_fd(), name);
        Ok(change(&root.hands, at, What::Directory, &nodes.meta(index), &has)?)
    }
}

/// Why something could not be put in place: with the path where that is another one.
enum Failed {
    Here(io::Error),
    Named(TreeError),
}

impl Failed {
    fn at(self, job: &Job, doing: &'static str, path: &[u8]) -> TreeError {
        match self {
            Self::Here(error) => job.root.failed(doing, path)(error),
            Self::Named(error) => error,
        }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Here(error)
    }
}

impl From<TreeError> for Failed {
    fn from(error: TreeError) -> Self {
        Self::Named(error)
    }
}
