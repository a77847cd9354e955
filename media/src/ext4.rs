//! The file system with the store, made by mke2fs(8) of a directory, so that no root is needed.

use crate::staging::Staged;
use crate::{MediaError, TIME_S, patience};
use deploy::disks::{STORE_DIRECTORY, STORE_LABEL};
use deploy::layout::Guid;
use deploy::tools::Tool;
use deploy::volumes::{self, Access, FileSystem};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, openat, openat2, renameat, unlinkat};
use rustix::io::Errno;
use std::fmt::Write;
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Features, each named, so that a host's mke2fs.conf changes nothing: what every kernel since
/// Linux 3.18 reads.
const FEATURES: &str = "none,has_journal,ext_attr,dir_index,filetype,extent,64bit,flex_bg,\
    sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum";

/// The journal, MiB: the smallest. A refresh writes a few files.
const JOURNAL_MIB: u64 = 4;

/// A store has some files for each label, and packs of some hundred MiB.
const INODES_MIN: u64 = 4096;

/// What one more file system takes for each MiB beyond that.
const MIB: u64 = 1 << 20;

/// What the file system takes for itself, bytes, of a store of `content_bytes`.
pub(crate) fn overhead_bytes(content_bytes: u64) -> u64 {
    // Journal and tables; bitmaps and extents are less than a percent.
    (JOURNAL_MIB + 4) * MIB + content_bytes / 64
}

/// An error where a program that makes it is missing.
pub(crate) fn check_tools() -> Result<(), MediaError> {
    ["mke2fs", "debugfs"].iter().try_for_each(|name| Tool::named(name).map(drop)).map_err(failed)
}

/// Makes it in `size_bytes` at `start_bytes` of the image or disk at `path`, of what was
/// staged.
pub(crate) fn make(
    path: &Path,
    (start_bytes, size_bytes): (u64, u64),
    uuid: Guid,
    staged: &Staged,
) -> Result<(), MediaError> {
    let from = staged.path();
    let inodes = INODES_MIN.max(size_bytes / MIB);
    let tool = Tool::named("mke2fs").map_err(failed)?;
    tool.variable("E2FSPROGS_FAKE_TIME", TIME_S)
        .patience(patience(staged.size_bytes))
        .args(["-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-m", "0"])
        .args(["-N", &inodes.to_string(), "-J", &format!("size={JOURNAL_MIB}")])
        .args(["-O", FEATURES, "-L", STORE_LABEL, "-U", &uuid.to_string()])
        .args(["-E", &format!("offset={start_bytes},hash_seed={uuid},{EXTENDED}")])
        .arg("-d")
        .arg(from.display())
        .arg(path.display())
        .arg(format!("{}k", size_bytes / 1024))
        .run()
        .map_err(failed)?;
    stamp(path, start_bytes, from)
}

/// Nothing is discarded, tables are zeroed when they are needed, and the root is root's.
const EXTENDED: &str = "nodiscard,lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0";

/// Gives every file the one time and owner: mke2fs takes over those of the files it copies, of
/// which nobody can set when their inodes changed.
fn stamp(path: &Path, start_bytes: u64, from: &Path) -> Result<(), MediaError> {
    let mut script = String::new();
    commands(from, "/", &mut script)?;
    let mut file = NamedTempFile::new().map_err(MediaError::io("make", Path::new("a script")))?;
    file.write_all(script.as_bytes()).map_err(MediaError::io("write", file.path()))?;
    let tool = Tool::named("debugfs").map_err(failed)?;
    tool.variable("E2FSPROGS_FAKE_TIME", TIME_S)
        .arg("-w")
        .arg("-f")
        .arg(file.path().display())
        .arg(format!("{}?offset={start_bytes}", path.display()))
        .run()
        .map(drop)
        .map_err(failed)
}

/// debugfs(8)'s commands for `directory`, which is `inside` the file system, and all below it.
fn commands(directory: &Path, inside: &str, script: &mut String) -> Result<(), MediaError> {
    let failed = || MediaError::io("read", directory);
    for field in ["atime", "ctime", "mtime"] {
        // Writing to a string does not fail.
        let _ = writeln!(script, "sif {inside} {field} @{TIME_S}\nsif {inside} {field}_extra 0");
    }
    let _ = writeln!(script, "sif {inside} uid 0\nsif {inside} gid 0");
    if !directory.is_dir() {
        return Ok(());
    }
    let entries: Result<Vec<_>, _> = fs::read_dir(directory).map_err(failed())?.collect();
    let mut entries = entries.map_err(failed())?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let below = format!("{}/{}", inside.trim_end_matches('/'), name.to_string_lossy());
        commands(&entry.path(), &below, script)?;
    }
    Ok(())
}

fn failed(source: deploy::tools::ToolError) -> MediaError {
    MediaError::Tool { what: "the file system of the store", package: "e2fsprogs", source }
}

/// The file system mounted in no directory, so that nobody else reaches it; gone when it is
/// dropped.
pub(crate) struct Mounted {
    root: OwnedFd,
    store: OwnedFd,
}

impl Mounted {
    /// Mounts what lies in `size_bytes` at `start_bytes` of the image or disk at `path`.
    pub(crate) fn new(
        path: &Path,
        (start_bytes, size_bytes): (u64, u64),
    ) -> Result<Self, MediaError> {
        let device = looped(path, start_bytes, size_bytes)?;
        let mounted = volumes::Mounted::open(&device, FileSystem::Ext4, Access::ReadWrite);
        // What is mounted stays until it is let go of, and takes the loop device with it
        // (losetup(8), on lazy destruction).
        let detached =
            Tool::named("losetup").and_then(|tool| tool.arg("-d").arg(device.display()).run());
        let root = mounted?.into_root();
        detached.map_err(no_loop)?;
        let store = below(&root, STORE_DIRECTORY, OFlags::DIRECTORY)
            .map_err(|error| no_medium(path, error.to_string()))?;
        let mounted = Self { root, store };
        // It may be anybody's: what leads out of it would be this host's files.
        match odd(&mounted.store(), 0).map_err(MediaError::io("read", path))? {
            Some(odd) => Err(no_medium(path, odd)),
            None => Ok(mounted),
        }
    }

    /// The directory of the store, in which nothing leads out of it.
    pub(crate) fn store(&self) -> PathBuf {
        Path::new("/proc/self/fd").join(self.store.as_raw_fd().to_string())
    }

    /// What content of the store has room for, bytes: the file system's own tables do not count.
    pub(crate) fn capacity_bytes(&self) -> io::Result<u64> {
        let found = rustix::fs::fstatvfs(&self.root)?;
        Ok(found.f_blocks.saturating_mul(found.f_frsize))
    }

    /// The file `name` beside the store, of which no more than `max_bytes` are read; none where
    /// there is none.
    pub(crate) fn beside(&self, name: &str, max_bytes: u64) -> io::Result<Option<String>> {
        let file = match below(&self.root, name, OFlags::NONBLOCK) {
            Err(Errno::NOENT) => return Ok(None),
            file => File::from(file?),
        };
        let mut text = String::new();
        file.take(max_bytes).read_to_string(&mut text)?;
        Ok(Some(text))
    }

    /// Replaces the file `name` beside the store.
    pub(crate) fn put_beside(&self, name: &str, text: &str) -> io::Result<()> {
        let new = format!("{name}.new");
        let (mode, at) = (Mode::from_raw_mode(0o644), &self.root);
        match unlinkat(at, &new, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut file = File::from(openat(at, &new, flags, mode)?);
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        Ok(renameat(at, &new, at, name)?)
    }

    /// Brings all of it to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.root)?)
    }
}

/// Opens `name` in `directory`: neither a link nor what is mounted there is followed (openat2(2)).
fn below(directory: &OwnedFd, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    openat2(directory, name, flags, Mode::empty(), resolve)
}

/// How deep the directories of a store lie at most, with some to spare.
const DEPTH_MAX: u32 = 8;

/// What is neither a file nor a directory below `directory`: no store has that.
fn odd(directory: &Path, depth: u32) -> io::Result<Option<String>> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (kind, name) = (entry.file_type()?, entry.file_name());
        if kind.is_dir() && depth < DEPTH_MAX {
            if let Some(odd) = odd(&entry.path(), depth + 1)? {
                return Ok(Some(odd));
            }
        } else if !kind.is_file() {
            let what = if kind.is_symlink() { "a symbolic link" } else { "no file" };
            return Ok(Some(format!("{what} in its store: {}", name.display())));
        }
    }
    Ok(None)
}

fn no_medium(path: &Path, found: String) -> MediaError {
    MediaError::NoMedium { path: path.to_owned(), found }
}

/// A loop device over a part of a file or disk.
fn looped(path: &Path, start_bytes: u64, size_bytes: u64) -> Result<PathBuf, MediaError> {
    let tool = Tool::named("losetup").map_err(no_loop)?;
    let said = tool
        .args(["--find", "--show", "--nooverlap", "--offset", &start_bytes.to_string()])
        .args(["--sizelimit", &size_bytes.to_string()])
        .arg(path.display())
        .run()
        .map_err(no_loop)?;
    Ok(PathBuf::from(String::from_utf8_lossy(&said).trim()))
}

fn no_loop(source: deploy::tools::ToolError) -> MediaError {
    MediaError::Tool { what: "a loop device for the store", package: "util-linux", source }
}
