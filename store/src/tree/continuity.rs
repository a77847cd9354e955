//! What no segment of a tree can show alone: that it follows the one before.

use super::node::{Node, NodeKind};
use super::path::{compare, parent};
use super::segment::{NodeEntry, TreeSegment};
use crate::codec::FormatError;
use crate::manifest::Entry;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Checks the segments of a tree, given in order: the root comes first, paths go on in order, what
/// holds a node is a directory before it, a file that is not whole goes on at the very byte.
///
/// Whether a hard link's target is there is for whoever holds the nodes to find out: only a list of
/// all of them tells.
#[derive(Debug, Default)]
pub struct Continuity {
    /// The last path, if there was any.
    path: Option<Vec<u8>>,
    /// Lengths of those beginnings of that path that are directories, it included, bytes.
    directories: Vec<usize>,
    /// What is left of that file: where it goes on and its length, bytes.
    open: Option<(u64, u64)>,
    nodes: u64,
    /// How much content there was.
    content_bytes: u64,
}

impl Continuity {
    /// An error if `segment` does not follow what was given before.
    pub fn follow(&mut self, segment: &TreeSegment) -> Result<(), FormatError> {
        let Some(first) = segment.nodes.first() else {
            return Err(self.wrong("a node", "an empty segment"));
        };
        let mut begun = &segment.nodes[..];
        if self.open.is_some() || first.start_bytes > 0 {
            self.check_goes_on(self.open, first, first.start_bytes)?;
            begun = &begun[1..];
        }
        begun.iter().try_for_each(|entry| self.enter(&entry.node))?;
        let pieces = segment.nodes.iter().flat_map(|entry| &entry.pieces);
        self.content_bytes += pieces.map(Entry::length).sum::<u64>();
        self.open = segment.nodes.last().and_then(open_end);
        Ok(())
    }

    /// An error if the tree, which was to have so many nodes, cannot end here.
    pub fn end(&self, nodes: u64) -> Result<(), FormatError> {
        if let Some((at, size)) = self.open {
            return Err(self.wrong(&format!("a file of {size} bytes"), &format!("{at}")));
        }
        if self.nodes == nodes {
            return Ok(());
        }
        Err(self.wrong(&format!("{nodes} nodes"), &format!("{}", self.nodes)))
    }

    /// Takes the next node.
    fn enter(&mut self, node: &Node) -> Result<(), FormatError> {
        self.check_next(node)?;
        let path = self.path.get_or_insert_default();
        while self.directories.last().is_some_and(|length| !is_in(&path[..*length], &node.path)) {
            self.directories.pop();
        }
        if let Some(parent) = parent(&node.path)
            && self.directories.last() != Some(&parent.len())
        {
            let expected = format!("a directory {:?} before", parent.escape_ascii().to_string());
            return Err(self.wrong(&expected, &node.path.escape_ascii().to_string()));
        }
        path.clear();
        path.extend_from_slice(&node.path);
        if node.kind == NodeKind::Directory {
            self.directories.push(node.path.len());
        }
        self.nodes += 1;
        Ok(())
    }

    fn check_next(&self, next: &Node) -> Result<(), FormatError> {
        let found = || next.path.escape_ascii().to_string();
        match &self.path {
            None if next.path.is_empty() => Ok(()),
            None => Err(self.wrong("the root first of all", &found())),
            Some(before) if compare(before, &next.path).is_lt() => Ok(()),
            Some(before) => {
                Err(self.wrong(&format!("a path after {}", before.escape_ascii()), &found()))
            }
        }
    }

    fn check_goes_on(
        &self,
        open: Option<(u64, u64)>,
        first: &NodeEntry,
        start: u64,
    ) -> Result<(), FormatError> {
        let size = match first.node.kind {
            NodeKind::File { size_bytes } => size_bytes,
            _ => 0,
        };
        let same = self.path.as_ref() == Some(&first.node.path);
        if same && open == Some((start, size)) {
            return Ok(());
        }
        let file = |path: &[u8], at: u64| format!("{} from {at}", path.escape_ascii());
        let expected = match (open, &self.path) {
            (Some((at, _)), Some(path)) => file(path, at),
            _ => String::from("the start of a node"),
        };
        Err(self.wrong(&expected, &file(&first.node.path, start)))
    }

    fn wrong(&self, expected: &str, found: &str) -> FormatError {
        let (expected, found) = (expected.into(), found.into());
        FormatError { what: "tree's content".into(), at: self.content_bytes, expected, found }
    }
}

/// Whether `path` is below `directory`.
fn is_in(directory: &[u8], path: &[u8]) -> bool {
    let rest = path.strip_prefix(directory);
    rest.is_some_and(
        |rest| if directory.is_empty() { !rest.is_empty() } else { rest.starts_with(b"/") },
    )
}

/// Where `entry`, if it is a file that is not whole, goes on, and its length.
fn open_end(entry: &NodeEntry) -> Option<(u64, u64)> {
    let NodeKind::File { size_bytes } = entry.node.kind else { return None };
    let end = entry.start_bytes + entry.pieces.iter().map(Entry::length).sum::<u64>();
    (end < size_bytes).then_some((end, size_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Meta;
    use alloc::vec;

    type Segments<'a> = &'a [&'a [(&'a str, NodeKind)]];

    fn segment(nodes: &[(&str, NodeKind)]) -> TreeSegment {
        let entry = |(path, kind): &(&str, NodeKind)| NodeEntry {
            node: Node { path: path.as_bytes().into(), kind: kind.clone(), meta: Meta::default() },
            start_bytes: 0,
            pieces: vec![],
        };
        TreeSegment { nodes: nodes.iter().map(entry).collect() }
    }

    /// What is said of these segments, and at the end.
    fn follow(segments: &[&[(&str, NodeKind)]]) -> Result<(), String> {
        let (mut continuity, mut nodes) = (Continuity::default(), 0);
        for segment_nodes in segments {
            nodes += segment_nodes.len() as u64;
            continuity.follow(&segment(segment_nodes)).map_err(|error| error.to_string())?;
        }
        continuity.end(nodes).map_err(|error| error.to_string())
    }

    #[test]
    fn what_holds_a_node_is_a_directory_before_it() {
        use NodeKind::{Directory as Dir, Fifo};
        let wrong = |expected: &str, found: &str| {
            Err(format!("tree's content at byte 0: expected {expected}, found {found}"))
        };
        let root = ("", Dir);
        let table: [(Segments<'_>, Result<(), String>); 8] = [
            (&[&[root.clone(), ("a", Dir), ("a/b", Dir), ("a/b/c", Fifo), ("a/d", Fifo)]], Ok(())),
            (
                &[&[root.clone(), ("a", Dir)], &[("a/b", Dir)], &[("a/b/c", Fifo), ("d", Dir)]],
                Ok(()),
            ),
            (&[&[root.clone(), ("a/b", Fifo)]], wrong("a directory \"a\" before", "a/b")),
            (
                &[&[root.clone(), ("a", Fifo)], &[("a/b", Fifo)]],
                wrong("a directory \"a\" before", "a/b"),
            ),
            (
                &[&[root.clone(), ("a", Dir), ("ab", Dir), ("ab/c/d", Dir)]],
                wrong("a directory \"ab/c\" before", "ab/c/d"),
            ),
            (
                &[&[root.clone(), ("a", Dir), ("a.b/c", Dir)]],
                wrong("a directory \"a.b\" before", "a.b/c"),
            ),
            (&[&[root.clone(), ("b", Dir)], &[("a", Dir)]], wrong("a path after b", "a")),
            (&[&[("a", Dir)]], wrong("the root first of all", "a")),
        ];
        for (segments, expected) in table {
            assert_eq!(follow(segments), expected);
        }
    }
}
