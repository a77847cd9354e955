//! Pushing trees.

mod directory;
mod feed;
mod payloads;
mod tar;

use super::boot::{self, OpenBoot};
use super::input::Input;
use super::run::{Naming, Run, Take};
use super::scan::{Stop, scan};
use super::tally::{Progress, Tally};
use super::{BootInput, PushError, PushReport};
use crate::dir::DirStore;
use crate::label::LabelName;
use crate::manifest::{Kind, Manifest, Part, Tree};
use crate::tree::walk::Mounts;
use crate::tree::{Content, FilePiece, FilePieces, Node};
use directory::DirectoryReader;
use feed::Feed;
use payloads::Payloads;
use std::path::PathBuf;
use std::time::Instant;
use tar::TarReader;
pub use tar::{TarError, TarTree};

/// Notes of a push beyond this many are only counted: who has more looks at the tree.
const NOTES_MAX: usize = 1000;

/// A tree to push.
#[derive(Debug)]
pub struct PushTree {
    /// The label that is to name it.
    pub label: LabelName,
    /// What to push.
    pub input: TreeInput,
    /// How to boot it.
    pub boot: Option<BootInput>,
    /// Free facts for the label's record.
    pub facts: Vec<(String, String)>,
    /// The time now, seconds since 1970 UTC.
    pub pushed_unix_s: u64,
    /// Whether a label that names other content may be replaced.
    pub force: bool,
    /// zstd's level, 1 to 22; see [`super::LEVEL_DEFAULT`].
    pub level: i32,
}

/// Where a tree is read from.
#[derive(Debug)]
pub enum TreeInput {
    /// A directory and what is in it.
    Directory {
        /// Where it is.
        path: PathBuf,
        /// What to do about file systems mounted in it. Of [`Mounts::Empty`], the directories
        /// that something is mounted on are root's, of mode 0755 and of 1970, whatever shows.
        mounts: Mounts,
        /// Whether what changes while it is read is taken as it is met.
        allow_changed: bool,
    },
    /// What an archive holds.
    Tar(TarTree),
}

/// What is to be said of a tree that was pushed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TreeReport {
    /// Its nodes, the root included.
    pub nodes: u64,
    /// What is worth knowing, in the tree's order.
    pub notes: Vec<TreeNote>,
    /// How many notes more there were.
    pub more_notes: u64,
}

/// Something worth knowing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeNote {
    /// Of what.
    pub path: Vec<u8>,
    /// What.
    pub what: Noted,
}

/// What may be worth knowing of something in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// Left out: a socket.
    Socket,
    /// What is mounted there was left out.
    Mounted,
    /// Left out: its name is reserved for deploying.
    Reserved,
    /// It changed while it was read.
    Changed,
    /// A directory that an archive has files of, but not itself: it is root's, of mode 755.
    Implied,
}

/// Which file it is, among those that are read for one tree.
type FileId = ((u32, u32), u64);

/// What is read of a tree.
enum Item {
    Node {
        node: Node,
        id: FileId,
        /// Of a regular file that is no hard link.
        content: Option<Box<dyn Content>>,
    },
    Note(TreeNote),
}

/// Something that a tree is read from, in the tree's order.
trait Reader: Send {
    /// What comes next.
    fn next(&mut self) -> Result<Option<Item>, PushError>;

    /// What to call the node at `path` before a person.
    fn shown(&self, path: &[u8]) -> PathBuf;

    /// Which file is at `path`; `None` if that is no regular file.
    fn identify(&self, path: &[u8]) -> Option<FileId>;

    /// Whether what changes while it is read is taken.
    fn allow_changed(&self) -> bool;
}

/// Pushes a tree: afterwards the label names it and the store holds all of it.
///
/// The same tree has the same manifest, wherever it lies. What is said of [`super::push_image`]
/// about cuts and repairs holds here as well.
pub fn push_tree(
    store: &DirStore,
    request: &PushTree,
    progress: &dyn Progress,
) -> Result<PushReport, PushError> {
    let start = Instant::now();
    let PushTree { label, facts, pushed_unix_s, force, .. } = request;
    let naming = Naming { label, facts, pushed_unix_s: *pushed_unix_s, force: *force };
    naming.check()?;
    let mut reader = open(&request.input, store)?;
    let boot = request.boot.as_ref().map(|boot| boot::open(boot, None)).transpose()?;
    let mut payloads = Payloads::default();
    for (payload, path) in boot.iter().flat_map(OpenBoot::paths) {
        let id = reader.identify(path);
        let id = id.ok_or_else(|| PushError::NotInTree { path: path.to_vec() })?;
        payloads.want(payload, path, id);
    }
    let run = Run::begin(store, start)?;
    let tally = Tally::new(progress, 0);
    let (reader, files) = (&mut *reader, boot.iter().flat_map(OpenBoot::files).collect::<Vec<_>>());
    let read = |take: &mut Take<'_>| read_all(reader, payloads, &files, take, &tally);
    let stored = run.store_content(request.level, &tally, read)?;

    let segments = stored.content.segments.clone();
    let of_tree = || segments.iter().filter(|segment| segment.part == Part::Content);
    let size_bytes = of_tree().map(|segment| segment.span_bytes).sum();
    let kind = Kind::Tree(Tree { size_bytes, nodes: stored.content.counts.nodes });
    let (payloads, report) = &stored.read;
    let report = TreeReport { nodes: stored.content.counts.nodes, ..report.clone() };
    let found = |path: &[u8]| payloads.get(path);
    let boot = boot.as_ref().map(|boot| boot.boot(of_tree().count(), &found)).transpose()?;
    let manifest = Manifest { kind, boot, segments };
    let pushed = run.publish(naming, &manifest, stored, &tally)?;
    Ok(PushReport { tree: Some(report), ..pushed })
}

fn open<'a>(input: &'a TreeInput, store: &DirStore) -> Result<Box<dyn Reader + 'a>, PushError> {
    match input {
        TreeInput::Directory { path, mounts, allow_changed } => {
            let reader = DirectoryReader::open(path, *mounts, *allow_changed, store.path())?;
            Ok(Box::new(reader))
        }
        TreeInput::Tar(tree) => Ok(Box::new(TarReader::new(tree))),
    }
}

/// Hands on all of the tree, then the payloads beside it.
fn read_all(
    reader: &mut dyn Reader,
    mut payloads: Payloads,
    files: &[&Input],
    take: &mut Take<'_>,
    tally: &Tally<'_>,
) -> Result<(Payloads, TreeReport), Stop> {
    let mut report = TreeReport::default();
    let mut pieces = FilePieces::default();
    let mut feed = Feed::new(take, tally);
    while let Some(item) = tally.reading(|| reader.next())? {
        let (node, id, content) = match item {
            Item::Note(note) => {
                report.note(note);
                continue;
            }
            Item::Node { node, id, content } => (node, id, content),
        };
        let path = node.path.clone();
        feed.node(node)?;
        let Some(content) = content else { continue };
        payloads.begin(&path, id, content.size_bytes())?;
        pieces.open_content(content);
        read_file(&mut pieces, &mut payloads, &mut feed, || reader.shown(&path))?;
        if pieces.is_changed() && !reader.allow_changed() {
            return Err(PushError::Changed { path: reader.shown(&path) }.into());
        }
        if pieces.is_changed() {
            report.note(TreeNote { path, what: Noted::Changed });
        }
    }
    feed.end()?;
    for file in files {
        scan(file, Part::Payload, tally, take)?;
    }
    Ok((payloads, report))
}

fn read_file(
    pieces: &mut FilePieces,
    payloads: &mut Payloads,
    feed: &mut Feed<'_, '_>,
    shown: impl Fn() -> PathBuf,
) -> Result<(), Stop> {
    loop {
        let piece = feed.tally.reading(|| pieces.next_piece());
        let piece = piece.map_err(|source| PushError::Read { path: shown(), source })?;
        match piece {
            None => {
                payloads.end();
                return Ok(());
            }
            Some(FilePiece::Zero(length)) => {
                payloads.zeroes(length);
                feed.zero(length)?;
            }
            Some(FilePiece::Data(bytes)) => {
                payloads.data(bytes);
                feed.data(bytes)?;
            }
        }
    }
}

impl TreeReport {
    fn note(&mut self, note: TreeNote) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(note);
        } else {
            self.more_notes += 1;
        }
    }
}
