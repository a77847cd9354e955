//! What stands at a name: opened without following or waking anything, and what stat says of it.

use crate::tree::{MODE_MAX, Meta, NodeKind, Xattr};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Statx, StatxFlags, openat, readlinkat, statx};
use rustix::io::Errno;
use std::fs::File;

/// What a symbolic link's mode is, whatever the file system says: Linux does not use it.
const SYMLINK_MODE: u16 = 0o777;

/// Something opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) fd: OwnedFd,
    /// Why the content cannot be read, if there is a reason: then the file is only held.
    pub(super) refused: Option<Errno>,
    pub(super) stat: Statx,
}

/// Opens what `name` in `directory` stands for; `kind` is what it was when the directory was
/// read. Regular files and directories are opened for reading where that is allowed, all else is
/// only held (open(2), `O_PATH`): opening a device may do something.
pub(super) fn open(
    directory: BorrowedFd<'_>,
    name: &[u8],
    kind: FileType,
) -> Result<Opened, Errno> {
    let reading = match kind {
        // Without waiting, should there be a named pipe by now.
        FileType::RegularFile => OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY,
        FileType::Directory => OFlags::RDONLY | OFlags::DIRECTORY,
        // Some file systems do not tell kinds.
        FileType::Unknown => {
            let held = open_with(directory, name, OFlags::PATH, None)?;
            return match held.kind() {
                FileType::Unknown => Ok(held),
                kind => open(directory, name, kind),
            };
        }
        _ => return open_with(directory, name, OFlags::PATH, None),
    };
    match open_with(directory, name, reading, None) {
        Err(refused @ (Errno::ACCESS | Errno::PERM)) => {
            open_with(directory, name, OFlags::PATH, Some(refused))
        }
        // It is something else by now.
        Err(Errno::LOOP | Errno::NOTDIR | Errno::NXIO) => {
            open_with(directory, name, OFlags::PATH, Some(Errno::AGAIN))
        }
        opened => opened,
    }
}

/// Opens the directory `name` in `directory` for reading.
pub(super) fn directory(directory: BorrowedFd<'_>, name: &[u8]) -> Result<Opened, Errno> {
    open_with(directory, name, OFlags::RDONLY | OFlags::DIRECTORY, None)
}

fn open_with(
    directory: BorrowedFd<'_>,
    name: &[u8],
    flags: OFlags,
    refused: Option<Errno>,
) -> Result<Opened, Errno> {
    let fd = openat(directory, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let stat = statx(&fd, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
    Ok(Opened { fd, refused, stat })
}

impl Opened {
    /// Whether it can be read, and is not only held.
    pub(super) fn is_read(&self) -> bool {
        matches!(self.kind(), FileType::RegularFile | FileType::Directory) && self.refused.is_none()
    }

    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(u32::from(self.stat.stx_mode))
    }

    /// The kind of node it is; `None` if it is none that trees have.
    pub(super) fn node_kind(&self) -> Result<Option<NodeKind>, Errno> {
        let (major, minor) = (self.stat.stx_rdev_major, self.stat.stx_rdev_minor);
        Ok(Some(match self.kind() {
            FileType::Directory => NodeKind::Directory,
            FileType::RegularFile => NodeKind::File { size_bytes: self.stat.stx_size },
            FileType::Symlink => {
                NodeKind::Symlink { target: readlinkat(&self.fd, "", Vec::new())?.into_bytes() }
            }
            FileType::Fifo => NodeKind::Fifo,
            FileType::CharacterDevice => NodeKind::CharDevice { major, minor },
            FileType::BlockDevice => NodeKind::BlockDevice { major, minor },
            FileType::Socket | FileType::Unknown => return Ok(None),
        }))
    }

    /// Its metadata, with these attributes.
    pub(super) fn meta(&self, xattrs: Vec<Xattr>) -> Meta {
        let mode = match self.kind() {
            FileType::Symlink => SYMLINK_MODE,
            _ => self.stat.stx_mode & MODE_MAX,
        };
        Meta {
            mode,
            uid: self.stat.stx_uid,
            gid: self.stat.stx_gid,
            mtime_s: self.stat.stx_mtime.tv_sec,
            mtime_ns: self.stat.stx_mtime.tv_nsec,
            xattrs,
        }
    }

    /// The file, for reading its content.
    pub(super) fn into_file(self) -> Result<File, Errno> {
        match self.refused {
            None => Ok(self.fd.into()),
            Some(refused) => Err(refused),
        }
    }
}

impl AsFd for Opened {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
