//! A store on the disk's own data partition, which survives labels: objects that came from far are
//! there the next time.
//!
//! Nothing that fails here fails a deployment: a partition or a store that cannot be used is passed
//! over, and named.

use super::disk::Disk;
use crate::layout::{Role, Table};
use crate::meter::{Meter, PassedOver};
use crate::volumes::{Access, FileSystem, Mounted, VolumeError};
use crate::{Error, Label};
use rustix::fs::{Mode, OFlags, fstatvfs, mkdirat, openat};
use rustix::io::Errno;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use store::dir::DirError;
use store::near::{Kept, Near};

/// The directory on the partition; content of labels in it is for nobody but root.
const DIRECTORY: &str = ".inaugurator";
const DIRECTORY_MODE: Mode = Mode::RWXU;

/// The store in there.
const STORE: &str = "store";

/// Why there is no local store.
#[derive(Debug, thiserror::Error)]
enum LocalError {
    #[error("{0}")]
    Volume(String),
    #[error(transparent)]
    Partition(#[from] Error),
    #[error(transparent)]
    Mount(#[from] VolumeError),
    #[error("cannot open the directory {DIRECTORY} of the data partition")]
    Directory(#[source] io::Error),
    #[error(transparent)]
    Store(#[from] DirError),
}

/// The store, mounted. Fields in the order in which they are given up: when it is unmounted, nothing
/// of it may be open.
pub(super) struct Local {
    pub(super) near: Arc<Near>,
    /// What messages call it.
    name: String,
    directory: OwnedFd,
    mounted: Mounted,
}

impl Local {
    /// The store on the data partition that stays where it is, of at most `max_bytes`, if that can
    /// be used.
    pub(super) fn kept(disk: &Disk, table: &Table, max_bytes: u64, meter: &Meter) -> Option<Self> {
        let volume = disk.volume(table, Role::Data).map(|(kind, ..)| kind);
        Self::of(disk, table, volume.map_err(LocalError::Volume), max_bytes, meter)
    }

    /// The same on the data partition that was made just now.
    pub(super) fn made(
        (disk, kind): (&Disk, FileSystem),
        table: &Table,
        max_bytes: u64,
        meter: &Meter,
    ) -> Option<Self> {
        Self::of(disk, table, Ok(kind), max_bytes, meter)
    }

    fn of(
        disk: &Disk,
        table: &Table,
        kind: Result<FileSystem, LocalError>,
        max_bytes: u64,
        meter: &Meter,
    ) -> Option<Self> {
        let name = format!("local store of {}", disk.name());
        let opened = kind.and_then(|kind| {
            let partition =
                table.partition(Role::Data).ok_or(Error::NoPartition { role: Role::Data })?;
            Self::open(&disk.node(table, partition)?, kind, max_bytes, &name)
        });
        opened.map_err(|error| meter.pass_over(PassedOver::new(&name, &error))).ok()
    }

    fn open(node: &Path, kind: FileSystem, max_bytes: u64, name: &str) -> Result<Self, LocalError> {
        let mounted = Mounted::open(node, kind, Access::ReadWrite)?;
        let directory = directory(&mounted).map_err(|error| LocalError::Directory(error.into()))?;
        // proc(5): the mount is in no directory, so that there is no other path to it.
        let path = format!("/proc/self/fd/{}/{STORE}", directory.as_raw_fd());
        let path = Path::new(&path);
        let room_bytes = room_bytes(&mounted, path).map_err(LocalError::Directory)?;
        let near = Near::open(path, max_bytes.min(room_bytes))?.called(name);
        Ok(Self { near: Arc::new(near), name: name.to_owned(), directory, mounted })
    }

    /// Makes durable what `labels` gave it, and unmounts it.
    pub(super) fn finish(self, labels: &[Label], meter: &Meter) -> Option<Kept> {
        let Self { near, name, directory, mounted } = self;
        // All of them have the same one.
        let kept = labels.iter().filter_map(Label::leave_near).last();
        drop((near, directory));
        if let Err(error) = mounted.release() {
            meter.pass_over(PassedOver::new(&name, &error));
        }
        kept
    }
}

fn directory(mounted: &Mounted) -> Result<OwnedFd, Errno> {
    match mkdirat(mounted.root(), DIRECTORY, DIRECTORY_MODE) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(mounted.root(), DIRECTORY, flags, Mode::empty())
}

/// So much can be in the store at most: what is there already, and what is free. A store that runs
/// into the end of its file system would keep nothing more, instead of what was of use last.
fn room_bytes(mounted: &Mounted, store: &Path) -> io::Result<u64> {
    let stat = fstatvfs(mounted.root())?;
    let mut room_bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
    let packs = match fs::read_dir(store.join("packs")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(room_bytes),
        packs => packs?,
    };
    for pack in packs {
        room_bytes = room_bytes.saturating_add(pack?.metadata()?.len());
    }
    Ok(room_bytes)
}
