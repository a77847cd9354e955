//! Opening a target so that nobody else has it.

use super::file::FileMedium;
use super::{Target, TargetError, TargetKind};
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, SeekFrom};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

impl Target {
    /// Opens the block device or regular file at `path`; a file that is not there is made.
    ///
    /// A device that is mounted or otherwise held is refused: `O_EXCL` on a block device
    /// (open(2)) fails then, and keeps others from mounting it meanwhile.
    pub fn open(path: &Path) -> Result<Self, TargetError> {
        let name = path.display().to_string();
        let failed = |error: Errno| match error {
            Errno::BUSY => TargetError::Busy { target: name.clone() },
            error => TargetError::Open { target: name.clone(), source: error.into() },
        };
        let kind = kind_of(path, &name)?;
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let owned = match kind {
            TargetKind::Device => flags | OFlags::EXCL,
            TargetKind::File => flags | OFlags::CREATE,
        };
        let mode = Mode::from_raw_mode(0o644);
        let cached = File::from(rustix::fs::open(path, owned, mode).map_err(failed)?);
        if kind == TargetKind::File {
            let lock = rustix::fs::flock(&cached, FlockOperation::NonBlockingLockExclusive);
            if lock == Err(Errno::WOULDBLOCK) {
                return Err(TargetError::Busy { target: name });
            }
        }
        let size_bytes = rustix::fs::seek(&cached, SeekFrom::End(0)).map_err(failed)?;
        // Refused by file systems without direct I/O; then the page cache serves.
        let direct = rustix::fs::open(path, flags | OFlags::DIRECT, mode).ok().map(File::from);
        let sector_bytes = match kind {
            TargetKind::Device => crate::sys::logical_sector_bytes(&cached),
            TargetKind::File => None,
        };
        let medium = Box::new(FileMedium { kind, cached, direct });
        Ok(Self::over(&name, kind, size_bytes, sector_bytes, medium))
    }
}

impl Target {
    /// Opens the block device at `path` beside whoever mounts partitions of it, and returns its
    /// file too. Nobody has any of it at this moment. The lock keeps udev from reading the table
    /// while it is written ("Locking Block Device Access" of systemd).
    pub fn beside_partitions(path: &Path) -> Result<(Self, File), TargetError> {
        let name = path.display().to_string();
        let failed = |error: Errno| match error {
            Errno::BUSY | Errno::WOULDBLOCK => TargetError::Busy { target: name.clone() },
            error => TargetError::Open { target: name.clone(), source: error.into() },
        };
        let found = match kind_of(path, &name)? {
            TargetKind::Device => None,
            TargetKind::File => Some("a regular file"),
        };
        if let Some(found) = found {
            return Err(TargetError::Kind { target: name, found });
        }
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let open = |flags| rustix::fs::open(path, flags, Mode::empty()).map(File::from);
        let alone = open(flags | OFlags::EXCL).map_err(failed)?;
        let cached = open(flags).map_err(failed)?;
        drop(alone);
        rustix::fs::flock(&cached, FlockOperation::NonBlockingLockExclusive).map_err(failed)?;
        let file = cached
            .try_clone()
            .map_err(|source| TargetError::Open { target: name.clone(), source })?;
        let size_bytes = rustix::fs::seek(&cached, SeekFrom::End(0)).map_err(failed)?;
        let direct = open(flags | OFlags::DIRECT).ok();
        let sector_bytes = crate::sys::logical_sector_bytes(&cached);
        let kind = TargetKind::Device;
        let medium = Box::new(FileMedium { kind, cached, direct });
        Ok((Self::over(&name, kind, size_bytes, sector_bytes, medium), file))
    }
}

/// Takes all of the block device that `file` is: fails if anybody has it or a partition of it, and
/// keeps them from it until what is returned is dropped (open(2), `O_EXCL`). The device is the very
/// same, whatever its node is by now.
pub(crate) fn alone(file: &File, name: &str) -> Result<OwnedFd, TargetError> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    // Not for writing: closing that would make udev look at it.
    let flags = OFlags::RDONLY | OFlags::EXCL | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|error| match error {
        Errno::BUSY => TargetError::Busy { target: name.to_owned() },
        error => TargetError::Open { target: name.to_owned(), source: error.into() },
    })
}

fn kind_of(path: &Path, name: &str) -> Result<TargetKind, TargetError> {
    let found = match rustix::fs::stat(path) {
        Err(Errno::NOENT) => return Ok(TargetKind::File),
        Err(error) => {
            return Err(TargetError::Open { target: name.into(), source: error.into() });
        }
        Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
            FileType::BlockDevice => return Ok(TargetKind::Device),
            FileType::RegularFile => return Ok(TargetKind::File),
            FileType::Directory => "a directory",
            FileType::CharacterDevice => "a character device",
            _ => "something else",
        },
    };
    Err(TargetError::Kind { target: name.into(), found })
}
