//! A tree that is no file system's: a directory, or an archive that was read.

use std::io::{self, Read};
use std::rc::Rc;

use super::resolve::resolve;
use super::{MAX_NAMES, check_size, missing};
use crate::{BootFactsError, Located};

/// What stands at a path of a [`Tree`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeEntry {
    /// A directory.
    Directory,
    /// A regular file of this length, bytes.
    File {
        /// Its length, bytes.
        size_bytes: u64,
    },
    /// A symbolic link, and what it says.
    Symlink {
        /// Its target.
        target: String,
    },
    /// Something else.
    Other,
}

/// Files and directories that boot facts are looked for in. Paths are absolute, as the tree's
/// root has them, and their directories are no symbolic links: nothing is to be followed.
pub trait Tree {
    /// What stands at `path`; `None` if nothing does.
    fn look(&self, path: &str) -> io::Result<Option<TreeEntry>>;

    /// The names in the directory `path` that are text, in any order.
    fn names(&self, path: &str) -> io::Result<Vec<String>>;

    /// The bytes of the regular file `path`.
    fn open(&self, path: &str) -> io::Result<Box<dyn Read>>;
}

/// A tree, or a directory in it, as if it were a file system.
#[derive(Clone)]
pub(crate) struct TreeVolume {
    tree: Rc<dyn Tree>,
    /// Where in the tree its root is, without symbolic links; empty for the whole.
    prefix: Rc<str>,
}

impl TreeVolume {
    /// The whole of `tree`.
    pub(crate) fn whole(tree: &Rc<dyn Tree>) -> Self {
        Self { tree: Rc::clone(tree), prefix: "".into() }
    }

    /// The directory `path` of this tree, if there is one. Links on the way to it are followed,
    /// and stay in the tree as those below it do.
    pub(crate) fn directory(&self, path: &str) -> Option<Self> {
        let prefix = self.resolve(path).ok()?;
        let is_there = self.look(&prefix).is_ok_and(|found| found == Some(TreeEntry::Directory));
        is_there.then(|| Self {
            tree: Rc::clone(&self.tree),
            prefix: prefix.trim_end_matches('/').into(),
        })
    }

    pub(super) fn names(&self, path: &str) -> Result<Vec<String>, BootFactsError> {
        let path = self.resolve(path)?;
        if path != "/" && self.look(&path)? != Some(TreeEntry::Directory) {
            return Err(missing(&path));
        }
        let names = self.tree.names(&path).map_err(|error| failed(&path, error))?;
        if names.len() > MAX_NAMES {
            let (object, limit) = (path, MAX_NAMES);
            return Err(BootFactsError::TooMany { object, things: "names", limit });
        }
        Ok(names)
    }

    pub(super) fn reader(&self, path: &str) -> Result<Box<dyn Read>, BootFactsError> {
        self.located_reader(&self.resolve(path)?)
    }

    /// The bytes of the file whose path in the tree is `path`.
    pub(super) fn located_reader(&self, path: &str) -> Result<Box<dyn Read>, BootFactsError> {
        self.size_bytes(path)?;
        self.tree.open(path).map_err(|error| failed(path, error))
    }

    pub(super) fn locate(&self, path: &str, limit_bytes: u64) -> Result<Located, BootFactsError> {
        let path = self.resolve(path)?;
        let size_bytes = self.size_bytes(&path)?;
        check_size(&path, size_bytes, limit_bytes)?;
        Ok(Located::in_tree(path, size_bytes))
    }

    /// Length of the regular file `path`, bytes.
    fn size_bytes(&self, path: &str) -> Result<u64, BootFactsError> {
        match self.look(path)? {
            Some(TreeEntry::File { size_bytes }) => Ok(size_bytes),
            _ => Err(missing(path)),
        }
    }

    fn look(&self, path: &str) -> Result<Option<TreeEntry>, BootFactsError> {
        self.tree.look(path).map_err(|error| failed(path, error))
    }

    /// The path in the tree, without symbolic links.
    fn resolve(&self, path: &str) -> Result<String, BootFactsError> {
        let whole = |path: &str| match format!("{}{path}", self.prefix).trim_end_matches('/') {
            "" => "/".to_owned(),
            whole => whole.to_owned(),
        };
        let resolved = resolve(path, |path| match self.look(&whole(path))? {
            Some(TreeEntry::Symlink { target }) => Ok(Some(target)),
            Some(_) => Ok(None),
            None => Err(missing(path)),
        })?;
        Ok(whole(&resolved))
    }
}

fn failed(path: &str, source: io::Error) -> BootFactsError {
    if source.kind() == io::ErrorKind::NotFound {
        return missing(path);
    }
    BootFactsError::File { path: path.to_owned(), source }
}
