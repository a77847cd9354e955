//! A label with everything that is known about it before content moves.

use store::label::{LabelName, LabelRecord};
use store::manifest::{Entry, Kind, Manifest, Part, Segment, SegmentRef};
use store::manifest_reader::{ReadError, read_label, read_map, read_root, read_segments_of};
use store::map::Map;
use store::source::Source;
use store::tree::{NodeEntry, TreeSegment};

/// A label's record, manifest and map.
pub(crate) struct Label {
    /// Its record.
    pub(crate) record: LabelRecord,
    /// The root of its manifest.
    pub(crate) manifest: Manifest,
    /// Length of that root, bytes.
    pub(crate) root_bytes: usize,
    /// Where its objects are.
    pub(crate) map: Map,
}

/// Reads the label `name`.
pub(crate) fn label(source: &dyn Source, name: &LabelName) -> Result<Label, ReadError> {
    let record = read_label(source, name)?;
    let (manifest, root_bytes) = read_root(source, &record.manifest)?;
    let map = read_map(source, &record.manifest, &manifest)?;
    Ok(Label { record, manifest, root_bytes, map })
}

/// Length of a label's manifest, root and segments, bytes.
pub(crate) fn manifest_bytes(label: &Label) -> u64 {
    let segments = label.manifest.segments.iter().map(|segment| u64::from(segment.encoded_bytes));
    label.root_bytes as u64 + segments.sum::<u64>()
}

/// A segment of a label of either kind.
pub(crate) enum AnySegment {
    /// Of an image, or of a payload beside a tree.
    Entries(Segment),
    /// Of a tree.
    Tree(TreeSegment),
}

impl AnySegment {
    /// The content it covers, in order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        let (entries, nodes): (&[Entry], &[NodeEntry]) = match self {
            Self::Entries(segment) => (&segment.entries, &[]),
            Self::Tree(segment) => (&[], &segment.nodes),
        };
        entries.iter().chain(nodes.iter().flat_map(|node| &node.pieces))
    }
}

impl Label {
    /// Its segments, in order.
    pub(crate) fn segments<'a>(
        &'a self,
        source: &'a dyn Source,
    ) -> impl Iterator<Item = Result<AnySegment, ReadError>> + 'a {
        let (manifest, digest) = (&self.manifest, &self.record.manifest);
        let all = manifest.segments.len();
        let is_content = |segment: &&SegmentRef| segment.part == Part::Content;
        let of_tree = match manifest.kind {
            Kind::Image(_) => 0,
            Kind::Tree(_) => manifest.segments.iter().filter(is_content).count(),
        };
        let root_bytes = self.root_bytes;
        let tree = read_segments_of(source, manifest, root_bytes, digest, 0..of_tree);
        let others = read_segments_of(source, manifest, root_bytes, digest, of_tree..all);
        let tree = tree.map(|segment| segment.map(AnySegment::Tree));
        tree.chain(others.map(|segment| segment.map(AnySegment::Entries)))
    }
}
