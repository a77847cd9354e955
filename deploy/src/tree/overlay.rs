//! Nodes that no label has: what is made for this one machine.

use super::error::{TreeError, shown};
use super::nodes::{Nodes, What};
use super::rights::Rights;
use super::wanted::{From, Wanted};
use std::collections::{BTreeMap, HashSet};
use store::Digest;
use store::manifest;
use store::tree::{Meta, Node, NodeKind, Piece, check_path, next_piece, parent};

/// Mode of directories that are made only for what is below them.
const DIRECTORY_MODE: u16 = 0o755;

/// So many symbolic links are followed on the way to a node (`path_resolution(7)`).
const LINKS_MAX: u32 = 40;

/// Nodes that replace those of a label, or are added to it, with the content of files. They are
/// written, compared and proven like all others, and nothing is fetched for them.
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    /// By the names of their paths, which is the order of trees.
    nodes: BTreeMap<Vec<Vec<u8>>, (Node, Vec<u8>)>,
}

impl Overlay {
    /// A regular file with `content`.
    pub fn file(&mut self, path: &[u8], meta: Meta, content: Vec<u8>) {
        let kind = NodeKind::File { size_bytes: content.len() as u64 };
        self.add(Node { path: path.to_vec(), kind, meta }, content);
    }

    /// Any other node than a regular file or a hard link. A path that was added before is
    /// replaced.
    pub fn node(&mut self, node: Node) {
        self.add(node, Vec::new());
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The same where its paths lead once `label` is there: a directory that the label has a symbolic
    /// link for is the one that the link leads to, as for a program on the machine. What is at the
    /// end of a path replaces what the label has there, links too.
    pub(crate) fn through_links_of(&self, label: &Nodes) -> Self {
        let mut through = Self::default();
        for (node, content) in self.nodes.values() {
            let path = self.resolve(label, &node.path).unwrap_or_else(|| node.path.clone());
            through.add(Node { path, ..node.clone() }, content.clone());
        }
        through
    }

    /// Where `path` leads; `None` where that cannot be told.
    fn resolve(&self, label: &Nodes, path: &[u8]) -> Option<Vec<u8>> {
        self.walk(label, path, false)
    }

    /// Where `path` leads, a link at its end followed as well.
    pub(crate) fn follow(&self, label: &Nodes, path: &[u8]) -> Option<Vec<u8>> {
        self.walk(label, path, true)
    }

    fn walk(&self, label: &Nodes, path: &[u8], follows_last: bool) -> Option<Vec<u8>> {
        let mut way: Vec<Vec<u8>> = names(path);
        way.reverse();
        let (mut at, mut links) = (Vec::new(), 0);
        while let Some(step) = way.pop() {
            match &step[..] {
                b"" | b"." => continue,
                b".." => {
                    at.pop();
                    continue;
                }
                _ => at.push(step),
            }
            // What it has itself takes the place of the label's.
            if (way.is_empty() && !follows_last) || self.nodes.contains_key(&at) {
                continue;
            }
            let found = label.find(&at.join(&b'/')).map(|index| label.what(label.first(index)));
            let Some(What::Symlink(to)) = found else { continue };
            links += 1;
            if links > LINKS_MAX {
                return None;
            }
            let to = label.text(to);
            if to.starts_with(b"/") {
                at.clear();
            } else {
                at.pop();
            }
            way.extend(names(to).into_iter().rev());
        }
        Some(at.join(&b'/'))
    }

    fn add(&mut self, node: Node, content: Vec<u8>) {
        self.nodes.insert(names(&node.path), (node, content));
    }

    /// Its nodes, with directories above them, and which of these are only there for that.
    pub(crate) fn wanted(&self, rights: Rights) -> Result<(Wanted, HashSet<u32>), TreeError> {
        let (mut wanted, mut weak) = (Wanted::default(), HashSet::new());
        for (node, content, is_weak) in self.with_parents()? {
            let misplaced = |(expected, found)| TreeError::Node {
                label: "of this machine's own files".into(),
                path: shown(&node.path),
                expected,
                found,
            };
            let index = wanted.push(&node, rights, &mut HashSet::new()).map_err(misplaced)?;
            weak.extend(index.filter(|_| is_weak));
            if let NodeKind::File { .. } = node.kind {
                push_content(&mut wanted, content);
                wanted.end_file();
            }
        }
        Ok((wanted, weak))
    }

    fn with_parents(&self) -> Result<Vec<Entry<'_>>, TreeError> {
        let mut all: BTreeMap<Vec<Vec<u8>>, Entry<'_>> = BTreeMap::new();
        for (key, (node, content)) in &self.nodes {
            check_path(&node.path).map_err(|(expected, found)| TreeError::Node {
                label: "of this machine's own files".into(),
                path: shown(&node.path),
                expected,
                found,
            })?;
            let above = std::iter::successors(parent(&node.path), |path| parent(path));
            for path in above.filter(|path| !self.nodes.contains_key(&names(path))) {
                let meta = Meta { mode: DIRECTORY_MODE, xattrs: Vec::new(), ..node.meta.clone() };
                let meta = Meta { uid: 0, gid: 0, ..meta };
                let directory = Node { path: path.to_vec(), kind: NodeKind::Directory, meta };
                all.entry(names(path)).or_insert((directory, &[], true));
            }
            all.insert(key.clone(), (node.clone(), content, false));
        }
        Ok(all.into_values().collect())
    }
}

/// A node, the content of a file, and whether it is only there for what is below it.
type Entry<'a> = (Node, &'a [u8], bool);

fn names(path: &[u8]) -> Vec<Vec<u8>> {
    if path.is_empty() {
        return Vec::new();
    }
    path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect()
}

fn push_content(wanted: &mut Wanted, content: &[u8]) {
    let mut at = 0;
    while let Some(piece) = next_piece(&content[at..], at as u64, true) {
        match piece {
            Piece::Zero { length } => {
                wanted.push_piece(&manifest::Entry::Zero { length: length as u64 }, From::Overlay);
                at += length;
            }
            Piece::Data { length } => {
                let bytes = &content[at..at + length];
                let digest = Digest::of(bytes);
                wanted.push_piece(
                    &manifest::Entry::Data { digest, length: length as u32 },
                    From::Overlay,
                );
                wanted.local.insert(digest, bytes.into());
                at += length;
            }
        }
    }
}
