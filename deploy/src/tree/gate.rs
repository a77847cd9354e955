//! Every call that changes a target, each after it was asked for: the seam where tests cut.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    self, AtFlags, FileType, Gid, IFlags, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;
use std::io;
use std::sync::Arc;
use store::tree::Meta;

/// How a directory is opened, whatever for.
const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Kinds of calls that change a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// open(2) of a new file.
    Create,
    /// pwrite(2).
    Write,
    /// ftruncate(2).
    Resize,
    /// ioctl(2) `FICLONE`: a file gets another one's content.
    Clone,
    /// mkdir(2).
    MakeDirectory,
    /// symlink(2).
    MakeSymlink,
    /// mknod(2).
    MakeNode,
    /// link(2).
    Link,
    /// rename(2).
    Rename,
    /// unlink(2).
    Unlink,
    /// rmdir(2).
    RemoveDirectory,
    /// chown(2).
    Owner,
    /// chmod(2).
    Mode,
    /// utimensat(2).
    Times,
    /// setxattr(2).
    SetAttribute,
    /// removexattr(2).
    RemoveAttribute,
    /// ioctl(2) `FS_IOC_SETFLAGS`: immutable and append-only are taken away.
    Flags,
    /// syncfs(2).
    Sync,
}

/// Is asked before each call that changes a target. In production it always says yes.
pub trait Gate: Send + Sync {
    /// An error keeps the call from being made, and is what the call is said to have failed with.
    fn pass(&self, call: Call) -> io::Result<()>;
}

/// The gate that is always open.
pub(crate) struct AlwaysOpen;

impl Gate for AlwaysOpen {
    fn pass(&self, _: Call) -> io::Result<()> {
        Ok(())
    }
}

/// The calls themselves. Names are single components below a directory's descriptor, so that
/// nothing outside of it is reached; symbolic links are never followed.
///
/// A call that immutable or append-only attributes (`ioctl_iflags(2)`) forbid takes them away and is
/// made again.
#[derive(Clone)]
pub(crate) struct Hands {
    gate: Arc<dyn Gate>,
}

impl Hands {
    pub(crate) fn new(gate: Arc<dyn Gate>) -> Self {
        Self { gate }
    }

    /// A new file that only its owner may use, to be read and written.
    pub(crate) fn create(&self, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW;
        let flags = flags | OFlags::CLOEXEC;
        self.freeing(dir, &[], || {
            self.gate.pass(Call::Create)?;
            Ok(fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)?)
        })
    }

    /// All of `bytes` at `offset`.
    pub(crate) fn write(&self, file: impl AsFd, mut bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut at = offset;
        while !bytes.is_empty() {
            self.gate.pass(Call::Write)?;
            match rustix::io::pwrite(&file, bytes, at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    at += written as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    pub(crate) fn resize(&self, file: impl AsFd, length: u64) -> io::Result<()> {
        self.gate.pass(Call::Resize)?;
        Ok(fs::ftruncate(file, length)?)
    }

    /// Gives `to`, which is empty, the content of `from`, sharing its blocks.
    pub(crate) fn clone_content(&self, from: impl AsFd, to: impl AsFd) -> io::Result<()> {
        self.gate.pass(Call::Clone)?;
        Ok(fs::ioctl_ficlone(to, from)?)
    }

    /// A new directory that only its owner may use.
    pub(crate) fn make_directory(&self, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        self.freeing(dir, &[], || {
            self.gate.pass(Call::MakeDirectory)?;
            Ok(fs::mkdirat(dir, name, Mode::RWXU)?)
        })
    }

    pub(crate) fn make_symlink(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        target: &[u8],
    ) -> io::Result<()> {
        self.freeing(dir, &[], || {
            self.gate.pass(Call::MakeSymlink)?;
            Ok(fs::symlinkat(target, dir, name)?)
        })
    }

    /// A fifo, or a device with this number, that only its owner may use.
    pub(crate) fn make_node(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        kind: FileType,
        device: fs::Dev,
    ) -> io::Result<()> {
        self.freeing(dir, &[], || {
            self.gate.pass(Call::MakeNode)?;
            Ok(fs::mknodat(dir, name, kind, Mode::RUSR | Mode::WUSR, device)?)
        })
    }

    pub(crate) fn link(
        &self,
        (from, from_name): (BorrowedFd<'_>, &[u8]),
        (to, to_name): (BorrowedFd<'_>, &[u8]),
    ) -> io::Result<()> {
        self.freeing(to, &[(from, from_name)], || {
            self.gate.pass(Call::Link)?;
            Ok(fs::linkat(from, from_name, to, to_name, AtFlags::empty())?)
        })
    }

    pub(crate) fn rename(
        &self,
        (from, from_name): (BorrowedFd<'_>, &[u8]),
        (to, to_name): (BorrowedFd<'_>, &[u8]),
    ) -> io::Result<()> {
        self.freeing(to, &[(to, to_name), (from, b"."), (from, from_name)], || {
            self.gate.pass(Call::Rename)?;
            Ok(fs::renameat(from, from_name, to, to_name)?)
        })
    }

    pub(crate) fn unlink(&self, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        self.freeing(dir, &[(dir, name)], || {
            self.gate.pass(Call::Unlink)?;
            Ok(fs::unlinkat(dir, name, AtFlags::empty())?)
        })
    }

    pub(crate) fn remove_directory(&self, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        self.freeing(dir, &[(dir, name)], || {
            self.gate.pass(Call::RemoveDirectory)?;
            Ok(fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?)
        })
    }

    /// Opens the directory `name` of `dir`, so that what is in it can be changed. Through no symbolic
    /// link, and not into what is mounted there, which is `EXDEV`.
    pub(crate) fn enter(&self, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
        let held = super::root::beneath(dir, name, OFlags::PATH | DIRECTORY)?;
        let open = || fs::openat(&held, c".", OFlags::RDONLY | DIRECTORY, Mode::empty());
        match open() {
            Err(Errno::ACCESS) if self.unlock(held.as_fd())? => Ok(open()?),
            opened => Ok(opened?),
        }
    }

    pub(crate) fn set_owner(&self, at: At<'_>, uid: u32, gid: u32) -> io::Result<()> {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        self.freeing_at(at, || {
            self.gate.pass(Call::Owner)?;
            let done = match at {
                At::File(file) => fs::fchown(file, uid, gid),
                At::Name(dir, name) => fs::chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW),
            };
            done.map_err(io::Error::from)
        })
    }

    /// Never of a symbolic link, which has no mode of its own: that is an error.
    pub(crate) fn set_mode(&self, at: At<'_>, mode: u16) -> io::Result<()> {
        let mode = Mode::from_raw_mode(u32::from(mode));
        self.freeing_at(at, || {
            self.gate.pass(Call::Mode)?;
            let done = match at {
                At::File(file) => fs::fchmod(file, mode),
                At::Name(dir, name) => chmod_held(&hold(dir, name)?, mode),
            };
            done.map_err(io::Error::from)
        })
    }

    /// When it was modified; when it was last read stays as it is.
    pub(crate) fn set_times(&self, at: At<'_>, meta: &Meta) -> io::Result<()> {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: fs::UTIME_OMIT },
            last_modification: Timespec { tv_sec: meta.mtime_s, tv_nsec: i64::from(meta.mtime_ns) },
        };
        self.freeing_at(at, || {
            self.gate.pass(Call::Times)?;
            let done = match at {
                At::File(file) => fs::futimens(file, &times),
                At::Name(dir, name) => fs::utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW),
            };
            done.map_err(io::Error::from)
        })
    }

    pub(crate) fn set_attribute(&self, at: At<'_>, name: &[u8], value: &[u8]) -> io::Result<()> {
        self.freeing_at(at, || {
            self.gate.pass(Call::SetAttribute)?;
            let done = match at {
                At::File(file) => fs::fsetxattr(file, name, value, XattrFlags::empty()),
                At::Name(dir, of) => {
                    fs::lsetxattr(by_descriptor(dir, of), name, value, XattrFlags::empty())
                }
            };
            done.map_err(io::Error::from)
        })
    }

    pub(crate) fn remove_attribute(&self, at: At<'_>, name: &[u8]) -> io::Result<()> {
        self.freeing_at(at, || {
            self.gate.pass(Call::RemoveAttribute)?;
            let done = match at {
                At::File(file) => fs::fremovexattr(file, name),
                At::Name(dir, of) => fs::lremovexattr(by_descriptor(dir, of), name),
            };
            done.map_err(io::Error::from)
        })
    }

    /// Makes all of the file system that `file` is on durable.
    pub(crate) fn sync(&self, file: impl AsFd) -> io::Result<()> {
        self.gate.pass(Call::Sync)?;
        Ok(fs::syncfs(file)?)
    }

    fn freeing_at(&self, at: At<'_>, call: impl Fn() -> io::Result<()>) -> io::Result<()> {
        match at {
            At::File(_) => call(),
            At::Name(dir, name) => self.freeing(dir, &[(dir, name)], call),
        }
    }

    /// Makes `call`; where it is forbidden and attributes of `dir` or of `others` may be why,
    /// takes them away and makes it again.
    fn freeing<T>(
        &self,
        dir: BorrowedFd<'_>,
        others: &[(BorrowedFd<'_>, &[u8])],
        call: impl Fn() -> io::Result<T>,
    ) -> io::Result<T> {
        match call() {
            Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {
                let mut freed = self.free(dir, b".")?;
                for (dir, name) in others {
                    freed |= self.free(*dir, name)?;
                }
                if freed { call() } else { Err(error) }
            }
            Err(error) if error.raw_os_error() == Some(Errno::ACCESS.raw_os_error()) => {
                if self.unlock(dir)? { call() } else { Err(error) }
            }
            result => result,
        }
    }

    /// Lets the user, whose directory it is, change what is in it; whether that was not so before.
    /// The directory gets its mode back with the rest of its metadata.
    pub(crate) fn unlock(&self, dir: BorrowedFd<'_>) -> io::Result<bool> {
        let stat = fs::fstat(dir)?;
        let (mode, all) = (Mode::from_raw_mode(stat.st_mode), Mode::RWXU);
        if stat.st_uid != rustix::process::geteuid().as_raw() || mode.contains(all) {
            return Ok(false);
        }
        self.gate.pass(Call::Mode)?;
        chmod_held(dir, mode | all)?;
        Ok(true)
    }

    /// Takes away what forbids changes; whether there was anything. What has no such attributes
    /// has nothing to be taken away.
    fn free(&self, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<bool> {
        let Ok(stat) = fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(false) };
        // Opening a device does things.
        let kind = FileType::from_raw_mode(stat.st_mode);
        if !matches!(kind, FileType::RegularFile | FileType::Directory) {
            return Ok(false);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = fs::openat(dir, name, flags, Mode::empty()) else { return Ok(false) };
        let Ok(flags) = fs::ioctl_getflags(&file) else { return Ok(false) };
        let forbidding = IFlags::IMMUTABLE | IFlags::APPEND;
        if !flags.intersects(forbidding) {
            return Ok(false);
        }
        self.gate.pass(Call::Flags)?;
        fs::ioctl_setflags(&file, flags.difference(forbidding))?;
        Ok(true)
    }
}

/// What metadata is set of.
#[derive(Clone, Copy)]
pub(crate) enum At<'a> {
    /// An open file.
    File(BorrowedFd<'a>),
    /// A name in a directory.
    Name(BorrowedFd<'a>, &'a [u8]),
}

/// Holds what `name` in `dir` stands for, not opened; an error of a symbolic link.
fn hold(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held = fs::openat(dir, name, flags, Mode::empty())?;
    match FileType::from_raw_mode(fs::fstat(&held)?.st_mode) {
        FileType::Symlink => Err(Errno::LOOP),
        _ => Ok(held),
    }
}

/// Gives what is held this mode: fchmod(2) takes no descriptor that only holds, and fchmodat(2)
/// follows symbolic links before Linux 6.6.
fn chmod_held(held: impl AsFd, mode: Mode) -> rustix::io::Result<()> {
    use std::os::fd::AsRawFd;
    fs::chmod(format!("/proc/self/fd/{}", held.as_fd().as_raw_fd()), mode)
}

/// A path for the calls on extended attributes, which take no descriptor of a directory
/// (`proc_pid_fd(5)`).
fn by_descriptor(dir: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    use std::os::fd::AsRawFd;
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn a_mode_is_given_to_what_is_in_the_directory_and_never_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (inner, out) = (dir.path().join("inner"), dir.path().join("out"));
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(&out, b"").unwrap();
        std::fs::write(inner.join("file"), b"").unwrap();
        std::fs::set_permissions(&out, PermissionsExt::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&out, inner.join("link")).unwrap();
        let hands = Hands::new(Arc::new(AlwaysOpen));
        let opened = fs::open(&inner, OFlags::PATH, Mode::empty()).unwrap();
        let set = |name: &[u8]| hands.set_mode(At::Name(opened.as_fd(), name), 0o4711);
        assert_eq!(set(b"link").unwrap_err().raw_os_error(), Some(Errno::LOOP.raw_os_error()));
        set(b"file").unwrap();
        set(b".").unwrap();
        let mode = |path: &std::path::Path| path.metadata().unwrap().mode() & 0o7777;
        let found = [&out, &inner.join("file"), &inner].map(|path| mode(path));
        assert_eq!(found, [0o644, 0o4711, 0o4711]);
    }
}
