//! What no segment of a tree can show alone: that it follows the one before.

use super::node::{Node, NodeKind};
use super::path::compare;
use super::segment::{NodeEntry, TreeSegment};
use crate::codec::FormatError;
use crate::manifest::Entry;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Checks the segments of a tree, given in order: the root comes first, paths go on in order, a
/// file that is not whole goes on at the very byte.
#[derive(Debug, Default)]
pub struct Continuity {
    /// The last path, if there was any.
    path: Option<Vec<u8>>,
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
        match (self.open, first.start_bytes) {
            (None, 0) => self.check_next(&first.node)?,
            (open, start) => self.check_goes_on(open, first, start)?,
        }
        let goes_on = u64::from(first.start_bytes > 0);
        self.nodes += segment.nodes.len() as u64 - goes_on;
        let pieces = segment.nodes.iter().flat_map(|entry| &entry.pieces);
        self.content_bytes += pieces.map(Entry::length).sum::<u64>();
        if let Some(last) = segment.nodes.last() {
            self.path = Some(last.node.path.clone());
            self.open = open_end(last);
        }
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

    fn check_next(&self, first: &Node) -> Result<(), FormatError> {
        let found = || first.path.escape_ascii().to_string();
        match &self.path {
            None if first.path.is_empty() => Ok(()),
            None => Err(self.wrong("the root first of all", &found())),
            Some(before) if compare(before, &first.path).is_lt() => Ok(()),
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

/// Where `entry`, if it is a file that is not whole, goes on, and its length.
fn open_end(entry: &NodeEntry) -> Option<(u64, u64)> {
    let NodeKind::File { size_bytes } = entry.node.kind else { return None };
    let end = entry.start_bytes + entry.pieces.iter().map(Entry::length).sum::<u64>();
    (end < size_bytes).then_some((end, size_bytes))
}
