//! Archives to push: opened, unpacked where they are packed, and looked into for what boots.

use super::unpack::{Packing, unpack};
use anyhow::Context;
use bootfacts::{Tree, TreeEntry};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::{Rc, Weak};
use store::dir::DirStore;
use store::push::TarTree;
use store::tree::NodeKind;

/// What is read at once, bytes.
const BUFFER_BYTES: usize = 256 << 10;

/// Reads the archive `path`, or standard input for `-`.
pub(super) fn read(store: &DirStore, path: &Path, relative: bool) -> anyhow::Result<TarTree> {
    if path == Path::new("-") {
        let name = Path::new("the archive on standard input");
        return read_stream(store, Box::new(io::stdin()), name, relative);
    }
    let opened = || format!("cannot open the archive {}", path.display());
    let file = File::open(path).with_context(opened)?;
    let is_plain = file.metadata().with_context(opened)?.is_file();
    let mut start = [0; Packing::MAGIC_BYTES];
    let is_packed = is_plain && {
        let length = std::os::unix::fs::FileExt::read_at(&file, &mut start, 0);
        Packing::of(&start[..length.with_context(opened)?]).is_some()
    };
    if is_plain && !is_packed {
        // Its members are read where they are.
        return Ok(TarTree::read_file(file, path, relative)?);
    }
    read_stream(store, Box::new(file), path, relative)
}

fn read_stream(
    store: &DirStore,
    from: Box<dyn Read + Send>,
    name: &Path,
    relative: bool,
) -> anyhow::Result<TarTree> {
    let from = BufReader::with_capacity(BUFFER_BYTES, from);
    let mut unpacked = unpack(from).with_context(|| format!("cannot read {}", name.display()))?;
    Ok(TarTree::read(store, &mut unpacked, name, relative)?)
}

/// An archive as a tree that boot facts are looked for in. It lives no longer than the archive is
/// held elsewhere.
pub(super) struct Archive(Weak<TarTree>);

impl Archive {
    /// The tree of `archive`.
    pub(super) fn new(archive: &Rc<TarTree>) -> Self {
        Self(Rc::downgrade(archive))
    }

    fn tree(&self) -> io::Result<Rc<TarTree>> {
        self.0.upgrade().ok_or_else(|| io::Error::other("the archive is closed"))
    }
}

impl Tree for Archive {
    fn look(&self, path: &str) -> io::Result<Option<TreeEntry>> {
        Ok(self.tree()?.look(inside(path)).map(|kind| match kind {
            NodeKind::Directory => TreeEntry::Directory,
            NodeKind::File { size_bytes } => TreeEntry::File { size_bytes: *size_bytes },
            NodeKind::Symlink { target } => match std::str::from_utf8(target) {
                Ok(target) => TreeEntry::Symlink { target: target.to_owned() },
                Err(_) => TreeEntry::Other,
            },
            _ => TreeEntry::Other,
        }))
    }

    fn names(&self, path: &str) -> io::Result<Vec<String>> {
        let tree = self.tree()?;
        let names = tree.names(inside(path)).filter_map(|name| std::str::from_utf8(name).ok());
        Ok(names.map(str::to_owned).collect())
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read>> {
        match self.tree()?.open(inside(path)) {
            Some(file) => Ok(Box::new(file)),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// The path as the archive has it.
fn inside(path: &str) -> &[u8] {
    path.trim_start_matches('/').as_bytes()
}
