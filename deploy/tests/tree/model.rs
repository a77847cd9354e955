//! Trees as values.

use std::collections::BTreeMap;
use store::tree::{Meta, Node, NodeKind};

/// A tree: by the names of paths, which is the order of trees.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Tree(pub(crate) BTreeMap<Vec<Vec<u8>>, (Item, Meta)>);

/// What stands at a path.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item {
    Directory,
    File(Vec<u8>),
    Symlink(Vec<u8>),
    /// Another name of what is at this path.
    Link(Vec<u8>),
    Fifo,
    Device(u32, u32),
}

/// Metadata that this process may give.
pub(crate) fn meta(mode: u16, mtime_s: i64) -> Meta {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    Meta { mode, uid, gid, mtime_s, mtime_ns: 123_456_789, xattrs: Vec::new() }
}

impl Tree {
    /// A root and nothing in it.
    pub(crate) fn new() -> Self {
        let mut tree = Self::default();
        tree.0.insert(Vec::new(), (Item::Directory, meta(0o755, 1_000_000_000)));
        tree
    }

    /// With this at `path`, and directories above it.
    pub(crate) fn with(mut self, path: &str, item: Item) -> Self {
        self.put(path.as_bytes(), item, meta(0o644, 1_100_000_000));
        self
    }

    /// With a file.
    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.with(path, Item::File(content.as_ref().to_vec()))
    }

    /// Puts `item` at `path`, directories above it, unless something else is in the way.
    pub(crate) fn put(&mut self, path: &[u8], item: Item, meta_of: Meta) -> bool {
        let names: Vec<Vec<u8>> = path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
        for end in 1..names.len() {
            let above = (Item::Directory, meta(0o755, 1_050_000_000));
            let found = self.0.entry(names[..end].to_vec()).or_insert(above);
            if found.0 != Item::Directory {
                return false;
            }
        }
        let is_there = self.0.contains_key(&names);
        if !is_there {
            let meta_of = match item {
                Item::Link(_) => Meta::default(),
                Item::Directory => Meta { mode: meta_of.mode | 0o700, ..meta_of },
                Item::Symlink(_) => Meta { mode: 0o777, xattrs: Vec::new(), ..meta_of },
                Item::File(_) => meta_of,
                // Only files and directories have attributes of users (xattr(7)).
                _ => Meta { xattrs: Vec::new(), ..meta_of },
            };
            self.0.insert(names, (item, meta_of));
        }
        !is_there
    }

    /// Its nodes in order, with the content of files.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (Node, &[u8])> {
        self.0.iter().map(|(names, (item, meta))| {
            let path = names.join(&b'/');
            let (kind, content): (_, &[u8]) = match item {
                Item::Directory => (NodeKind::Directory, &[]),
                Item::File(content) => {
                    (NodeKind::File { size_bytes: content.len() as u64 }, content)
                }
                Item::Symlink(target) => (NodeKind::Symlink { target: target.clone() }, &[]),
                Item::Link(to) => (NodeKind::HardLink { to: to.clone() }, &[]),
                Item::Fifo => (NodeKind::Fifo, &[]),
                Item::Device(major, minor) => {
                    (NodeKind::CharDevice { major: *major, minor: *minor }, &[])
                }
            };
            (Node { path, kind, meta: meta.clone() }, content)
        })
    }
}

/// Noise that does not compress.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..length).map(|_| word()).collect()
}
