//! The directory that a tree is put onto, and ways to what is in it that never leave it.

use super::error::{TreeError, TreeRefusal, shown};
use super::gate::{AlwaysOpen, Gate, Hands};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    self, AtFlags, FlockOperation, Mode, OFlags, ResolveFlags, StatVfs, StatVfsMountFlags,
};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use store::tree::{name, parent};

/// Longer paths are opened in parts, bytes: below `PATH_MAX` of Linux, with room for the zero.
const PART_MAX_BYTES: usize = 4000;

/// How often openat2(2) is asked again when it could not be sure that nothing was moved meanwhile
/// (`EAGAIN`).
const TRIES_MAX: u32 = 64;

/// How many directories are held open, those used last: more than most trees are deep.
const RECENT_MAX: usize = 16;

/// A directory that a tree is put onto.
pub struct Root {
    fd: OwnedFd,
    name: PathBuf,
    /// It is read-only, and is made writable before anything is written.
    becomes_writable: bool,
    pub(crate) hands: Hands,
}

impl Root {
    /// The directory `path`.
    pub fn open(path: &Path) -> Result<Self, TreeError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = fs::open(path, flags, Mode::empty()).map_err(|error| TreeError::Io {
            doing: "open the directory",
            path: path.display().to_string(),
            source: error.into(),
        })?;
        Ok(Self::of(fd, path))
    }

    /// The opened directory `fd`, which people call `name`.
    pub(crate) fn of(fd: OwnedFd, name: &Path) -> Self {
        let hands = Hands::new(Arc::new(AlwaysOpen));
        Self { fd, name: name.to_owned(), becomes_writable: false, hands }
    }

    /// The same, to be planned for as if it were writable.
    pub(crate) fn that_becomes_writable(mut self) -> Self {
        self.becomes_writable = true;
        self
    }

    /// The directory `path`, made if it is not there; whether it was made.
    pub fn open_or_make(path: &Path) -> Result<(Self, bool), TreeError> {
        match std::fs::create_dir(path) {
            Ok(()) => Ok((Self::open(path)?, true)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Ok((Self::open(path)?, false))
            }
            Err(source) => {
                let path = path.display().to_string();
                Err(TreeError::Io { doing: "make the directory", path, source })
            }
        }
    }

    /// The same, where `gate` is asked before each call that changes anything.
    #[must_use]
    pub fn with_gate(mut self, gate: Arc<dyn Gate>) -> Self {
        self.hands = Hands::new(gate);
        self
    }

    /// Claims it for this process (flock(2)), until it is given up; an error if another one has it.
    /// Where the file system has no locks, nobody is kept out.
    pub fn claim(&self) -> Result<(), TreeRefusal> {
        match fs::flock(&self.fd, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => {
                Err(TreeRefusal::Busy { target: self.name.display().to_string() })
            }
            _ => Ok(()),
        }
    }

    /// What people call it.
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// An error if it is the root of the running system, where removing what a label does not know
    /// would remove what runs.
    pub fn refuse_own_root(&self) -> Result<(), TreeRefusal> {
        let key = |stat: fs::Stat| (stat.st_dev, stat.st_ino);
        let (here, own) = (fs::fstat(&self.fd).map(key), fs::stat("/").map(key));
        if here.is_ok() && here == own {
            return Err(TreeRefusal::OwnRoot { target: self.name.display().to_string() });
        }
        Ok(())
    }

    /// An error if `store`, a directory, is in it: it would be removed.
    pub fn refuse_store(&self, store: &Path) -> Result<(), TreeRefusal> {
        let (Ok(here), Ok(there)) = (self.name.canonicalize(), store.canonicalize()) else {
            return Ok(());
        };
        if !there.starts_with(&here) {
            return Ok(());
        }
        let (target, store) = (self.name.display().to_string(), store.display().to_string());
        Err(TreeRefusal::HoldsStore { target, store })
    }

    /// A path in it as people read it.
    pub(crate) fn shown(&self, path: &[u8]) -> String {
        let name = self.name.as_os_str().as_bytes();
        let bare = name.strip_suffix(b"/").unwrap_or(name);
        match path {
            b"" => self.name.display().to_string(),
            _ => format!("{}{}", bare.escape_ascii(), shown(path)),
        }
    }

    /// What `doing` failed with at `path`.
    pub(crate) fn failed(
        &self,
        doing: &'static str,
        path: &[u8],
    ) -> impl FnOnce(io::Error) -> TreeError + use<> {
        let path = self.shown(path);
        move |source| TreeError::Io { doing, path, source }
    }

    /// Room and flags of its file system.
    pub(crate) fn room(&self) -> Result<StatVfs, TreeError> {
        fs::fstatvfs(&self.fd)
            .map_err(io::Error::from)
            .map_err(self.failed("look at the room of", b""))
    }

    /// What this process may still write to its file system, bytes.
    pub(crate) fn free_bytes(&self) -> Result<u64, TreeError> {
        let stat = self.room()?;
        let free = if rustix::process::geteuid().is_root() { stat.f_bfree } else { stat.f_bavail };
        Ok(free.saturating_mul(stat.f_frsize))
    }

    /// Whether its file system is mounted read-only.
    pub(crate) fn is_read_only(&self) -> Result<bool, TreeError> {
        let is_now = self.room()?.f_flag.contains(StatVfsMountFlags::RDONLY);
        Ok(is_now && !self.becomes_writable)
    }

    /// The directory `path`, opened only to reach what is in it.
    pub(crate) fn directory(&self, path: &[u8]) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if path.is_empty() {
            return Ok(fs::openat(&self.fd, c".", flags, Mode::empty())?);
        }
        let (mut part, mut rest) = first_part(path);
        let mut dir = beneath(self.fd.as_fd(), part, flags)?;
        while !rest.is_empty() {
            (part, rest) = first_part(rest);
            dir = beneath(dir.as_fd(), part, flags)?;
        }
        Ok(dir)
    }

    /// The file `path`, to be read. A fifo that took its place is not waited for.
    pub(crate) fn file(&self, path: &[u8]) -> io::Result<File> {
        let dir = self.directory(parent(path).unwrap_or_default())?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(fs::openat(dir, name(path), flags, Mode::empty())?.into())
    }

    /// Whether a regular file is at `path`.
    pub(crate) fn has_file(&self, path: &[u8]) -> bool {
        let dir = self.directory(parent(path).unwrap_or_default());
        let stat = dir.and_then(|dir| Ok(fs::statat(dir, name(path), AtFlags::SYMLINK_NOFOLLOW)?));
        stat.is_ok_and(|stat| fs::FileType::from_raw_mode(stat.st_mode).is_file())
    }

    /// Whether anything is at `path`.
    pub(crate) fn has(&self, path: &[u8]) -> bool {
        let dir = self.directory(parent(path).unwrap_or_default());
        dir.is_ok_and(|dir| fs::statat(dir, name(path), AtFlags::SYMLINK_NOFOLLOW).is_ok())
    }
}

impl Drop for Root {
    /// A lock is given up with the last descriptor that has it, and a child that was just started
    /// holds one until it runs its program (flock(2)).
    fn drop(&mut self) {
        // There may be none.
        let _ = fs::flock(&self.fd, FlockOperation::Unlock);
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// As many of the first names of `path` as can be opened at once, and the rest.
fn first_part(path: &[u8]) -> (&[u8], &[u8]) {
    if path.len() <= PART_MAX_BYTES {
        return (path, &[]);
    }
    let end = path[..PART_MAX_BYTES].iter().rposition(|byte| *byte == b'/');
    // A name is far shorter than that.
    end.map_or((path, &[]), |end| (&path[..end], &path[end + 1..]))
}

/// Opens `path` below `dir`, through no symbolic link and into no other file system
/// (openat2(2)); name by name where the kernel is older than that.
pub(crate) fn beneath(dir: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    for _ in 0..TRIES_MAX {
        match fs::openat2(dir, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            Err(Errno::NOSYS) => return by_names(dir, path, flags),
            opened => return Ok(opened?),
        }
    }
    Err(Errno::AGAIN.into())
}

fn by_names(dir: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let device = fs::fstat(dir)?.st_dev;
    let mut at = fs::openat(dir, c".", flags, Mode::empty())?;
    for name in path.split(|byte| *byte == b'/') {
        at = fs::openat(&at, name, flags, Mode::empty())?;
        if fs::fstat(&at)?.st_dev != device {
            return Err(Errno::XDEV.into());
        }
    }
    Ok(at)
}

/// Directories of a root, those used last held open.
pub(crate) struct Directories<'a> {
    root: &'a Root,
    recent: Vec<(Vec<u8>, Rc<OwnedFd>)>,
}

impl<'a> Directories<'a> {
    pub(crate) fn new(root: &'a Root) -> Self {
        Self { root, recent: Vec::new() }
    }

    /// The directory that holds `path`.
    pub(crate) fn holding(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>, TreeError> {
        let holder = parent(path).unwrap_or_default();
        if let Some(at) = self.recent.iter().rposition(|(path, _)| path == holder) {
            let found = self.recent.remove(at);
            let dir = Rc::clone(&found.1);
            self.recent.push(found);
            return Ok(dir);
        }
        let opened = self.root.directory(holder);
        let dir = Rc::new(opened.map_err(self.root.failed("open", holder))?);
        if self.recent.len() >= RECENT_MAX {
            self.recent.remove(0);
        }
        self.recent.push((holder.to_vec(), Rc::clone(&dir)));
        Ok(dir)
    }

    /// Forgets all: what they were reached by is about to change.
    pub(crate) fn forget(&mut self) {
        self.recent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out() {
        let dir = tempfile::tempdir().unwrap();
        let (root, out) = (dir.path().join("root"), dir.path().join("out"));
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::create_dir_all(&out).unwrap();
        std::os::unix::fs::symlink(&out, root.join("link")).unwrap();
        std::os::unix::fs::symlink("a", root.join("inner")).unwrap();
        let root = Root::open(&root).unwrap();
        assert!(root.directory(b"a/b").is_ok() && root.directory(b"").is_ok());
        for path in [&b"link"[..], b"inner", b"inner/b", b"..", b"a/../.."] {
            assert!(root.directory(path).is_err(), "{}", path.escape_ascii());
            let by_names = by_names(root.as_fd(), b"inner/b", OFlags::NOFOLLOW | OFlags::DIRECTORY);
            assert!(by_names.is_err());
        }
        assert!(root.has(b"link") && !root.has(b"link/x") && !root.has(b"a/c"));
    }

    #[test]
    fn a_claim_ends_with_it_though_a_child_has_the_descriptor() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        root.claim().unwrap();
        let of_a_child = root.fd.try_clone().unwrap();
        let other = Root::open(dir.path()).unwrap();
        assert!(matches!(other.claim(), Err(TreeRefusal::Busy { .. })));
        drop(root);
        other.claim().unwrap();
        drop(of_a_child);
    }

    #[test]
    fn paths_longer_than_the_kernel_takes() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        let mut path = Vec::new();
        let name = [b'n'; 255];
        let mut at = root.directory(b"").unwrap();
        for _ in 0..40 {
            fs::mkdirat(&at, &name[..], Mode::RWXU).unwrap();
            at = fs::openat(&at, &name[..], OFlags::PATH, Mode::empty()).unwrap();
            path.extend_from_slice(&name);
            path.push(b'/');
        }
        path.pop();
        let key = |stat: fs::Stat| (stat.st_dev, stat.st_ino);
        let found = fs::fstat(root.directory(&path).unwrap()).unwrap();
        assert_eq!(key(found), key(fs::fstat(at).unwrap()));
        let mut directories = Directories::new(&root);
        let below = [&path[..], b"/x"].concat();
        let held = fs::fstat(&*directories.holding(&below).unwrap()).unwrap();
        assert_eq!(key(held), key(found));
        assert!(Rc::ptr_eq(
            &directories.holding(&below).unwrap(),
            &directories.holding(&below).unwrap()
        ));
    }
}
