//! Trees read from a directory.

use super::{FileId, Item, Noted, Reader, TreeNote};
use crate::push::PushError;
use crate::tree::walk::{Found, Mounts, Skipped, Walk, WalkOptions};
use crate::tree::{Content, Meta, stamped};
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Mode of a directory that something is mounted on. What is mounted hides its own metadata, and
/// that of what is mounted (`/proc`, a file system in memory) is another one on each host and day:
/// such a directory is root's, of this mode, and of 1970. It is only ever seen unmounted.
const MOUNT_POINT_MODE: u16 = 0o755;

/// A directory being read.
pub(super) struct DirectoryReader {
    root: PathBuf,
    walk: Walk,
    allow_changed: bool,
    /// The store that is pushed to: it cannot be part of what is pushed.
    store: FileId,
}

impl DirectoryReader {
    pub(super) fn open(
        root: &Path,
        mounts: Mounts,
        allow_changed: bool,
        store: &Path,
    ) -> Result<Self, PushError> {
        let failed = PushError::reading(root);
        let directory = File::open(root).map_err(&failed)?;
        let metadata = directory.metadata().map_err(&failed)?;
        if !metadata.is_dir() {
            return Err(PushError::NoDirectory { path: root.to_owned() });
        }
        let options = WalkOptions { mounts, allow_changed, allow_unknown: false };
        let walk = Walk::new(&directory, root, options);
        let store = id(&store.metadata().map_err(PushError::reading(store))?);
        Ok(Self { root: root.to_owned(), walk, allow_changed, store })
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
                    // The latter was not asked for: it is an error.
                    Skipped::Changed | Skipped::Unknown => Noted::Changed,
                };
                return Ok(Some(Item::Note(TreeNote { path, what })));
            }
            Some(Found::Node(walked)) => walked,
        };
        let (mut node, stamp) = (walked.node, walked.stamp);
        if walked.is_mounted {
            node.meta = Meta { mode: MOUNT_POINT_MODE, ..Meta::default() };
        } else if (stamp.device, stamp.inode) == self.store {
            return Err(PushError::StoreInTree { path: self.shown(&node.path) });
        }
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
        metadata.is_file().then(|| id(&metadata))
    }

    fn allow_changed(&self) -> bool {
        self.allow_changed
    }
}

fn id(metadata: &Metadata) -> FileId {
    let device = metadata.dev();
    ((rustix::fs::major(device), rustix::fs::minor(device)), metadata.ino())
}
