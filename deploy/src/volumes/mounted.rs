//! A mounted file system that is in no directory: only who has the descriptor reaches it, and it
//! is gone with the last of them (fsopen(2), fsmount(2)).

use super::{FileSystem, VolumeError};
use crate::sys;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What is done with a mounted file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It is only read, and not a bit of it changes: a journal that was cut off is not carried
    /// out, and what stands only there is not seen.
    AsItIs,
    /// It is only read. A journal that was cut off is carried out all the same.
    ReadOnly,
    /// It is written.
    ReadWrite,
}

/// A mounted file system.
#[derive(Debug)]
pub struct Mounted {
    device: PathBuf,
    kind: FileSystem,
    /// The root directory.
    root: OwnedFd,
}

impl Mounted {
    /// Mounts `device`.
    pub fn open(device: &Path, kind: FileSystem, access: Access) -> Result<Self, VolumeError> {
        let failed = |source| VolumeError::Mount { kind, device: device.to_owned(), source };
        let root = mount(device, kind, access).map_err(io::Error::from).map_err(failed)?;
        Ok(Self { device: device.to_owned(), kind, root })
    }

    /// Its root directory.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// What kind it is.
    pub fn kind(&self) -> FileSystem {
        self.kind
    }

    /// Its root directory; whoever has it keeps the file system mounted.
    pub fn into_root(self) -> OwnedFd {
        self.root
    }

    /// Writes everything, unmounts it and makes the kernel forget what was on it, so that whoever
    /// mounts it again reads it from the disk. Fails if anybody still has something of it.
    pub fn release(self) -> Result<(), VolumeError> {
        let Self { device, root, .. } = self;
        if let Err(error) = rustix::fs::syncfs(&root) {
            return Err(VolumeError::Release { device, source: error.into() });
        }
        drop(root);
        release(&device)
    }
}

/// Makes the kernel forget what is on `device`, which is unmounted: only a device that nobody has
/// mounted can be had alone (open(2), `O_EXCL`).
pub fn release(device: &Path) -> Result<(), VolumeError> {
    let flags = OFlags::RDONLY | OFlags::EXCL | OFlags::CLOEXEC;
    let released = rustix::fs::open(device, flags, Mode::empty())
        .and_then(|alone| sys::drop_buffers(&alone))
        .map_err(io::Error::from);
    released.map_err(|source| VolumeError::Release { device: device.to_owned(), source })
}

/// An error where the kernel does not know this kind; it loads its module where there is one.
pub(super) fn is_known(kind: FileSystem) -> Result<(), Errno> {
    fsopen(kind.word(), FsOpenFlags::FSOPEN_CLOEXEC).map(drop)
}

/// Nothing of the tree is run or trusted, except where it is entered on purpose: no devices, no
/// setuid. Looking at files does not change when they were read last.
const ATTRIBUTES: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOATIME);

fn mount(device: &Path, kind: FileSystem, access: Access) -> Result<OwnedFd, Errno> {
    let context = fsopen(kind.word(), FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", device)?;
    match (access, kind) {
        (Access::AsItIs, _) => {
            fsconfig_set_flag(&context, "ro")?;
            without_journal(&context, kind)?;
        }
        (Access::ReadOnly, _) => fsconfig_set_flag(&context, "ro")?,
        // Zeroing the tables of inodes would compete with the content; the deployed system does
        // it when it has time.
        (Access::ReadWrite, FileSystem::Ext4) => fsconfig_set_flag(&context, "noinit_itable")?,
        (Access::ReadWrite, _) => {}
    }
    fsconfig_create(&context)?;
    let attributes = match access {
        Access::AsItIs | Access::ReadOnly => ATTRIBUTES | MountAttrFlags::MOUNT_ATTR_RDONLY,
        Access::ReadWrite => ATTRIBUTES,
    };
    let mounted = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(&mounted, ".", flags, Mode::empty())
}

/// Has the kernel leave the journal alone (ext4(5), xfs(5), btrfs(5)).
fn without_journal(context: &OwnedFd, kind: FileSystem) -> Result<(), Errno> {
    match kind {
        FileSystem::Ext4 => fsconfig_set_flag(context, "noload"),
        FileSystem::Xfs => fsconfig_set_flag(context, "norecovery"),
        FileSystem::Btrfs => fsconfig_set_string(context, "rescue", "nologreplay"),
    }
}
