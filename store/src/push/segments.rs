//! The segment that is being put together, of an image or of a tree.

use crate::cut::SEGMENT_SPAN_BYTES;
use crate::manifest::{Entry, Segment};
use crate::tree::{Meta, Node, NodeKind, TreeSegmentWriter};

/// A segment of a tree is closed when it has this many bytes. The longest node, with all its
/// attributes, does not bring it near [`crate::manifest::SEGMENT_MAX_BYTES`].
const TREE_CLOSE_BYTES: usize = 1 << 20;

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
