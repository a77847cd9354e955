//! Walking a directory: every node of a tree in the tree's order, read from a file system.
//!
//! One directory at a time is read and sorted. What is found in it is opened by its bare name,
//! never through a symbolic link, so the walk stays below its root whatever moves meanwhile, and
//! a path may be longer than the kernel takes in one call. Names that wait are held, a directory's
//! at each level, and the paths of files with several names; nothing else grows with the tree.

mod error;
mod level;
mod open;
mod xattrs;

#[cfg(test)]
mod tests;

pub use error::WalkError;
pub use xattrs::is_kept;

use super::{NodeKind, PATH_MAX_BYTES};
use crate::stamp::Stamp;
use crate::tree::{Meta, Node};
use error::shown;
use level::Level;
use open::Opened;
use rustix::fd::AsFd;
use rustix::fs::{FileType, StatxAttributes};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use xattrs::XattrReader;

/// A name that trees do not have at their top: there the deploying engine keeps, on the target,
/// what it has not put in place yet.
pub const RESERVED_NAME: &[u8] = b".inaugurator";

/// This many directories are held open, those deepest in the tree. What is above them is opened
/// again through `..`.
const OPEN_LEVELS: usize = 16;

/// What statx(2) counts blocks in, bytes, whatever the file system has.
const BLOCK_BYTES: u64 = 512;

/// How to walk.
#[derive(Debug, Clone, Copy, Default)]
pub struct WalkOptions {
    /// What to do about file systems mounted in the tree.
    pub mounts: Mounts,
    /// Whether what changes is taken as it is met, instead of being an error: a name that is gone
    /// is passed over, a directory that is not what it was is told ([`Skipped::Changed`]).
    pub allow_changed: bool,
    /// Whether what cannot be looked at, for want of rights or because no tree can have it, is told
    /// ([`Skipped::Unknown`]) instead of being an error. The root must be known.
    pub allow_unknown: bool,
}

/// What to do about file systems mounted in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mounts {
    /// They are an error.
    #[default]
    Refuse,
    /// A directory that something is mounted on is taken as an empty one, with the metadata that
    /// shows; a file that something is mounted on is passed over.
    Empty,
    /// They are part of the tree.
    Include,
}

/// What a walk comes upon.
#[derive(Debug)]
pub enum Found {
    /// A node.
    Node(Walked),
    /// Something that is no part of the tree.
    Skipped {
        /// Its path in the tree.
        path: Vec<u8>,
        /// Why not.
        why: Skipped,
    },
}

/// Why something is no part of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skipped {
    /// It is a socket: nothing without the program that made it.
    Socket,
    /// Something is mounted there. A directory comes as a node before this.
    Mounted,
    /// It is called [`RESERVED_NAME`], and at the top.
    Reserved,
    /// It cannot be looked at, or is more than trees can have: a path that is too long, too much of
    /// extended attributes. What is in it is not known either.
    Unknown,
    /// It is a directory, given as a node before, that changed meanwhile: the nodes in it may not
    /// be those that it ever had at once.
    Changed,
}

/// A node and where its content is.
#[derive(Debug)]
pub struct Walked {
    /// The node, a hard link if it is another name of an earlier one.
    pub node: Node,
    /// Which file it is, and as of when.
    pub stamp: Stamp,
    /// What its content takes on its file system, bytes.
    pub allocated_bytes: u64,
    /// How many names it has, in the tree and elsewhere.
    pub links: u32,
    /// Whether something is mounted on it that is no part of the tree ([`Mounts::Empty`]). Its
    /// metadata is that of what is mounted.
    pub is_mounted: bool,
    /// Whether it must not be changed: immutable, or open to appending only (chattr(1)).
    pub is_fixed: bool,
    /// Of a regular file that is no hard link: the file, opened for reading, or why it cannot be.
    /// What the kernel does not show of such a file, its `user.` attributes, is left out.
    pub file: Option<io::Result<File>>,
}

/// A walk: gives all nodes of a tree in order, the root first. It ends after an error.
#[derive(Debug)]
pub struct Walk {
    root: PathBuf,
    options: WalkOptions,
    levels: Vec<Level>,
    path: Vec<u8>,
    /// Where a file of several names was met first.
    links: HashMap<((u32, u32), u64), Vec<u8>>,
    xattrs: XattrReader,
    /// What comes next, before more is looked for.
    next: Option<Result<Found, WalkError>>,
}

impl Walk {
    /// Starts at the directory `root` (which may be opened with `O_PATH`); `name` is what it is
    /// called in errors.
    pub fn new(root: impl AsFd, name: &Path, options: WalkOptions) -> Self {
        let mut walk = Self {
            root: name.to_owned(),
            options,
            levels: Vec::new(),
            path: Vec::new(),
            links: HashMap::new(),
            xattrs: XattrReader::default(),
            next: None,
        };
        let first = open::directory(root.as_fd(), b".").map_err(|error| walk.reading(error));
        walk.next = first.and_then(|root| walk.found(root)).transpose();
        walk
    }

    /// Passes over what is in the directory that was given last.
    pub fn skip_directory(&mut self) {
        if let Some(level) = self.levels.last_mut()
            && level.path_bytes() == self.path.len()
        {
            level.clear();
        }
    }

    fn push(&mut self, name: &[u8]) -> Result<(), WalkError> {
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
        if self.path.len() <= PATH_MAX_BYTES {
            return Ok(());
        }
        let (path, found) = (shown(&self.root, &self.path), self.path.len());
        Err(WalkError::Limit { path, what: "path", max: PATH_MAX_BYTES, found })
    }

    /// Ends the deepest level. What holds it is opened through it, should it have been closed.
    fn leave(&mut self) -> Result<Option<Found>, WalkError> {
        let Some(child) = self.levels.pop() else { return Ok(None) };
        let reopened = self.levels.last_mut().map(|parent| parent.reopen_from(&child));
        if reopened.transpose().map_err(|error| self.reading(error))? == Some(false) {
            return Err(self.changed());
        }
        if child.is_as_read().map_err(|error| self.reading(error))? {
            Ok(None)
        } else if self.options.allow_changed {
            Ok(Some(Found::Skipped { path: self.path.clone(), why: Skipped::Changed }))
        } else {
            Err(self.changed())
        }
    }

    /// What stands at the next name, which is the path's last; `None` if it is gone.
    fn look(&mut self, name: &[u8], kind: FileType) -> Result<Option<Found>, WalkError> {
        let Some(directory) = self.levels.last().and_then(Level::directory) else {
            return Err(self.changed());
        };
        match open::open(directory, name, kind) {
            Ok(opened) => self.found(opened).or_else(|error| self.unless_unknown(error)),
            Err(Errno::NOENT) if self.options.allow_changed => Ok(None),
            Err(Errno::NOENT) => Err(self.changed()),
            Err(error) => self.unless_unknown(self.reading(error)),
        }
    }

    /// What is at the path is told to be unknown, where that may be; else `error` is returned.
    fn unless_unknown(&self, error: WalkError) -> Result<Option<Found>, WalkError> {
        if self.options.allow_unknown && error.is_of_one() {
            return Ok(Some(Found::Skipped { path: self.path.clone(), why: Skipped::Unknown }));
        }
        Err(error)
    }

    /// Makes a node of what stands at the path, and enters it if it is a directory. `None` for
    /// what is passed over in silence.
    fn found(&mut self, opened: Opened) -> Result<Option<Found>, WalkError> {
        let kind = opened.kind();
        let skipped = |why| Ok(Some(Found::Skipped { path: self.path.clone(), why }));
        if kind == FileType::Socket {
            return skipped(Skipped::Socket);
        }
        let is_mount = self.is_mount(&opened);
        match self.options.mounts {
            Mounts::Refuse if is_mount => {
                return Err(WalkError::Mounted { path: shown(&self.root, &self.path) });
            }
            Mounts::Empty if is_mount && kind != FileType::Directory => {
                return skipped(Skipped::Mounted);
            }
            _ => {}
        }
        let walked = self.node(&opened)?;
        if is_mount && self.options.mounts == Mounts::Empty {
            let path = self.path.clone();
            self.next = Some(Ok(Found::Skipped { path, why: Skipped::Mounted }));
            return Ok(Some(Found::Node(Walked { is_mounted: true, ..walked })));
        }
        if kind == FileType::Directory {
            self.enter(opened)?;
            return Ok(Some(Found::Node(walked)));
        }
        let is_file = matches!(walked.node.kind, NodeKind::File { .. });
        let file = is_file.then(|| opened.into_file().map_err(io::Error::from));
        Ok(Some(Found::Node(Walked { file, ..walked })))
    }

    /// Whether something is mounted at the path. The root is where the walk is to start, mounted
    /// or not.
    fn is_mount(&self, opened: &Opened) -> bool {
        let stat = &opened.stat;
        if self.path.is_empty() {
            false
        } else if stat.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) {
            stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
        } else {
            // Before Linux 5.8.
            let device = self.levels.last().map(Level::device);
            opened.kind() == FileType::Directory
                && device.is_some_and(|device| device != (stat.stx_dev_major, stat.stx_dev_minor))
        }
    }

    fn node(&mut self, opened: &Opened) -> Result<Walked, WalkError> {
        let stamp = Stamp::from_stat(&opened.stat);
        let fixed = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
        let is_fixed = opened.stat.stx_attributes.intersects(fixed);
        let links = opened.stat.stx_nlink;
        let allocated_bytes = opened.stat.stx_blocks.saturating_mul(BLOCK_BYTES);
        let path = self.path.clone();
        let (kind, meta) = if let Some(to) = self.linked(opened, &stamp) {
            (NodeKind::HardLink { to }, Meta::default())
        } else {
            let kind = opened.node_kind().map_err(|error| self.reading(error))?;
            let Some(kind) = kind else { return Err(self.changed()) };
            let xattrs = self.xattrs.read(opened);
            let xattrs = xattrs.map_err(|error| error.at(shown(&self.root, &path)))?;
            (kind, opened.meta(xattrs))
        };
        Ok(Walked {
            node: Node { path, kind, meta },
            stamp,
            allocated_bytes,
            links,
            is_mounted: false,
            is_fixed,
            file: None,
        })
    }

    /// Of a file that was met before: where. Of one that may be met again, this is noted.
    fn linked(&mut self, opened: &Opened, stamp: &Stamp) -> Option<Vec<u8>> {
        if opened.kind() == FileType::Directory || opened.stat.stx_nlink < 2 {
            return None;
        }
        let key = (stamp.device, stamp.inode);
        if let Some(first) = self.links.get(&key) {
            return Some(first.clone());
        }
        self.links.insert(key, self.path.clone());
        None
    }

    fn enter(&mut self, opened: Opened) -> Result<(), WalkError> {
        let level = Level::read(opened, self.path.len());
        self.levels.push(level.map_err(|error| self.reading(error))?);
        if let Some(far) = self.levels.len().checked_sub(OPEN_LEVELS + 1) {
            self.levels[far].close();
        }
        Ok(())
    }

    fn reading(&self, error: Errno) -> WalkError {
        WalkError::Read { path: shown(&self.root, &self.path), source: error.into() }
    }

    fn changed(&self) -> WalkError {
        WalkError::Changed { path: shown(&self.root, &self.path) }
    }

    fn step(&mut self) -> Result<Option<Found>, WalkError> {
        while let Some(level) = self.levels.last_mut() {
            self.path.truncate(level.path_bytes());
            let found = match level.next_name() {
                None => self.leave()?,
                Some((name, kind)) => {
                    if let Err(error) = self.push(&name) {
                        self.unless_unknown(error)?
                    } else if self.path == RESERVED_NAME {
                        let (path, why) = (self.path.clone(), Skipped::Reserved);
                        Some(Found::Skipped { path, why })
                    } else {
                        self.look(&name, kind)?
                    }
                }
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

impl Iterator for Walk {
    type Item = Result<Found, WalkError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.next.take().or_else(|| self.step().transpose());
        if matches!(found, Some(Err(_))) {
            self.levels.clear();
        }
        found
    }
}
