//! The file system with the store, made by mke2fs(8) of a directory, so that no root is needed.

use crate::{MediaError, TIME_S};
use deploy::disks::{STORE_DIRECTORY, STORE_LABEL};
use deploy::layout::Guid;
use deploy::tools::Tool;
use deploy::volumes::{self, Access, FileSystem};
use std::fmt::Write;
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::NamedTempFile;

/// Features, each named, so that a host's mke2fs.conf changes nothing: what every kernel since
/// Linux 3.18 reads.
const FEATURES: &str = "none,has_journal,ext_attr,dir_index,filetype,extent,64bit,flex_bg,\
    sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum";

/// The journal, MiB: the smallest. A refresh writes a few files.
const JOURNAL_MIB: u64 = 4;

/// A store has some files for each label, and packs of some hundred MiB.
const INODES_MIN: u64 = 4096;

/// The longest that making it may take: 100 GiB at some 30 MB/s.
const PATIENCE: Duration = Duration::from_hours(1);

/// What one more file system takes for each MiB beyond that.
const MIB: u64 = 1 << 20;

/// What the file system takes for itself, bytes, of a store of `content_bytes`.
pub(crate) fn overhead_bytes(content_bytes: u64) -> u64 {
    // Journal and tables; bitmaps and extents are less than a percent.
    (JOURNAL_MIB + 4) * MIB + content_bytes / 64
}

/// Makes it in `size_bytes` at `start_bytes` of the image or disk at `path`, of the directory
/// `from`.
pub(crate) fn make(
    path: &Path,
    (start_bytes, size_bytes): (u64, u64),
    uuid: Guid,
    from: &Path,
) -> Result<(), MediaError> {
    let inodes = INODES_MIN.max(size_bytes / MIB);
    let tool = Tool::named("mke2fs").map_err(failed)?;
    tool.variable("E2FSPROGS_FAKE_TIME", TIME_S)
        .patience(PATIENCE)
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
        Ok(Self { root })
    }

    /// The directory of the store.
    pub(crate) fn store(&self) -> PathBuf {
        Path::new("/proc/self/fd").join(self.root.as_raw_fd().to_string()).join(STORE_DIRECTORY)
    }

    /// Brings all of it to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.root)?)
    }
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
