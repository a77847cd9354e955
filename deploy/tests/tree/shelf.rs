//! A store in memory, whose labels are made from trees as values.

use crate::model::Tree;
use std::collections::HashMap;
use std::io::Cursor;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use store::label::LabelRecord;
use store::manifest::{Entry, Kind, Manifest, Part, SegmentRef};
use store::map::{FrameRef, Map, PackRef, Place, Section};
use store::source::{Body, Item, Source, SourceError};
use store::tree::{NodeKind, Piece, TreeSegmentWriter, next_piece};
use store::{Digest, Hasher};

/// A segment ends when it covers so much, bytes: files go on over several.
const SPAN_BYTES: u64 = 256 << 10;

/// A frame ends when it holds so much, bytes.
const FRAME_BYTES: usize = 128 << 10;

/// Labels by name, and what they lead to.
#[derive(Default)]
pub(crate) struct Shelf {
    items: Mutex<HashMap<String, Vec<u8>>>,
}

impl Shelf {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Puts `tree` on the shelf.
    pub(crate) fn put(&self, label: &str, tree: &Tree) {
        let mut press = Press::default();
        let mut size_bytes = 0;
        for (node, content) in tree.nodes() {
            if press.writer.span_bytes() >= SPAN_BYTES {
                press.end_segment();
            }
            press.writer.node(&node, 0);
            if matches!(node.kind, NodeKind::File { .. }) {
                size_bytes += content.len() as u64;
                press.content(&node, content);
            }
        }
        press.end_segment();
        press.end_frame();
        press.place();
        let nodes = tree.0.len() as u64;
        let kind = Kind::Tree(store::manifest::Tree { size_bytes, nodes });
        let manifest = Manifest { kind, boot: None, segments: press.segments };
        let root = manifest.encode();
        let mut hasher = Hasher::new();
        hasher.update(&root);
        let digest = hasher.finish();
        let pack = Digest::of(&press.pack);
        let packs = vec![PackRef { digest: pack, size_bytes: press.pack.len() as u64 }];
        let map = Map { packs, sections: press.sections };
        let record = LabelRecord {
            name: label.parse().unwrap(),
            manifest: digest,
            kind: "tree".into(),
            size_bytes,
            pushed_unix_s: 1,
            facts: Vec::new(),
        };
        let mut items = self.items.lock().unwrap();
        let mut put = |item: Item, bytes| items.insert(item.to_string(), bytes);
        put(Item::Label(record.name.clone()), record.encode().into_bytes());
        put(Item::Manifest(digest), [root, press.encoded].concat());
        put(Item::Map(digest), map.encode());
        put(Item::Pack(pack), press.pack);
    }

    pub(crate) fn as_source(self: &Arc<Self>) -> Arc<dyn Source> {
        Arc::clone(self) as Arc<dyn Source>
    }
}

impl Source for Shelf {
    fn name(&self) -> &'static str {
        "shelf"
    }

    fn open(&self, item: &Item, range: Option<Range<u64>>) -> Result<Body, SourceError> {
        let items = self.items.lock().unwrap();
        let missing = || SourceError::NotFound { item: item.clone(), store: "shelf".into() };
        let bytes = items.get(&item.to_string()).ok_or_else(missing)?;
        let total = bytes.len() as u64;
        let range = range.unwrap_or(0..total);
        let part = bytes[range.start as usize..range.end as usize].to_vec();
        let length_bytes = Some(part.len() as u64);
        Ok(Body { length_bytes, total_bytes: Some(total), reader: Box::new(Cursor::new(part)) })
    }
}

/// Makes segments and frames of nodes.
#[derive(Default)]
struct Press {
    writer: TreeSegmentWriter,
    segments: Vec<SegmentRef>,
    encoded: Vec<u8>,
    sections: Vec<Section>,
    pack: Vec<u8>,
    raw: Vec<u8>,
    /// Where each object is: the frame that is being filled has no place yet.
    placed: HashMap<Digest, (FrameRef, u32)>,
    waiting: Vec<(Digest, u32)>,
    /// Objects with the numbers of their sections.
    wanted: Vec<(usize, Digest)>,
}

impl Press {
    fn content(&mut self, node: &store::tree::Node, content: &[u8]) {
        let mut at = 0;
        while let Some(piece) = next_piece(&content[at..], at as u64, true) {
            if at > 0 && self.writer.span_bytes() >= SPAN_BYTES {
                self.end_segment();
                self.writer.node(node, at as u64);
            }
            match piece {
                Piece::Zero { length } => {
                    self.writer.piece(Entry::Zero { length: length as u64 });
                    at += length;
                }
                Piece::Data { length } => {
                    let digest = self.object(&content[at..at + length]);
                    self.writer.piece(Entry::Data { digest, length: length as u32 });
                    at += length;
                }
            }
        }
    }

    fn object(&mut self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let is_known = self.placed.contains_key(&digest)
            || self.waiting.iter().any(|(other, _)| *other == digest);
        if !is_known {
            self.waiting.push((digest, self.raw.len() as u32));
            self.raw.extend_from_slice(bytes);
            if self.raw.len() >= FRAME_BYTES {
                self.end_frame();
            }
        }
        self.wanted.push((self.sections.len(), digest));
        digest
    }

    fn end_frame(&mut self) {
        let raw = std::mem::take(&mut self.raw);
        if !raw.is_empty() {
            let packed = zstd::bulk::compress(&raw, 1).unwrap();
            let frame = FrameRef {
                pack: 0,
                offset_bytes: self.pack.len() as u64,
                packed_bytes: packed.len() as u32,
                raw_bytes: raw.len() as u32,
            };
            self.pack.extend_from_slice(&packed);
            for (digest, offset) in self.waiting.drain(..) {
                self.placed.insert(digest, (frame, offset));
            }
        }
    }

    /// Each object of each section gets its place.
    fn place(&mut self) {
        for (number, digest) in self.wanted.drain(..) {
            let section = &mut self.sections[number];
            let (frame, offset_bytes) = self.placed[&digest];
            let known = section.frames.iter().position(|other| *other == frame);
            let number = known.unwrap_or_else(|| {
                section.frames.push(frame);
                section.frames.len() - 1
            });
            section.places.push(Place { frame: number as u32, offset_bytes });
        }
    }

    fn end_segment(&mut self) {
        let writer = std::mem::take(&mut self.writer);
        let span_bytes = writer.span_bytes();
        let bytes = writer.finish();
        let (digest, encoded_bytes) = (Digest::of(&bytes), bytes.len() as u32);
        self.segments.push(SegmentRef { digest, encoded_bytes, span_bytes, part: Part::Content });
        self.encoded.extend_from_slice(&bytes);
        self.sections.push(Section::default());
    }
}
