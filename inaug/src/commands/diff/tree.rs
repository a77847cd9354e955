//! What differs between two trees.

use super::{Fetches, Frames, Totals};
use crate::commands::read::{AnySegment, Label};
use crate::text;
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::fmt;
use store::Digest;
use store::manifest::Entry;
use store::source::Source;
use store::tree::{self, Node, NodeEntry, NodeKind};

/// How many nodes became what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    new: u64,
    /// Other content, or another kind of node.
    changed: u64,
    /// Other metadata only.
    metadata: u64,
    same: u64,
    removed: u64,
}

/// A node that differs.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    path: String,
    /// `new`, `changed`, `metadata` or `removed`.
    change: &'static str,
}

/// What became of the nodes of the old tree.
#[derive(Default)]
pub(super) struct Files {
    pub(super) counts: Counts,
    /// In the trees' order.
    pub(super) changes: Vec<Change>,
}

/// A node with all its objects.
struct Whole {
    node: Node,
    /// Objects with where in the file they start, bytes. Zeroes are between them: how these are
    /// divided says where a segment ends, and nothing of the file.
    objects: Vec<(u64, Digest)>,
}

/// What moves from the tree `old` to the tree `new`, and which files differ. Holds both trees'
/// nodes.
pub(super) fn compare(
    source: &dyn Source,
    old: &Label,
    new: &Label,
) -> anyhow::Result<(Totals, Files)> {
    let (mut old_nodes, mut held) = (Vec::new(), HashSet::new());
    for segment in old.segments(source) {
        if let AnySegment::Tree(segment) = segment? {
            held.extend(segment.nodes.iter().flat_map(|n| &n.pieces).filter_map(digest));
            add(&mut old_nodes, segment.nodes);
        }
    }
    let paths = old_nodes.iter().map(|whole: &Whole| (&whole.node.path[..], whole)).collect();
    let mut fetches = Fetches::default();
    let mut new_nodes = Vec::new();
    for (segment, section) in new.segments(source).zip(&new.map.sections) {
        let (segment, mut frames) = (segment?, Frames::of(section));
        match segment {
            AnySegment::Entries(segment) => {
                for (digest, length) in segment.entries.iter().filter_map(Entry::object) {
                    fetches.add(digest, u64::from(length), frames.next()?);
                }
            }
            AnySegment::Tree(segment) => {
                for entry in &segment.nodes {
                    moves(entry, &paths, &held, &mut frames, &mut fetches)?;
                }
                add(&mut new_nodes, segment.nodes);
            }
        }
    }
    Ok((fetches.totals, files(&old_nodes, &new_nodes)))
}

fn digest(entry: &Entry) -> Option<Digest> {
    entry.object().map(|(digest, _)| digest)
}

fn add(nodes: &mut Vec<Whole>, entries: Vec<NodeEntry>) {
    for NodeEntry { node, start_bytes, pieces } in entries {
        let objects = placed(start_bytes, &pieces);
        match nodes.last_mut() {
            Some(last) if start_bytes > 0 => last.objects.extend(objects),
            _ => nodes.push(Whole { node, objects: objects.collect() }),
        }
    }
}

/// What becomes of the content of a node.
fn moves(
    entry: &NodeEntry,
    old: &HashMap<&[u8], &Whole>,
    held: &HashSet<Digest>,
    frames: &mut Frames<'_>,
    fetches: &mut Fetches,
) -> anyhow::Result<()> {
    let old = old.get(&entry.node.path[..]).map_or(&[][..], |whole| &whole.objects);
    let is_there = |at: u64, digest: &Digest| {
        old.binary_search_by_key(&at, |(start, _)| *start).is_ok_and(|n| old[n].1 == *digest)
    };
    let mut at = entry.start_bytes;
    for piece in &entry.pieces {
        match piece {
            Entry::Zero { length } => fetches.totals.zero_bytes += length,
            Entry::Data { digest, length } => {
                let (frame, length) = (frames.next()?, u64::from(*length));
                if is_there(at, digest) {
                    fetches.totals.kept_bytes += length;
                } else if held.contains(digest) {
                    fetches.totals.moved_bytes += length;
                } else {
                    fetches.add(*digest, length, frame);
                }
            }
        }
        at += piece.length();
    }
    Ok(())
}

/// Each object with its place.
fn placed(mut at: u64, pieces: &[Entry]) -> impl Iterator<Item = (u64, Digest)> {
    pieces.iter().filter_map(move |piece| {
        at += piece.length();
        digest(piece).map(|digest| (at - piece.length(), digest))
    })
}

fn files(old: &[Whole], new: &[Whole]) -> Files {
    let mut files = Files::default();
    let (mut olds, mut news) = (old.iter().peekable(), new.iter().peekable());
    let (old_paths, new_paths) = (by_path(old), by_path(new));
    loop {
        let order = match (olds.peek(), news.peek()) {
            (None, None) => return files,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => tree::compare(&old.node.path, &new.node.path),
        };
        let old = if order.is_le() { olds.next() } else { None };
        let new = if order.is_ge() { news.next() } else { None };
        files.add(old.map(|old| (old, &old_paths)), new.map(|new| (new, &new_paths)));
    }
}

type ByPath<'a> = HashMap<&'a [u8], &'a Whole>;

fn by_path(nodes: &[Whole]) -> ByPath<'_> {
    nodes.iter().map(|whole| (&whole.node.path[..], whole)).collect()
}

/// The node that a hard link stands for, or the node.
fn linked<'a>(whole: &'a Whole, paths: &ByPath<'a>) -> &'a Whole {
    match &whole.node.kind {
        NodeKind::HardLink { to } => paths.get(&to[..]).copied().unwrap_or(whole),
        _ => whole,
    }
}

impl Files {
    fn add(&mut self, old: Option<(&Whole, &ByPath<'_>)>, new: Option<(&Whole, &ByPath<'_>)>) {
        let Counts { new: added, changed, metadata, same, removed } = &mut self.counts;
        let (count, change, whole) = match (old, new) {
            (None, None) => return,
            (Some((old, _)), None) => (removed, "removed", old),
            (None, Some((new, _))) => (added, "new", new),
            (Some((old, old_paths)), Some((new, new_paths))) => {
                let (one, other) = (linked(old, old_paths), linked(new, new_paths));
                if (&one.node.kind, &one.objects) != (&other.node.kind, &other.objects) {
                    (changed, "changed", new)
                } else if one.node.meta != other.node.meta || old.node.kind != new.node.kind {
                    (metadata, "metadata", new)
                } else {
                    *same += 1;
                    return;
                }
            }
        };
        *count += 1;
        self.changes.push(Change { path: text::path(&whole.node.path), change });
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { new, changed, metadata, same, removed } = self;
        write!(f, "{new} new, {changed} changed, {metadata} with other metadata, ")?;
        write!(f, "{removed} removed, {same} the same")
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.change {
            "new" => '+',
            "removed" => '-',
            "metadata" => 'm',
            _ => '~',
        };
        let path = if self.path.is_empty() { "." } else { &self.path };
        write!(f, "{mark} {path}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::map::{FrameRef, Place, Section};
    use store::tree::Meta;

    fn whole(path: &str, kind: NodeKind, mode: u16, content: &str) -> Whole {
        let object = Entry::Data {
            digest: Digest::of(content.as_bytes()),
            length: content.len().max(1) as u32,
        };
        let pieces = if content.is_empty() { vec![] } else { vec![object] };
        let meta = Meta { mode, ..Meta::default() };
        let mut nodes = Vec::new();
        let node = Node { path: path.into(), kind, meta };
        add(&mut nodes, vec![NodeEntry { node, start_bytes: 0, pieces }]);
        nodes.remove(0)
    }

    /// A file's entries, cut into segments of so many pieces.
    fn entries(pieces: &[Entry], each: usize) -> Vec<NodeEntry> {
        let length = |pieces: &[Entry]| pieces.iter().map(Entry::length).sum::<u64>();
        let kind = NodeKind::File { size_bytes: length(pieces) };
        let node = Node { path: b"file".to_vec(), kind, meta: Meta::default() };
        let starts = (0..pieces.len()).step_by(each);
        let entry = |(start, part): (usize, &[Entry])| NodeEntry {
            node: node.clone(),
            start_bytes: length(&pieces[..start]),
            pieces: part.to_vec(),
        };
        starts.zip(pieces.chunks(each)).map(entry).collect()
    }

    /// Where its segments end is not part of a file.
    #[test]
    fn a_file_of_many_segments_is_compared_piece_by_piece() {
        let object = |n: u32| Entry::Data { digest: Digest::of(&n.to_le_bytes()), length: 9 };
        let pieces: Vec<_> =
            (0..200_000).flat_map(|n| [object(n), Entry::Zero { length: 4 }]).collect();
        let (mut old, mut new) = (Vec::new(), Vec::new());
        add(&mut old, entries(&pieces, 400_000));
        let paths = by_path(&old);
        let frame = FrameRef { pack: 0, offset_bytes: 0, packed_bytes: 9, raw_bytes: 9 };
        let place = |_| Place { frame: 0, offset_bytes: 0 };
        let mut fetches = Fetches::default();
        for entry in entries(&pieces, 40) {
            let places = entry.pieces.iter().filter_map(Entry::object).map(place).collect();
            let section = Section { frames: vec![frame], places };
            let mut frames = Frames::of(&section);
            moves(&entry, &paths, &HashSet::new(), &mut frames, &mut fetches).unwrap();
            add(&mut new, vec![entry]);
        }
        assert_eq!(fetches.totals.kept_bytes, 200_000 * 9);
        let divided = pieces.iter().flat_map(|piece| match piece {
            Entry::Zero { length } => vec![Entry::Zero { length: length / 2 }; 2],
            data @ Entry::Data { .. } => vec![*data],
        });
        let mut other_way = Vec::new();
        add(&mut other_way, entries(&divided.collect::<Vec<_>>(), 1000));
        for other in [&new, &other_way] {
            assert_eq!(files(&old, other).counts, Counts { same: 1, ..Counts::default() });
        }
    }

    #[test]
    fn nodes_become_what_they_become() {
        let file = || NodeKind::File { size_bytes: 1 };
        let linked = |to: &str| NodeKind::HardLink { to: to.into() };
        let old = [
            whole("", NodeKind::Directory, 0o755, ""),
            whole("a", file(), 1, "a"),
            whole("b", file(), 1, "b"),
            whole("c", linked("a"), 0, ""),
            whole("d", NodeKind::Fifo, 1, ""),
            whole("e", file(), 1, "e"),
        ];
        let new = [
            whole("", NodeKind::Directory, 0o755, ""),
            whole("a", file(), 1, "x"),
            whole("b", file(), 2, "b"),
            whole("c", file(), 1, "a"),
            whole("d", file(), 1, "d"),
            whole("d-too", file(), 1, "d"),
        ];
        let files = files(&old, &new);
        let text = |change: &Change| change.to_string();
        let expected = ["~ a", "m b", "m c", "~ d", "+ d-too", "- e"];
        assert_eq!(files.changes.iter().map(text).collect::<Vec<_>>(), expected);
        let counts = Counts { new: 1, changed: 2, metadata: 2, same: 1, removed: 1 };
        assert_eq!(files.counts, counts);
    }
}
