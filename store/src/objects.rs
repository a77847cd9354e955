//! The objects of a manifest, whatever its kind: what verifying, copying and collecting go by.

use crate::Digest;
use crate::manifest::{Kind, Manifest, Part, Segment, SegmentKind};
use crate::manifest_reader::{ReadError, Segments, format_error, read_segments};
use crate::source::{Item, Source};
use crate::tree::{Continuity, TreeSegment};

/// A segment of any kind, as it is in the store and as what it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentObjects {
    /// Its bytes; they have the digest that the root names.
    pub encoded: Vec<u8>,
    /// Its objects with their lengths, in the order of the places in its map.
    pub objects: Vec<(Digest, u32)>,
}

/// Reads and checks the segments of `manifest`, whose digest is `digest` and whose root has
/// `root_bytes`, in order: also that those of a tree follow each other. One request for all, made
/// at the first `next`; one segment is held at a time. The first error ends the iterator.
pub fn read_objects<'a>(
    source: &'a dyn Source,
    manifest: &'a Manifest,
    root_bytes: usize,
    digest: &Digest,
) -> Objects<'a> {
    let segments = read_segments(source, manifest, root_bytes, digest);
    let item = Item::Manifest(*digest);
    Objects { source, manifest, item, segments, next: 0, tree: Continuity::default() }
}

/// Iterator over the segments of a manifest; see [`read_objects`].
pub struct Objects<'a> {
    source: &'a dyn Source,
    manifest: &'a Manifest,
    item: Item,
    segments: Segments<'a, Encoded>,
    /// Number of the segment that comes next.
    next: usize,
    tree: Continuity,
}

/// Bytes that nobody has looked into yet.
struct Encoded(Vec<u8>);

impl SegmentKind for Encoded {
    fn decode(bytes: &[u8], _: u64) -> Result<Self, crate::FormatError> {
        Ok(Self(bytes.to_vec()))
    }

    fn objects(&self) -> impl Iterator<Item = (Digest, u32)> {
        std::iter::empty()
    }
}

impl Iterator for Objects<'_> {
    type Item = Result<SegmentObjects, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next > self.manifest.segments.len() {
            return None;
        }
        let next = self.read_next();
        self.next = if matches!(next, Some(Ok(_))) { self.next + 1 } else { usize::MAX };
        next
    }
}

impl Objects<'_> {
    fn read_next(&mut self) -> Option<Result<SegmentObjects, ReadError>> {
        let Some(segment) = self.segments.next() else { return self.end().err().map(Err) };
        Some(segment.and_then(|Encoded(encoded)| self.look(encoded)))
    }

    fn look(&mut self, encoded: Vec<u8>) -> Result<SegmentObjects, ReadError> {
        let reference = self.manifest.segments[self.next];
        let (span, tree) = (reference.span_bytes, matches!(self.manifest.kind, Kind::Tree(_)));
        let objects = if tree && reference.part == Part::Content {
            TreeSegment::decode(&encoded, span).and_then(|segment| {
                self.tree.follow(&segment)?;
                Ok(segment.objects().collect())
            })
        } else {
            Segment::decode(&encoded, span).map(|segment| segment.objects().collect())
        };
        let name = || format!("{}: segment {}", self.item, self.next);
        let objects = objects.map_err(|error| format_error(self.source, name(), error))?;
        Ok(SegmentObjects { encoded, objects })
    }

    fn end(&self) -> Result<(), ReadError> {
        let Kind::Tree(tree) = &self.manifest.kind else { return Ok(()) };
        let ended = self.tree.end(tree.nodes);
        ended.map_err(|error| format_error(self.source, self.item.to_string(), error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Entry, SegmentRef, Tree};
    use crate::manifest_reader::read_root;
    use crate::source::{Body, SourceError};
    use crate::tree::{Meta, Node, NodeEntry, NodeKind};
    use std::io::Cursor;
    use std::ops::Range;

    /// A store of one manifest.
    struct One(Vec<u8>);

    impl Source for One {
        fn name(&self) -> &'static str {
            "one"
        }

        fn open(&self, _: &Item, range: Option<Range<u64>>) -> Result<Body, SourceError> {
            let Range { start, end } = range.unwrap_or(0..self.0.len() as u64);
            let bytes = self.0[start as usize..end as usize].to_vec();
            let length = Some(bytes.len() as u64);
            Ok(Body {
                length_bytes: length,
                total_bytes: None,
                reader: Box::new(Cursor::new(bytes)),
            })
        }
    }

    fn object(text: &str) -> Entry {
        Entry::Data { digest: Digest::of(text.as_bytes()), length: text.len() as u32 }
    }

    fn entry(path: &str, kind: NodeKind, pieces: Vec<Entry>) -> NodeEntry {
        let node = Node { path: path.into(), kind, meta: Meta::default() };
        NodeEntry { node, start_bytes: 0, pieces }
    }

    fn store(nodes: u64, segments: &[(Vec<u8>, u64, Part)]) -> (One, Digest) {
        let reference = |(bytes, span_bytes, part): &(Vec<u8>, u64, Part)| SegmentRef {
            digest: Digest::of(bytes),
            encoded_bytes: bytes.len() as u32,
            span_bytes: *span_bytes,
            part: *part,
        };
        let tree = Tree { size_bytes: 7, nodes };
        let segments: Vec<_> = segments.to_vec();
        let references = segments.iter().map(reference).collect();
        let root = Manifest { kind: Kind::Tree(tree), boot: None, segments: references }.encode();
        let digest = Digest::of(&root);
        let segments = segments.into_iter().flat_map(|(bytes, ..)| bytes);
        (One(root.into_iter().chain(segments).collect()), digest)
    }

    fn read((source, digest): &(One, Digest)) -> Result<Vec<Vec<(Digest, u32)>>, String> {
        let (manifest, root_bytes) = read_root(source, digest).map_err(|e| e.to_string())?;
        let segments = read_objects(source, &manifest, root_bytes, digest);
        segments.map(|read| read.map(|s| s.objects).map_err(|e| e.to_string())).collect()
    }

    #[test]
    fn objects_of_trees_and_payloads_come_in_order() {
        let file = NodeKind::File { size_bytes: 7 };
        let nodes = vec![
            entry("", NodeKind::Directory, vec![]),
            entry("a", file, vec![object("one"), object("four")]),
        ];
        let tree = TreeSegment { nodes }.encode();
        let payload = Segment { entries: vec![Entry::Zero { length: 1 }, object("kernel")] };
        let parts = [(tree, 7, Part::Content), (payload.encode(), 7, Part::Payload)];
        let of = |texts: &[&str]| texts.iter().filter_map(|text| object(text).object()).collect();
        assert_eq!(read(&store(2, &parts)), Ok(vec![of(&["one", "four"]), of(&["kernel"])]));
        assert!(read(&store(3, &parts)).is_err(), "a node is missing at the end");
        assert!(read(&store(2, &[parts[0].clone(), parts[0].clone()])).is_err());
    }
}
