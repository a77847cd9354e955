//! Trees read from a directory.

use super::{FileId, Item, Noted, Reader, TreeNote};
use crate::push::PushError;
use crate::tree::Content;
use crate::tree::stamped;
use crate::tree::walk::{Found, Mounts, Skipped, Walk, WalkOptions};
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A directory being read.
pub(super) struct DirectoryReader {
    root: PathBuf,
    walk: Walk,
    allow_changed: bool,
}

impl DirectoryReader {
    pub(super) fn open(
        root: &Path,
        mounts: Mounts,
        allow_changed: bool,
    ) -> Result<Self, PushError> {
        let failed = PushError::reading(root);
        let directory = File::open(root).map_err(&failed)?;
        let metadata = directory.metadata().map_err(&failed)?;
        if !metadata.is_dir() {
            return Err(PushError::NoDirectory { path: root.to_owned() });
        }
        let walk = Walk::new(&directory, root, WalkOptions { mounts, allow_changed });
        Ok(Self { root: root.to_owned(), walk, allow_changed })
    }
}

impl Reader for DirectoryReader {
    fn next(&mut self) -> Result<Option<Item>, PushError> {
        let walked = match self.walk.next().transpose()? {
            None => return Ok(None),
            Some(Found::Skipped { path, why }) => {
                let what = match why {
                    Skipped::Socket => Noted::Socket,
                    Skipped::Mounted => Noted::Mounted,
                    Skipped::Reserved => Noted::Reserved,
                };
                return Ok(Some(Item::Note(TreeNote { path, what })));
            }
            Some(Found::Node(walked)) => walked,
        };
        let (node, stamp) = (walked.node, walked.stamp);
        let content = match walked.file {
            None => None,
            Some(Ok(file)) => Some(Box::new(stamped(file, stamp)) as Box<dyn Content>),
            Some(Err(source)) => {
                return Err(PushError::Read { path: self.shown(&node.path), source });
            }
        };
        Ok(Some(Item::Node { node, id: (stamp.device, stamp.inode), content }))
    }

    fn shown(&self, path: &[u8]) -> PathBuf {
        self.root.join(OsStr::from_bytes(path))
    }

    fn identify(&self, path: &[u8]) -> Option<FileId> {
        let metadata = self.shown(path).symlink_metadata().ok()?;
        let device = metadata.dev();
        let device = (rustix::fs::major(device), rustix::fs::minor(device));
        metadata.is_file().then(|| (device, metadata.ino()))
    }

    fn allow_changed(&self) -> bool {
        self.allow_changed
    }
}
