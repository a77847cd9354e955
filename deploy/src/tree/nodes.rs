//! Nodes in the order of trees, in little memory: about 60 bytes and a name for each.

use std::collections::{BTreeMap, HashMap};
use store::tree::{Meta, Xattr, compare, name, parent};

/// No node.
pub(crate) const NONE: u32 = u32::MAX;

/// Nodes in the order of trees.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    slots: Vec<Slot>,
    /// Names and targets of symbolic links, one after another.
    text: Vec<u8>,
    /// Each list of extended attributes that some node has, once.
    xattrs: Vec<Vec<Xattr>>,
    xattrs_index: BTreeMap<Vec<Xattr>, u32>,
    /// The way from the root to the node that was pushed last: indices, and where their paths end.
    stack: Vec<(u32, usize)>,
    path: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    parent: u32,
    name: Text,
    what: What,
    mode: u16,
    uid: u32,
    gid: u32,
    mtime_s: i64,
    mtime_ns: u32,
    /// Index of its list, counted from 1; 0 for none.
    xattrs: u32,
}

/// A stretch of [`Nodes::text`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text {
    at: u32,
    length: u16,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// A directory.
    Directory,
    /// A regular file: its number among them.
    File(u32),
    /// A symbolic link: see [`Nodes::text`].
    Symlink(Text),
    /// Another name of the node with this index.
    Link(u32),
    /// A named pipe.
    Fifo,
    /// A character device: major and minor number.
    CharDevice(u32, u32),
    /// A block device: the same.
    BlockDevice(u32, u32),
    /// A socket: only on targets.
    Socket,
    /// Something that others have mounted over what is no directory: only on targets.
    Mount,
    /// It could not be looked at, and may be a directory: only on targets.
    Unknown,
}

impl What {
    /// What people call it.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Directory => "a directory",
            Self::File(_) => "a file",
            Self::Symlink(_) => "a symbolic link",
            Self::Link(_) => "a hard link",
            Self::Fifo => "a fifo",
            Self::CharDevice(..) => "a character device",
            Self::BlockDevice(..) => "a block device",
            Self::Socket => "a socket",
            Self::Mount => "a mount point",
            Self::Unknown => "something that cannot be looked at",
        }
    }
}

/// What is wrong with a node that cannot be pushed: what would have been right, and what it is.
pub(crate) type Misplaced = (&'static str, String);

impl Nodes {
    pub(crate) fn len(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Adds the next node. Its directory must have been added before, and be one.
    pub(crate) fn push(&mut self, path: &[u8], what: What, meta: &Meta) -> Result<u32, Misplaced> {
        let index = u32::try_from(self.slots.len()).ok().filter(|index| *index < NONE);
        let Some(index) = index else {
            return Err(("at most 4294967294 nodes", "more".into()));
        };
        let parent = self.enter(path, what)?;
        let name = self.keep_text(name(path))?;
        let Meta { mode, uid, gid, mtime_s, mtime_ns, .. } = *meta;
        let xattrs = self.keep_xattrs(&meta.xattrs);
        self.slots.push(Slot { parent, name, what, mode, uid, gid, mtime_s, mtime_ns, xattrs });
        self.stack.push((index, path.len()));
        self.path.clear();
        self.path.extend_from_slice(path);
        Ok(index)
    }

    /// Goes to the directory of `path`, which becomes the last of the stack, and returns it.
    fn enter(&mut self, path: &[u8], what: What) -> Result<u32, Misplaced> {
        let Some(holder) = parent(path) else {
            if self.slots.is_empty() && what == What::Directory {
                return Ok(NONE);
            }
            return Err(("one root, a directory, first of all", what.noun().into()));
        };
        if !self.stack.is_empty() && compare(&self.path, path).is_ge() {
            return Err(("a path after the one before", "one before it".into()));
        }
        while let Some((index, end)) = self.stack.last() {
            if *end == holder.len() && self.path[..*end] == *holder {
                if self.slots[*index as usize].what == What::Directory {
                    return Ok(*index);
                }
                let noun = self.slots[*index as usize].what.noun();
                return Err(("a directory above it", noun.into()));
            }
            if *end < holder.len() {
                break;
            }
            self.stack.pop();
        }
        Err(("its directory before it", "none".into()))
    }

    /// Keeps the target of a symbolic link.
    pub(crate) fn keep_text(&mut self, text: &[u8]) -> Result<Text, Misplaced> {
        let end = self.text.len() + text.len();
        let at = u32::try_from(end).map(|end| end - text.len() as u32);
        let length = u16::try_from(text.len());
        let (Ok(at), Ok(length)) = (at, length) else {
            return Err(("at most 4 GiB of names", "more".into()));
        };
        self.text.extend_from_slice(text);
        Ok(Text { at, length })
    }

    fn keep_xattrs(&mut self, xattrs: &[Xattr]) -> u32 {
        if xattrs.is_empty() {
            return 0;
        }
        if let Some(index) = self.xattrs_index.get(xattrs) {
            return *index;
        }
        self.xattrs.push(xattrs.to_vec());
        let index = self.xattrs.len() as u32;
        self.xattrs_index.insert(xattrs.to_vec(), index);
        index
    }

    /// Makes room for so many at once, where that can be had.
    pub(crate) fn reserve(&mut self, nodes: usize) {
        // Without it, room is found as they come.
        let _ = self.slots.try_reserve_exact(nodes);
    }

    /// Gives back what was reserved for more.
    pub(crate) fn shrink(&mut self) {
        self.slots.shrink_to_fit();
        self.text.shrink_to_fit();
        (self.stack, self.path) = (Vec::new(), Vec::new());
    }

    /// Parts files from names that are kept: `keeper_of` says what keeps a path. What is kept is not
    /// the label's, or will not be the next time, so that nothing is to be another name of it but
    /// what the same path keeps; the first of the other names becomes the file.
    pub(crate) fn part_links(&mut self, keeper_of: impl Fn(&[u8]) -> Option<Vec<u8>>) {
        let mut led = HashMap::new();
        for index in 0..self.len() {
            let What::Link(to) = self.what(index) else { continue };
            let Some(keeper) = keeper_of(&self.path(to)) else { continue };
            let other = keeper_of(&self.path(index));
            if other.as_ref() == Some(&keeper) {
                continue;
            }
            if let Some(first) = led.get(&(to, other.clone())) {
                self.slots[index as usize].what = What::Link(*first);
                continue;
            }
            led.insert((to, other), index);
            let Slot { parent, name, .. } = self.slots[index as usize];
            self.slots[index as usize] = Slot { parent, name, ..self.slots[to as usize] };
        }
    }

    pub(crate) fn what(&self, index: u32) -> What {
        self.slots[index as usize].what
    }

    /// The directory of a node; [`NONE`] of the root.
    pub(crate) fn parent(&self, index: u32) -> u32 {
        self.slots[index as usize].parent
    }

    /// The last component of its path.
    pub(crate) fn name(&self, index: u32) -> &[u8] {
        self.text(self.slots[index as usize].name)
    }

    pub(crate) fn text(&self, text: Text) -> &[u8] {
        &self.text[text.at as usize..][..usize::from(text.length)]
    }

    pub(crate) fn xattrs(&self, index: u32) -> &[Xattr] {
        match self.slots[index as usize].xattrs {
            0 => &[],
            list => &self.xattrs[list as usize - 1],
        }
    }

    pub(crate) fn meta(&self, index: u32) -> Meta {
        let Slot { mode, uid, gid, mtime_s, mtime_ns, .. } = self.slots[index as usize];
        Meta { mode, uid, gid, mtime_s, mtime_ns, xattrs: self.xattrs(index).to_vec() }
    }

    /// Whether a node has the same metadata as one of others. Symbolic links have no mode.
    pub(crate) fn has_meta_of(&self, index: u32, others: &Self, other: u32) -> bool {
        let (one, two) = (&self.slots[index as usize], &others.slots[other as usize]);
        let is_symlink = matches!(one.what, What::Symlink(_));
        let key = |slot: &Slot| (slot.uid, slot.gid, slot.mtime_s, slot.mtime_ns);
        key(one) == key(two)
            && (is_symlink || one.mode == two.mode)
            && self.xattrs(index) == others.xattrs(other)
    }

    /// The first name of what a node is: itself, unless it is a link.
    pub(crate) fn first(&self, index: u32) -> u32 {
        match self.what(index) {
            What::Link(to) => to,
            _ => index,
        }
    }

    /// One behind the last node below `index`.
    pub(crate) fn end_of(&self, index: u32) -> u32 {
        let mut end = index + 1;
        while end < self.len() && self.parent(end) >= index && self.parent(end) != NONE {
            end += 1;
        }
        end
    }

    pub(crate) fn path(&self, index: u32) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = index;
        while at != NONE && self.parent(at) != NONE {
            names.push(self.name(at));
            at = self.parent(at);
        }
        names.reverse();
        names.join(&b'/')
    }

    /// The node at `path`.
    pub(crate) fn find(&self, path: &[u8]) -> Option<u32> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match compare(&self.path(middle), path) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// Goes through all nodes with their paths.
    pub(crate) fn cursor(&self) -> Cursor<'_> {
        Cursor { nodes: self, index: 0, path: Vec::new(), stack: vec![(0, 0)] }
    }
}

/// A place in [`Nodes`], and its path.
pub(crate) struct Cursor<'a> {
    nodes: &'a Nodes,
    index: u32,
    path: Vec<u8>,
    stack: Vec<(u32, usize)>,
}

impl Cursor<'_> {
    /// The node here and its path; `None` behind the last.
    pub(crate) fn here(&self) -> Option<(u32, &[u8])> {
        (self.index < self.nodes.len()).then_some((self.index, &self.path))
    }

    /// Goes on to the next node.
    pub(crate) fn next(&mut self) {
        self.index += 1;
        if self.index >= self.nodes.len() {
            return;
        }
        let parent = self.nodes.parent(self.index);
        while self.stack.last().is_some_and(|(index, _)| *index != parent) {
            self.stack.pop();
        }
        let end = self.stack.last().map_or(0, |(_, end)| *end);
        self.path.truncate(end);
        if end > 0 {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(self.nodes.name(self.index));
        self.stack.push((self.index, self.path.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(paths: &[(&str, What)]) -> Nodes {
        let mut nodes = Nodes::default();
        for (path, what) in paths {
            nodes.push(path.as_bytes(), *what, &Meta::default()).unwrap();
        }
        nodes
    }

    const ROWS: [(&str, What); 7] = [
        ("", What::Directory),
        ("a", What::Directory),
        ("a/b", What::Directory),
        ("a/b/c", What::File(0)),
        ("a/d", What::Fifo),
        ("a-b", What::Directory),
        ("e", What::Link(3)),
    ];

    #[test]
    fn paths_come_back_in_each_way() {
        let nodes = nodes(&ROWS);
        let mut cursor = nodes.cursor();
        for (index, (path, what)) in ROWS.iter().enumerate() {
            let index = index as u32;
            assert_eq!(cursor.here(), Some((index, path.as_bytes())));
            assert_eq!(nodes.path(index), path.as_bytes());
            assert_eq!(nodes.find(path.as_bytes()), Some(index));
            assert_eq!(nodes.what(index), *what);
            cursor.next();
        }
        assert_eq!((cursor.here(), nodes.find(b"a/c")), (None, None));
        assert_eq!([0, 1, 2, 5, 6].map(|index| nodes.end_of(index)), [7, 5, 4, 6, 7]);
        assert_eq!((nodes.first(6), nodes.first(4)), (3, 4));
    }

    #[test]
    fn what_is_kept_is_parted_from_its_other_names() {
        const D: What = What::Directory;
        let mut all = nodes(&[
            ("", D),
            ("etc", D),
            ("etc/x", What::File(0)),
            ("etc/y", What::Link(2)),
            ("usr", D),
            ("usr/a", What::Link(2)),
            ("usr/b", What::Link(2)),
        ]);
        all.part_links(|path| path.starts_with(b"etc").then(|| b"etc".to_vec()));
        let found = [2, 3, 5, 6].map(|index| all.what(index));
        assert_eq!(found, [What::File(0), What::Link(2), What::File(0), What::Link(5)]);
        all.part_links(|path| (path == b"usr/b").then(|| path.to_vec()));
        assert_eq!(all.what(6), What::Link(5));
    }

    #[test]
    fn what_has_no_directory_above_is_refused() {
        type Row = (&'static [(&'static str, What)], &'static str, &'static str);
        const ROOT: (&str, What) = ("", What::Directory);
        let table: [Row; 6] = [
            (&[], "a", "its directory before it"),
            (&[ROOT], "", "one root, a directory, first of all"),
            (&[ROOT], "a/b", "its directory before it"),
            (
                &[ROOT, ("a", What::Directory), ("b", What::Fifo)],
                "a/b",
                "a path after the one before",
            ),
            (&[ROOT, ("a", What::Fifo)], "a/b", "a directory above it"),
            (
                &[ROOT, ("a", What::Directory), ("a/b", What::Fifo)],
                "a/bc/d",
                "its directory before it",
            ),
        ];
        for (before, path, expected) in table {
            let pushed = nodes(before).push(path.as_bytes(), What::Fifo, &Meta::default());
            assert_eq!(pushed.unwrap_err().0, expected, "{path}");
        }
    }

    #[test]
    fn attributes_are_kept_once_and_compared() {
        let mut nodes = Nodes::default();
        let xattrs = vec![Xattr { name: b"user.a".to_vec(), value: vec![1] }];
        let meta = Meta { mode: 0o755, xattrs, ..Meta::default() };
        nodes.push(b"", What::Directory, &meta).unwrap();
        nodes.push(b"a", What::Fifo, &meta).unwrap();
        nodes.push(b"b", What::Fifo, &Meta { mode: 0o700, ..meta.clone() }).unwrap();
        assert_eq!((nodes.meta(1), nodes.xattrs.len()), (meta, 1));
        assert!(nodes.has_meta_of(0, &nodes, 1) && !nodes.has_meta_of(0, &nodes, 2));
    }
}
