//! The files of a tree in a store, and the bytes of their pieces.

use super::MakeError;
use crate::Digest;
use crate::diffs::choose::Placed;
use crate::dir::DirStore;
use crate::manifest::{Entry, Part, SegmentKind};
use crate::manifest_reader::{read_map, read_root, read_segments_of};
use crate::map::{FrameRef, Map};
use crate::source::Item;
use crate::tree::{Continuity, NodeEntry, NodeKind, TreeSegment};
use std::collections::VecDeque;
use std::fs::File as OpenedFile;
use std::os::unix::fs::FileExt;

/// Frames that are kept decompressed: references of one diff after another are mostly in few.
const FRAMES_KEPT: usize = 32;

/// The regular files of a tree, in its order.
pub(super) struct Files {
    pub(super) files: Vec<File>,
    pub(super) map: Map,
}

/// A regular file.
pub(super) struct File {
    pub(super) path: Vec<u8>,
    pub(super) size_bytes: u64,
    /// Its objects; zeroes are between them.
    pub(super) pieces: Vec<Piece>,
}

/// An object of a file.
pub(super) struct Piece {
    pub(super) placed: Placed,
    frame: FrameRef,
    at_bytes: u32,
}

impl Piece {
    /// Its share of what its frame takes, bytes.
    pub(super) fn packed_bytes(&self) -> u64 {
        let packed = u64::from(self.frame.packed_bytes) * u64::from(self.placed.length);
        packed / u64::from(self.frame.raw_bytes.max(1))
    }
}

impl Files {
    /// Reads the tree `digest`.
    pub(super) fn read(store: &DirStore, digest: &Digest) -> Result<Self, MakeError> {
        let (manifest, root_bytes) = read_root(store, digest)?;
        if manifest.image().is_some() {
            return Err(MakeError::Kind { manifest: *digest });
        }
        let map = read_map(store, digest, &manifest)?;
        let count = manifest.segments.iter().filter(|segment| segment.part == Part::Content);
        let range = 0..count.count();
        let (mut files, mut continuity) = (Vec::new(), Continuity::default());
        let segments = read_segments_of::<TreeSegment>(store, &manifest, root_bytes, digest, range);
        for (segment, section) in segments.zip(&map.sections) {
            let segment = segment?;
            continuity.follow(&segment)?;
            if segment.objects().count() != section.places.len() {
                let (expected, found) = (segment.objects().count(), section.places.len());
                return Err(crate::FormatError {
                    what: "map: places".into(),
                    at: 0,
                    expected: expected.to_string(),
                    found: found.to_string(),
                }
                .into());
            }
            let mut places = section.places.iter();
            for entry in segment.nodes {
                let mut place = || places.next().map(|p| (section.frames[p.frame as usize], p));
                add(&mut files, entry, &mut || place().map(|(f, p)| (f, p.offset_bytes)));
            }
        }
        Ok(Self { files, map })
    }
}

fn add(
    files: &mut Vec<File>,
    entry: NodeEntry,
    place: &mut dyn FnMut() -> Option<(FrameRef, u32)>,
) {
    let NodeKind::File { size_bytes } = entry.node.kind else { return };
    if entry.start_bytes == 0 {
        files.push(File { path: entry.node.path, size_bytes, pieces: Vec::new() });
    }
    let Some(file) = files.last_mut() else { return };
    let mut offset_bytes = entry.start_bytes;
    for piece in entry.pieces {
        if let Entry::Data { digest, length } = piece
            && let Some((frame, at_bytes)) = place()
        {
            let placed = Placed { digest, offset_bytes, length };
            file.pieces.push(Piece { placed, frame, at_bytes });
        }
        offset_bytes += piece.length();
    }
}

/// Reads objects where a map says they are.
pub(super) struct Frames<'a> {
    store: &'a DirStore,
    map: &'a Map,
    kept: VecDeque<(FrameRef, Vec<u8>)>,
}

impl<'a> Frames<'a> {
    pub(super) fn new(store: &'a DirStore, map: &'a Map) -> Self {
        Self { store, map, kept: VecDeque::new() }
    }

    /// Appends the bytes of `piece` to `into`, proven.
    pub(super) fn read(&mut self, piece: &Piece, into: &mut Vec<u8>) -> Result<(), MakeError> {
        let Placed { digest, length, .. } = piece.placed;
        let pack = self.map.packs[piece.frame.pack as usize].digest;
        let wrong = |found: String| MakeError::Object {
            object: digest,
            pack,
            offset_bytes: piece.frame.offset_bytes,
            found,
        };
        let frame = self.frame(&piece.frame).map_err(|error| wrong(error.to_string()))?;
        let start = piece.at_bytes as usize;
        let bytes = frame.get(start..start + length as usize).unwrap_or_default();
        let found = Digest::of(bytes);
        if found != digest {
            return Err(wrong(format!("bytes with the digest {found}")));
        }
        into.extend_from_slice(bytes);
        Ok(())
    }

    fn frame(&mut self, frame: &FrameRef) -> std::io::Result<&[u8]> {
        if let Some(at) = self.kept.iter().position(|(other, _)| other == frame) {
            return Ok(&self.kept[at].1);
        }
        let pack = self.map.packs[frame.pack as usize].digest;
        let file = OpenedFile::open(self.store.path().join(Item::Pack(pack).path()))?;
        let mut packed = vec![0; frame.packed_bytes as usize];
        file.read_exact_at(&mut packed, frame.offset_bytes)?;
        let raw = zstd::bulk::decompress(&packed, frame.raw_bytes as usize)?;
        if self.kept.len() >= FRAMES_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((*frame, raw));
        Ok(self.kept.back().map_or(&[][..], |(_, raw)| raw))
    }
}
