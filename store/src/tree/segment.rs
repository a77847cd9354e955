//! Segments of a tree: nodes in order, each file with its pieces.
//!
//! A segment can be read alone. A file whose pieces fill it goes on in the next one.

use super::node::{
    MODE_MAX, Meta, Node, NodeKind, TARGET_MAX_BYTES, XATTR_NAME_MAX_BYTES, XATTR_VALUE_MAX_BYTES,
    XATTRS_MAX_BYTES, Xattr,
};
use super::path::{PATH_MAX_BYTES, check_path, compare};
use crate::Digest;
use crate::codec::{FormatError, Reader, put_bytes, put_varint};
use crate::manifest::segment::{put_entry, read_entry};
use crate::manifest::{Entry, SegmentKind};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

/// All paths of a segment together, bytes. They share their beginnings as they are written, so
/// that without a bound a few kB of a deep tree would stand for GBs of them.
pub const SEGMENT_PATHS_MAX_BYTES: usize = 16 << 20;

/// Nanoseconds in a second.
const SECOND_NS: u64 = 1_000_000_000;

/// A node, and of a file what this segment has of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEntry {
    /// The node. Where a file goes on from the segment before, its metadata is left empty here.
    pub node: Node,
    /// Where in the file [`NodeEntry::pieces`] start, bytes: 0 unless it goes on.
    pub start_bytes: u64,
    /// The file's content from there, as far as this segment has it. Nothing for other kinds.
    pub pieces: Vec<Entry>,
}

/// A stretch of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TreeSegment {
    /// Its nodes in order. Only the first may be one that goes on, and only the last one that
    /// does not end here.
    pub nodes: Vec<NodeEntry>,
}

/// Puts a segment's bytes together, front to back.
#[derive(Debug, Default)]
pub struct TreeSegmentWriter {
    bytes: Vec<u8>,
    path: Vec<u8>,
    paths_bytes: usize,
    /// Zeroes that are not written yet: more may follow.
    zero_bytes: u64,
    span_bytes: u64,
}

impl TreeSegmentWriter {
    /// Begins a node. `start_bytes` is where the pieces that follow start in its file: more than 0
    /// only for a file that goes on from the segment before, first of all.
    pub fn node(&mut self, node: &Node, start_bytes: u64) {
        self.end_zeroes();
        let out = &mut self.bytes;
        out.push(tag(&node.kind, start_bytes));
        let shared = node.path.iter().zip(&self.path).take_while(|(one, other)| one == other);
        let shared = shared.count();
        put_varint(out, shared as u64);
        put_bytes(out, &node.path[shared..]);
        self.path.truncate(shared);
        self.path.extend_from_slice(&node.path[shared..]);
        self.paths_bytes += self.path.len();
        if start_bytes == 0 && !matches!(node.kind, NodeKind::HardLink { .. }) {
            put_meta(out, &node.meta);
        }
        match &node.kind {
            NodeKind::Directory | NodeKind::Fifo => {}
            NodeKind::File { size_bytes } => {
                put_varint(out, *size_bytes);
                if start_bytes > 0 {
                    put_varint(out, start_bytes);
                }
            }
            NodeKind::Symlink { target: text } | NodeKind::HardLink { to: text } => {
                put_bytes(out, text);
            }
            NodeKind::CharDevice { major, minor } | NodeKind::BlockDevice { major, minor } => {
                put_varint(out, u64::from(*major));
                put_varint(out, u64::from(*minor));
            }
        }
    }

    /// Adds a piece to the file that was begun last.
    pub fn piece(&mut self, piece: Entry) {
        self.span_bytes += piece.length();
        match piece {
            Entry::Zero { length } => self.zero_bytes += length,
            Entry::Data { .. } => {
                self.end_zeroes();
                put_entry(&mut self.bytes, &piece);
            }
        }
    }

    fn end_zeroes(&mut self) {
        let length = core::mem::take(&mut self.zero_bytes);
        if length > 0 {
            put_entry(&mut self.bytes, &Entry::Zero { length });
        }
    }

    /// How long the segment is by now, bytes.
    pub fn encoded_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// How long all its paths are by now, bytes: to be at most [`SEGMENT_PATHS_MAX_BYTES`].
    pub fn paths_bytes(&self) -> usize {
        self.paths_bytes
    }

    /// How much content it covers by now, bytes.
    pub fn span_bytes(&self) -> u64 {
        self.span_bytes
    }

    /// The segment's bytes.
    pub fn finish(mut self) -> Vec<u8> {
        self.end_zeroes();
        self.bytes
    }
}

impl TreeSegment {
    /// The segment as bytes. Equal segments have equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = TreeSegmentWriter::default();
        for entry in &self.nodes {
            writer.node(&entry.node, entry.start_bytes);
            entry.pieces.iter().for_each(|piece| writer.piece(*piece));
        }
        writer.finish()
    }
}

impl SegmentKind for TreeSegment {
    fn decode(bytes: &[u8], span_bytes: u64) -> Result<Self, FormatError> {
        let mut reader = Reader::new("tree segment", bytes);
        let mut nodes: Vec<NodeEntry> = Vec::new();
        let (mut covered, mut paths_bytes) = (0_u64, 0);
        while reader.left() > 0 {
            let entry = read_node(&mut reader, nodes.last().map(|last| &last.node))?;
            if entry.start_bytes > 0 && !nodes.is_empty() {
                let expected = "a file that goes on first of all";
                return Err(reader.wrong("node", expected, "one after others"));
            }
            paths_bytes += entry.node.path.len();
            if paths_bytes > SEGMENT_PATHS_MAX_BYTES {
                let expected = format!("at most {SEGMENT_PATHS_MAX_BYTES} bytes of all paths");
                return Err(reader.wrong("path", &expected, &format!("{paths_bytes}")));
            }
            covered = entry.pieces.iter().fold(covered, |sum, e| sum.saturating_add(e.length()));
            nodes.push(entry);
        }
        if covered != span_bytes {
            let (expected, found) = (format!("{span_bytes} bytes"), format!("{covered}"));
            return Err(reader.wrong("pieces", &expected, &found));
        }
        Ok(Self { nodes })
    }

    fn objects(&self) -> impl Iterator<Item = (Digest, u32)> {
        self.nodes.iter().flat_map(|entry| entry.pieces.iter().filter_map(Entry::object))
    }
}

/// The number of a file that goes on.
const GOES_ON: u8 = 7;

fn tag(kind: &NodeKind, start_bytes: u64) -> u8 {
    match kind {
        NodeKind::Directory => 0,
        NodeKind::File { .. } if start_bytes > 0 => GOES_ON,
        NodeKind::File { .. } => 1,
        NodeKind::Symlink { .. } => 2,
        NodeKind::HardLink { .. } => 3,
        NodeKind::Fifo => 4,
        NodeKind::CharDevice { .. } => 5,
        NodeKind::BlockDevice { .. } => 6,
    }
}

fn put_meta(out: &mut Vec<u8>, meta: &Meta) {
    put_varint(out, u64::from(meta.mode));
    put_varint(out, u64::from(meta.uid));
    put_varint(out, u64::from(meta.gid));
    // Zigzag: small numbers of either sign are short.
    put_varint(out, (meta.mtime_s << 1 ^ meta.mtime_s >> 63).cast_unsigned());
    put_varint(out, u64::from(meta.mtime_ns));
    put_varint(out, meta.xattrs.len() as u64);
    for xattr in &meta.xattrs {
        put_bytes(out, &xattr.name);
        put_bytes(out, &xattr.value);
    }
}

fn read_node(reader: &mut Reader<'_>, before: Option<&Node>) -> Result<NodeEntry, FormatError> {
    let tag = reader.take("node kind", 1)?[0];
    let path = read_path(reader, before)?;
    let mut meta = Meta::default();
    if !matches!(tag, 3 | GOES_ON) {
        meta = read_meta(reader)?;
    }
    let mut start_bytes = 0;
    let kind = match tag {
        0 => NodeKind::Directory,
        1 | GOES_ON => {
            let size_bytes = reader.varint("file size", i64::MAX as u64)?;
            if tag == GOES_ON {
                start_bytes = reader.varint("where a file goes on", size_bytes)?;
            }
            if tag == GOES_ON && !(1..size_bytes).contains(&start_bytes) {
                let (expected, found) = (format!("1 to {size_bytes}"), format!("{start_bytes}"));
                return Err(reader.wrong("where a file goes on", &expected, &found));
            }
            NodeKind::File { size_bytes }
        }
        2 => NodeKind::Symlink { target: read_target(reader)? },
        3 => NodeKind::HardLink { to: read_linked(reader, &path)? },
        4 => NodeKind::Fifo,
        5 | 6 => {
            let major = reader.varint("major number", u64::from(u32::MAX))? as u32;
            let minor = reader.varint("minor number", u64::from(u32::MAX))? as u32;
            match tag {
                5 => NodeKind::CharDevice { major, minor },
                _ => NodeKind::BlockDevice { major, minor },
            }
        }
        other => return Err(reader.wrong("node kind", "0 to 7", &format!("{other}"))),
    };
    if path.is_empty() && kind != NodeKind::Directory {
        return Err(reader.wrong("root", "a directory", &format!("kind {tag}")));
    }
    let pieces = match kind {
        NodeKind::File { size_bytes } => read_pieces(reader, size_bytes - start_bytes)?,
        _ => Vec::new(),
    };
    Ok(NodeEntry { node: Node { path, kind, meta }, start_bytes, pieces })
}

/// A path, which shares its beginning with the one before and follows it in the order.
fn read_path(reader: &mut Reader<'_>, before: Option<&Node>) -> Result<Vec<u8>, FormatError> {
    let before = before.map(|node| &node.path[..]);
    let shared = reader.varint("shared path", before.map_or(0, <[u8]>::len) as u64)? as usize;
    let rest = reader.bytes("path", PATH_MAX_BYTES - shared)?;
    let path = [&before.unwrap_or_default()[..shared], rest].concat();
    if before.is_some_and(|before| before.get(shared).is_some_and(|b| rest.first() == Some(b))) {
        return Err(reader.wrong("shared path", "as long as can be", &format!("{shared}")));
    }
    check_path(&path).map_err(|(expected, found)| reader.wrong("path", expected, &found))?;
    if before.is_some_and(|before| compare(before, &path).is_ge()) {
        let found = path.escape_ascii().to_string();
        let expected = before.unwrap_or_default().escape_ascii();
        return Err(reader.wrong("path", &format!("one after {expected}"), &found));
    }
    Ok(path)
}

fn read_target(reader: &mut Reader<'_>) -> Result<Vec<u8>, FormatError> {
    let target = reader.bytes("link target", TARGET_MAX_BYTES)?;
    if target.is_empty() || target.contains(&0) {
        let found = target.escape_ascii().to_string();
        return Err(reader.wrong("link target", "bytes other than zero", &found));
    }
    Ok(target.to_vec())
}

fn read_linked(reader: &mut Reader<'_>, path: &[u8]) -> Result<Vec<u8>, FormatError> {
    let to = reader.bytes("hard link", PATH_MAX_BYTES)?;
    check_path(to).map_err(|(expected, found)| reader.wrong("hard link", expected, &found))?;
    if to.is_empty() || compare(to, path).is_ge() {
        let found = to.escape_ascii().to_string();
        let expected = format!("a path before {}", path.escape_ascii());
        return Err(reader.wrong("hard link", &expected, &found));
    }
    Ok(to.to_vec())
}

fn read_meta(reader: &mut Reader<'_>) -> Result<Meta, FormatError> {
    let mode = reader.varint("mode", u64::from(MODE_MAX))? as u16;
    let uid = reader.varint("owner", u64::from(u32::MAX))? as u32;
    let gid = reader.varint("group", u64::from(u32::MAX))? as u32;
    let zigzag = reader.varint("modification time", u64::MAX)?;
    let mtime_s = (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed();
    let nanoseconds = reader.varint("nanoseconds", SECOND_NS - 1)? as u32;
    let count = reader.count("extended attributes", 3)?;
    let mut xattrs: Vec<Xattr> = Vec::new();
    let mut left = XATTRS_MAX_BYTES;
    for _ in 0..count {
        let name = reader.bytes("attribute name", XATTR_NAME_MAX_BYTES)?.to_vec();
        let value = reader.bytes("attribute value", XATTR_VALUE_MAX_BYTES.min(left))?.to_vec();
        if name.is_empty() || name.contains(&0) {
            let found = name.escape_ascii().to_string();
            return Err(reader.wrong("attribute name", "bytes other than zero", &found));
        }
        if xattrs.last().is_some_and(|last| last.name >= name) {
            let found = name.escape_ascii().to_string();
            return Err(reader.wrong("attribute name", "names in order", &found));
        }
        left = left.saturating_sub(name.len() + value.len());
        xattrs.push(Xattr { name, value });
    }
    Ok(Meta { mode, uid, gid, mtime_s, mtime_ns: nanoseconds, xattrs })
}

/// Pieces up to `left` bytes, or to the end of the segment.
fn read_pieces(reader: &mut Reader<'_>, mut left: u64) -> Result<Vec<Entry>, FormatError> {
    let mut pieces: Vec<Entry> = Vec::new();
    while left > 0 && reader.left() > 0 {
        let piece = read_entry(reader)?;
        if matches!((pieces.last(), piece), (Some(Entry::Zero { .. }), Entry::Zero { .. })) {
            return Err(reader.wrong("piece", "an object after zeroes", "more zeroes"));
        }
        if piece.length() > left {
            let found = format!("{}", piece.length());
            return Err(reader.wrong("piece", &format!("at most {left} bytes"), &found));
        }
        left -= piece.length();
        pieces.push(piece);
    }
    Ok(pieces)
}
