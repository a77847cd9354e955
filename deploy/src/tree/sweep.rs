//! Removing directories with all that is in them, which nobody has looked through.
//!
//! What is in a directory comes up into the outermost one before the directory goes, so that
//! neither descriptors nor paths grow with the depth.

use super::gate::Hands;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, AtFlags, Dir, FileType};
use rustix::io::Errno;
use std::io;

/// Removes what is called `name` in `dir`; whether it is gone. What others have mounted in it
/// stays, with the directories above that.
pub(crate) fn sweep(hands: &Hands, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<bool> {
    let looked = match is_directory(dir, name) {
        Err(error) if is(&error, Errno::ACCESS) && hands.unlock(dir)? => is_directory(dir, name),
        looked => looked,
    };
    if !looked? {
        return unless_mounted(hands.unlink(dir, name));
    }
    let Some(top) = enter(hands, dir, name)? else { return Ok(false) };
    let mut sweeping = Sweeping { hands, top, next: 0, is_raised: false, is_stuck: false };
    while sweeping.round()? {}
    if sweeping.is_stuck {
        return Ok(false);
    }
    unless_mounted(hands.remove_directory(dir, name))
}

struct Sweeping<'a> {
    hands: &'a Hands,
    top: OwnedFd,
    /// Numbers the directories that come up.
    next: u64,
    /// One did in this round.
    is_raised: bool,
    /// Something in it cannot go.
    is_stuck: bool,
}

impl Sweeping<'_> {
    /// Removes what is in the outermost directory, all but the directories that come up meanwhile;
    /// whether any did.
    fn round(&mut self) -> io::Result<bool> {
        (self.is_raised, self.is_stuck) = (false, false);
        for name in names(&self.top)? {
            let is_gone = if is_directory(self.top.as_fd(), &name)? {
                self.raise(&name)?
            } else {
                unless_mounted(self.hands.unlink(self.top.as_fd(), &name))?
            };
            self.is_stuck |= !is_gone;
        }
        Ok(self.is_raised)
    }

    /// Removes the directory `name`, after what is in it came up.
    fn raise(&mut self, name: &[u8]) -> io::Result<bool> {
        let Some(inner) = enter(self.hands, self.top.as_fd(), name)? else { return Ok(false) };
        let mut is_empty = true;
        for below in names(&inner)? {
            is_empty &= if is_directory(inner.as_fd(), &below)? {
                let name = self.free_name();
                let to = (self.top.as_fd(), &name[..]);
                let is_gone = unless_mounted(self.hands.rename((inner.as_fd(), &below), to))?;
                self.is_raised |= is_gone;
                is_gone
            } else {
                unless_mounted(self.hands.unlink(inner.as_fd(), &below))?
            };
        }
        Ok(is_empty && unless_mounted(self.hands.remove_directory(self.top.as_fd(), name))?)
    }

    fn free_name(&mut self) -> Vec<u8> {
        loop {
            self.next += 1;
            let name = format!("raised-{}", self.next).into_bytes();
            if fs::statat(&self.top, &name[..], AtFlags::SYMLINK_NOFOLLOW).is_err() {
                return name;
            }
        }
    }
}

/// The directory `name` of `dir`; none where something is mounted.
fn enter(hands: &Hands, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<OwnedFd>> {
    match hands.enter(dir, name) {
        Err(error) if is(&error, Errno::XDEV) => Ok(None),
        entered => entered.map(Some),
    }
}

/// Whether a call did it, or could not because something is mounted there.
fn unless_mounted(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Err(error) if is(&error, Errno::BUSY) => Ok(false),
        result => result.map(|()| true),
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

fn is_directory(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<bool> {
    let stat = fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// All names first: what is removed while a directory is read may make it skip others.
fn names(dir: &OwnedFd) -> io::Result<Vec<Vec<u8>>> {
    let entries = Dir::read_from(dir)?.map(|entry| Ok(entry?.file_name().to_bytes().to_vec()));
    let names = entries.collect::<io::Result<Vec<_>>>()?;
    Ok(names.into_iter().filter(|name| !matches!(&name[..], b"." | b"..")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Root;
    use rustix::fs::{Mode, OFlags, mkdirat, openat};

    /// Deeper than descriptors and paths go.
    const LEVELS: usize = 3000;

    #[test]
    fn a_directory_goes_however_deep_it_is_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (to, out) = (dir.path().join("to"), dir.path().join("out"));
        std::fs::create_dir_all(to.join("a/b")).unwrap();
        std::fs::write(&out, b"out").unwrap();
        std::fs::create_dir_all(to.join("a/raised-1/x")).unwrap();
        let root = Root::open(&to).unwrap();
        let mut at = root.directory(b"a/b").unwrap();
        for _ in 0..LEVELS {
            mkdirat(&at, "deep-deep", Mode::RWXU).unwrap();
            fs::symlinkat(&out, &at, "link").unwrap();
            at = openat(&at, "deep-deep", OFlags::PATH, Mode::empty()).unwrap();
        }
        assert!(sweep(&root.hands, root.as_fd(), b"a").unwrap());
        assert_eq!(std::fs::read_dir(&to).unwrap().count(), 0);
        assert_eq!(std::fs::read(&out).unwrap(), b"out");
        std::fs::write(to.join("file"), b"").unwrap();
        assert!(sweep(&root.hands, root.as_fd(), b"file").unwrap());
        assert!(sweep(&root.hands, root.as_fd(), b"absent").is_err());
    }
}
