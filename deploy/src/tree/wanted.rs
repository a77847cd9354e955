//! What is to be on the target: the nodes of labels and of an overlay, with the pieces of files.

use super::content_id::ContentId;
use super::error::shown;
use super::inventory::describe;
use super::nodes::{Misplaced, Nodes, What};
use super::rights::{Adapted, Rights};
use std::collections::{HashMap, HashSet};
use store::Digest;
use store::manifest::Entry;
use store::tree::{Meta, Node, NodeKind};

/// Longer zeroes are held as several pieces, bytes.
const ZERO_PIECE_MAX_BYTES: u64 = 1 << 31;

/// [`Piece::place`] of zeroes.
const ZERO: u32 = u32::MAX;

/// [`Piece::place`] of what an overlay has.
const OVERLAY: u32 = u32::MAX - 1;

/// What is to be on a target.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) nodes: Nodes,
    /// Regular files, by their numbers.
    pub(crate) files: Vec<File>,
    pieces: Vec<Piece>,
    /// Objects of an overlay.
    pub(crate) local: HashMap<Digest, Box<[u8]>>,
    /// What is given to the target otherwise than in the label.
    pub(crate) adapted: Adapted,
}

/// A regular file's content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct File {
    /// Its length, bytes.
    pub(crate) size_bytes: u64,
    first: u32,
    count: u32,
}

/// By what a file is proven piece by piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proof {
    /// Its length, bytes.
    pub(crate) size_bytes: u64,
    /// Length of each piece, bytes, and its digest; none of zeroes.
    pub(crate) parts: Vec<(u64, Option<Digest>)>,
}

/// A piece of a file: an object, or zeroes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    digest: Digest,
    length: u32,
    place: u32,
}

/// Where an object comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// It is this one of all objects of all labels, in the order of their manifests.
    Label(u32),
    /// It is in [`Wanted::local`].
    Overlay,
}

impl Piece {
    /// The object, if it is one, and where it comes from.
    pub(crate) fn object(&self) -> Option<(Digest, From)> {
        match self.place {
            ZERO => None,
            OVERLAY => Some((self.digest, From::Overlay)),
            place => Some((self.digest, From::Label(place))),
        }
    }

    /// Its length, bytes.
    pub(crate) fn length(&self) -> u64 {
        u64::from(self.length)
    }
}

impl Wanted {
    /// The pieces of a file with where in it they start, bytes.
    pub(crate) fn pieces(&self, file: &File) -> impl Iterator<Item = (u64, &Piece)> + Clone {
        let mut next = 0;
        self.pieces[file.first as usize..][..file.count as usize].iter().map(move |piece| {
            let at = next;
            next += piece.length();
            (at, piece)
        })
    }

    /// The regular file at `path`.
    pub(crate) fn file(&self, path: &[u8]) -> Option<&File> {
        match self.nodes.what(self.nodes.first(self.nodes.find(path)?)) {
            What::File(number) => self.files.get(number as usize),
            _ => None,
        }
    }

    /// By what the regular file at `path` is proven, if there is one.
    pub(crate) fn proof(&self, path: &[u8]) -> Option<Proof> {
        let file = self.file(path)?;
        let part =
            |(_, piece): (u64, &Piece)| (piece.length(), piece.object().map(|(digest, _)| digest));
        let parts = self.pieces(file).map(part).collect();
        Some(Proof { size_bytes: file.size_bytes, parts })
    }

    /// What a file's content is: see [`ContentId`].
    pub(crate) fn id(&self, file: &File) -> Digest {
        let mut id = ContentId::default();
        self.pieces(file).for_each(|(_, piece)| id.add(&piece.entry()));
        id.finish()
    }

    /// What a node at `index` is, for people.
    pub(crate) fn describe(&self, index: u32) -> String {
        let index = self.nodes.first(index);
        let meta = self.nodes.meta(index);
        let what = match self.nodes.what(index) {
            What::File(file) => {
                let file = &self.files[file as usize];
                format!("a file of {} bytes ({})", file.size_bytes, self.id(file).short())
            }
            What::Symlink(to) => {
                format!("a symbolic link to {}", self.nodes.text(to).escape_ascii())
            }
            other => other.noun().to_owned(),
        };
        describe(&what, &meta)
    }

    /// Makes room for so many nodes and pieces at once, where that can be had.
    pub(crate) fn reserve(&mut self, nodes: usize, pieces: usize) {
        self.nodes.reserve(nodes);
        // Without it, room is found as they come.
        let _ = self.files.try_reserve_exact(nodes);
        let _ = self.pieces.try_reserve_exact(pieces);
    }

    /// Gives back what was reserved for more.
    pub(crate) fn shrink(&mut self) {
        self.nodes.shrink();
        self.files.shrink_to_fit();
        self.pieces.shrink_to_fit();
    }

    /// Begins the next file's pieces.
    pub(crate) fn begin_file(&mut self, size_bytes: u64) -> u32 {
        self.files.push(File { size_bytes, first: self.pieces.len() as u32, count: 0 });
        self.files.len() as u32 - 1
    }

    /// Adds a piece to the file that was begun last.
    pub(crate) fn push_piece(&mut self, entry: &Entry, from: From) {
        match *entry {
            Entry::Zero { length } => {
                let mut left = length;
                while left > 0 {
                    let step = left.min(ZERO_PIECE_MAX_BYTES);
                    let digest = Digest::from_bytes([0; Digest::LEN]);
                    self.pieces.push(Piece { digest, length: step as u32, place: ZERO });
                    left -= step;
                }
            }
            Entry::Data { digest, length } => {
                let place = match from {
                    From::Label(place) => place,
                    From::Overlay => OVERLAY,
                };
                self.pieces.push(Piece { digest, length, place });
            }
        }
    }

    /// Ends the file that was begun last.
    pub(crate) fn end_file(&mut self) {
        let end = self.pieces.len() as u32;
        if let Some(file) = self.files.last_mut() {
            file.count = end - file.first;
        }
    }

    /// Copies a file and its pieces from others.
    pub(crate) fn copy_file(&mut self, others: &Self, file: u32) -> u32 {
        let file = others.files[file as usize];
        let first = self.pieces.len() as u32;
        let pieces = &others.pieces[file.first as usize..][..file.count as usize];
        self.pieces.extend_from_slice(pieces);
        self.files.push(File { first, ..file });
        self.files.len() as u32 - 1
    }

    /// Adds a node; of a file, `file` is its number. `None` where `rights` do not suffice for it.
    pub(crate) fn push(
        &mut self,
        node: &Node,
        rights: Rights,
        skipped: &mut HashSet<Vec<u8>>,
    ) -> Result<Option<u32>, Misplaced> {
        if !rights.allow(&node.kind, &mut self.adapted) {
            skipped.insert(node.path.clone());
            return Ok(None);
        }
        let what = match &node.kind {
            NodeKind::Directory => What::Directory,
            NodeKind::File { size_bytes } => What::File(self.begin_file(*size_bytes)),
            NodeKind::Symlink { target } => What::Symlink(self.nodes.keep_text(target)?),
            NodeKind::HardLink { to } => match self.linked(to)? {
                Some(to) => What::Link(to),
                None if skipped.contains(to) => return Ok(None),
                None => return Err(("a hard link to a node before it", shown(to))),
            },
            NodeKind::Fifo => What::Fifo,
            NodeKind::CharDevice { major, minor } => What::CharDevice(*major, *minor),
            NodeKind::BlockDevice { major, minor } => What::BlockDevice(*major, *minor),
        };
        let meta = match what {
            What::Link(_) => Meta::default(),
            _ => rights.adapt(&node.kind, node.meta.clone(), &mut self.adapted),
        };
        self.nodes.push(&node.path, what, &meta).map(Some)
    }

    /// The node that a hard link to `path` is another name of.
    fn linked(&self, path: &[u8]) -> Result<Option<u32>, Misplaced> {
        let Some(index) = self.nodes.find(path) else { return Ok(None) };
        match self.nodes.what(index) {
            What::Directory | What::Link(_) => {
                let noun = self.nodes.what(index).noun();
                Err(("a hard link to what is no directory and no hard link", noun.into()))
            }
            _ => Ok(Some(index)),
        }
    }
}

impl Piece {
    /// As it is in a manifest.
    pub(crate) fn entry(&self) -> Entry {
        match self.place {
            ZERO => Entry::Zero { length: self.length() },
            _ => Entry::Data { digest: self.digest, length: self.length },
        }
    }
}
