//! Members into a tree: what the archive would leave if it were unpacked.

use super::header::Wrong;
use crate::tree::{Meta, NodeKind, check_path, compare, parent};
use std::collections::HashMap;

/// Mode of a directory that the archive has files of, but not itself.
const IMPLIED_MODE: u16 = 0o755;

/// A file or other thing, under one or several names.
#[derive(Debug, Clone)]
pub(super) struct Inode {
    /// Never a hard link.
    pub(super) kind: NodeKind,
    pub(super) meta: Meta,
    /// Of a regular file: its data as (offset, length, where it is kept), bytes.
    pub(super) data: Vec<(u64, u64, u64)>,
}

/// What members make.
#[derive(Default)]
pub(super) struct Nodes {
    inodes: Vec<Inode>,
    names: HashMap<Vec<u8>, usize>,
    /// Hard links to what has not come yet: path and target.
    late: HashMap<Vec<u8>, Vec<u8>>,
}

/// A tree put together.
pub(super) struct Assembled {
    pub(super) inodes: Vec<Inode>,
    /// Each path in order, with the number of its inode.
    pub(super) names: Vec<(Vec<u8>, usize)>,
    /// Directories that the archive does not have.
    pub(super) implied: Vec<Vec<u8>>,
}

/// What is wrong, and with the member at which path.
pub(super) type WrongAt = (Vec<u8>, Wrong);

impl Nodes {
    /// A member: of several with the same path the last one stays.
    pub(super) fn add(&mut self, path: Vec<u8>, inode: Inode) {
        self.late.remove(&path);
        let is_directory = |inode: &Inode| inode.kind == NodeKind::Directory;
        let before = self.names.get(&path).and_then(|number| self.inodes.get_mut(*number));
        if let Some(before) = before
            && is_directory(before)
            && is_directory(&inode)
        {
            before.meta = inode.meta;
            return;
        }
        self.names.insert(path, self.inodes.len());
        self.inodes.push(inode);
    }

    /// A hard link at `path` to what is at `target` now, or else comes later.
    pub(super) fn link(&mut self, path: Vec<u8>, target: &[u8]) {
        if path == target {
            return;
        }
        if let Some(number) = self.names.get(target).copied() {
            self.late.remove(&path);
            self.names.insert(path, number);
        } else {
            self.names.remove(&path);
            self.late.insert(path, target.to_vec());
        }
    }

    /// The tree.
    pub(super) fn finish(mut self) -> Result<Assembled, WrongAt> {
        self.link_late()?;
        let mut implied = self.imply_directories();
        let mut names: Vec<_> = self.names.into_iter().collect();
        names.sort_unstable_by(|(one, _), (other, _)| compare(one, other));
        implied.sort_unstable_by(|one, other| compare(one, other));
        let assembled = Assembled { inodes: self.inodes, names, implied };
        assembled.check()?;
        Ok(assembled)
    }

    /// Gives their inodes to links whose targets have come, also through other links.
    fn link_late(&mut self) -> Result<(), WrongAt> {
        let mut waiting: HashMap<Vec<u8>, Vec<Vec<u8>>> = HashMap::new();
        for (path, target) in std::mem::take(&mut self.late) {
            waiting.entry(target).or_default().push(path);
        }
        let mut ready: Vec<_> =
            waiting.keys().filter(|target| self.names.contains_key(*target)).cloned().collect();
        while let Some(target) = ready.pop() {
            let number = self.names.get(&target).copied();
            for path in waiting.remove(&target).into_iter().flatten() {
                if let Some(number) = number {
                    self.names.insert(path.clone(), number);
                    ready.push(path);
                }
            }
        }
        let missing = waiting.into_iter().min();
        let Some((target, mut paths)) = missing else { return Ok(()) };
        let expected = format!("{}, which it links to", target.escape_ascii());
        Err((paths.pop().unwrap_or_default(), (expected, "no such member".to_owned())))
    }

    fn imply_directories(&mut self) -> Vec<Vec<u8>> {
        let mut implied = Vec::new();
        let paths: Vec<Vec<u8>> = self.names.keys().cloned().collect();
        for path in paths.iter().map(Vec::as_slice).chain([&b"-"[..]]) {
            let mut path = path;
            while let Some(directory) = parent(path)
                && !self.names.contains_key(directory)
            {
                self.names.insert(directory.to_vec(), self.inodes.len());
                let meta = Meta { mode: IMPLIED_MODE, ..Meta::default() };
                self.inodes.push(Inode { kind: NodeKind::Directory, meta, data: Vec::new() });
                implied.push(directory.to_vec());
                path = directory;
            }
        }
        implied
    }
}

impl Assembled {
    fn check(&self) -> Result<(), WrongAt> {
        let kind = |number: &usize| self.inodes.get(*number).map(|inode| &inode.kind);
        let mut linked = vec![false; self.inodes.len()];
        for (path, number) in &self.names {
            let wrong = |expected: &str, found: &str| {
                Err((path.clone(), (expected.to_owned(), found.to_owned())))
            };
            if let Err((expected, found)) = check_path(path) {
                return wrong(expected, &found);
            }
            let above = parent(path).map(|directory| self.find(directory).and_then(|n| kind(&n)));
            if above.is_some_and(|above| above != Some(&NodeKind::Directory)) {
                return wrong("a directory above it", "something else there");
            }
            let is_directory = kind(number) == Some(&NodeKind::Directory);
            if is_directory && std::mem::replace(&mut linked[*number], true) {
                return wrong("a link to something that is no directory", "one to a directory");
            }
            if path.is_empty() && !is_directory {
                return wrong("a directory as the root", "something else");
            }
        }
        Ok(())
    }

    /// The number of the inode at `path`.
    pub(super) fn find(&self, path: &[u8]) -> Option<usize> {
        let at = self.names.binary_search_by(|(name, _)| compare(name, path)).ok()?;
        self.names.get(at).map(|(_, number)| *number)
    }
}
