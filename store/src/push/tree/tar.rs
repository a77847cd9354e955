//! Trees read from tar archives.
//!
//! An archive is read once, front to back; the content of its members is kept in the store's
//! `tmp`, or where it is, if the archive is a plain file. Then its tree is what unpacking it would
//! leave: of members with the same path the last one counts. Old, ustar, GNU and pax headers are
//! understood, with sparse members in all of GNU's formats, sub-second times, extended attributes
//! and access control lists as star and GNU tar write them. In memory are the nodes: some hundred
//! bytes each.

mod acl;
mod archive;
mod content;
mod error;
mod header;
mod members;
mod nodes;
mod path;
mod pax;
mod sparse;
#[cfg(test)]
mod tests;

pub use error::TarError;

use super::{FileId, Item, Noted, Reader, TreeNote};
use crate::Stamp;
use crate::dir::DirStore;
use crate::dir::temp::TempFile;
use crate::push::PushError;
use crate::tree::walk::RESERVED_NAME;
use crate::tree::{Content, MODE_MAX, Meta, Node, NodeKind, TARGET_MAX_BYTES};
use archive::Archive;
use content::{Kept, MemberContent};
use header::Wrong;
use members::{Member, Members, map_ahead};
use nodes::{Assembled, Inode, Nodes};
use sparse::Sparse;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What an archive holds, read and ready to be pushed.
pub struct TarTree {
    name: PathBuf,
    tree: Assembled,
    notes: Vec<TreeNote>,
    kept: Arc<Kept>,
    /// Removes what was kept in the end.
    _temporary: Option<TempFile>,
}

impl std::fmt::Debug for TarTree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TarTree").field("name", &self.name).finish_non_exhaustive()
    }
}

impl TarTree {
    /// Reads the archive that `from` gives, called `name` in errors, to its end. The content is
    /// kept in `store`. Paths that lead out of the tree are errors unless they are taken
    /// `relative`, as tar itself does.
    pub fn read(
        store: &DirStore,
        from: &mut dyn Read,
        name: &Path,
        relative: bool,
    ) -> Result<Self, TarError> {
        let mut archive = Archive::stream(from, name, store)?;
        let (tree, notes) = read(&mut archive, relative)?;
        archive.drain()?;
        let temporary = archive.into_kept();
        let file = match &temporary {
            Some(temporary) => temporary.reader()?,
            None => return Err(TarError::not_kept(name)),
        };
        let kept = Arc::new(Kept { file, stamp: None });
        Ok(Self { name: name.to_owned(), tree, notes, kept, _temporary: temporary })
    }

    /// Reads the archive `file`, a regular file, called `name` in errors. The content stays where
    /// it is, and is to stay as it is until it is pushed.
    pub fn read_file(file: File, name: &Path, relative: bool) -> Result<Self, TarError> {
        let failed = |source| TarError::Read { archive: name.to_owned(), at: 0, source };
        let stamp = Stamp::of(&file).map_err(failed)?;
        let mut archive = Archive::file(&file, stamp.size_bytes, name);
        let (tree, notes) = read(&mut archive, relative)?;
        let kept = Arc::new(Kept { file, stamp: Some(stamp) });
        Ok(Self { name: name.to_owned(), tree, notes, kept, _temporary: None })
    }

    /// What is at `path`; links in it are not followed. Never a hard link: what it links to.
    pub fn look(&self, path: &[u8]) -> Option<&NodeKind> {
        let number = self.tree.find(path)?;
        self.tree.inodes.get(number).map(|inode| &inode.kind)
    }

    /// The names in the directory `path`, in order.
    pub fn names(&self, path: &[u8]) -> impl Iterator<Item = &[u8]> {
        let directory = path.to_vec();
        self.tree.names.iter().filter_map(move |(path, _)| {
            let is_in_it = crate::tree::parent(path) == Some(&directory[..]);
            is_in_it.then(|| crate::tree::name(path))
        })
    }

    /// The bytes of the regular file `path`.
    pub fn open(&self, path: &[u8]) -> Option<impl Read + use<>> {
        let number = self.tree.find(path)?;
        let content = self.content(self.tree.inodes.get(number)?)?;
        Some(content::reader(content))
    }

    fn content(&self, inode: &Inode) -> Option<MemberContent> {
        let NodeKind::File { size_bytes } = inode.kind else { return None };
        let (data, kept) = (inode.data.clone(), Arc::clone(&self.kept));
        Some(MemberContent { size_bytes, data, kept })
    }
}

impl TarError {
    fn not_kept(name: &Path) -> Self {
        let source = std::io::Error::other("its content was not kept");
        Self::Read { archive: name.to_owned(), at: 0, source }
    }
}

/// Reads all members, and puts the tree together.
fn read(archive: &mut Archive<'_>, relative: bool) -> Result<(Assembled, Vec<TreeNote>), TarError> {
    let (mut members, mut nodes, mut said) = (Members::default(), Nodes::default(), Vec::new());
    while let Some(member) = members.next(archive)? {
        let path = path::in_tree(&member.header.path, relative);
        let path = path.ok_or_else(|| archive.outside(&member.shown, &member.header.path))?;
        if path.split(|byte| *byte == b'/').next() == Some(RESERVED_NAME) {
            archive.drop(&member.shown, stored_bytes(&member))?;
            said.push(TreeNote { path, what: Noted::Reserved });
            continue;
        }
        if member.header.kind == b'1' {
            let target = path::in_tree(&member.header.target, relative);
            let target =
                target.ok_or_else(|| archive.outside(&member.shown, &member.header.target))?;
            nodes.link(path, &target);
        } else {
            let inode = inode(archive, &member)?;
            nodes.add(path, inode);
        }
    }
    let tree = nodes
        .finish()
        .map_err(|(path, wrong)| archive.member(&path.escape_ascii().to_string(), wrong))?;
    let implied = tree.implied.iter();
    said.extend(implied.map(|path| TreeNote { path: path.clone(), what: Noted::Implied }));
    Ok((tree, said))
}

/// How many bytes of content follow a member's header.
fn stored_bytes(member: &Member) -> u64 {
    // Of links and the like some programs write a size, but none of them content.
    if matches!(member.header.kind, b'1'..=b'6') { 0 } else { member.header.size_bytes }
}

/// What a member is; its content is kept.
fn inode(archive: &mut Archive<'_>, member: &Member) -> Result<Inode, TarError> {
    let wrong = |wrong| archive.member(&member.shown, wrong);
    let kind = kind(member).map_err(wrong)?;
    let id = |what: &str, id: u64| {
        let wrong = || (format!("a number of a {what} of 32 bits"), id.to_string());
        u32::try_from(id).ok().ok_or_else(wrong)
    };
    let header = &member.header;
    let (uid, gid) =
        (id("user", header.uid).map_err(wrong)?, id("group", header.gid).map_err(wrong)?);
    let mode = match kind {
        NodeKind::Symlink { .. } => 0o777,
        _ => (header.mode & u64::from(MODE_MAX)) as u16,
    };
    let meta = Meta {
        mode,
        uid,
        gid,
        mtime_s: header.mtime_s,
        mtime_ns: member.mtime_ns,
        xattrs: member.xattrs.clone(),
    };
    match kind {
        NodeKind::File { .. } => file(archive, member, meta),
        kind => Ok(Inode { kind, meta, data: Vec::new() }),
    }
}

fn kind(member: &Member) -> Result<NodeKind, Wrong> {
    let device = |number: u64| {
        let wrong = || ("a device's number of 32 bits".to_owned(), number.to_string());
        u32::try_from(number).ok().ok_or_else(wrong)
    };
    let header = &member.header;
    Ok(match header.kind {
        b'0' => NodeKind::File { size_bytes: header.size_bytes },
        b'2' if header.target.is_empty() || header.target.len() > TARGET_MAX_BYTES => {
            let expected = format!("a target of 1 to {TARGET_MAX_BYTES} bytes");
            return Err((expected, header.target.len().to_string()));
        }
        b'2' => NodeKind::Symlink { target: header.target.clone() },
        b'3' | b'4' => {
            let (major, minor) = (device(header.device.0)?, device(header.device.1)?);
            match header.kind {
                b'3' => NodeKind::CharDevice { major, minor },
                _ => NodeKind::BlockDevice { major, minor },
            }
        }
        b'5' => NodeKind::Directory,
        b'6' => NodeKind::Fifo,
        other => {
            let expected = "a file, link, directory, device or fifo";
            return Err((expected.into(), format!("kind '{}'", other.escape_ascii())));
        }
    })
}

/// A regular file: its content is kept, its map read if it is sparse.
fn file(archive: &mut Archive<'_>, member: &Member, meta: Meta) -> Result<Inode, TarError> {
    let (shown, stored) = (&member.shown, member.header.size_bytes);
    let (stretches, size_bytes, ahead) = match &member.sparse {
        None => (vec![(0, stored)], stored, 0),
        Some(Sparse::Map(stretches, size)) => (stretches.clone(), *size, 0),
        Some(Sparse::Ahead(size)) => {
            let (stretches, bytes) = map_ahead(archive, shown, stored)?;
            (stretches, *size, bytes)
        }
    };
    sparse::check(&stretches, size_bytes, stored - ahead)
        .map_err(|wrong| archive.member(shown, wrong))?;
    if size_bytes > i64::MAX as u64 {
        let wrong = ("a file of less than 8 EiB".into(), size_bytes.to_string());
        return Err(archive.member(shown, wrong));
    }
    let mut at = archive.keep(shown, stored - ahead)?;
    let mut data = Vec::with_capacity(stretches.len());
    for (offset, length) in stretches.into_iter().filter(|(_, length)| *length > 0) {
        data.push((offset, length, at));
        at += length;
    }
    Ok(Inode { kind: NodeKind::File { size_bytes }, meta, data })
}

/// A tree from an archive being pushed.
pub(super) struct TarReader<'a> {
    tree: &'a TarTree,
    notes: std::slice::Iter<'a, TreeNote>,
    names: std::slice::Iter<'a, (Vec<u8>, usize)>,
    /// Of each inode, the first of its names, once it was met.
    first: Vec<Option<&'a [u8]>>,
}

impl<'a> TarReader<'a> {
    pub(super) fn new(tree: &'a TarTree) -> Self {
        let (notes, names) = (tree.notes.iter(), tree.tree.names.iter());
        Self { tree, notes, names, first: vec![None; tree.tree.inodes.len()] }
    }

    fn id(number: usize) -> FileId {
        ((0, 0), number as u64)
    }
}

impl Reader for TarReader<'_> {
    fn next(&mut self) -> Result<Option<Item>, PushError> {
        if let Some(note) = self.notes.next() {
            return Ok(Some(Item::Note(note.clone())));
        }
        let Some((path, number)) = self.names.next() else { return Ok(None) };
        let (Some(inode), Some(first)) =
            (self.tree.tree.inodes.get(*number), self.first.get_mut(*number))
        else {
            return Ok(None);
        };
        let (path_owned, id) = (path.clone(), Self::id(*number));
        if let Some(first) = *first {
            let kind = NodeKind::HardLink { to: first.to_vec() };
            let node = Node { path: path_owned, kind, meta: Meta::default() };
            return Ok(Some(Item::Node { node, id, content: None }));
        }
        *first = Some(path);
        let node = Node { path: path_owned, kind: inode.kind.clone(), meta: inode.meta.clone() };
        let content = self.tree.content(inode).map(|content| Box::new(content) as Box<dyn Content>);
        Ok(Some(Item::Node { node, id, content }))
    }

    fn shown(&self, path: &[u8]) -> PathBuf {
        let shown = path.escape_ascii();
        PathBuf::from(format!("{}: {shown}", self.tree.name.display()))
    }

    fn identify(&self, path: &[u8]) -> Option<FileId> {
        let number = self.tree.tree.find(path)?;
        let inode = self.tree.tree.inodes.get(number)?;
        matches!(inode.kind, NodeKind::File { .. }).then(|| Self::id(number))
    }

    fn allow_changed(&self) -> bool {
        false
    }
}
