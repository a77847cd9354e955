//! A label with everything that is known about it before content moves.

use store::label::{LabelName, LabelRecord};
use store::manifest::{Manifest, Segment};
use store::manifest_reader::{ReadError, Segments, read_label, read_map, read_root, read_segments};
use store::map::Map;
use store::source::Source;

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

impl Label {
    /// Its segments, in order.
    pub(crate) fn segments<'a>(&'a self, source: &'a dyn Source) -> Segments<'a, Segment> {
        read_segments(source, &self.manifest, self.root_bytes, &self.record.manifest)
    }
}
