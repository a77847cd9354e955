//! The staging area: files are made whole in it before they take their places.
//!
//! It is a directory on the target, so that a rename puts a file in place. Names are made of what
//! is in the files: a run that goes on after a cut finds what it needs by name.

use super::error::TreeError;
use super::gate::{At, Hands};
use super::root::Root;
use super::sweep::sweep;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use store::Digest;
use store::tree::walk::RESERVED_NAME;

/// Where it is on a target.
pub(crate) const STAGE: &[u8] = b".inaugurator/stage";

/// Its name in the directory that holds it.
const NAME: &[u8] = b"stage";

/// What is being made to replace something is called so for a moment.
pub(crate) const MOMENT: &[u8] = b"moment";

/// The staging area of a target.
pub(crate) struct Stage {
    dir: OwnedFd,
    hands: Hands,
}

impl Stage {
    /// That of `root`, made if it is not there.
    pub(crate) fn open(root: &Root) -> Result<Self, TreeError> {
        let hands = root.hands.clone();
        let open = || -> io::Result<OwnedFd> {
            let outer = make(&hands, root.as_fd(), RESERVED_NAME)?;
            make(&hands, outer.as_fd(), NAME)
        };
        let dir = open().map_err(root.failed("make", STAGE))?;
        Ok(Self { dir, hands })
    }

    /// The directory.
    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// A new file, in place of one that is left there by chance.
    pub(crate) fn create(&self, name: &[u8]) -> io::Result<OwnedFd> {
        match self.hands.create(self.dir(), name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.hands.unlink(self.dir(), name)?;
                self.hands.create(self.dir(), name)
            }
            created => created,
        }
    }

    /// A file that is there, to be read and written.
    pub(crate) fn open_file(&self, name: &[u8]) -> io::Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(fs::openat(self.dir(), name, flags, Mode::empty())?)
    }

    /// A file that is there, to be read.
    pub(crate) fn read_file(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(fs::openat(self.dir(), name, flags, Mode::empty())?.into())
    }

    /// Makes way for what is made for a moment.
    pub(crate) fn clear_moment(&self) -> io::Result<()> {
        self.remove(MOMENT)
    }

    /// Removes a file that may be there.
    pub(crate) fn remove(&self, name: &[u8]) -> io::Result<()> {
        match self.hands.unlink(self.dir(), name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }
}

/// Removes the staging area of `root`, if there is one; whether there was.
pub(crate) fn remove_area(root: &Root) -> Result<bool, TreeError> {
    if !root.has(RESERVED_NAME) {
        return Ok(false);
    }
    remove_area_of(root).map_err(root.failed("remove", RESERVED_NAME))?;
    Ok(true)
}

/// What else is in its directory is not ours, and stays; nothing compares it.
fn remove_area_of(root: &Root) -> io::Result<()> {
    let hands = &root.hands;
    let outer = match hands.enter(root.as_fd(), RESERVED_NAME) {
        Err(error) if is(&error, &[Errno::NOTDIR, Errno::LOOP]) => {
            return hands.unlink(root.as_fd(), RESERVED_NAME);
        }
        // Somebody has mounted something there.
        Err(error) if is(&error, &[Errno::XDEV]) => return Ok(()),
        outer => outer?,
    };
    match sweep(hands, outer.as_fd(), NAME) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        swept => drop(swept?),
    }
    match hands.remove_directory(root.as_fd(), RESERVED_NAME) {
        Err(error) if is(&error, &[Errno::NOTEMPTY, Errno::BUSY]) => Ok(()),
        removed => removed,
    }
}

/// What a staged file with this content is called; the number tells it from others.
pub(crate) fn staged_name(id: &Digest, number: u32) -> Vec<u8> {
    format!("{id}.{number}").into_bytes()
}

/// The content of a staged file and its number, by its name.
pub(crate) fn staged_of(name: &[u8]) -> Option<(Digest, u32)> {
    let (id, number) = std::str::from_utf8(name).ok()?.split_once('.')?;
    let (id, number) = (id.parse().ok()?, number.parse().ok()?);
    (staged_name(&id, number) == name).then_some((id, number))
}

/// Opens a directory of ours, made if it is not there, in which nothing is inherited.
fn make(hands: &Hands, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match fs::openat(dir, name, flags, Mode::empty()) {
        Ok(found) => return Ok(found),
        Err(Errno::NOENT) => {}
        // Something else has our name: it is in the way.
        Err(Errno::NOTDIR | Errno::LOOP) => hands.unlink(dir, name)?,
        Err(error) => return Err(error.into()),
    }
    hands.make_directory(dir, name)?;
    let made = fs::openat(dir, name, flags, Mode::empty())?;
    match hands.remove_attribute(At::File(made.as_fd()), b"system.posix_acl_default") {
        // There was nothing to remove, or can be nothing.
        Err(error) if is(&error, &[Errno::NODATA, Errno::OPNOTSUPP]) => {}
        result => result?,
    }
    Ok(made)
}

fn is(error: &io::Error, among: &[Errno]) -> bool {
    let code = error.raw_os_error();
    among.iter().any(|errno| code == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_is_in_files() {
        let id = Digest::of(b"a");
        for number in [0, 1, u32::MAX] {
            assert_eq!(staged_of(&staged_name(&id, number)), Some((id, number)));
        }
        let bare = id.to_string().into_bytes();
        for name in [b"moment", &bare[..], &[&bare[..], b".01"].concat(), b".1", b"\xff"] {
            assert_eq!(staged_of(name), None);
        }
    }

    #[test]
    fn the_area_is_made_once_and_goes_with_all_that_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        assert!(!remove_area(&root).unwrap());
        drop(Stage::open(&root).unwrap().create(b"a").unwrap());
        let stage = Stage::open(&root).unwrap();
        assert!(stage.read_file(b"a").is_ok() && stage.open_file(b"b").is_err());
        drop((stage.create(b"a").unwrap(), stage.create(MOMENT).unwrap()));
        stage.clear_moment().unwrap();
        stage.clear_moment().unwrap();
        assert!(remove_area(&root).unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_beside_it_stays() {
        let dir = tempfile::tempdir().unwrap();
        let beside = dir.path().join(".inaugurator/store/a/b/c/d/e");
        std::fs::create_dir_all(&beside).unwrap();
        std::fs::create_dir_all(dir.path().join(".inaugurator/stage/1/2/3/4/5/6")).unwrap();
        let root = Root::open(dir.path()).unwrap();
        assert!(remove_area(&root).unwrap());
        assert!(beside.exists() && !dir.path().join(".inaugurator/stage").exists());
    }

    #[test]
    fn what_has_its_name_is_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/nowhere", dir.path().join(".inaugurator")).unwrap();
        let root = Root::open(dir.path()).unwrap();
        drop(Stage::open(&root).unwrap());
        assert!(dir.path().join(".inaugurator/stage").is_dir());
    }
}
