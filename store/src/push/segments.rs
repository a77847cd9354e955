//! The segment that is being put together, of an image or of a tree.

use crate::cut::SEGMENT_SPAN_BYTES;
use crate::manifest::{Entry, Segment};
use crate::tree::{
    Meta, Node, NodeKind, PATH_MAX_BYTES, SEGMENT_PATHS_MAX_BYTES, TreeSegmentWriter,
};

/// A segment of a tree is closed when it has this many bytes. The longest node, with all its
/// attributes, does not bring it near [`crate::manifest::SEGMENT_MAX_BYTES`].
const TREE_CLOSE_BYTES: usize = 1 << 20;

/// Or when its paths have this many bytes: then there is room for any path.
const TREE_CLOSE_PATHS_BYTES: usize = SEGMENT_PATHS_MAX_BYTES - PATH_MAX_BYTES;

/// The open segment. Where those of a tree end is a matter of its content alone.
pub(super) enum OpenSegment {
    /// Of an image or payload; its end is told.
    Entries(Segment),
    /// Of a tree.
    Tree(Box<OpenTree>),
}

/// The open segment of a tree.
#[derive(Default)]
pub(super) struct OpenTree {
    writer: TreeSegmentWriter,
    /// A node that goes to the segment that its first piece goes to.
    waiting: Option<Node>,
    /// The file that is under way, without metadata, and how much of it there was.
    file: Option<(Node, u64)>,
}

impl Default for OpenSegment {
    fn default() -> Self {
        Self::Entries(Segment::default())
    }
}

impl OpenSegment {
    /// Begins a node. `true` if the segment is to be closed before.
    pub(super) fn node(&mut self, node: Node) -> bool {
        if let Self::Entries(_) = self {
            *self = Self::Tree(Box::default());
        }
        let Self::Tree(tree) = self else { return false };
        tree.put_waiting();
        tree.waiting = Some(node);
        tree.is_full()
    }

    /// How much of a piece of `length` bytes fits: if it is less, and the piece is no zeroes, the
    /// segment is to be closed before. Always something fits an empty one.
    pub(super) fn room_bytes(&self, length: u64) -> u64 {
        match self {
            Self::Entries(_) => length,
            Self::Tree(tree) if tree.is_full() => 0,
            Self::Tree(tree) => length.min(SEGMENT_SPAN_BYTES - tree.writer.span_bytes()),
        }
    }

    /// Adds a piece that fits.
    pub(super) fn piece(&mut self, piece: Entry) {
        match self {
            Self::Entries(segment) => match (segment.entries.last_mut(), piece) {
                (Some(Entry::Zero { length }), Entry::Zero { length: more }) => *length += more,
                _ => segment.entries.push(piece),
            },
            Self::Tree(tree) => tree.piece(piece),
        }
    }

    /// Closes the segment: its bytes, and how much content it covers. What follows is of the same
    /// tree.
    pub(super) fn close(&mut self) -> (Vec<u8>, u64) {
        match self {
            Self::Entries(segment) => {
                let segment = std::mem::take(segment);
                (segment.encode(), segment.span_bytes())
            }
            Self::Tree(tree) => {
                let writer = std::mem::take(&mut tree.writer);
                let span_bytes = writer.span_bytes();
                (writer.finish(), span_bytes)
            }
        }
    }

    /// Closes the last segment of the image, payload or tree.
    pub(super) fn end(&mut self) -> (Vec<u8>, u64) {
        if let Self::Tree(tree) = self {
            tree.put_waiting();
        }
        let closed = self.close();
        *self = Self::default();
        closed
    }
}

impl OpenTree {
    fn is_full(&self) -> bool {
        self.writer.encoded_bytes() >= TREE_CLOSE_BYTES
            || self.writer.paths_bytes() >= TREE_CLOSE_PATHS_BYTES
    }

    fn put_waiting(&mut self) {
        if let Some(node) = self.waiting.take() {
            self.writer.node(&node, 0);
            let node = Node { meta: Meta::default(), ..node };
            self.file = matches!(node.kind, NodeKind::File { .. }).then_some((node, 0));
        }
    }

    fn piece(&mut self, piece: Entry) {
        if self.waiting.is_some() {
            self.put_waiting();
        } else if let Some((file, at)) = self.file.as_ref()
            && self.writer.encoded_bytes() == 0
        {
            self.writer.node(file, *at);
        }
        if let Some((_, at)) = &mut self.file {
            *at += piece.length();
        }
        self.writer.piece(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::SegmentKind;
    use crate::tree::TreeSegment;

    /// A directory of a path that is nearly as long as can be, and fifos in it: a few bytes each.
    fn deep() -> Vec<Node> {
        let deep = "d/".repeat(32_000);
        let directories =
            (0..32_000).map(|level| (deep[..=2 * level].to_owned(), NodeKind::Directory));
        let fifos = (0..1000).map(|number| (format!("{deep}{number:04}"), NodeKind::Fifo));
        [(String::new(), NodeKind::Directory)]
            .into_iter()
            .chain(directories.filter(|(path, _)| path.len() > 63_000))
            .chain(fifos)
            .map(|(path, kind)| Node { path: path.into(), kind, meta: Meta::default() })
            .collect()
    }

    #[test]
    fn segments_of_long_paths_are_closed_where_readers_can_hold_them() {
        let (mut segment, mut closed) = (OpenSegment::default(), Vec::new());
        let nodes = deep();
        for node in &nodes {
            if segment.node(node.clone()) {
                closed.push(segment.close());
            }
        }
        closed.push(segment.end());
        let mut read = Vec::new();
        for (bytes, span_bytes) in &closed {
            let segment = TreeSegment::decode(bytes, *span_bytes).unwrap();
            let paths_bytes: usize = segment.nodes.iter().map(|entry| entry.node.path.len()).sum();
            assert!(paths_bytes <= SEGMENT_PATHS_MAX_BYTES);
            read.extend(segment.nodes.into_iter().map(|entry| entry.node));
        }
        assert!(read == nodes);
        assert!((5..10).contains(&closed.len()), "{} segments", closed.len());
    }
}
