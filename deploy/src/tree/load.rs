//! From a label's manifest to what is wanted of it.

use super::error::{TreeError, shown};
use super::nodes::Misplaced;
use super::rights::Rights;
use super::wanted::{From, Wanted};
use crate::content::read_label_segments;
use crate::fetch::Want;
use crate::meter::Meter;
use crate::{Error, Label};
use std::collections::HashSet;
use store::Digest;
use store::manifest::{Entry, Kind, Tree};
use store::tree::walk::RESERVED_NAME;
use store::tree::{Continuity, NodeEntry, TreeSegment};

/// No node takes less in a segment, bytes: kind, path and metadata.
const NODE_MIN_BYTES: usize = 10;

/// What `label`, a tree, has, as somebody with these rights gets it. Its objects count from
/// `first_object` on.
pub(crate) fn load(
    label: &Label,
    first_object: u32,
    rights: Rights,
    meter: &Meter,
) -> Result<Wanted, Error> {
    let tree = tree_of(label)?;
    let mut loader = Loader {
        label,
        rights,
        wanted: Wanted::default(),
        next_object: first_object,
        skipped: HashSet::new(),
        is_open: false,
    };
    let encoded = label.manifest.segments.iter().map(|segment| segment.encoded_bytes as usize);
    let nodes_max = encoded.sum::<usize>() / NODE_MIN_BYTES;
    let objects = label.map().sections.iter().map(|section| section.places.len()).sum();
    loader.wanted.reserve(nodes_max.min(tree.nodes as usize), objects);
    let mut continuity = Continuity::default();
    let wrong = |error: store::FormatError| Error::Format {
        object: format!("manifest of label {}", label.record.name),
        source: Box::new(error),
    };
    read_label_segments(label, 0..label.content_segments(), meter, |_, segment: TreeSegment| {
        continuity.follow(&segment).map_err(wrong)?;
        segment.nodes.iter().try_for_each(|entry| loader.take(entry))
    })?;
    continuity.end(tree.nodes).map_err(wrong)?;
    loader.end_file();
    loader.wanted.shrink();
    Ok(loader.wanted)
}

/// Facts of the tree that `label` is.
pub(crate) fn tree_of(label: &Label) -> Result<Tree, Error> {
    match &label.manifest.kind {
        Kind::Tree(tree) => Ok(*tree),
        Kind::Image(_) => Err(Error::Kind {
            label: label.record.name.to_string(),
            expected: "tree",
            found: "image",
        }),
    }
}

struct Loader<'a> {
    label: &'a Label,
    rights: Rights,
    wanted: Wanted,
    next_object: u32,
    /// Nodes that the rights do not suffice for.
    skipped: HashSet<Vec<u8>>,
    /// Whether the last node is a file, more of which may come.
    is_open: bool,
}

impl Loader<'_> {
    fn take(&mut self, entry: &NodeEntry) -> Result<(), Error> {
        if entry.start_bytes == 0 {
            self.end_file();
            self.begin(entry)?;
        }
        for piece in &entry.pieces {
            let from = From::Label(self.next_object);
            if let Entry::Data { .. } = piece {
                self.next_object += 1;
            }
            self.wanted.push_piece(piece, from);
        }
        Ok(())
    }

    fn begin(&mut self, entry: &NodeEntry) -> Result<(), Error> {
        let node = &entry.node;
        if node.path == RESERVED_NAME {
            let found = "a name that is reserved".to_owned();
            return Err(self.misplaced(&node.path, ("another name", found)).into());
        }
        if node.meta.uid == u32::MAX || node.meta.gid == u32::MAX {
            let found = "the number that means nobody".to_owned();
            return Err(self.misplaced(&node.path, ("an owner and a group", found)).into());
        }
        let pushed = self.wanted.push(node, self.rights, &mut self.skipped);
        pushed.map_err(|misplaced| self.misplaced(&node.path, misplaced))?;
        self.is_open = matches!(node.kind, store::tree::NodeKind::File { .. });
        Ok(())
    }

    fn end_file(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.wanted.end_file();
        }
    }

    fn misplaced(&self, path: &[u8], (expected, found): Misplaced) -> TreeError {
        let label = self.label.record.name.to_string();
        TreeError::Node { label, path: shown(path), expected, found }
    }
}

/// Where the objects of several labels are: they are counted through all of them.
pub(crate) struct Objects {
    /// The number of the first object of each segment of each label: label, segment, number.
    starts: Vec<(u32, u32, u32)>,
    end: u32,
}

impl Objects {
    /// Those of `labels`.
    pub(crate) fn of(labels: &[Label]) -> Self {
        let (mut starts, mut end) = (Vec::new(), 0_u32);
        for (number, label) in labels.iter().enumerate() {
            let map = label.map();
            let sections = map.sections.iter().take(label.content_segments());
            for (segment, section) in sections.enumerate() {
                starts.push((number as u32, segment as u32, end));
                end = end.saturating_add(section.places.len() as u32);
            }
        }
        Self { starts, end }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.end
    }

    /// The want of object number `object`, which has this digest and length, for `offset_bytes`;
    /// and the number of the label that has it.
    pub(crate) fn want(
        &self,
        labels: &[Label],
        object: u32,
        (digest, length): (Digest, u64),
        offset_bytes: u64,
    ) -> Option<(usize, Want)> {
        let at = self.starts.partition_point(|(_, _, start)| *start <= object).checked_sub(1)?;
        let (label, segment, start) = self.starts[at];
        let map = labels.get(label as usize)?.map();
        let section = map.sections.get(segment as usize)?;
        let place = section.places.get((object - start) as usize)?;
        let want = Want {
            segment,
            object: object - start,
            frame: *section.frames.get(place.frame as usize)?,
            inner_bytes: place.offset_bytes,
            length: length as u32,
            digest,
            offset_bytes,
        };
        Some((label as usize, want))
    }
}
